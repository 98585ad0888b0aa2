"""How wide intervals are, near and far."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from emprox.encoders.kernel import Kernel
from emprox.estimators.calibration import Calibration, normal_half_width
from emprox.estimators.kriging import Kriging
from emprox.estimators.processes import ExactKriging
from emprox.estimators.warp import Warp
from emprox.estimators.warped_kriging import WarpedKriging
from emprox.index import EmbeddingIndex

RNG = np.random.default_rng
KERNEL = Kernel((2,), (1.0,), 0.1, (1.0,))


def test_leaving_out_a_group_is_a_process_without_it() -> None:
    x, scores = RNG(0).normal(size=(30, 2)), RNG(1).normal(size=30)
    groups = np.array([[0, 5, 9], [7, 1, 2], [29, 28, 3]])
    found = Kriging(KERNEL, x, scores).left_out_together([groups, groups[:, :1]])
    for errors, size in zip(found, (3, 1), strict=True):
        for error, group in zip(errors, groups, strict=True):
            rest = np.setdiff1d(np.arange(30), group[:size])
            means, variances = Kriging(KERNEL, x[rest], scores[rest]).posterior(x[group[:1]])
            assert error == pytest.approx((scores[group[0]] - means[0]) / np.sqrt(variances[0]), rel=1e-4)


def test_neighbourhoods_are_the_nearest_and_their_distance_what_is_left() -> None:
    x = RNG(0).normal(size=(40, 2)).astype(np.float32)
    process = ExactKriging([KERNEL], x, RNG(1).normal(size=(40, 1)), np.zeros((40, 1)))
    far = process.left_out_far()
    nearest = np.sort(cdist(x, x), axis=1)
    assert [distance for distance, _ in far] == pytest.approx([np.median(nearest[:, size]) for size in (1, 2, 4, 8)])
    np.testing.assert_allclose(np.sort(far[0][1], axis=0), np.sort(process.left_out(), axis=0))


def test_equal_embeddings_are_left_out_themselves() -> None:
    x = np.repeat(RNG(0).normal(size=(10, 2)), 2, axis=0).astype(np.float32)
    process = ExactKriging([KERNEL], x, RNG(1).normal(size=(20, 1)), np.zeros((20, 1)))
    far = process.left_out_far()
    assert far[0][0] == 0
    np.testing.assert_allclose(np.sort(far[0][1], axis=0), np.sort(process.left_out(), axis=0))


def test_factors_grow_with_distance_and_stay_near_the_known() -> None:
    near, far = np.abs(RNG(0).normal(size=(200, 1))), 2 * RNG(1).normal(size=(100, 1))
    calibration = Calibration(near, 1.0, lambda: [(1.5, far / 4), (3.0, far)])
    factors = calibration.factors(0.9, np.array([0.0, 1.0, 1.5, 2.0, 3.0, 50.0]))[:, 0]
    own = calibration.among_known(0.9)[0]
    assert factors[:3] == pytest.approx([own] * 3)  # smaller residuals further away do not narrow
    assert own < factors[3] < factors[4] == factors[5]
    assert factors[5] == pytest.approx(2 * normal_half_width(0.9), rel=0.2)


def kins(rng: np.random.Generator, of: int) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Return embeddings and values of groups of 10, whose values have an offset that embeddings do not tell."""
    group = np.repeat(np.arange(of), 10)
    centres, offsets = rng.uniform(-20, 20, (of, 2)), rng.normal(size=of)
    return (
        (centres[group] + rng.normal(size=(len(group), 2))).astype(np.float32),
        offsets[group] + 0.3 * rng.normal(size=len(group)),
        group,
    )


@pytest.mark.parametrize("exact_up_to", [1000, 10])
def test_intervals_hold_a_kin_that_is_left_out(exact_up_to: int) -> None:
    """A kernel that reaches too far learns the offset of a kin from its others, which a stranger lacks."""
    kernel = Kernel((2,), (0.3,), 0.1, (0.01,))
    held, held_near = [], []
    for seed in range(20):
        x, y, group = kins(RNG(seed), 31)
        y = (y - y.mean()) / y.std()
        known, out = group > 0, group == 0
        index = EmbeddingIndex(2)
        index.add(x[known])
        weigher = WarpedKriging(index, y[known][:, None], None, [kernel], [Warp.fit(y[known])], 10, exact_up_to)
        lower, upper = weigher.interval(x[out], 0.9)
        held.append(((lower[:, 0] <= y[out]) & (y[out] <= upper[:, 0])).mean())
        scores, variances = weigher.process.posterior(x[out])
        ends = weigher._ends(scores, variances, weigher.calibration.among_known(0.9))
        held_near.append(((ends[0][:, 0] <= y[out]) & (y[out] <= ends[1][:, 0])).mean())
    assert np.mean(held) > np.mean(held_near) + 0.05
