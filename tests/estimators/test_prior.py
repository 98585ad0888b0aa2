from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from emprox.errors import InvalidOptionError
from emprox.estimators import EmProx, OneNumber, load
from emprox.estimators.prior import MEAN, Prior
from emprox.spaces import Architecture, get_space
from emprox.tables import PerformanceTable

SPACE = get_space("nasbench201")
CELLS = [a for a in dict.fromkeys(SPACE.sample(np.random.default_rng(0), 400)) if SPACE.is_connected(a)]
KNOWN, ASKED = CELLS[:12], CELLS[100:300]
UNRELATED = np.random.default_rng(1).permutation(len(CELLS)).astype(float)


def size(cells: list[Architecture]) -> NDArray[np.float64]:
    return 90 + 5 * OneNumber.size(space=SPACE).fit([], []).predict(cells)


def agreement(estimator: EmProx, cells: list[Architecture]) -> float:
    return float(spearmanr(estimator.predict(cells), size(cells))[0])


@pytest.mark.parametrize("prior", ["universal", "size", OneNumber.macs()])
def test_without_labels_it_ranks_as_its_prior(prior: str | OneNumber) -> None:
    estimator = EmProx(space=SPACE, prior=prior).fit([], [])
    means, std = estimator.predict(ASKED, return_std=True)
    assert estimator.prior_ is not None
    np.testing.assert_array_equal(np.argsort(means), np.argsort(estimator.prior_(ASKED)))
    lower, upper = estimator.predict_interval(ASKED)
    np.testing.assert_allclose((upper - lower) / 2, 1.645 * std, rtol=1e-3)
    assert estimator.sample(ASKED[:3], 5, np.random.default_rng(0)).shape == (5, 3)
    assert estimator.explain(ASKED[0])["neighbors"] == []


def test_a_prior_that_is_right_helps() -> None:
    with_prior, without = EmProx(prior="size").fit(KNOWN, size(KNOWN)), EmProx().fit(KNOWN, size(KNOWN))
    assert agreement(with_prior, ASKED) > max(0.97, agreement(without, ASKED) + 0.02)
    assert with_prior.trend_ is not None
    assert with_prior.trend_.trust[0] > 0.9
    assert with_prior.trend_.slopes[0] > MEAN


def test_a_prior_that_is_wrong_is_not_trusted() -> None:
    known, y = CELLS[:60], -size(CELLS[:60])
    estimator = EmProx(prior="size").fit(known, y)
    assert estimator.trend_ is not None
    assert estimator.trend_.trust[0] < 0.5
    plain = EmProx().fit(known, y)
    assert agreement(estimator, ASKED) < agreement(plain, ASKED) + 0.02  # it falls with size


def test_targets_have_trends_of_their_own() -> None:
    known = CELLS[:60]
    estimator = EmProx(prior="size").fit(known, np.column_stack([size(known), -size(known)]))
    assert estimator.trend_ is not None
    assert estimator.trend_.trust[0] > 0.9 > 0.5 > estimator.trend_.trust[1]
    assert estimator.predict(ASKED).shape == (len(ASKED), 2)


def test_known_architectures_get_about_their_value() -> None:
    known = CELLS[:60]
    estimator = EmProx(prior="universal").fit(known, size(known))
    assert np.corrcoef(estimator.predict(known), size(known))[0, 1] > 0.95


@pytest.mark.parametrize("exact_up_to", [1000, 20])
def test_added_later_is_as_if_known_from_the_start(exact_up_to: int) -> None:
    known = CELLS[:40]
    estimator = EmProx(prior="size", exact_up_to=exact_up_to).fit(known, size(known))
    estimator.partial_fit(CELLS[40:60], size(CELLS[40:60]))
    np.testing.assert_allclose(estimator.predict(CELLS[40:60]), size(CELLS[40:60]), atol=0.5)
    positions, values, lower, upper = estimator.weigher_.leave_one_out(0.9)
    measured = estimator.y_[positions][:, None]
    assert np.mean((lower <= measured) & (measured <= upper)) > 0.7
    assert np.corrcoef(values[:, 0], measured[:, 0])[0, 1] > 0.8
    assert np.isfinite(estimator.errors_ahead_).all()


