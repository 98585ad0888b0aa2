"""Trainings with several seeds to one row per architecture: mean, spread, count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emprox.errors import InvalidDataError
from emprox.spaces import Architecture
from emprox.tables.base import PerformanceTable
from emprox.validation import as_targets

__all__ = ["Average", "average", "columns_of", "table_of_runs"]


@dataclass(frozen=True)
class Average:
    """Trainings of each architecture, averaged; arrays of shape (n_architectures,)."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    """Sample standard deviation; None where nothing was trained twice."""
    count: NDArray[np.int64]


def average(values: ArrayLike, groups: NDArray[np.integer]) -> Average:
    """Average the trainings of each architecture.

    An architecture with a single training takes the pooled spread of the others, the root of their mean variance weighted by
    degrees of freedom, because a spread of 0 would claim that its value is exact.

    Parameters
    ----------
    values : array-like of shape (n_trainings,)
        What was measured of each training.
    groups : ndarray of shape (n_trainings,)
        Number of each training's architecture, from 0; every number up to the largest occurs.
    """
    numbers = as_targets(values, len(groups))
    count = np.bincount(groups)
    mean = np.bincount(groups, numbers) / count
    squares, freedom = np.bincount(groups, (numbers - mean[groups]) ** 2), count - 1
    if not freedom.any():
        return Average(mean, None, count)
    pooled = np.sqrt(squares.sum() / freedom.sum())
    return Average(mean, np.where(freedom > 0, np.sqrt(squares / np.maximum(freedom, 1)), pooled), count)


def table_of_runs(
    name: str,
    space: str,
    architectures: Sequence[Architecture],
    targets: Mapping[str, ArrayLike],
    columns: Mapping[str, ArrayLike] | None = None,
    curves: Mapping[str, ArrayLike] | None = None,
    **fields: Any,
) -> PerformanceTable:
    """Return the table of trainings, those of one architecture (equal description) averaged.

    Means become targets; see `average` for the spreads.

    Parameters
    ----------
    name, space : str
        Of the table.
    architectures : sequence of Architecture
        One per training, in any order; rows come in the order of first appearance.
    targets : mapping of str to array-like of shape (n_trainings,)
        What was measured of each training.
    columns : mapping of str to array-like of shape (n_trainings,), optional
        Further numbers of each training, NaN where missing; an architecture takes the mean of those that are known.
    curves : mapping of str to array-like of shape (n_trainings, n_epochs), optional
        Learning curves of each training, averaged likewise epoch by epoch.
    **fields
        Further fields of `PerformanceTable` that have no rows, such as ``citation`` and ``measures``.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> a, b = get_space("nasbench201").sample(np.random.default_rng(0), 2)
    >>> table = table_of_runs("mine", "nasbench201", [a, b, a], {"val_accuracy": [90.0, 80.0, 92.0]})
    >>> table.targets["val_accuracy"], table.counts["val_accuracy"]
    (array([91., 80.]), array([2, 1]))
    """
    if not architectures:
        raise InvalidDataError(f"table {name} has no training; expected at least one")
    order = {architecture: row for row, architecture in enumerate(dict.fromkeys(architectures))}
    groups = np.array([order[architecture] for architecture in architectures])
    averages = {target: average(values, groups) for target, values in targets.items()}
    further = {column: _mean_of_known(values, groups) for column, values in (columns or {}).items()}
    means = {
        curve: np.column_stack([_mean_of_known(epoch, groups) for epoch in np.asarray(values, dtype=np.float64).T])
        for curve, values in (curves or {}).items()
    }
    return PerformanceTable(name, space, tuple(order), columns=further, curves=means, **columns_of(averages), **fields)


def columns_of(averages: Mapping[str, Average]) -> dict[str, Any]:
    """Return the fields of a table that averages fill: targets, spreads, counts."""
    return {
        "targets": {name: of.mean for name, of in averages.items()},
        "spreads": {name: of.spread for name, of in averages.items() if of.spread is not None},
        "counts": {name: of.count for name, of in averages.items()},
    }


def _mean_of_known(values: ArrayLike, groups: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the mean of each group's values that are not NaN, ndarray of shape (n_groups,); NaN for a group without any."""
    numbers = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(numbers)
    n_groups = int(groups.max()) + 1
    count = np.bincount(groups[known], minlength=n_groups)
    total = np.bincount(groups[known], numbers[known], minlength=n_groups)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
