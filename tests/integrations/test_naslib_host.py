"""NASLib as a host, recorded always and real where it is: ``NASLIB=folder of a checkout pytest tests/integrations``."""

import copy
import importlib
import inspect
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emprox import Protocol, run_benchmark
from emprox.errors import (
    InvalidArchitectureError,
    InvalidDataError,
    InvalidOptionError,
    MissingDependencyError,
    UnknownNameError,
)
from emprox.estimators import ArchitectureRegressor, EmProx, make_estimator
from emprox.integrations import naslib as plugs
from emprox.integrations.naslib_estimator import NASLibEstimator
from emprox.spaces import get_space
from emprox.testing import EstimatorContract
from tests.integrations import recorded_naslib as recorded

pytestmark = pytest.mark.filterwarnings("ignore")  # NASLib's own
SPACES = ["nasbench101", "nasbench201", "darts", "transnas101-micro"]
ARCHS = {name: get_space(name).sample(np.random.default_rng(0), 30) for name in SPACES}
KNOWN = ARCHS["nasbench201"]
Y = np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in KNOWN])


@pytest.fixture(scope="module", params=["recorded", "real"])
def host(request):
    """NASLib as recorded, or itself."""
    if request.param == "real":
        recorded.import_real()
        yield request.param
        return
    with pytest.MonkeyPatch.context() as patch:
        recorded.install(patch)
        yield request.param


def graphs(space: str) -> list:
    """Return NASLib's objects of the architectures of a space."""
    known = ARCHS[space]
    wrapped = NASLibEstimator().fit(known, np.arange(len(known)))
    return wrapped._graphs(known)


