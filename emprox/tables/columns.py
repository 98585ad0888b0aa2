"""What each kind of column of a table must be: one array with one entry per row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidDataError
from emprox.validation import as_spread, as_targets

__all__ = ["CHECKS"]


def _as_counts(values: Any, n: int) -> NDArray[np.int64]:
    numbers = as_targets(values, n)
    if (numbers < 1).any() or (numbers != np.floor(numbers)).any():
        raise InvalidDataError(f"numbers of trainings are whole and at least 1, got {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.int64)


def _as_curve(values: Any, n: int) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"a curve is an array of numbers, got something else: {error}") from None
    if numbers.ndim != 2 or len(numbers) != n or not numbers.shape[1]:
        raise InvalidDataError(f"expected a curve of shape ({n}, epochs), got an array of shape {numbers.shape}")
    if np.isinf(numbers).any():
        raise InvalidDataError("a curve holds an infinite value; write NaN where nothing was measured")
    return numbers


def _as_column(values: Any, n: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n,):
        raise InvalidDataError(f"expected {n} values, one for each architecture, got an array of shape {array.shape}")
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind != "U" and not all(isinstance(value, str) for value in array):
        raise InvalidDataError(f"a further column holds numbers or texts, got {array.dtype}")
    return array.astype(np.str_)


def _as_mark(values: Any, n: int) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.shape != (n,) or not np.isin(array, (0, 1)).all():
        raise InvalidDataError(f"a mark is {n} truth values, one for each architecture, got an array of shape {array.shape}")
    return array.astype(np.bool_)


CHECKS: dict[str, Callable[[Any, int], Any]] = {
    "targets": as_targets,
    "spreads": as_spread,
    "counts": _as_counts,
    "curves": _as_curve,
    "columns": _as_column,
    "marks": _as_mark,
}
"""The fields that map names to one array per row, and what each array must be."""
