"""How wide intervals have to be: as wide as leaving out the known ones says, and wider far from all of them.

Letters: m queries, n left out, c left out with their neighbours, T targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["Calibration", "normal_half_width"]

Floats = NDArray[np.float64]
PRIOR_LABELS = 10
"""Residuals that the normal distribution counts for."""
LEARNED = 10
"""Numbers that are learned from the labels that are left out too: intervals of n labels widen by sqrt(1 + LEARNED / n)."""


class Calibration:
    """Factors of standard deviations, by the distance from the nearest known architecture.

    A query no further from the nearest known one than those usually are from one another gets the quantile of what leaving one
    out found. Networks come in kins that have more in common than their graphs say, such as how they were trained: a query
    further away gets the quantile of what was found when neighbourhoods of that extent were left out.

    Parameters
    ----------
    residuals : ndarray of shape (n, T)
        Absolute differences from the estimate of the others, in standard deviations.
    spacing : float
        Usual distance from a known architecture to the nearest other.
    far : callable
        Returns distances to the nearest that is left, and differences (c, T), where ever larger neighbourhoods are left out;
        called when an interval of a query is asked for.
    """

    def __init__(self, residuals: Floats, spacing: float, far: Callable[[], Iterable[tuple[float, Floats]]] = tuple) -> None:
        self.residuals, self.spacing, self._far = residuals, spacing, far

    @cached_property
    def levels(self) -> list[tuple[float, Floats]]:
        """Distances to the nearest known, and what was found there, (c, T)."""
        return [(self.spacing, self.residuals), *((distance, np.abs(errors)) for distance, errors in self._far())]

    def among_known(self, coverage: float) -> Floats:
        """Return how many standard deviations cover that share next to known architectures, (T,)."""
        return _factor(self.residuals, coverage)

    def factors(self, coverage: float, distances: Floats) -> Floats:
        """Return how many standard deviations cover that share at distances (m,) from the nearest known, (m, T)."""
        places = np.maximum.accumulate([distance for distance, _ in self.levels])
        each = np.maximum.accumulate([_factor(residuals, coverage) for _, residuals in self.levels])
        return np.column_stack([np.interp(distances, places, factors) for factors in each.T])


def _factor(residuals: Floats, coverage: float) -> Floats:
    """Return the quantile of residuals (n, T), with those of a normal distribution as a prior, (T,)."""
    n = len(residuals)
    observed = np.quantile(residuals, min(1.0, coverage * (1 + 1 / n)), axis=0)
    shrunk = (n * observed + PRIOR_LABELS * normal_half_width(coverage)) / (n + PRIOR_LABELS)
    return np.asarray(shrunk * np.sqrt(1 + LEARNED / n), dtype=np.float64)


@cache
def normal_half_width(coverage: float) -> float:
    """Return half the width of the standard normal distribution's central interval."""
    return float(norm.ppf((1 + coverage) / 2))
