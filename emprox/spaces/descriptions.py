"""Architectures as users give them: values, texts, or the tuples of a search space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emprox.errors import InvalidArchitectureError, InvalidDataError
from emprox.spaces.base import SPACES, Architecture, SearchSpace, get_space

__all__ = ["as_architectures", "infer_space"]


def infer_space(descriptions: Iterable[Any], space: str | SearchSpace | None) -> SearchSpace:
    """Return the search space: the one that is given, or the one that architectures or ``space:...`` texts name."""
    if space is not None:
        return get_space(space)
    for description in descriptions:
        if isinstance(description, Architecture):
            return get_space(description.space)
        if isinstance(description, str) and (name := description.partition(":")[0].strip()) in SPACES.names():
            return get_space(name)
        raise InvalidArchitectureError(
            f"cannot tell the search space of {description!r}: pass space=..., Architecture objects, or texts that start with "
            f"the name of a space and a colon (known: {', '.join(SPACES)})"
        )
    raise InvalidDataError("expected at least one architecture, got none")


def as_architectures(descriptions: Iterable[Any], space: SearchSpace) -> list[Architecture]:
    """Return architectures of the space; texts and the space's own tuples are parsed.

    Raises
    ------
    InvalidArchitectureError
        With the position of the first one that cannot be read or belongs to another space.
    """
    if isinstance(descriptions, str):
        raise InvalidArchitectureError(f"expected a list of architectures, got the text {descriptions!r}; wrap it in a list")
    architectures = []
    for position, description in enumerate(descriptions):
        try:
            is_value = isinstance(description, Architecture)
            architectures.append(space.check(description) if is_value else space.parse(description))
        except InvalidArchitectureError as error:
            raise InvalidArchitectureError(f"architecture {position}: {error}") from None
    return architectures
