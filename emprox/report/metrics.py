"""Metrics of estimates against measured values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from emprox.validation import as_targets

__all__ = ["METRICS", "score"]

Floats = NDArray[np.float64]


def mae(measured: Floats, estimated: Floats) -> float:
    """Return the mean absolute error, in the unit of the values."""
    return float(np.abs(measured - estimated).mean())


def rmse(measured: Floats, estimated: Floats) -> float:
    """Return the root of the mean squared error, in the unit of the values."""
    return float(np.sqrt(np.square(measured - estimated).mean()))


def pearson(measured: Floats, estimated: Floats) -> float:
    """Return the linear correlation."""
    return _correlation(stats.pearsonr, measured, estimated)


def spearman(measured: Floats, estimated: Floats) -> float:
    """Return Spearman's rank correlation."""
    return _correlation(stats.spearmanr, measured, estimated)


def kendall(measured: Floats, estimated: Floats) -> float:
    """Return Kendall's tau-b."""
    return _correlation(stats.kendalltau, measured, estimated)


def _correlation(function: Callable[..., tuple[float, float]], measured: Floats, estimated: Floats) -> float:
    """Return a correlation; 0 where one side is constant, since it then ranks nothing."""
    if len(measured) < 2 or np.ptp(measured) == 0 or np.ptp(estimated) == 0:
        return 0.0
    return float(function(measured, estimated)[0])


METRICS: dict[str, Callable[[Floats, Floats], float]] = {
    "mae": mae,
    "rmse": rmse,
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
}


def score(measured: ArrayLike, estimated: ArrayLike) -> dict[str, float]:
    """Return every metric by name.

    >>> score([1, 2, 3], [1, 2, 4])["kendall"]
    1.0
    """
    n = np.size(measured)
    truth, guess = as_targets(measured, n), as_targets(estimated, n)
    return {name: metric(truth, guess) for name, metric in METRICS.items()}
