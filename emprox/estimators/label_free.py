"""Rank by a number that needs no label: what such estimators share, from the scale to saving."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.spaces import Architecture
from emprox.validation import standard_deviation

__all__ = ["LabelFreeRegressor"]


class LabelFreeRegressor(ArchitectureRegressor):
    """Rank architectures by a number; labels only set the scale, so that the ranking is that of no label at all.

    The estimate is the number, shifted and stretched to the mean and spread of the measurements, and turned round if their
    `target_` says that smaller is better; as it is where there are none. An architecture without a value (NaN) gets the estimate
    of the lowest value that is known or measured, or 0 where nothing is. Subclasses give the numbers in `_numbers`.

    Attributes
    ----------
    slope_, intercept_ : float
        From the number to the estimate.
    worst_ : float
        The estimate of an architecture without a value.
    """

    ranks_without_labels: ClassVar[bool] = True

    @property
    def needs_labels(self) -> bool:
        """False."""
        return False

    @abstractmethod
    def _numbers(self, architectures: list[Architecture]) -> Floats:
        """Return the number of each architecture, larger is better, NaN where it has no value, (n,)."""

    def _prepare(self) -> None:
        """Set what `_numbers` needs, after the space is known."""

    def _least(self, numbers: Floats) -> float:
        """Return the lowest value that is known, given those of the measured architectures; NaN if there is none."""
        return float(np.fmin.reduce(numbers, initial=np.nan))

    def _fit(self) -> None:
        self._prepare()
        numbers = self._numbers(self.architectures_)
        values, y = numbers[np.isfinite(numbers)], self.y_[np.isfinite(numbers)]
        spread = standard_deviation(values)
        if len(self.y_):
            self.slope_ = self._direction * standard_deviation(y) / spread if spread else 0.0
            self.intercept_ = float(y.mean() - self.slope_ * values.mean()) if len(values) else float(self.y_.mean())
        else:
            self.slope_, self.intercept_ = 1.0, 0.0
        least = self._least(numbers)
        self.worst_ = float(self.intercept_ + self.slope_ * least) if np.isfinite(least) else self.intercept_

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, None]:
        if not architectures:
            return np.empty(0), None
        estimates = self.intercept_ + self.slope_ * self._numbers(architectures)
        return np.where(np.isnan(estimates), self.worst_, estimates), None

    def _write(self, folder: Path) -> dict[str, Any]:
        return {"slope": self.slope_, "intercept": self.intercept_, "worst": self.worst_}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self.slope_, self.intercept_, self.worst_ = state["slope"], state["intercept"], state["worst"]
