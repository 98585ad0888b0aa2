"""scikit-learn's regressors over a fixed encoding, the baselines to beat."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.stats import uniform
from sklearn import linear_model
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from emprox.encodings import get_encoding
from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.proxies import KnownProxies
from emprox.proxies.known import Known
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.validation import check_at_least, standard_deviation

__all__ = ["Forest", "GaussianProcess", "KNeighbors", "Ridge", "TabularRegressor"]


class TabularRegressor(ArchitectureRegressor):
    """A scikit-learn style regressor over the columns of an encoding, on standardised measurements.

    A saved one holds its data and seed and is fitted again when loaded, so that no pickle is needed.

    Attributes
    ----------
    encoding_ : Encoding
        The encoding of the search space.
    model_ : object
        The fitted regressor.
    """

    encoding: str
    known: Known
    random_state: int | None

    @abstractmethod
    def _regressor(self, seed: int) -> Any:
        """Return the unfitted regressor."""

    def _sample_weights(self) -> dict[str, Floats]:
        """Return how much each measurement counts, as the keyword of the regressor's fit, or nothing."""
        precision = self._precision()
        return {} if precision is None else {"sample_weight": precision}

    @property
    def training_epochs(self) -> int:
        """Epochs for which a candidate has to be trained before its columns are known."""
        return self.encoding_.training_epochs

    def _fit(self) -> None:
        self.encoding_ = get_encoding(self.encoding, self.space_, self.known)
        fresh = np.random.default_rng().integers(2**31)
        self.seed_ = int(fresh) if self.random_state is None else self.random_state
        self._train()

    def _train(self) -> None:
        self.mean_, self.scale_ = float(self.y_.mean()), standard_deviation(self.y_) or 1.0
        self.model_ = self._regressor(self.seed_)
        columns = self.encoding_.transform(self.architectures_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound is an answer, not a failure
            self.model_.fit(columns, (self.y_ - self.mean_) / self.scale_, **self._sample_weights())

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        if not architectures:
            return np.empty(0), np.empty(0) if return_std else None
        columns = self.encoding_.transform(architectures)
        if not return_std:
            return self.mean_ + self.scale_ * self.model_.predict(columns).astype(np.float64), None
        values, std = self.model_.predict(columns, return_std=True)
        return self.mean_ + self.scale_ * values, self.scale_ * std

    def _write(self, folder: Path) -> dict[str, Any]:
        known = self.encoding_.known
        return {"seed": self.seed_, "known": None if known is None else known.to_json()}

    def _read_encoding(self, state: dict[str, Any]) -> None:
        self.known = None if state["known"] is None else KnownProxies.from_json(state["known"])
        self.encoding_ = get_encoding(self.encoding, self.space_, self.known)
        self.seed_ = state["seed"]

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self._read_encoding(state)
        self._train()


class Forest(TabularRegressor):
    """Random forest, by default over structural features.

    Fitting costs about .5 s at 121 architectures on one thread.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoding : str
        Name of an encoding, or several joined by ``+``.
    known : KnownProxies, PerformanceTable, path or None
        Where the encodings ``proxies`` and ``curves`` find their columns; None computes proxies. `emprox bench` hands over
        those of its table.
    n_estimators : int
        Trees.
    max_features : float
        Share of the columns tried at each split.
    random_state : int or None
        Seed.
    n_jobs : int
        Threads.

    References
    ----------
    Breiman, *Random Forests*, Machine Learning 2001. Kadlecova et al., *Surprisingly Strong Performance Prediction with
    Neural Graph Features*, ICML 2024.
    """

    kind = "forest"
    tunable: ClassVar = {"encoding": ["onehot", "features"], "max_features": uniform(0.05, 0.95)}

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoding: str = "features",
        known: Known = None,
        n_estimators: int = 200,
        max_features: float = 0.33,
        random_state: int | None = None,
        n_jobs: int = 1,
    ) -> None:
        self.space = space
        self.encoding = encoding
        self.known = known
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _check_options(self) -> None:
        check_at_least("n_estimators", self.n_estimators, 1)
        check_at_least("max_features", self.max_features, 0, float)

    def _regressor(self, seed: int) -> Any:
        return RandomForestRegressor(
            n_estimators=self.n_estimators, max_features=self.max_features, random_state=seed, n_jobs=self.n_jobs
        )


