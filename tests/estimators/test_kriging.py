import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from emprox.encoders.kernel import JITTER, Kernel
from emprox.estimators import processes
from emprox.estimators.kriging import Kriging, local_kriging
from emprox.estimators.places import Places
from emprox.estimators.processes import ExactKriging, LocalKriging
from emprox.estimators.warp import Warp
from emprox.index import EmbeddingIndex

RNG = np.random.default_rng(0)
KERNEL = Kernel((3,), (2.0,), 0.1, (1.0,))
KNOWN, SCORES, ASKED = RNG.normal(size=(30, 3)), RNG.normal(size=30), RNG.normal(size=(11, 3))


def test_exact_kriging_is_a_gaussian_process() -> None:
    kernel = ConstantKernel(2.0) * Matern(nu=2.5) + WhiteKernel(0.1 + JITTER)
    reference = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(KNOWN, SCORES)
    mean, std = reference.predict(ASKED, return_std=True)
    process = Kriging(KERNEL, KNOWN, SCORES)
    np.testing.assert_allclose(process.predict(ASKED), mean)
    np.testing.assert_allclose(process.posterior(ASKED)[1], std**2)
    np.testing.assert_allclose(process.weights(ASKED) @ SCORES, mean)
    np.testing.assert_allclose(np.diag(process.covariance(ASKED)) + 0.1 + JITTER, std**2)


def test_rows_added_later_change_nothing() -> None:
    noise = RNG.uniform(0, 1, 30)
    grown = Kriging(KERNEL, KNOWN[:10], SCORES[:10], noise[:10]).extended(KNOWN[10:], SCORES[10:], noise[10:])
    whole = Kriging(KERNEL, KNOWN, SCORES, noise)
    np.testing.assert_allclose(grown.predict(ASKED), whole.predict(ASKED))
    np.testing.assert_allclose(grown.posterior(ASKED)[1], whole.posterior(ASKED)[1])


def test_leave_one_out_by_formula_is_leaving_one_out() -> None:
    noise = RNG.uniform(0, 1, 30)
    means, variances = Kriging(KERNEL, KNOWN, SCORES, noise).leave_one_out()
    for i in (0, 7, 29):
        rest = np.arange(30) != i
        process = Kriging(KERNEL, KNOWN[rest], SCORES[rest], noise[rest])
        assert process.predict(KNOWN[i : i + 1])[0] == pytest.approx(means[i])
        assert process.posterior(KNOWN[i : i + 1])[1][0] + noise[i] == pytest.approx(variances[i])


def test_local_kriging_from_all_is_exact() -> None:
    noise = RNG.uniform(0, 1, 30)
    process = Kriging(KERNEL, KNOWN, SCORES, noise)
    everyone = np.broadcast_to(KNOWN, (11, 30, 3))
    whole = np.broadcast_to(noise + KERNEL.noise + JITTER, (11, 30))
    means, variances, weights = local_kriging(KERNEL, ASKED, everyone, np.broadcast_to(SCORES, (11, 30)), whole)
    np.testing.assert_allclose(means, process.predict(ASKED))
    np.testing.assert_allclose(variances, process.posterior(ASKED)[1])
    np.testing.assert_allclose(weights, process.weights(ASKED))


