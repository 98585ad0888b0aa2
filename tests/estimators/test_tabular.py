import numpy as np
import pytest
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError, UnknownNameError
from emprox.estimators import (
    ArchitectureRegressor,
    Forest,
    GaussianProcess,
    KNeighbors,
    OneNumber,
    Ridge,
    XGBoost,
    make_estimator,
)
from emprox.spaces import SPACES, Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
KNOWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 40)))
ASKED = SPACE.sample(np.random.default_rng(1), 60)


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    return np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in architectures])


class TestXGBoost(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return XGBoost(n_estimators=20, random_state=0)

    def test_learns_an_additive_function(self) -> None:
        archs, asked = self.sample(300), self.sample(300, seed=1)
        estimates = XGBoost(random_state=0).fit(archs, accuracies(archs)).predict(asked)
        assert np.corrcoef(estimates, accuracies(asked))[0, 1] > 0.95

    @pytest.mark.parametrize("encoding", ["path", "sequence"])
    def test_over_another_encoding(self, encoding: str) -> None:
        estimator = XGBoost(encoding=encoding, n_estimators=20).fit(KNOWN, accuracies(KNOWN))
        assert np.ptp(estimator.predict(ASKED)) > 0


class TestForest(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return Forest(n_estimators=10, random_state=0)


class TestGaussianProcess(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return GaussianProcess()


class TestRidge(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return Ridge()


class TestKNeighbors(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return KNeighbors(n_neighbors=5)


class TestOneNumber(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return OneNumber(signal="size")

    @pytest.mark.parametrize(("name", "column"), [("params", 0), ("macs", 1)])
    def test_ranks_by_the_number_whatever_the_labels(self, name: str, column: int) -> None:
        for labels in (accuracies(KNOWN), -accuracies(KNOWN)):
            estimates = make_estimator(name).fit(KNOWN, labels).predict(ASKED)
            costs = SPACE.costs(ASKED)[:, column]
            assert (np.diff(estimates[np.argsort(costs, kind="stable")]) >= -1e-9).all()
        assert abs(estimates.mean() - labels.mean()) < 3 * labels.std()

    def test_unknown_signal(self) -> None:
        with pytest.raises(InvalidOptionError, match="did you mean 'pathnorm'"):
            OneNumber(signal="path-norm").fit(KNOWN, accuracies(KNOWN))


@pytest.mark.parametrize(
    "name", ["xgboost:encoding=features,n_estimators=20", "forest:n_estimators=10", "gp", "ridge", "knn", "size"]
)
@pytest.mark.parametrize("space", list(SPACES))
def test_every_space(name: str, space: str) -> None:
    drawn = get_space(space).sample(np.random.default_rng(0), 60)
    known, asked = drawn[:40], drawn[40:]
    target = np.log(get_space(space).costs(known)[:, 0] + 1)
    estimates = make_estimator(name, random_state=0).fit(known, target).predict(asked)
    truth = np.log(get_space(space).costs(asked)[:, 0] + 1)
    assert np.corrcoef(estimates, truth)[0, 1] > 0.5


def test_encoding_names_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'features'"):
        Ridge(encoding="feature").fit(KNOWN, accuracies(KNOWN))


def test_gaussian_process_counts_noise() -> None:
    y = accuracies(KNOWN)
    y_std = np.full(len(KNOWN), 5.0)
    sure, unsure = GaussianProcess().fit(KNOWN, y), GaussianProcess().fit(KNOWN, y, y_std)
    assert np.ptp(unsure.predict(ASKED)) < np.ptp(sure.predict(ASKED))