class GaussianProcess(TabularRegressor):
    """Gaussian process with one length scale over standardised columns, Matern 5/2 plus noise; gives standard deviations.

    Fitting costs about .1 s at 121 architectures and grows with the cube of their number.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoding : str
        Name of an encoding, or several joined by ``+``.
    known : KnownProxies, PerformanceTable, path or None
        Where the encodings ``proxies`` and ``curves`` find their columns; None computes proxies. `emprox bench` hands over
        those of its table.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.

    References
    ----------
    Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006.
    """

    kind = "gp"
    tunable: ClassVar = {"encoding": ["onehot", "features"]}
    has_std = True

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoding: str = "features",
        known: Known = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.encoding = encoding
        self.known = known
        self.random_state = random_state

    def _check_options(self) -> None:
        """Nothing to check: the encoding's name is checked where it is looked up."""

    def _sample_weights(self) -> dict[str, Floats]:
        return {}  # the spread of the measurements is the process's own noise, see _regressor

    def _regressor(self, seed: int) -> Any:
        width = float(np.sqrt(len(self.encoding_.names)))
        smooth = kernels.ConstantKernel(1.0) * kernels.Matern(width, (0.1 * width, 100 * width), nu=2.5)
        kernel = smooth + kernels.WhiteKernel(0.1, (1e-4, 10))
        noise = 1e-8 if self.y_std_ is None else 1e-8 + (self.y_std_ / self.scale_) ** 2
        return make_pipeline(_filled(), StandardScaler(), GaussianProcessRegressor(kernel, alpha=noise))


class Ridge(TabularRegressor):
    """Linear regression with the penalty chosen by leave-one-out, over standardised columns.

    Fitting costs milliseconds.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoding : str
        Name of an encoding, or several joined by ``+``.
    known : KnownProxies, PerformanceTable, path or None
        Where the encodings ``proxies`` and ``curves`` find their columns; None computes proxies. `emprox bench` hands over
        those of its table.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.

    References
    ----------
    Hoerl and Kennard, *Ridge Regression: Biased Estimation for Nonorthogonal Problems*, Technometrics 1970.
    """

    kind = "ridge"
    tunable: ClassVar = {"encoding": ["onehot", "features"]}

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoding: str = "features",
        known: Known = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.encoding = encoding
        self.known = known
        self.random_state = random_state

    def _check_options(self) -> None:
        """Nothing to check: the encoding's name is checked where it is looked up."""

    def _sample_weights(self) -> dict[str, Floats]:
        return {f"linear__{name}": values for name, values in super()._sample_weights().items()}

    def _regressor(self, seed: int) -> Any:
        penalties = np.logspace(-1, 5, 25)
        one = len(self.y_) == 1  # nothing to leave out; the mean is the estimate whatever the penalty
        return Pipeline(
            [("fill", _filled()), ("scale", StandardScaler()), ("linear", linear_model.Ridge() if one else RidgeCV(penalties))]
        )


class KNeighbors(TabularRegressor):
    """Nearest neighbours by Euclidean distance over standardised columns, weighted by inverse distance; nothing is learned.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoding : str
        Name of an encoding, or several joined by ``+``.
    known : KnownProxies, PerformanceTable, path or None
        Where the encodings ``proxies`` and ``curves`` find their columns; None computes proxies. `emprox bench` hands over
        those of its table.
    n_neighbors : int
        k; all known architectures are neighbours if there are fewer.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.
    """

    kind = "knn"
    tunable: ClassVar = {"encoding": ["onehot", "features"], "n_neighbors": list(range(1, 31))}

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoding: str = "features",
        known: Known = None,
        n_neighbors: int = 10,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.encoding = encoding
        self.known = known
        self.n_neighbors = n_neighbors
        self.random_state = random_state

    def _check_options(self) -> None:
        check_at_least("n_neighbors", self.n_neighbors, 1)

    def _sample_weights(self) -> dict[str, Floats]:
        return {}  # scikit-learn's neighbours cannot count unequally

    def _regressor(self, seed: int) -> Any:
        k = min(self.n_neighbors, len(self.architectures_))
        return make_pipeline(_filled(), StandardScaler(), KNeighborsRegressor(k, weights="distance"))


def _filled() -> SimpleImputer:
    """Return a step that fills missing values, which proxies may have, with the column's mean; trees take them as they are."""
    return SimpleImputer(keep_empty_features=True)
