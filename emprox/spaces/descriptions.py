"""Architectures as users give them: values, texts, or what else their family reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emprox.errors import InvalidArchitectureError, InvalidDataError
from emprox.spaces.family import FAMILIES, Architecture, ArchitectureFamily, family_names, get_family

__all__ = ["as_architectures", "infer_space"]


def infer_space(
    descriptions: Iterable[Any], space: str | ArchitectureFamily | None, default: str | None = None
) -> ArchitectureFamily:
    """Return the family: the one that is given, one that recognises a description, or the one that the first names.

    Architectures and ``space:...`` texts name theirs; where the first names none, it is the default, if there is one.
    """
    if space is not None:
        return get_family(space)
    given = list(descriptions)
    if not given:
        raise InvalidDataError("expected at least one architecture, got none")
    for family in map(get_family, FAMILIES):
        if any(family.recognises(description) for description in given):
            return family
    if isinstance(given[0], Architecture):
        return get_family(given[0].space)
    names = family_names()
    if isinstance(given[0], str) and (name := given[0].partition(":")[0].strip()) in names:
        return get_family(name)
    if default is not None:
        return get_family(default)
    raise InvalidArchitectureError(
        f"cannot tell the search space of {given[0]!r}: pass space=... (`--space`), Architecture objects, or texts that start "
        f"with the name of a space and a colon (known: {', '.join(names)})"
    )


def as_architectures(descriptions: Iterable[Any], space: ArchitectureFamily, first: int = 0) -> list[Architecture]:
    """Return architectures of the family; what is none yet is parsed. Errors count them from `first`.

    Raises
    ------
    InvalidArchitectureError
        With the position of the first one that cannot be read or belongs to another family.
    """
    if isinstance(descriptions, str):
        raise InvalidArchitectureError(f"expected a list of architectures, got the text {descriptions!r}; wrap it in a list")
    architectures = []
    for position, description in enumerate(descriptions, start=first):
        try:
            architectures.append(space.read(description))
        except InvalidArchitectureError as error:
            raise InvalidArchitectureError(f"architecture {position}: {error}") from None
    return architectures