@pytest.mark.usefixtures("host")
class TestNASLibEstimator(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return NASLibEstimator(random_state=0)

    @pytest.mark.parametrize("space", SPACES)
    def test_every_space(self, space: str) -> None:
        known = ARCHS[space]
        costs = np.log(get_space(space).costs(known)[:, 0])
        estimates = plugs.from_naslib("XGBoost", random_state=0).fit(known, costs).predict(known)
        assert np.corrcoef(estimates, costs)[0, 1] > 0.6

    def test_small_cells(self) -> None:
        space = get_space("nasbench101")
        small = [space.parse({"matrix": m, "ops": ["input", *o, "output"]}) for m, o in (([[0, 1], [0, 0]], []),)]
        graph = NASLibEstimator().fit([*ARCHS["nasbench101"], *small], np.arange(31))._graphs(small)[0]
        assert space.canonical_hash(plugs.read_naslib(graph)) == space.canonical_hash(small[0])

    def test_an_object_is_copied_and_not_saved(self, tmp_path: Path) -> None:
        predictor = plugs.import_naslib("naslib.predictors").XGBoost()
        estimator = plugs.from_naslib(predictor, random_state=0).fit(KNOWN, Y)
        named = plugs.from_naslib("XGBoost", random_state=0).fit(KNOWN, Y)
        np.testing.assert_array_equal(estimator.predict(KNOWN), named.predict(KNOWN))
        assert not hasattr(predictor, "mean")
        with pytest.raises(InvalidOptionError, match="name of its class"):
            estimator.save(tmp_path / "model")

    def test_leaves_the_global_generators_and_the_output_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        np.random.seed(1)  # noqa: NPY002
        first = np.random.random()  # noqa: NPY002
        np.random.seed(1)  # noqa: NPY002
        NASLibEstimator(random_state=0).fit(KNOWN, Y).predict(KNOWN)
        assert np.random.random() == first  # noqa: NPY002
        assert capsys.readouterr().out == ""

    def test_wrong_names(self) -> None:
        with pytest.raises(InvalidOptionError, match="has no 'Xgboost'"):
            NASLibEstimator(predictor="Xgboost").fit(KNOWN, Y)
        other = get_space("ofa-mobilenetv3").sample(np.random.default_rng(0), 2)
        with pytest.raises(InvalidOptionError, match="no counterpart"):
            NASLibEstimator().fit(other, [1, 2])

    def test_unlabelled_and_curves(self) -> None:
        class Hungry(plugs.import_naslib("naslib.predictors").Predictor):
            def pre_compute(self, xtrain, xtest, unlabeled=None):
                self.given = unlabeled

            def get_data_reqs(self):
                return {**super().get_data_reqs(), "unlabeled": True, "unlabeled_factor": 2}

            def query(self, xtest, info):
                return np.zeros((3, len(xtest)))

        class Curves(Hungry):
            def get_data_reqs(self):
                return {**super().get_data_reqs(), "requires_partial_lc": True}

        estimator = plugs.from_naslib(Hungry()).fit(KNOWN, Y)
        assert len(estimator.predictor_.given) == 60
        assert estimator.predict(KNOWN).shape == (30,)
        with pytest.raises(InvalidOptionError, match="learning curves"):
            plugs.from_naslib(Curves()).fit(KNOWN, Y)

    def test_both_run_in_bench(self) -> None:
        specs = ["emprox", "naslib:predictor=XGBoost"]
        report = run_benchmark("bundled", specs, Protocol(train_sizes=(40,), test_size=50, trials=1))
        assert [row["estimator"] for row in report["summary"]] == specs
        assert all(row["kendall_mean"] > 0.1 for row in report["summary"])


@pytest.mark.usefixtures("host")
class TestPredictor:
    def test_is_one_of_the_host(self) -> None:
        base = plugs.import_naslib("naslib.predictors.predictor").Predictor
        for made in (plugs.EmProxPredictor(), plugs.NASLibPredictor("ridge"), plugs.EmProxEnsemble()):
            assert isinstance(made, base)
        assert plugs.EmProxPredictor is plugs.EmProxPredictor
        assert "parameters" in plugs.NASLibPredictor.__doc__

    @pytest.mark.parametrize("space", SPACES)
    def test_graphs_tuples_and_architectures_are_the_same(self, space: str) -> None:
        objects = graphs(space)
        assert [plugs.read_naslib(graph) for graph in objects] == ARCHS[space] or space == "nasbench101"
        answers = []
        for given in (objects, [graph.get_hash() for graph in objects], ARCHS[space]):
            predictor = plugs.NASLibPredictor("ridge")
            predictor.set_ss_type(objects[0].get_type())
            predictor.fit(given[:20], list(range(20)), None)
            answers.append(predictor.query(given[20:], None))
            alone = [predictor.query([one])[0] for one in given[20:]]
            np.testing.assert_allclose(alone, answers[-1])
        assert answers[0].shape == (10,)
        np.testing.assert_allclose(answers[0], answers[1])
        np.testing.assert_allclose(answers[0], answers[2])

    def test_what_the_evaluator_does(self) -> None:
        predictor = plugs.EmProxPredictor(n_neighbors=5, weights="kernel")
        predictor.set_ss_type("nasbench201")
        predictor.pre_process()
        predictor.pre_compute(graphs("nasbench201"), [], None)
        assert predictor.get_data_reqs()["unlabeled"] is False
        predictor.reset_hyperparams()
        assert predictor.get_hpo_wrapper() is None
        error = predictor.fit(graphs("nasbench201"), Y.tolist(), [{}] * 30)
        assert predictor.get_hyperparams() is None
        own = EmProx(n_neighbors=5, weights="kernel").fit(KNOWN, Y)
        assert error == np.abs(own.predict(KNOWN) - Y).mean()
        asked = get_space("nasbench201").sample(np.random.default_rng(1), 9)
        np.testing.assert_array_equal(predictor.query(asked), own.predict(asked))
        for other in (copy.deepcopy(predictor), pickle.loads(pickle.dumps(predictor))):
            np.testing.assert_array_equal(other.query(asked), own.predict(asked))

    def test_hyperparameters_are_the_estimators_own(self) -> None:
        predictor = plugs.NASLibPredictor(EmProx())
        predictor.set_hyperparams({"n_neighbors": 3})
        predictor.fit(KNOWN, Y)
        assert predictor.fitted.n_neighbors == 3
        assert predictor.estimator.n_neighbors == 10

    def test_order_of_calls(self) -> None:
        from sklearn.exceptions import NotFittedError

        with pytest.raises(NotFittedError, match="call fit before query"):
            plugs.EmProxPredictor().query(KNOWN)
        with pytest.raises(InvalidArchitectureError, match="call set_ss_type"):
            plugs.EmProxPredictor().fit([a.spec for a in KNOWN], Y)
        with pytest.raises(UnknownNameError, match="'asr' has no counterpart"):
            plugs.read_naslib((1, 2), "asr")
        empty = plugs.import_naslib("naslib.search_spaces").NasBench101SearchSpace()
        with pytest.raises(InvalidArchitectureError, match="has no architecture yet"):
            plugs.read_naslib(empty)

    def test_a_built_transnas_graph_has_numbers_of_its_own(self) -> None:
        built = SimpleNamespace(
            get_type=lambda: "transbench101_micro", create_graph=True, get_op_indices=lambda: [0, 1, 2, 3, 0, 1]
        )
        # identity 0->1, zero 0->2, 3x3 0->3, 1x1 1->2, identity 1->3, zero 2->3; the string goes target by target
        assert str(plugs.read_naslib(built)) == "64-41414-1_02_310"


@pytest.mark.usefixtures("host")
class TestEnsemble:
    @pytest.mark.parametrize("members", [2, 3, 10])
    def test_members_have_the_estimators_mean_and_deviation(self, members: int) -> None:
        ensemble = plugs.EmProxEnsemble("emprox", num_ensemble=members)
        ensemble.fit(graphs("nasbench201"), Y)
        asked = get_space("nasbench201").sample(np.random.default_rng(1), 9)
        found = ensemble.query(asked)
        mean, std = EmProx().fit(KNOWN, Y).predict(asked, return_std=True)
        assert found.shape == (members, 9)
        np.testing.assert_allclose(found.mean(axis=0), mean)
        np.testing.assert_allclose(found.std(axis=0), std)

    def test_what_it_refuses(self) -> None:
        with pytest.raises(InvalidOptionError, match="no standard deviation"):
            plugs.EmProxEnsemble("ridge")
        with pytest.raises(InvalidOptionError, match="num_ensemble"):
            plugs.EmProxEnsemble(num_ensemble=1)
        with pytest.raises(InvalidOptionError, match="passes unlabeled"):
            plugs.EmProxEnsemble().set_pre_computations(unlabeled=[])
        one = plugs.EmProxEnsemble(EmProx(weights="inverse"))
        one.fit(KNOWN[:1], Y[:1])
        with pytest.raises(InvalidDataError, match="at least two"):
            one.query(KNOWN[1:3])


class TestRecordedOptimizers:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        recorded.install(monkeypatch)

    @pytest.mark.parametrize("kind", [recorded.Bananas, recorded.Npenas])
    def test_asks_the_estimator(self, kind: type) -> None:
        optimizer = plugs.use_in(kind({}), "emprox", num_ensemble=4)
        optimizer.adapt_search_space(recorded.NasBench201SearchSpace())
        optimizer.train_data = list(zip(graphs("nasbench201"), Y, strict=True))
        optimizer.new_epoch(0)
        assert {answer.shape for answer in optimizer.asked} == {(4, 1)}
        own = EmProx().fit(KNOWN, Y).predict(KNOWN)
        np.testing.assert_allclose([answer.mean() for answer in optimizer.asked], own)

    def test_what_it_refuses(self) -> None:
        with pytest.raises(InvalidOptionError, match=r"expected NASLib's Bananas or Npenas"):
            plugs.use_in(object())
        for config in ({"zc": True}, {"semi": True}):
            with pytest.raises(InvalidOptionError, match="zero-cost scores or unlabelled"):
                plugs.use_in(recorded.Bananas(config))
        with pytest.raises(InvalidOptionError, match="no standard deviation"):
            plugs.use_in(recorded.Bananas({}), "ridge")


def test_missing_naslib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "naslib", None)
    for name in [name for name in sys.modules if name.startswith("naslib.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=r"docs/naslib.md"):
        _ = plugs.EmProxPredictor
    with pytest.raises(MissingDependencyError, match="not on PyPI"):
        make_estimator("naslib").fit(KNOWN, Y)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = plugs.Nothing


class TestReal:
    """Only against the real package."""

    @pytest.fixture(autouse=True)
    def _real(self) -> None:
        recorded.import_real()

    def test_is_as_recorded(self) -> None:
        predictors, spaces, optimizers = (
            importlib.import_module(f"naslib.{part}") for part in ("predictors", "search_spaces", "optimizers")
        )
        pairs = [(recorded.Predictor, predictors.Predictor)]
        pairs += [(space, getattr(spaces, space.__name__)) for space in recorded.SPACES]
        pairs += [(kind, getattr(optimizers, kind.__name__)) for kind in (recorded.Bananas, recorded.Npenas)]
        for mine, real in pairs:
            for name, method in inspect.getmembers(mine, inspect.isfunction):
                if issubclass(mine, recorded.SPACES) and (name == "__init__" or not hasattr(real, name)):
                    continue  # the recorded spaces inherit methods from each other
                assert [*inspect.signature(method).parameters] == [*inspect.signature(getattr(real, name)).parameters], name
        encodings = importlib.import_module("naslib.utils.encodings").EncodingType
        assert {e.name: e.value for e in encodings} == {e.name: e.value for e in recorded.EncodingType}
        assert predictors.Predictor().get_data_reqs() == recorded.Predictor().get_data_reqs()
        for space in recorded.SPACES:
            graph = getattr(spaces, space.__name__)()
            assert graph.get_type() == space.kind
            assert graph.instantiate_model

    @pytest.mark.parametrize("name", ["Bananas", "Npenas"])
    def test_optimizers_ask_the_estimator(self, name: str) -> None:
        host = importlib.import_module("naslib_host")
        table = {str(a): 90 - a.spec.count(1) for a in get_space("nasbench201")}
        api = {"nb201_data": {a: {"cifar10-valid": {"eval_acc1es": [y]}} for a, y in table.items()}}
        asked = []

        class Watched(EmProx):
            def predict(self, architectures, return_std=False):
                asked.append(len(architectures))
                return super().predict(architectures, return_std)

        rows = host.search(name, Watched(), 0, host.search_space(), api, 25)
        assert rows[0]["best_20"] >= 88
        assert asked.count(1) == 200  # two rounds of a hundred candidates, one at a time

    def test_evaluator(self) -> None:
        host = importlib.import_module("naslib_host")
        table = {str(a): 90 - a.spec.count(1) for a in get_space("nasbench201")}
        costs = {"train_time": 1.0}
        api = {"nb201_data": {a: {"cifar10-valid": {"eval_acc1es": [y], "cost_info": costs}} for a, y in table.items()}}
        rows = host.evaluate("EmProx", 0, host.search_space(), api, 40, (10, 30))
        assert [row["train_size"] for row in rows] == [10, 30]
        assert rows[1]["kendalltau"] > 0.6
