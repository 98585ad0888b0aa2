"""Names to objects: search spaces, tables, encoders and estimators are chosen by name, never by ``if name ==``."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

from emprox.errors import InvalidOptionError, UnknownNameError

__all__ = ["Registry", "nearest", "parse_spec"]

T = TypeVar("T")


def nearest(name: str, known: list[str]) -> str:
    """Return a sentence that suggests the nearest of the known names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."


class Registry(Generic[T]):
    """Objects of one family by name.

    Parameters
    ----------
    family : str
        What the names stand for, in error messages ("search space").
    builtin : dict of str to str
        Name to ``"module:attribute"``; the module is imported when the name is first asked for.
    group : str
        Entry-point group through which other packages add names.
    """

    def __init__(self, family: str, builtin: dict[str, str], group: str) -> None:
        self.family = family
        self.group = group
        self._references = dict(builtin)
        self._loaded: dict[str, T] = {}

    def register(self, name: str, value: T) -> None:
        """Add an object under a new name; a name that is taken is an error."""
        if name in self.names():
            raise InvalidOptionError(f"the {self.family} name {name!r} is taken; choose another name")
        self._loaded[name] = value

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted({*self._references, *self._loaded, *self._plugins()})

    def get(self, name: str) -> T:
        """Return the object of that name.

        Raises
        ------
        UnknownNameError
            If no such name is registered; the message suggests the nearest.
        """
        if name not in self._loaded:
            if name in self._references:
                module, _, path = self._references[name].partition(":")
                self._loaded[name] = cast(T, attrgetter(path)(importlib.import_module(module)))
            elif name in (plugins := self._plugins()):
                self._loaded[name] = plugins[name]()
            else:
                raise UnknownNameError(f"no {self.family} is called {name!r}; {nearest(name, self.names())}")
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _plugins(self) -> dict[str, Callable[[], T]]:
        return {entry.name: entry.load for entry in entry_points(group=self.group)}


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value`` into the name and its options.

    Values become int, float, bool or None where they read as such, and stay text otherwise.

    >>> parse_spec("emprox-paper:k=10")
    ('emprox-paper', {'k': 10})
    """
    name, _, rest = spec.partition(":")
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise InvalidOptionError(f"cannot read {item!r} in {spec!r}; expected name:key=value,key=value")
        options[key.strip()] = _parse_value(value.strip())
    return name, options


def _parse_value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
