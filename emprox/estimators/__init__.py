"""Estimates of unmeasured architectures from measured ones, as scikit-learn regressors.

In: architectures and their measured performance. Out: estimates, ndarray of shape (n_archs,).
Next: `emprox.report` scores them; a search asks them which architecture to measure.
"""

from emprox.estimators.base import ESTIMATORS, ArchitectureRegressor, Target, load, make_estimator
from emprox.estimators.curves import EarlyStopping, SoTLE
from emprox.estimators.embedding_regressor import EmbeddingRegressor
from emprox.estimators.emprox import EmProx
from emprox.estimators.feedforward import BANANAS, MLP
from emprox.estimators.nao import NAO, SemiNAS
from emprox.estimators.scorer import Scorer
from emprox.estimators.signals import OneNumber
from emprox.estimators.tabular import Forest, GaussianProcess, KNeighbors, Ridge
from emprox.estimators.tuned import Tuned
from emprox.estimators.universal import Universal
from emprox.estimators.xgboost import XGBoost
from emprox.estimators.zero_cost import ZeroCost

__all__ = [
    "BANANAS",
    "ESTIMATORS",
    "MLP",
    "NAO",
    "ArchitectureRegressor",
    "EarlyStopping",
    "EmProx",
    "EmbeddingRegressor",
    "Forest",
    "GaussianProcess",
    "KNeighbors",
    "OneNumber",
    "Ridge",
    "SemiNAS",
    "SoTLE",
    "Scorer",
    "Target",
    "Tuned",
    "Universal",
    "XGBoost",
    "ZeroCost",
    "load",
    "make_estimator",
]
