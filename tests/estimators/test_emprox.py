from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from emprox.encoders import SequenceAutoencoder
from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.estimators import ArchitectureRegressor, EmProx, make_estimator
from emprox.spaces import Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
KNOWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 40)))
ASKED = SPACE.sample(np.random.default_rng(1), 60)


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    return np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in architectures])


@pytest.fixture(scope="module")
def frozen() -> FrozenEstimator:
    return FrozenEstimator(SequenceAutoencoder(hidden_size=8, epochs=3, random_state=0).fit(KNOWN))


class TestEmProx(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return EmProx(encoder=SequenceAutoencoder(hidden_size=8, epochs=2), n_neighbors=5, random_state=0)


class TestEmProxPaper(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return make_estimator("emprox-paper:k=3,hidden_size=8,epochs=2", random_state=0)


def test_published_options() -> None:
    estimator = EmProx.paper()
    encoder = estimator.encoder
    assert (estimator.n_neighbors, estimator.weights) == (10, "inverse")
    assert (encoder.hidden_size, encoder.epochs, encoder.batch_size, encoder.learning_rate) == (32, 50, 100, 1e-3)
    assert (encoder.weight_decay, encoder.dropout, encoder.gradient_clip) == (1e-4, 0.1, 5.0)


@pytest.mark.parametrize("k", [1, 5, 1000])
def test_known_architectures_get_their_known_value(frozen: FrozenEstimator, k: int) -> None:
    estimator = EmProx(encoder=frozen, weights="inverse", n_neighbors=k).fit(KNOWN, accuracies(KNOWN))
    np.testing.assert_array_equal(estimator.predict(KNOWN), accuracies(KNOWN))
    np.testing.assert_array_equal([estimator.predict([a])[0] for a in KNOWN], accuracies(KNOWN))


def test_equal_twins_get_their_mean_even_beyond_k(frozen: FrozenEstimator) -> None:
    known, y = [KNOWN[0]] * 5 + KNOWN[1:], np.r_[1.0, 2, 3, 4, 10, accuracies(KNOWN[1:])]
    estimator = EmProx(encoder=frozen, weights="inverse", n_neighbors=2).fit(known, y)
    assert estimator.predict(KNOWN[:1])[0] == pytest.approx(4)


def test_estimate_is_the_weighted_mean_of_the_neighbours(frozen: FrozenEstimator) -> None:
    estimator = EmProx(encoder=frozen, weights="inverse", n_neighbors=7).fit(KNOWN, accuracies(KNOWN))
    asked = [a for a in ASKED if a not in KNOWN]
    distances, neighbors = estimator.kneighbors(asked)
    assert distances.shape == neighbors.shape == (len(asked), 7)
    weights = 1 / distances.astype(np.float64)
    expected = (weights * accuracies(KNOWN)[neighbors]).sum(1) / weights.sum(1)
    np.testing.assert_allclose(estimator.predict(asked), expected, rtol=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), k=st.integers(1, 50), n=st.integers(1, 40))
def test_estimates_lie_within_the_neighbours_range(frozen: FrozenEstimator, seed: int, k: int, n: int) -> None:
    y = np.random.default_rng(seed).normal(size=n)
    estimator = EmProx(encoder=frozen, weights="inverse", n_neighbors=k).fit(KNOWN[:n], y)
    values = y[estimator.kneighbors(ASKED)[1]]
    estimates, std = estimator.predict(ASKED, return_std=True)
    assert (estimates >= values.min(1)).all()
    assert (estimates <= values.max(1)).all()
    assert np.isfinite(std).all() == (n > 1)


def test_answers_do_not_depend_on_the_order_of_the_known(frozen: FrozenEstimator) -> None:
    order = np.random.default_rng(3).permutation(len(KNOWN))
    first = EmProx(encoder=frozen, weights="inverse", n_neighbors=6).fit(KNOWN, accuracies(KNOWN)).predict(ASKED)
    second = (
        EmProx(encoder=frozen, weights="inverse", n_neighbors=6)
        .fit([KNOWN[i] for i in order], accuracies(KNOWN)[order])
        .predict(ASKED)
    )
    np.testing.assert_allclose(first, second, rtol=1e-12)


def test_own_weights(frozen: FrozenEstimator) -> None:
    uniform = EmProx(encoder=frozen, n_neighbors=4, weights=np.ones_like).fit(KNOWN, accuracies(KNOWN))
    asked = [a for a in ASKED if a not in KNOWN]
    expected = accuracies(KNOWN)[uniform.kneighbors(asked)[1]].mean(1)
    np.testing.assert_allclose(uniform.predict(asked), expected)


@pytest.mark.parametrize("weights", [lambda d: -d, lambda d: d[:, :1], lambda d: d * np.nan, lambda d: d * 0])
def test_weights_that_are_none(frozen: FrozenEstimator, weights) -> None:
    with pytest.raises(InvalidOptionError, match="must return finite non-negative weights"):
        EmProx(encoder=frozen, weights=weights).fit(KNOWN, accuracies(KNOWN))


def test_noisy_measurements_count_less(frozen: FrozenEstimator) -> None:
    y = accuracies(KNOWN)
    y_std = np.where(np.arange(len(KNOWN)) % 2, 5.0, 0.1)
    plain = EmProx(encoder=frozen, weights="inverse", n_neighbors=10).fit(KNOWN, y).explain(ASKED[0])["neighbors"]
    noisy = EmProx(encoder=frozen, weights="inverse", n_neighbors=10).fit(KNOWN, y, y_std).explain(ASKED[0])["neighbors"]
    before, after = ({row["architecture"]: row["weight"] for row in rows} for rows in (plain, noisy))
    ratio = {str(a): after[str(a)] / before[str(a)] for a in KNOWN if str(a) in before}
    loud = [r for i, a in enumerate(KNOWN) if (r := ratio.get(str(a))) and i % 2]
    quiet = [r for i, a in enumerate(KNOWN) if (r := ratio.get(str(a))) and not i % 2]
    assert max(loud) < 1 < min(quiet)


def test_std_is_calibrated_by_leaving_one_out(frozen: FrozenEstimator) -> None:
    y = accuracies(KNOWN)
    estimator = EmProx(encoder=frozen, weights="inverse", n_neighbors=6).fit(KNOWN, y)
    weigher, standardised = estimator.weigher_, []
    for i, arch in enumerate(KNOWN):
        others = [j for j in range(len(KNOWN)) if j != i]
        rest = EmProx(encoder=frozen, weights="inverse", n_neighbors=6).fit([KNOWN[j] for j in others], y[others])
        explanation = rest.explain(arch)
        estimate = explanation["estimate"]
        spread = sum(row["weight"] * (row["value"] - estimate) ** 2 for row in explanation["neighbors"])
        standardised.append((y[i] - estimate) / (weigher.scale[0] * np.sqrt(spread + weigher.floor[0])))
    assert np.mean(np.square(standardised)) == pytest.approx(1)


def test_explanation_adds_up(frozen: FrozenEstimator) -> None:
    estimator = EmProx(encoder=frozen, weights="inverse", n_neighbors=6).fit(KNOWN, accuracies(KNOWN))
    explanation = estimator.explain(str(ASKED[3]))
    rows = explanation["neighbors"]
    assert len(rows) == 6
    assert sum(row["weight"] for row in rows) == pytest.approx(1)
    assert sum(row["weight"] * row["value"] for row in rows) == pytest.approx(explanation["estimate"])
    assert [row["weight"] for row in rows] == sorted((row["weight"] for row in rows), reverse=True)
    exact = estimator.explain(KNOWN[2])
    assert [(row["architecture"], row["weight"], row["distance"]) for row in exact["neighbors"]] == [(str(KNOWN[2]), 1.0, 0.0)]
    assert exact["std"] == 0


def test_partial_fit_adds_neighbours_without_training(frozen: FrozenEstimator) -> None:
    y = accuracies(KNOWN)
    whole = EmProx(encoder=frozen, weights="inverse", n_neighbors=6).fit(KNOWN, y)
    grown = EmProx(encoder=frozen, weights="inverse", n_neighbors=6).partial_fit(KNOWN[:10], y[:10])
    encoder = grown.encoder_
    grown.partial_fit(KNOWN[10:], y[10:]).partial_fit([], [])
    assert grown.encoder_ is encoder
    for mine, theirs in zip(grown.predict(ASKED, return_std=True), whole.predict(ASKED, return_std=True), strict=True):
        np.testing.assert_allclose(mine, theirs)
    with pytest.raises(InvalidDataError, match="y_std is given now"):
        grown.partial_fit(KNOWN[:1], [1.0], y_std=[0.1])
    assert len(grown.y_) == len(KNOWN)


@pytest.mark.parametrize("k", [0, -3, 2.5, "many"])
def test_number_of_neighbours_out_of_range(k: object) -> None:
    with pytest.raises(InvalidOptionError, match="n_neighbors must be an integer of at least 1"):
        EmProx(n_neighbors=k).fit(KNOWN, accuracies(KNOWN))


def test_names_and_options_are_checked() -> None:
    with pytest.raises(InvalidOptionError, match="weights must be a name or a function"):
        EmProx(weights="invers").fit(KNOWN, accuracies(KNOWN))
    with pytest.raises(UnknownNameError, match="did you mean 'emprox'"):
        make_estimator("empro")
    with pytest.raises(InvalidOptionError, match="did you mean 'epochs'"):
        make_estimator("emprox-paper:epoch=3")
    with pytest.raises(InvalidOptionError, match="expected name:key=value"):
        make_estimator("emprox-paper:60")


def test_a_frozen_encoder_stays_frozen_when_saved(frozen: FrozenEstimator, tmp_path: Path) -> None:
    EmProx(encoder=frozen, weights="inverse", n_neighbors=6).fit(KNOWN, accuracies(KNOWN)).save(tmp_path / "model")
    again = EmProx.load(tmp_path / "model")
    embedded = again.encoder_.transform(ASKED)
    np.testing.assert_array_equal(embedded, frozen.transform(ASKED))
    np.testing.assert_array_equal(again.fit(KNOWN[:9], accuracies(KNOWN[:9])).encoder_.transform(ASKED), embedded)


def test_functions_cannot_be_saved(frozen: FrozenEstimator, tmp_path: Path) -> None:
    estimator = EmProx(encoder=frozen, weights=np.ones_like).fit(KNOWN, accuracies(KNOWN))
    with pytest.raises(InvalidOptionError, match="weights are a function"):
        estimator.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_options_reach_the_encoder_as_in_scikit_learn() -> None:
    estimator = clone(EmProx.paper(k=3)).set_params(encoder__epochs=1, n_neighbors=2)
    estimator.fit(KNOWN, accuracies(KNOWN))
    assert len(estimator.encoder_.losses_) == 1
    assert estimator.encoder.epochs == 1
    assert estimator.score(KNOWN, accuracies(KNOWN)) == 1


@pytest.mark.parametrize("y_std", [None, 1.0])
def test_twins_that_disagree_are_not_certain(frozen: FrozenEstimator, y_std: float | None) -> None:
    known, y = [KNOWN[0], *KNOWN], np.array([80.0, 90.0, *np.linspace(50, 60, len(KNOWN) - 1)])
    estimator = EmProx(encoder=frozen, weights="inverse").fit(known, y, None if y_std is None else np.full(len(y), y_std))
    (mean,), (std,) = estimator.predict(KNOWN[:1], return_std=True)
    (lower,), (upper,) = estimator.predict_interval(KNOWN[:1])
    assert mean == pytest.approx(85)
    assert std == pytest.approx(np.hypot(5, 0 if y_std is None else np.sqrt(0.5)))
    assert lower < 80 < 90 < upper


@pytest.mark.parametrize("value", [10.0, 9.99, 91.3, 0.1])
def test_equal_labels_are_not_certain_whatever_their_digits(value: float) -> None:
    mean, std = EmProx().fit(KNOWN[:7], np.full(7, value)).predict(KNOWN[10:12], return_std=True)
    np.testing.assert_allclose(mean, value)
    np.testing.assert_allclose(std, EmProx().fit(KNOWN[:7], np.full(7, 10.0)).predict(KNOWN[10:12], return_std=True)[1])
    assert (std > 0).all()


def test_one_architecture_is_no_list_of_them() -> None:
    estimator = EmProx().fit(KNOWN, np.arange(len(KNOWN)))
    for single in (KNOWN[0], str(KNOWN[0])):
        with pytest.raises(InvalidDataError, match="wrap it in a list"):
            estimator.predict(single)
        with pytest.raises(InvalidDataError, match="wrap it in a list"):
            EmProx(space="nasbench201").fit(single, [1.0])


def test_what_needs_a_fit_says_so() -> None:
    with pytest.raises(NotFittedError):
        EmProx().refit()
    with pytest.raises(NotFittedError):
        _ = EmProx().refit_pays
