"""Checks at the door: finite measurements of the right length, options in range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emprox.errors import InvalidDataError, InvalidOptionError

__all__ = ["as_measurements", "as_rows", "as_spread", "as_targets", "check_at_least", "standard_deviation"]


def as_rows(samples: Iterable[Any]) -> list[Any]:
    """Return samples as a list; a data frame or an array of texts with one column is that column.

    >>> as_rows(np.array([["a"], ["b"]]))
    ['a', 'b']
    """
    if isinstance(samples, str | bytes) or callable(samples) or not isinstance(samples, Iterable):  # some modules are iterable
        shown = repr(samples).partition("\n")[0]
        raise InvalidDataError(f"expected a list of architectures, got one {type(samples).__name__}, {shown}; wrap it in a list")
    shape: tuple[int, ...] = getattr(samples, "shape", ())
    if hasattr(samples, "columns") and shape[1] != 1:
        raise InvalidDataError(f"expected one column of architectures, got a table of {shape[1]} columns; pass one of them")
    if len(shape) == 2 and shape[1] == 1:
        return np.asarray(samples)[:, 0].tolist()
    return list(samples)


def as_targets(y: ArrayLike, n: int, *, several: bool = False) -> NDArray[np.float64]:
    """Return measured values as ndarray of shape (n,), or raise if they are missing, not finite or of another length.

    With `several`, an array of shape (n, targets) passes as well.
    """
    return _as_numbers(y, n, "measurements", several)


def as_spread(y_std: ArrayLike | None, n: int, *, several: bool = False) -> NDArray[np.float64] | None:
    """Return standard deviations of the measured values as `as_targets` does the values, or None if there are none."""
    if y_std is None:
        return None
    values = _as_numbers(y_std, n, "standard deviations", several)
    if (values < 0).any():
        position = int(np.argmax((values < 0).reshape(n, -1).any(axis=1)))
        raise InvalidDataError(f"standard deviation {position} is {values[position]}, expected 0 or more")
    return values


def as_measurements(
    y: ArrayLike, y_std: ArrayLike | None, n: int, *, several: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return measured values and their standard deviations, of one shape; see `as_targets` and `as_spread`."""
    values, spread = as_targets(y, n, several=several), as_spread(y_std, n, several=several)
    if spread is not None and spread.shape != values.shape:
        raise InvalidDataError(f"expected y_std of the shape of y, {values.shape}, got {spread.shape}")
    return values, spread


def standard_deviation(values: NDArray[np.floating]) -> float:
    """Return the standard deviation, exactly 0 where all values are equal: rounding makes it 1e-14.

    >>> standard_deviation(np.full(7, 91.3)), bool(np.full(7, 91.3).std() > 0)
    (0.0, True)
    """
    return float(values.std()) if values.size and np.ptp(values) > 0 else 0.0


def check_at_least(name: str, value: Any, least: float, kind: type = int) -> None:
    """Raise unless the option is a number of that kind, finite, and not below the least allowed value."""
    number = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, number) or not math.isfinite(value) or value < least:
        expected = "an integer" if kind is int else "a number"
        raise InvalidOptionError(f"{name} must be {expected} of at least {least}, got {value!r}")


def _as_numbers(values: ArrayLike, n: int, what: str, several: bool) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"expected {n} numbers as {what}, got something else: {error}") from None
    fits = numbers.shape == (n,) or (several and numbers.ndim == 2 and len(numbers) == n and numbers.shape[1] > 0)
    if not fits:
        raise InvalidDataError(f"expected {n} {what}, one for each architecture, got an array of shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        position = int(np.argmin(np.isfinite(numbers).reshape(n, -1).all(axis=1)))
        raise InvalidDataError(
            f"{what} must be finite; number {position} is {numbers[position]}. Leave out architectures whose training failed"
        )
    return numbers
