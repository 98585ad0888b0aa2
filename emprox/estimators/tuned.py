"""Options chosen by cross-validation on the labels, within a number of seconds that count as fit time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau
from sklearn.model_selection import KFold, ParameterSampler

from emprox.errors import InvalidOptionError
from emprox.estimators.base import ESTIMATORS, ArchitectureRegressor, Floats, make_estimator, takes_option
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.validation import check_at_least

__all__ = ["Tuned"]

MOST_SETTINGS = 10_000


class Tuned(ArchitectureRegressor):
    """Random search over the options that an estimator declares `tunable`, then a fit of the best on all labels.

    The estimator's own options come first, so that without time for more they are kept. A setting that has begun is finished,
    so that fitting takes the seconds and one more cross-validation and fit. ``name:tune=60`` in text form makes one.

    Parameters
    ----------
    estimator : str
        Text form of what is tuned; options that it gives and that are tunable are only where the search starts.
    seconds : float
        How long settings are tried.
    max_settings : int or None
        How many are tried at most; then the result does not depend on the machine if the time suffices.
    folds : int
        Parts of the cross-validation, scored by Kendall's tau. With fewer than two labels for each fold nothing can be compared
        and the estimator's own options are used.
    known : optional
        Handed to the estimator if it has such an option: known zero-cost proxies.
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    random_state : int or None
        Seed of settings, folds, and the estimator.

    Attributes
    ----------
    estimator_ : ArchitectureRegressor
        The fitted estimator.
    settings_ : list of dict
        Options tried, and the ``score`` of each.

    References
    ----------
    Bergstra and Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 2012; the protocol is NASLib's (White et al.,
    *How Powerful are Performance Predictors in Neural Architecture Search?*, NeurIPS 2021).

    Examples
    --------
    >>> make_estimator("ridge:tune=5").seconds
    5
    """

    kind = "tuned"

    def __init__(
        self,
        *,
        estimator: str = "xgboost",
        seconds: float = 60,
        max_settings: int | None = None,
        folds: int = 3,
        known: Any = None,
        space: str | ArchitectureFamily | None = None,
        random_state: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.seconds = seconds
        self.max_settings = max_settings
        self.folds = folds
        self.known = known
        self.space = space
        self.random_state = random_state

    @property
    def has_std(self) -> bool:  # type: ignore[override]
        """Whether the tuned estimator has standard deviations."""
        return make_estimator(self.estimator).has_std

    @property
    def training_epochs(self) -> int:
        """Epochs for which a candidate has to be trained before the tuned estimator can estimate it."""
        return self.estimator_.training_epochs

    def _check_options(self) -> None:
        check_at_least("seconds", self.seconds, 0, float)
        check_at_least("folds", self.folds, 2)
        if self.max_settings is not None:
            check_at_least("max_settings", self.max_settings, 1)
        if not make_estimator(self.estimator).tunable:
            raise InvalidOptionError(f"{self.estimator} declares nothing to tune; use it without tune")

    def _fit(self) -> None:
        started = time.perf_counter()
        fresh = int(np.random.default_rng().integers(2**31))
        self.seed_ = fresh if self.random_state is None else self.random_state
        self.settings_: list[dict[str, Any]] = []
        enough = len(self.architectures_) >= 2 * self.folds
        for setting in self._settings() if enough else ():
            if self.settings_ and time.perf_counter() - started >= self.seconds:
                break
            self.settings_.append({**setting, "score": self._score(setting)})
        best = max(self.settings_, key=lambda tried: tried["score"], default={})
        chosen = {name: value for name, value in best.items() if name != "score"}
        self.estimator_ = self._make(chosen).fit(self.architectures_, self.y_, self.y_std_, target=self.target_)

    def _settings(self) -> Iterator[dict[str, Any]]:
        """Yield no change, and then random settings."""
        tunable = make_estimator(self.estimator).tunable
        finite = all(isinstance(values, list) for values in tunable.values())
        number = math.prod(len(values) for values in tunable.values()) if finite else MOST_SETTINGS
        number = min(number, MOST_SETTINGS if self.max_settings is None else self.max_settings - 1)
        yield {}
        for setting in ParameterSampler(tunable, number, random_state=self.seed_):
            yield {name: value.item() if isinstance(value, np.generic) else value for name, value in setting.items()}

    def _score(self, setting: dict[str, Any]) -> float:
        """Return the mean of Kendall's tau over the folds; a fold that is ranked by nothing counts as 0."""
        scores = []
        for train, test in KFold(self.folds, shuffle=True, random_state=self.seed_).split(self.y_):
            spread = None if self.y_std_ is None else self.y_std_[train]
            known = [self.architectures_[i] for i in train]
            estimator = self._make(setting).fit(known, self.y_[train], spread, target=self.target_)
            scores.append(kendalltau(self.y_[test], estimator.predict([self.architectures_[i] for i in test]))[0])
        return float(np.nan_to_num(scores).mean())

    def _make(self, setting: dict[str, Any]) -> ArchitectureRegressor:
        handed = {"known": self.known} if takes_option(self.estimator, "known") else {}
        return make_estimator(self.estimator, space=self.space_, random_state=self.seed_, **handed).set_params(**setting)

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        return self.estimator_._predict(architectures, return_std)

    def _write(self, folder: Path) -> dict[str, Any]:
        inner = self.estimator_
        options = inner._options() | {"space": self.space_.setting}
        return {
            "kind": inner.kind,
            "options": options,
            "state": inner._write(folder),
            "settings": self.settings_,
            "seed": self.seed_,
        }

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self.settings_, self.seed_ = state["settings"], state["seed"]
        inner: ArchitectureRegressor = ESTIMATORS.get(state["kind"])(**state["options"])
        inner.space_, inner.architectures_, inner.y_, inner.y_std_ = self.space_, self.architectures_, self.y_, self.y_std_
        inner.target_ = self.target_
        inner._read_state(folder, state["state"])
        self.estimator_ = inner
        self.known = getattr(inner, "known", None)