def test_landmarks_and_neighbours_are_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates, variances and weights are those of kriging from the landmarks and each query's own neighbours together."""
    monkeypatch.setattr(processes, "LANDMARKS", 8)
    known, noise = KNOWN.astype(np.float32), RNG.uniform(0, 1, (30, 1))
    index = EmbeddingIndex(3)
    index.add(known[:20])
    local = LocalKriging([KERNEL], index, SCORES[:20, None], noise[:20], 5)
    index.add(known[20:])
    local.add(known[20:], SCORES[20:, None], noise[20:])
    asked = ASKED.astype(np.float32)
    means, variances = local.posterior(asked)
    near = local.places.nearest(asked, 5)[1]
    assert len(local.landmarks) == 8
    for i, ids in enumerate(near):
        used = np.union1d(ids, local.landmarks)
        one = Kriging(KERNEL, known[used].astype(float), SCORES[used], noise[used, 0])
        mean, variance = one.posterior(asked[i : i + 1].astype(float))
        assert means[i, 0] == pytest.approx(mean[0], abs=1e-5)
        assert variances[i, 0] == pytest.approx(variance[0], abs=1e-5)
        _, members, weights = local.weights(asked[i : i + 1])
        expected = np.zeros(30)
        expected[used] = one.weights(asked[i : i + 1].astype(float))[0]
        found = np.zeros(30)
        found[members] = weights
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.isfinite(local.left_out()).all()


def test_few_places_are_all_landmarks() -> None:
    index = EmbeddingIndex(3)
    index.add(KNOWN)
    local = LocalKriging([KERNEL], index, SCORES[:, None], np.zeros((30, 1)), 5)
    exact = ExactKriging([KERNEL], KNOWN.astype(np.float32), SCORES[:, None], np.zeros((30, 1)))
    for mine, theirs in zip(local.posterior(ASKED.astype(np.float32)), exact.posterior(ASKED.astype(np.float32)), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    np.testing.assert_allclose(local.left_out(), exact.left_out())


def test_places_are_worth_their_measurements() -> None:
    """Estimates from the means of places, with their variances, are those from all measurements."""
    repeated = np.concatenate([KNOWN, KNOWN[:12], KNOWN[:5]]).astype(np.float32)
    scores, noise = RNG.normal(size=(47, 2)), RNG.uniform(0, 1, (47, 2))
    base = KERNEL.noise + JITTER
    index = EmbeddingIndex(3)
    places = Places(index, 2)
    for rows in (slice(0, 20), slice(20, 47)):
        index.add(repeated[rows])
        places.add(repeated[rows], scores[rows], noise[rows] + base)
    everywhere = np.arange(30)
    assert len(places) == 30
    assert places.nearest(repeated[:1], 40)[1].shape == (1, 30)
    np.testing.assert_array_equal(places.embeddings(places.of), repeated)
    for t in (0, 1):
        one = Kriging(KERNEL, repeated.astype(float), scores[:, t], noise[:, t])
        other = Kriging(
            KERNEL,
            KNOWN.astype(np.float32).astype(float),
            places.scores(everywhere)[:, t],
            places.variances(everywhere)[:, t] - base,
        )
        np.testing.assert_allclose(other.predict(ASKED), one.predict(ASKED), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(other.posterior(ASKED)[1], one.posterior(ASKED)[1], rtol=1e-9)


measured = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))


@given(y=measured, x=st.lists(st.floats(-2e3, 2e3), min_size=1, max_size=20))
def test_warps_increase_and_come_back(y: np.ndarray, x: list[float]) -> None:
    warp, x = Warp.fit(y), np.sort(np.array(x))
    scores = warp.forward(x)
    apart = np.diff(x) > 1e-6
    assert (np.diff(scores)[apart] > 0).all()
    np.testing.assert_allclose(warp.inverse(scores), x, rtol=1e-6, atol=1e-6 * max(1, np.abs(y).max()))


def test_scores_are_standardised_and_know_distances() -> None:
    y = np.r_[10.0, 20, RNG.normal(90, 1, 200)]
    warp = Warp.fit(y)
    scores = warp.forward(y)
    assert (scores.mean(), scores.std()) == pytest.approx((0, 1))
    assert warp.spread(np.array([90.0]), np.array([0.5]))[0] == pytest.approx(0.5, rel=0.4)


def test_equal_measurements() -> None:
    warp = Warp.fit(np.full(5, 3.25))
    np.testing.assert_array_equal(warp.forward(np.array([3.25])), [0])
    np.testing.assert_array_equal(warp.inverse(np.array([0.0])), [3.25])
