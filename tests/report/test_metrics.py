import numpy as np
import pytest
from scipy.stats import kendalltau

from emprox.errors import InvalidDataError
from emprox.report import METRICS, score, score_interval


def test_known_values() -> None:
    scores = score([1, 2, 3, 4], [1, 3, 2, 6])
    assert scores == pytest.approx(
        {
            "mae": 1.0,
            "rmse": np.sqrt(6 / 4),
            "pearson": np.corrcoef([1, 2, 3, 4], [1, 3, 2, 6])[0, 1],
            "spearman": 0.8,
            "kendall": 2 / 3,
            "precision_at_10": 1.0,
            "ndcg_at_10": (1 + (1 / 3) / np.log2(3) + (2 / 3) / 2) / (1 + (2 / 3) / np.log2(3) + (1 / 3) / 2),
            "regret": 0.0,
        }
    )


def test_kendall_is_tau_b() -> None:
    measured, estimated = [1, 1, 2, 3, 3, 4], [2, 1, 1, 4, 3, 3]
    assert score(measured, estimated)["kendall"] == pytest.approx(kendalltau(measured, estimated, variant="b")[0])


@pytest.mark.parametrize(("measured", "estimated"), [([1, 2, 3], [5, 5, 5]), ([5, 5, 5], [1, 2, 3]), ([1], [2])])
def test_what_ranks_nothing_has_no_correlation(measured: list[float], estimated: list[float]) -> None:
    scores = score(measured, estimated)
    assert [scores[name] for name in ("pearson", "spearman", "kendall")] == [0, 0, 0]
    assert set(scores) == set(METRICS)


def test_bad_input() -> None:
    with pytest.raises(InvalidDataError, match="finite"):
        score([1, 2], [1, np.nan])
    with pytest.raises(InvalidDataError, match="2 measurements"):
        score([1, 2], [1])


def test_top_of_the_ranking() -> None:
    measured = np.arange(100.0)
    assert score(measured, measured)["precision_at_10"] == 1
    assert score(measured, -measured)["precision_at_10"] == 0
    half = np.where(np.arange(100) >= 95, 200.0, 0) + np.where(np.arange(100) < 5, 100.0, 0)
    scores = score(measured, half)
    assert scores["precision_at_10"] == 0.5
    assert scores["regret"] == pytest.approx(99 - 97)  # five are tied for the highest estimate, 95 to 99
    assert score(measured, -measured)["regret"] == 99


def test_constant_estimates_score_as_a_random_choice() -> None:
    measured = np.arange(50.0)
    scores = score(measured, np.zeros(50))
    assert scores["precision_at_10"] == pytest.approx(10 / 50)
    assert scores["regret"] == pytest.approx(49 - measured.mean())
    rng = np.random.default_rng(0)
    drawn = [score(measured, rng.permutation(50))["ndcg_at_10"] for _ in range(2000)]
    assert scores["ndcg_at_10"] == pytest.approx(np.mean(drawn), abs=0.01)


def test_ties_among_the_best_measured_all_count() -> None:
    measured = np.r_[np.zeros(30), np.ones(20)]
    assert score(measured, np.r_[np.zeros(40), np.ones(10)])["precision_at_10"] == 1


def test_gains_do_not_depend_on_the_unit() -> None:
    rng = np.random.default_rng(1)
    measured, estimated = rng.normal(size=40), rng.normal(size=40)
    assert score(np.exp(measured), estimated)["ndcg_at_10"] == pytest.approx(score(measured, estimated)["ndcg_at_10"])


def test_intervals() -> None:
    scores = score_interval([0.0, 5.0, 12.0, -3.0], [-1.0, 4.0, 8.0, -2.0], [1.0, 6.0, 10.0, 0.0])
    assert scores["coverage"] == 0.5
    assert scores["interval_score"] == pytest.approx(2 + 20 * (2 + 1) / 4)
    with pytest.raises(InvalidDataError, match="finite"):
        score_interval([1.0], [0.0], [np.inf])


def test_the_interval_score_rewards_the_right_width() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    widths = [0.5, 1.0, 1.645, 2.5, 4.0]
    scores = [score_interval(values, np.full(20_000, -w), np.full(20_000, w))["interval_score"] for w in widths]
    assert np.argmin(scores) == 2
