"""XGBoost over a fixed encoding, NASLib's baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from scipy.stats import loguniform, randint, uniform

from emprox._optional import import_optional
from emprox.errors import CorruptFileError
from emprox.estimators.tabular import TabularRegressor
from emprox.proxies.known import Known
from emprox.spaces import ArchitectureFamily
from emprox.validation import check_at_least

__all__ = ["XGBoost"]

TREES = "trees.json"


class XGBoost(TabularRegressor):
    """Gradient-boosted trees, by default over the one-hot adjacency encoding with NASLib's settings before tuning.

    Fitting costs about .1 s at 121 architectures on one thread.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoding : str
        Name of an encoding, such as ``onehot`` or ``features``, or several, ``features+proxies``.
    known : KnownProxies, PerformanceTable, path or None
        Where the encodings ``proxies`` and ``curves`` find their columns; None computes proxies. `emprox bench` hands over
        those of its table.
    n_estimators, max_depth : int
        Trees, and levels of a tree.
    learning_rate : float
        Shrinkage of each tree.
    min_child_weight : float
        Least number of measurements in a leaf.
    colsample_bytree, colsample_bylevel : float
        Share of the columns that each tree, and each level of it, may use.
    random_state : int or None
        Seed.
    n_jobs : int
        Threads.

    References
    ----------
    Chen and Guestrin, *XGBoost: A Scalable Tree Boosting System*, KDD 2016.
    White et al., *How Powerful are Performance Predictors in Neural Architecture Search?*, NeurIPS 2021.
    """

    kind = "xgboost"
    tunable: ClassVar = {
        "max_depth": randint(1, 15),
        "min_child_weight": randint(1, 10),
        "colsample_bytree": uniform(0.01, 0.99),
        "colsample_bylevel": uniform(0.01, 0.99),
        "learning_rate": loguniform(0.001, 0.5),
    }

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoding: str = "onehot",
        known: Known = None,
        n_estimators: int = 500,
        max_depth: int = 6,
        learning_rate: float = 0.3,
        min_child_weight: float = 1.0,
        colsample_bytree: float = 1.0,
        colsample_bylevel: float = 1.0,
        random_state: int | None = None,
        n_jobs: int = 1,
    ) -> None:
        self.space = space
        self.encoding = encoding
        self.known = known
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.min_child_weight = min_child_weight
        self.colsample_bytree = colsample_bytree
        self.colsample_bylevel = colsample_bylevel
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _check_options(self) -> None:
        for name in ("n_estimators", "max_depth"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "min_child_weight", "colsample_bytree", "colsample_bylevel"):
            check_at_least(name, getattr(self, name), 0, float)

    def _regressor(self, seed: int) -> Any:
        return import_optional("xgboost", "xgboost").XGBRegressor(
            n_estimators=self.n_estimators,
            max_depth=self.max_depth,
            learning_rate=self.learning_rate,
            min_child_weight=self.min_child_weight,
            colsample_bytree=self.colsample_bytree,
            colsample_bylevel=self.colsample_bylevel,
            random_state=seed,
            n_jobs=self.n_jobs,
        )

    def _write(self, folder: Path) -> dict[str, Any]:
        self.model_.save_model(folder / TREES)
        return {**super()._write(folder), "mean": self.mean_, "scale": self.scale_}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self._read_encoding(state)
        self.mean_, self.scale_ = state["mean"], state["scale"]
        self.model_ = self._regressor(self.seed_)
        try:
            self.model_.load_model(folder / TREES)
        except Exception as error:  # xgboost raises its own error type, which needs the import to name
            raise CorruptFileError(f"{folder / TREES} is not an XGBoost model: {error}") from error
