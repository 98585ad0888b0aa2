"""Estimators of what only an evaluation tells, kept up to date with a history at a cost that does not grow with it too fast.

Letters: n labels, c candidates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from emprox.estimators import ArchitectureRegressor
from emprox.search.history import Trial
from emprox.search.pools import Pool
from emprox.spaces import Architecture

__all__ = ["Estimate", "Surrogate"]

Floats = NDArray[np.float64]
STEP = 50
"""Labels are taken in when they have grown by one in so many: one by one while they are few."""


@dataclass(frozen=True)
class Estimate:
    """What is expected of candidates, in the unit of the value."""

    mean: Floats
    """(c,)"""
    std: Floats | None
    """(c,), None from an estimator without standard deviations."""


@dataclass
class Surrogate:
    """One estimator for each value, fitted anew when labels have grown by a factor, extended in between.

    What it knows is a function of the history alone, so that a search that was interrupted goes on as if it had not been. A
    failed trial counts as the worst value before it.

    Parameters
    ----------
    estimator : ArchitectureRegressor
        Unfitted; copies of it are fitted.
    signs : mapping
        Value to 1 if larger is better and -1 if not; estimators learn the product.
    pool : Pool
        Gives the space, and remembers encodings.
    first : int
        Labels of the first fit.
    growth : float
        The factor.
    """

    estimator: ArchitectureRegressor
    signs: Mapping[str, float]
    pool: Pool
    first: int
    growth: float
    random_state: int
    fitted: dict[str, ArchitectureRegressor] = field(default_factory=dict)
    learned: int = 0
    """Trials in the last fit."""
    known: int = 0
    """Trials that the estimators know."""

    def update(self, trials: Sequence[Trial]) -> None:
        """Take in the trials that are due; the first fit waits for one that did not fail."""
        learned = self._due(len(trials))
        first = next((i for i, trial in enumerate(trials, start=1) if trial.values is not None), len(trials))
        learned = max(learned, first)
        if learned != self.learned:
            self.fitted = {name: self._fit(name, trials[:learned]) for name in self.signs}
            self.learned = self.known = learned
        known = max(learned, len(trials) - len(trials) % max(1, len(trials) // STEP))
        if known > self.known and all(hasattr(each, "partial_fit") for each in self.fitted.values()):
            new = trials[self.known : known]
            for name, estimator in self.fitted.items():
                labels = self._labels(name, trials[:known])[self.known :]
                estimator.partial_fit([trial.architecture for trial in new], labels)
            self.known = known

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, Estimate]:
        """Return the estimate of each value."""
        found = {}
        for name, estimator in self.fitted.items():
            if estimator.has_std:
                mean, std = estimator.predict(architectures, return_std=True)
                found[name] = Estimate(self.signs[name] * mean, std)
            else:
                found[name] = Estimate(self.signs[name] * estimator.predict(architectures), None)
        return found

    def _due(self, n: int) -> int:
        """Return how many of n trials the last fit has."""
        due = self.first
        while (after := max(due + 1, math.ceil(due * self.growth))) <= n:
            due = after
        return min(due, n)

    def _fit(self, name: str, trials: Sequence[Trial]) -> ArchitectureRegressor:
        estimator = clone(self.estimator)
        options = {"space": self.pool.space, "random_state": self.random_state}
        estimator.set_params(**{key: value for key, value in options.items() if key in estimator.get_params(deep=False)})
        with self.pool.memory.used():
            return estimator.fit([trial.architecture for trial in trials], self._labels(name, trials))

    def _labels(self, name: str, trials: Sequence[Trial]) -> Floats:
        """Return what estimators learn of trials, (n,)."""
        measured = [math.nan if trial.values is None else self.signs[name] * trial.values[name] for trial in trials]
        labels = np.array(measured, dtype=np.float64)
        worst = np.fmin.accumulate(labels)
        first = labels[: self.first] if np.isfinite(labels[: self.first]).any() else labels[np.isfinite(labels)][:1]
        worst[np.isnan(worst)] = np.nanmin(first)
        return np.where(np.isnan(labels), worst, labels)
