"""Checks at the door: architectures of one space, finite measurements of the right length, options in range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emprox.errors import InvalidArchitectureError, InvalidDataError, InvalidOptionError

if TYPE_CHECKING:
    from emprox.spaces import Architecture, SearchSpace

__all__ = ["as_architectures", "as_spread", "as_targets", "check_at_least", "infer_space"]


def infer_space(descriptions: Iterable[Any], space: str | SearchSpace | None) -> SearchSpace:
    """Return the search space: the one that is given, or the one that architectures or ``space:...`` texts name."""
    from emprox.spaces import SPACES, Architecture, get_space

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
    from emprox.spaces import Architecture

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


def as_targets(y: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return measured values as ndarray of shape (n,), or raise if they are missing, not finite or of another length."""
    return _as_numbers(y, n, "measurements")


def as_spread(y_std: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    """Return standard deviations of the measured values as ndarray of shape (n,), or None if there are none."""
    if y_std is None:
        return None
    values = _as_numbers(y_std, n, "standard deviations")
    if (values < 0).any():
        position = int(np.argmax(values < 0))
        raise InvalidDataError(f"standard deviation {position} is {values[position]}, expected 0 or more")
    return values


def check_at_least(name: str, value: Any, least: float, kind: type = int) -> None:
    """Raise unless the option is a number of that kind, finite, and not below the least allowed value."""
    number = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, number) or not math.isfinite(value) or value < least:
        expected = "an integer" if kind is int else "a number"
        raise InvalidOptionError(f"{name} must be {expected} of at least {least}, got {value!r}")


def _as_numbers(values: ArrayLike, n: int, what: str) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"expected {n} numbers as {what}, got something else: {error}") from None
    if numbers.shape != (n,):
        raise InvalidDataError(f"expected {n} {what}, one for each architecture, got an array of shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        position = int(np.argmin(np.isfinite(numbers)))
        raise InvalidDataError(
            f"{what} must be finite; number {position} is {numbers[position]}. Leave out architectures whose training failed"
        )
    return numbers
