from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.frozen import FrozenEstimator

from emprox import load, load_table
from emprox.encoders import MetricEncoder, SequenceAutoencoder
from emprox.encodings import get_encoding
from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.estimators import ArchitectureRegressor, EmProx, make_estimator
from emprox.estimators.processes import ExactKriging
from emprox.spaces import SPACES, Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
DRAWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 400)))
KNOWN, ASKED, NEW = DRAWN[:60], DRAWN[60:160], DRAWN[160:190]


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    """Invented accuracies in percent: saturating in the layers of the cell, with a long tail below."""
    encoded = get_encoding("blocks", SPACE).transform(architectures)
    return 94 - 30 * np.exp(-encoded[:, 2]) - 3.0 * encoded[:, 0]


class TestDefault(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return EmProx()


class TestLocal(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return EmProx(exact_up_to=5, n_neighbors=8)


class TestKernelWeights(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return make_estimator("emprox:weights=kernel")


class TestOverAnAutoencoder(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return EmProx(encoder=SequenceAutoencoder(hidden_size=8, epochs=2), random_state=0)


def test_better_than_the_published_method_on_real_trainings() -> None:
    """Paired over three splits of the bundled table, the whole 95 % interval of the difference is above 0."""
    table = load_table("bundled")
    differences = []
    for trial in range(3):
        train, test = table.split(60, 100, seed=100, trial=trial)
        archs, y = table.architectures, table.targets["val_accuracy"]
        scores = []
        for estimator in (EmProx(), EmProx.paper(random_state=0)):
            estimator.fit([archs[i] for i in train], y[train])
            scores.append(kendalltau(estimator.predict([archs[i] for i in test]), y[test])[0])
        differences.append(scores[0] - scores[1])
    assert np.mean(differences) - 4.30 * np.std(differences, ddof=1) / np.sqrt(3) > 0


@pytest.mark.parametrize("space", list(SPACES))
def test_every_space(space: str) -> None:
    archs = get_space(space).sample(np.random.default_rng(0), 40)
    y = [float(int(get_space(space).canonical_hash(a), 16) % 100) for a in archs]
    estimates, std = EmProx().fit(archs[:30], y[:30]).predict(archs, return_std=True)
    assert np.isfinite(estimates).all()
    assert (std > 0).all()


def test_nothing_of_the_queries_enters_the_fit() -> None:
    """An estimate is the same whatever it is asked together with, and in whatever order."""
    estimator = EmProx().fit(KNOWN, accuracies(KNOWN))
    together = estimator.predict(ASKED)
    order = np.random.default_rng(1).permutation(len(ASKED))
    np.testing.assert_allclose(estimator.predict([ASKED[i] for i in order]), together[order], rtol=1e-6)
    np.testing.assert_allclose([estimator.predict([a])[0] for a in ASKED[:10]], together[:10], rtol=1e-6)


def test_answers_do_not_depend_on_the_order_of_the_known() -> None:
    order = np.random.default_rng(3).permutation(len(KNOWN))
    first = EmProx().fit(KNOWN, accuracies(KNOWN)).predict(ASKED)
    second = EmProx().fit([KNOWN[i] for i in order], accuracies(KNOWN)[order]).predict(ASKED)
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_twins_get_the_same_estimate() -> None:
    by_hash = {SPACE.canonical_hash(a): a for a in SPACE}
    estimator = EmProx().fit(KNOWN, accuracies(KNOWN))
    others = [by_hash[SPACE.canonical_hash(a)] for a in ASKED]
    assert any(a != b for a, b in zip(ASKED, others, strict=True))
    np.testing.assert_allclose(estimator.predict(ASKED), estimator.predict(others), rtol=1e-5)


def test_local_form_is_close_to_the_exact_one() -> None:
    y = accuracies(DRAWN[:200])
    exact = EmProx().fit(DRAWN[:200], y)
    local = EmProx(exact_up_to=10, n_neighbors=60).fit(DRAWN[:200], y)
    assert kendalltau(local.predict(DRAWN[200:300]), exact.predict(DRAWN[200:300]))[0] > 0.95
    every = EmProx(exact_up_to=10, n_neighbors=200).fit(DRAWN[:200], y)
    np.testing.assert_allclose(every.predict(DRAWN[200:300]), exact.predict(DRAWN[200:300]), rtol=1e-5)


def test_intervals_cover_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    inside, total = {0.5: 0, 0.9: 0}, 0
    for _ in range(5):
        drawn = [DRAWN[i] for i in rng.permutation(len(DRAWN))]
        y = accuracies(drawn) + rng.normal(size=len(drawn))
        estimator = EmProx().fit(drawn[:100], y[:100])
        for coverage in inside:
            lower, upper = estimator.predict_interval(drawn[100:], coverage)
            assert (lower <= upper).all()
            inside[coverage] += int(((lower <= y[100:]) & (y[100:] <= upper)).sum())
        total += len(drawn) - 100
    assert 0.4 < inside[0.5] / total < 0.6
    assert 0.85 < inside[0.9] / total < 0.95


def test_std_is_that_of_the_interval() -> None:
    estimator = EmProx().fit(KNOWN, accuracies(KNOWN))
    lower, upper = estimator.predict_interval(ASKED, 0.9)
    np.testing.assert_allclose(estimator.predict(ASKED, return_std=True)[1], (upper - lower) / (2 * 1.6448536), rtol=1e-6)
    with pytest.raises(InvalidOptionError, match="coverage must be between 0 and 1"):
        estimator.predict_interval(ASKED, 90)


@pytest.mark.parametrize("exact_up_to", [1000, 10])
def test_samples_are_joint(exact_up_to: int) -> None:
    estimator = EmProx(exact_up_to=exact_up_to).fit(KNOWN, accuracies(KNOWN))
    pair = [ASKED[0], ASKED[0], ASKED[1]]
    drawn = estimator.sample(pair, 2000, np.random.default_rng(0))
    assert drawn.shape == (2000, 3)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], rtol=1e-3)
    assert np.std(drawn[:, 2]) > 0
    np.testing.assert_allclose(np.median(drawn, axis=0), estimator.predict(pair), atol=0.3 * drawn.std())
    again = estimator.sample(pair, 2000, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, again)
    with pytest.raises(InvalidOptionError, match="samples need weights='kriging'"):
        EmProx(weights="inverse").fit(KNOWN, accuracies(KNOWN)).sample(pair, 1, np.random.default_rng(0))


def test_noisy_measurements_are_smoothed_and_said_to_be() -> None:
    y = accuracies(KNOWN)
    y[0] += 20
    trusted = EmProx().fit(KNOWN, y, np.full(60, 0.1))
    doubted = EmProx().fit(KNOWN, y, np.r_[30.0, np.full(59, 0.1)])
    truth = y[0] - 20
    assert abs(doubted.predict(KNOWN[:1])[0] - truth) < abs(trusted.predict(KNOWN[:1])[0] - truth)


@pytest.mark.parametrize(("exact_up_to", "tolerance"), [(1000, 1e-8), (70, 1e-5), (20, 1e-5)])
def test_partial_fit_adds_neighbours_under_the_learned_map(exact_up_to: int, tolerance: float) -> None:
    """Adding one by one is adding together, and the new are known afterwards."""
    y, new = accuracies(KNOWN), accuracies(NEW)
    one, other = (EmProx(exact_up_to=exact_up_to).fit(KNOWN, y) for _ in range(2))
    before = np.abs(one.predict(NEW) - new).mean()
    encoder = one.encoder_
    one.partial_fit(NEW, new)
    for arch, value in zip(NEW, new, strict=True):
        other.partial_fit([arch], [value])
    assert one.encoder_ is encoder
    np.testing.assert_allclose(one.predict(ASKED), other.predict(ASKED), rtol=tolerance)
    assert np.abs(one.predict(NEW) - new).mean() < 0.5 * before
    assert len(one.index_) == len(one.y_) == 90


def test_refit_is_fit_on_all() -> None:
    y, new = accuracies(KNOWN), accuracies(NEW)
    grown = EmProx().fit(KNOWN, y).partial_fit(NEW, new).refit()
    whole = EmProx().fit([*KNOWN, *NEW], np.r_[y, new])
    np.testing.assert_array_equal(grown.predict(ASKED), whole.predict(ASKED))


def test_when_refitting_pays() -> None:
    estimator = EmProx().fit(KNOWN, accuracies(KNOWN))
    assert not estimator.refit_pays
    assert not estimator.partial_fit(NEW[:10], accuracies(NEW[:10])).refit_pays
    assert estimator.partial_fit(NEW, accuracies(NEW)).refit_pays  # 100 known, learned from 60
    assert not estimator.refit().refit_pays
    surprising = EmProx().fit(KNOWN, accuracies(KNOWN)).partial_fit(NEW[:10], 180 - accuracies(NEW[:10]))
    assert surprising.refit_pays


def test_several_targets() -> None:
    y = np.column_stack([accuracies(KNOWN), [a.spec.count(4) for a in KNOWN]])
    estimator = EmProx().fit(KNOWN, y, y_std=np.full_like(y, 0.01))
    estimates, std = estimator.predict(ASKED, return_std=True)
    assert estimates.shape == std.shape == (100, 2)
    assert kendalltau(estimates[:, 0], accuracies(ASKED))[0] > 0.7
    assert estimator.sample(ASKED[:3], 5, np.random.default_rng(0)).shape == (5, 3, 2)
    assert estimator.predict_interval(ASKED)[0].shape == (100, 2)
    estimator.partial_fit(NEW, np.column_stack([accuracies(NEW), np.zeros(30)]), y_std=np.full((30, 2), 0.01))
    assert estimator.y_.shape == (90, 2)
    assert len(estimator.explain(ASKED[0])["estimate"]) == 2
    averaged = EmProx(weights="inverse").fit(KNOWN, y)
    np.testing.assert_array_equal(averaged.predict(KNOWN[:5]), y[:5])
    with pytest.raises(InvalidDataError, match="expected measurements of shape"):
        averaged.partial_fit(NEW[:2], np.zeros((2, 3)))
    with pytest.raises(InvalidDataError, match="y_std of the shape of y"):
        estimator.partial_fit(NEW[:2], np.zeros((2, 2)), y_std=np.ones(2))
    with pytest.raises(InvalidDataError, match="y_std of the shape of y"):
        EmProx().fit(KNOWN, y, y_std=np.ones(60))


@pytest.mark.parametrize("exact_up_to", [1000, 10])
def test_explanation_of_kriging(exact_up_to: int) -> None:
    estimator = EmProx(exact_up_to=exact_up_to).fit(KNOWN, accuracies(KNOWN))
    found = estimator.explain(ASKED[0], n_shown=4)
    rows = found["neighbors"]
    assert len(rows) == 4
    assert found["known"] == 60
    sizes = [abs(row["weight"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    everyone = estimator.explain(ASKED[0], n_shown=60)
    assert everyone["share_shown"] == pytest.approx(1)
    total = sum(abs(row["weight"]) for row in everyone["neighbors"])
    assert found["share_shown"] == pytest.approx(sum(sizes) / total)
    assert found["interval"][0] < found["estimate"] < found["interval"][1]
    known = {str(a): value for a, value in zip(KNOWN, accuracies(KNOWN), strict=True)}
    assert all(row["value"] == known[row["architecture"]] for row in rows)
    names = estimator.encoder_.names
    assert all(len(row["differs"]) == 3 and row["differs"][0]["column"] in names for row in rows)
    scores = estimator.warps_[0].forward(np.array([row["value"] for row in everyone["neighbors"]]))
    weights = np.array([row["weight"] for row in everyone["neighbors"]])
    assert estimator.warps_[0].inverse(np.array([weights @ scores]))[0] == pytest.approx(found["estimate"])


def test_a_frozen_encoder_keeps_its_kernel(tmp_path: Path) -> None:
    elsewhere = MetricEncoder().fit(DRAWN[200:300], accuracies(DRAWN[200:300]))
    estimator = EmProx(encoder=FrozenEstimator(elsewhere)).fit(KNOWN[:20], accuracies(KNOWN[:20]))
    assert estimator.kernels_ == elsewhere.kernels_
    estimator.partial_fit(NEW, accuracies(NEW))
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert isinstance(again, EmProx)
    np.testing.assert_allclose(again.predict(ASKED), estimator.predict(ASKED), rtol=1e-9)
    assert again.refit_pays == estimator.refit_pays
    assert isinstance(again.weigher_.process, ExactKriging)
