from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.estimators import (
    ArchitectureRegressor,
    Forest,
    GaussianProcess,
    KNeighbors,
    OneNumber,
    Ridge,
    XGBoost,
    ZeroCost,
    load,
    make_estimator,
)
from emprox.proxies import KnownProxies
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


class TestZeroCost(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return ZeroCost(proxy="snip", known=known_proxies())

    def test_ranks_by_the_proxy_whatever_the_labels(self) -> None:
        known = known_proxies()
        for labels in (accuracies(KNOWN), -accuracies(KNOWN)):
            estimates = ZeroCost(proxy="snip", known=known).fit(KNOWN, labels).predict(ASKED)
            assert (np.diff(estimates[np.argsort(known.values(ASKED, ["snip"])[:, 0], kind="stable")]) >= -1e-9).all()

    def test_computes_what_is_not_known(self) -> None:
        estimator = make_estimator("zerocost:proxy=params", known=known_proxies()).fit(KNOWN[:3], [1, 2, 3])
        asked = list(dict.fromkeys(ASKED))[:4]
        order = np.argsort(SPACE.costs(asked)[:, 0], kind="stable")
        assert (np.diff(estimator.predict(asked)[order]) >= -1e-9).all()

    def test_without_a_value_is_last(self) -> None:
        drawn = list(dict.fromkeys(KNOWN))[:6]
        known = KnownProxies("nasbench201", tuple(drawn), {"jacov": np.array([-9.0, np.nan, -70, -80, -65, np.nan])})
        estimates = ZeroCost(proxy="jacov", known=known).fit(drawn[:3], [90, 10, 80]).predict(drawn)
        assert estimates[1] == estimates[5] == estimates[3] == estimates.min()
        assert estimates.argmax() == 0

    def test_an_architecture_that_is_not_known_is_an_error(self) -> None:
        known = KnownProxies("nasbench201", tuple(KNOWN[:5]), {"jacov": np.arange(5.0)})
        estimator = ZeroCost(proxy="jacov", known=known).fit(KNOWN[:5], np.arange(5.0))
        with pytest.raises(InvalidDataError, match="lack 1 of 2"):
            estimator.predict([KNOWN[0], KNOWN[7]])

    def test_unknown_proxy(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'synflow'"):
            ZeroCost(proxy="sinflow").fit(KNOWN, accuracies(KNOWN))


@cache
def known_proxies() -> KnownProxies:
    """Return invented proxies of all cells, some missing."""
    numbers = np.random.default_rng(0).normal(size=(2, SPACE.size))
    numbers[1, ::50] = np.nan
    return KnownProxies(SPACE.name, tuple(SPACE), {"snip": numbers[0], "nwot": numbers[1]})


@pytest.mark.parametrize("name", ["xgboost", "forest", "gp", "ridge", "knn"])
class TestProxiesAsColumns:
    def test_known_columns_are_used_kept_and_missing_ones_bridged(self, name: str, tmp_path: Path) -> None:
        archs = list(SPACE)[:200]
        y = known_proxies().columns["snip"][:200]
        estimator = make_estimator(f"{name}:encoding=features+proxies", known=known_proxies(), random_state=0).fit(archs, y)
        asked = list(SPACE)[1000:1100]
        estimates = estimator.predict(asked)
        assert np.corrcoef(estimates, known_proxies().columns["snip"][1000:1100])[0, 1] > 0.25
        assert estimator.encoding_.names[-2:] == ("snip", "nwot")
        estimator.save(tmp_path / "model")
        again = load(tmp_path / "model")
        np.testing.assert_array_equal(again.predict(asked), estimates)
        np.testing.assert_array_equal(again.known.columns["nwot"], known_proxies().columns["nwot"])
        assert clone(estimator).known is known_proxies()

    def test_without_that_encoding_nothing_of_it_is_saved(self, name: str) -> None:
        estimator = make_estimator(f"{name}:encoding=onehot", known=known_proxies(), random_state=0)
        estimator.fit(KNOWN, accuracies(KNOWN))
        assert estimator.encoding_.known is None


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
