"""Metrics of estimates against measured values. Those of ranking take larger values as better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.metrics import ndcg_score

from emprox.validation import as_targets

__all__ = ["CALIBRATION_LEVELS", "INTERVAL_METRICS", "LEVEL", "METRICS", "TOP", "score", "score_interval"]

Floats = NDArray[np.float64]

TOP = 10
"""k of the metrics that look at the best k only."""
LEVEL = 0.9
"""Share of measured values that an interval should hold."""
CALIBRATION_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Levels at which a calibration curve compares the share that intervals should hold with the share that they do hold."""


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


def precision(measured: Floats, estimated: Floats) -> float:
    """Return the share of the `TOP` highest estimates that are among the `TOP` highest measured values.

    Ties count in full among the measured and in expectation among the estimates: an estimate for all scores as a random choice.
    """
    k = min(TOP, len(measured))
    good = measured >= np.sort(measured)[-k]
    return float((_chosen(estimated, k) * good).sum() / k)


def ndcg(measured: Floats, estimated: Floats) -> float:
    """Return the normalised discounted cumulative gain of the `TOP` highest estimates; ties count in expectation.

    The gain is the measured rank, 0 for the lowest and 1 for the highest, so that units and outliers do not matter.
    """
    if len(measured) < 2 or np.ptp(measured) == 0:
        return 1.0
    gains = (stats.rankdata(measured) - 1) / (len(measured) - 1)
    return float(ndcg_score(gains[None], estimated[None], k=TOP))


def regret(measured: Floats, estimated: Floats) -> float:
    """Return how far the architecture of the highest estimate is below the best, in the unit of the values; ties on average."""
    return float(measured.max() - (_chosen(estimated, 1) * measured).sum())


def _chosen(estimated: Floats, k: int) -> Floats:
    """Return the chance of each to be among the k highest estimates when ties are broken at random; sums to k."""
    last = np.sort(estimated)[-k]
    above, tied = estimated > last, estimated == last
    return above + tied * ((k - above.sum()) / tied.sum())


def coverage(measured: Floats, lower: Floats, upper: Floats) -> float:
    """Return the share of measured values inside their interval, ends included."""
    return float(((lower <= measured) & (measured <= upper)).mean())


def interval_score(measured: Floats, lower: Floats, upper: Floats) -> float:
    """Return the mean interval score at `LEVEL`: width, plus what lies outside times 2 / (1 - level); smaller is better.

    Gneiting and Raftery, *Strictly Proper Scoring Rules, Prediction, and Estimation*, JASA 2007.
    """
    outside = np.maximum(lower - measured, 0) + np.maximum(measured - upper, 0)
    return float((upper - lower + 2 / (1 - LEVEL) * outside).mean())


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
    "precision_at_10": precision,
    "ndcg_at_10": ndcg,
    "regret": regret,
}
INTERVAL_METRICS: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "coverage": coverage,
    "interval_score": interval_score,
}


def score(measured: ArrayLike, estimated: ArrayLike) -> dict[str, float]:
    """Return every metric by name.

    >>> score([1, 2, 3], [1, 2, 4])["kendall"]
    1.0
    """
    n = np.size(measured)
    truth, guess = as_targets(measured, n), as_targets(estimated, n)
    return {name: metric(truth, guess) for name, metric in METRICS.items()}


def score_interval(measured: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> dict[str, float]:
    """Return `INTERVAL_METRICS` by name, of intervals that should hold the measured value with probability `LEVEL`.

    >>> score_interval([1, 2], [0, 3], [2, 4])["coverage"]
    0.5
    """
    n = np.size(measured)
    truth, low, high = (as_targets(values, n) for values in (measured, lower, upper))
    return {name: metric(truth, low, high) for name, metric in INTERVAL_METRICS.items()}
