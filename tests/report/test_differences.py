import numpy as np
import pytest

from emprox.errors import InvalidDataError
from emprox.report import paired_difference
from emprox.report.differences import method_of, sure_difference


def test_pairing_finds_what_the_spread_over_trials_hides() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 1, 20)  # how hard each split is, for both
    first, second = hard + 0.1 + rng.normal(0, 0.05, 20), hard + rng.normal(0, 0.05, 20)
    difference = paired_difference(first, second)
    assert difference.is_real
    assert difference.low < 0.1 < difference.high
    assert not paired_difference(first, rng.permutation(second)).is_real
    turned = paired_difference(second, first)
    assert (turned.mean, turned.trials) == (pytest.approx(-difference.mean), 20)
    assert turned.is_real


def test_noise_is_called_a_difference_about_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    called = [paired_difference(rng.normal(size=30), rng.normal(size=30), seed=i).is_real for i in range(200)]
    assert 0.01 < np.mean(called) < 0.12


def test_a_report_calls_noise_a_difference_no_more_often_where_trials_are_few() -> None:
    rng = np.random.default_rng(2)
    for trials in (2, 3, 5):
        pairs = [rng.normal(size=(2, trials)) for _ in range(200)]
        assert np.mean([sure_difference(*pair).is_real for pair in pairs]) < 0.1
    first, second = rng.normal(size=(2, 10))
    assert sure_difference(first, second) == paired_difference(first, second)
    assert sure_difference([0.5, 0.6, 0.7], [0.4, 0.5, 0.8]).ahead == 2
    assert "Student interval" in method_of(9)
    assert "bootstrap interval" in method_of(10)


def test_equal_estimators_do_not_differ() -> None:
    difference = paired_difference([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert (difference.mean, difference.low, difference.high, difference.is_real) == (0, 0, 0, False)


def test_what_cannot_be_paired() -> None:
    with pytest.raises(InvalidDataError, match="at least two trials"):
        paired_difference([0.5], [0.6])
    with pytest.raises(InvalidDataError, match="3 measurements"):
        paired_difference([0.5, 0.6, 0.7], [0.5, 0.6])
