import numpy as np
import pytest
from scipy.stats import kendalltau

from emprox.errors import InvalidDataError
from emprox.report import METRICS, score


def test_known_values() -> None:
    scores = score([1, 2, 3, 4], [1, 3, 2, 6])
    assert scores == pytest.approx(
        {
            "mae": 1.0,
            "rmse": np.sqrt(6 / 4),
            "pearson": np.corrcoef([1, 2, 3, 4], [1, 3, 2, 6])[0, 1],
            "spearman": 0.8,
            "kendall": 2 / 3,
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
