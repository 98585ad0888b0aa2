"""How promising a candidate is, from what an estimator says of it: larger is more promising.

Letters: n candidates, s draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from emprox.errors import InvalidOptionError
from emprox.registry import nearest
from emprox.spaces import Architecture

__all__ = ["ACQUISITIONS", "check_acquisition", "expected_improvement", "optimistic", "spread"]

Floats = NDArray[np.float64]
ACQUISITIONS = ("mean", "ucb", "ei", "thompson")
"""Estimate; estimate and a multiple of its standard deviation; expected improvement; a joint draw."""


def check_acquisition(name: str, has_std: bool, estimator: str) -> None:
    """Raise unless there is such an acquisition and the estimator has what it needs."""
    if name not in ACQUISITIONS:
        raise InvalidOptionError(f"no acquisition is called {name!r}; {nearest(name, list(ACQUISITIONS))}")
    if name != "mean" and not has_std:
        raise InvalidOptionError(f"acquisition {name!r} needs standard deviations, {estimator} has none; use 'mean'")


def expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """Return by how much normal values are above the best known one in expectation, (n,).

    >>> expected_improvement(np.array([1.0, 3.0]), np.array([0.0, 0.0]), 2.0)
    array([0., 1.])
    """
    gap = mean - best
    scaled = np.divide(gap, std, out=np.where(gap > 0, np.inf, -np.inf), where=std > 0)
    improvement: Floats = gap * norm.cdf(scaled) + std * norm.pdf(scaled)
    return np.where(std > 0, improvement, np.maximum(gap, 0))


def optimistic(
    name: str,
    estimator: Any,
    candidates: Sequence[Architecture],
    mean: Floats,
    std: Floats | None,
    beta: float,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Return values that candidates may well have, (draws, n), by any acquisition but expected improvement.

    They are the same in each draw except with ``thompson``, whose draws are joint where the estimator can draw jointly.
    """
    if name == "mean" or std is None:
        return np.broadcast_to(mean, (draws, len(mean)))
    if name == "ucb":
        return np.broadcast_to(mean + beta * std, (draws, len(mean)))
    if hasattr(estimator, "sample"):
        return np.asarray(estimator.sample(candidates, draws, rng), dtype=np.float64)
    return mean + std * rng.standard_normal((draws, len(mean)))


def spread(scores: Floats, distances: Floats, n: int, weight: float, nearest_chosen: Floats) -> list[int]:
    """Return n of the candidates, each the most promising where nearness to those chosen before counts against it.

    Parameters
    ----------
    scores : ndarray of shape (s, n)
        Scores by which the first, the second, ... is chosen; the last row serves all that follow.
    distances : ndarray of shape (n, n)
        Distances between candidates, in units of their median.
    n : int
    weight : float
        What the distance to the nearest chosen counts, up to the median, in units of the scores' range; 0 chooses the best n.
    nearest_chosen : ndarray of shape (n,)
        Distance to the nearest of those that are chosen already, 1 or more where there is none.
    """
    chosen: list[int] = []
    for turn in range(min(n, scores.shape[1])):
        score = scores[min(turn, len(scores) - 1)]
        reach = np.ptp(score) or 1.0
        merit = (score - score.min()) / reach + weight * np.minimum(nearest_chosen, 1)
        merit[chosen] = -np.inf
        chosen.append(int(merit.argmax()))
        nearest_chosen = np.minimum(nearest_chosen, distances[chosen[-1]])
    return chosen
