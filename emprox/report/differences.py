"""Whether one estimator is better than another: paired over trials, with an interval."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from emprox.errors import InvalidDataError
from emprox.report.numbers import mean_interval
from emprox.validation import as_targets

__all__ = ["FEW", "Difference", "method_of", "paired_difference", "sure_difference"]

RESAMPLES = 10_000
"""Bootstrap resamples of the trials."""
FEW = 10
"""Trials below which a report takes Student's interval: the bootstrap of 5 excludes 0 in 15 % of cases without one."""


@dataclass(frozen=True)
class Difference:
    """A mean difference over trials and its 95 % interval."""

    mean: float
    """Mean of first minus second."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    trials: int
    """Number of pairs."""
    ahead: int
    """Number of pairs of which the first is larger."""

    @property
    def is_real(self) -> bool:
        """Whether 0 lies outside the interval: only then is it called a difference."""
        return self.low > 0 or self.high < 0


def paired_difference(first: ArrayLike, second: ArrayLike, seed: int = 0) -> Difference:
    """Compare two estimators by one metric over the same trials.

    Parameters
    ----------
    first, second : array-like of shape (n_trials,)
        The metric of each, trial by trial on the same splits.
    seed : int
        Of the resampling of trials; the interval holds the middle 95 % of their means. With fewer than about ten
        trials it is too narrow.

    Raises
    ------
    InvalidDataError
        If there are fewer than two trials, or their numbers differ.

    Examples
    --------
    >>> paired_difference([.52, .55, .51, .54], [.50, .51, .50, .51]).is_real
    True
    """
    n = np.size(first)
    if n < 2:
        raise InvalidDataError(f"expected at least two trials to compare, got {n}")
    differences = as_targets(first, n) - as_targets(second, n)
    drawn = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return Difference(float(differences.mean()), float(low), float(high), n, int((differences > 0).sum()))


def sure_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Compare as `paired_difference` does, of fewer than `FEW` trials with Student's interval of the paired differences.

    >>> sure_difference([.52, .55, .53], [.50, .51, .50]).is_real, sure_difference([.52, .59], [.50, .51]).is_real
    (True, False)
    """
    found = paired_difference(first, second)
    if found.trials >= FEW:
        return found
    _, low, high = mean_interval((np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).tolist())
    return replace(found, low=low, high=high)


def method_of(trials: int) -> str:
    """Return in words which interval `sure_difference` takes for so many trials."""
    return f"95 % {'bootstrap' if trials >= FEW else 'Student'} interval of the differences, paired over {trials} trials"