def test_the_first_labels_after_none() -> None:
    estimator = EmProx(space=SPACE, prior="size").fit([], [])
    estimator.partial_fit(KNOWN, size(KNOWN))
    np.testing.assert_array_equal(estimator.predict(ASKED), EmProx(prior="size").fit(KNOWN, size(KNOWN)).predict(ASKED))


@pytest.mark.parametrize("n", [0, 1, 12])
def test_saved_and_loaded(n: int, tmp_path: Path) -> None:
    estimator = EmProx(space=SPACE, prior="universal").fit(KNOWN[:n], size(KNOWN[:n]))
    estimator.save(tmp_path / "model")
    restored = load(tmp_path / "model")
    np.testing.assert_array_equal(restored.predict(ASKED), estimator.predict(ASKED))
    assert isinstance(restored, EmProx)
    restored.partial_fit(CELLS[20:22], size(CELLS[20:22]))
    estimator.partial_fit(CELLS[20:22], size(CELLS[20:22]))
    np.testing.assert_array_equal(restored.predict(ASKED), estimator.predict(ASKED))


def test_one_label_shifts_the_ranking_of_the_prior() -> None:
    estimator = EmProx(prior="size").fit(KNOWN[:1], [50.0])
    assert agreement(estimator, ASKED) > 0.95
    np.testing.assert_allclose(estimator.predict(KNOWN[:1]), 50.0, atol=1e-3)


def test_the_source_goes_to_the_prior() -> None:
    cells = tuple(get_space("darts").sample(np.random.default_rng(2), 50))
    few = -np.log([get_space("darts").count_parameters(a) for a in cells])
    source = PerformanceTable("small is good", "darts", cells, {"val_accuracy": few})
    ours = EmProx(space=SPACE, prior="universal", source=[source]).fit([], [])
    assert agreement(ours, ASKED) < -0.5


def test_an_interval_covers_where_the_prior_misleads() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(10):
        rows = rng.permutation(len(CELLS))
        known, asked = [CELLS[i] for i in rows[:30]], [CELLS[i] for i in rows[30:]]
        lower, upper = EmProx(prior="size").fit(known, UNRELATED[rows[:30]]).predict_interval(asked, 0.9)
        covered.append(np.mean((lower <= UNRELATED[rows[30:]]) & (UNRELATED[rows[30:]] <= upper)))
    assert np.mean(covered) > 0.8


def test_a_prior_that_needs_labels_is_an_error() -> None:
    with pytest.raises(InvalidOptionError, match="learns from labels"):
        EmProx(space=SPACE, prior="xgboost").fit([], [])


def test_a_prior_needs_kriging() -> None:
    with pytest.raises(InvalidOptionError, match="beneath kriging"):
        EmProx(prior="size", weights="inverse").fit(KNOWN, size(KNOWN))


def test_a_family_that_cannot_be_sampled_is_stood_for_by_what_is_known() -> None:
    graphs = [get_space("nasbench201").to_graph(cell, "network") for cell in KNOWN]
    estimator = EmProx(space="network", prior="universal").fit(graphs, size(KNOWN))
    assert estimator.prior_ is not None
    scores = estimator.prior_(estimator.architectures_)
    assert abs(scores.mean()) < 1e-5
    assert abs(scores.std() - 1) < 1e-5
    assert isinstance(estimator.prior_, Prior)


def test_a_prior_is_not_one_that_has_a_prior() -> None:
    with pytest.raises(InvalidOptionError, match="give its own prior instead"):
        EmProx(prior=EmProx(prior="size")).fit(KNOWN, size(KNOWN))
