"""A monotone change of scale that makes measured performances look normal, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from emprox.validation import standard_deviation

__all__ = ["Warp"]

Floats = NDArray[np.float64]
NORMAL_IQR = 1.349
"""Interquartile range of the standard normal distribution."""
MOST_KNOTS = 10_000
"""Of more distinct values at most so many are kept, evenly by score: no score is further off than from one to the next."""


@dataclass(frozen=True)
class Warp:
    """A piecewise linear, strictly increasing map between values and scores of mean 0 and variance 1.

    Accuracies crowd at the top and have a long tail below; ranks alone would forget how far apart they are. The score of a
    measured value is the normal score of its rank plus ``tanh(z / 2)``, where z is the distance to the median in interquartile
    ranges of a normal distribution; all scores are then standardised.
    """

    values: tuple[float, ...]
    """Distinct measured values in increasing order."""
    scores: tuple[float, ...]
    """Their scores."""
    slope: float
    """Scores per unit beyond the smallest and largest value."""

    @classmethod
    def fit(cls, y: Floats) -> Warp:
        """Return the warp of measured values (n,).

        >>> warp = Warp.fit(np.array([10.0, 90, 91, 92]))
        >>> warp.inverse(warp.forward(np.array([5.0, 50, 93]))).round(6).tolist()
        [5.0, 50.0, 93.0]
        """
        low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
        spread = (high - low) / NORMAL_IQR or standard_deviation(y) or 1.0
        scores = norm.ppf((rankdata(y) - 0.5) / len(y)) + np.tanh((y - middle) / spread / 2)
        scores = (scores - scores.mean()) / (standard_deviation(scores) or 1.0)
        values, first = np.unique(y, return_index=True)
        scores = scores[first]
        if len(values) > MOST_KNOTS:
            kept = np.unique(np.searchsorted(scores, np.linspace(scores[0], scores[-1], MOST_KNOTS)))
            values, scores = values[kept], scores[kept]
        return cls(tuple(values.tolist()), tuple(scores.tolist()), 1 / spread)

    def forward(self, y: Floats) -> Floats:
        """Return the scores of values of any shape."""
        return _interpolate(y, *self._knots, self.slope)

    def inverse(self, scores: Floats) -> Floats:
        """Return the values of scores of any shape."""
        return _interpolate(scores, *self._knots[::-1], 1 / self.slope)

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        return np.array(self.values), np.array(self.scores)

    def spread(self, y: Floats, y_std: Floats) -> Floats:
        """Return the standard deviations of scores whose values have these standard deviations."""
        return (self.forward(y + y_std) - self.forward(y - y_std)) / 2


def _interpolate(x: Floats, knots: Floats, images: Floats, slope: float) -> Floats:
    inside = np.interp(x, knots, images)
    return inside + slope * (np.minimum(x - knots[0], 0) + np.maximum(x - knots[-1], 0))
