import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process.kernels import Matern

from emprox.encoders.kernel import (
    ITERATIONS,
    Kernel,
    ScalePrior,
    _Posterior,
    correlation,
    correlation_slope,
    learn_kernels,
    learn_scales,
    squared_distances,
)

RNG = np.random.default_rng(0)


def test_correlation_is_the_matern_kernel() -> None:
    a, b = RNG.normal(size=(6, 3)), RNG.normal(size=(9, 3))
    np.testing.assert_allclose(correlation(squared_distances(a, b)), Matern(nu=2.5)(a, b), rtol=1e-12)
    squared = RNG.uniform(0.1, 3, 20)
    steps = (correlation(squared + 1e-6) - correlation(squared - 1e-6)) / 2e-6
    np.testing.assert_allclose(correlation_slope(squared), steps, rtol=1e-6)


def test_kernel_sums_its_parts() -> None:
    a, b = RNG.normal(size=(4, 5)), RNG.normal(size=(7, 5))
    kernel = Kernel((2, 3), (0.5, 2.0), 0.1, (1.0, 4.0))
    expected = 0.5 * Matern(nu=2.5)(a[:, :2], b[:, :2]) + 2 * Matern(nu=2.5, length_scale=0.5)(a[:, 2:], b[:, 2:])
    np.testing.assert_allclose(kernel(a, b), expected)
    np.testing.assert_allclose(kernel(np.stack([a, a]), np.stack([b, b]))[1], expected)
    assert kernel.variance == pytest.approx(kernel(a, a)[0, 0])


@pytest.mark.parametrize("noise", [None, 0.3])
def test_gradient_of_the_posterior(noise: float | None) -> None:
    x, targets = RNG.normal(size=(3, 12, 2)), RNG.normal(size=(12, 2))
    distances = np.array([squared_distances(block, block) for block in x])
    known = None if noise is None else np.full((12, 2), noise)
    objective = _Posterior(distances, [[0, 1], [0, 1, 2]], targets, known, ScalePrior())
    theta = objective.mean + RNG.normal(size=len(objective.mean)) / 2
    numeric = approx_fprime(theta, lambda at: objective(at)[0], 1e-6)
    np.testing.assert_allclose(objective(theta)[1], numeric, rtol=1e-4, atol=1e-4)


def test_the_informative_block_gets_the_weight() -> None:
    x = RNG.normal(size=(3, 80, 1))
    distances = np.array([squared_distances(block, block) for block in x])
    (far, near), ((_, noise),) = learn_scales(distances, [[0, 1, 2], [0, 1, 2]], np.sin(2 * x[1]))
    assert far.argmax() == near.argmax() == 1
    assert near[1] > 10 * max(near[0], near[2])
    assert noise < 0.1
    assert ITERATIONS > 0


def test_labels_that_say_nothing_or_all_at_once() -> None:
    """Equal columns, equal labels and labels that the columns explain exactly leave matrices that can be factorised."""
    same, x = np.zeros((2, 15, 15)), RNG.normal(size=(15, 1))
    exact = np.array([squared_distances(x, x), squared_distances(x * 1e3, x * 1e3)])
    for distances, targets in ((same, RNG.normal(size=(15, 1))), (exact, x), (exact, np.zeros((15, 1))), (exact, 1e3 * x)):
        weights, ((amplitudes, noise),) = learn_scales(distances, [[0, 1], [0, 1]], targets)
        assert np.isfinite([*weights[0], *weights[1], *amplitudes, noise]).all()


def test_no_labels_leave_the_prior() -> None:
    prior = ScalePrior()
    (far, near), ((amplitudes, noise),) = learn_scales(np.empty((2, 0, 0)), [[0], [0, 1]], np.empty((0, 1)))
    assert far == pytest.approx(np.exp(prior.weights[0][0]))
    assert near == pytest.approx(np.exp(prior.weights[1][0]))
    assert (*amplitudes, noise) == pytest.approx(np.exp([prior.amplitudes[0][0], prior.amplitudes[1][0], prior.noise[0]]))


def test_a_kernel_over_any_embedding() -> None:
    z = RNG.normal(size=(60, 4)) * 100
    (kernel,) = learn_kernels(z, np.tanh(z[:, :1] / 100))
    assert kernel(z[:1], z[:1] + 1)[0, 0] > 0.9 * kernel.variance
    again = Kernel.from_dict(
        {"parts": [4], "amplitudes": list(kernel.amplitudes), "noise": kernel.noise, "weights": list(kernel.weights)}
    )
    assert again == kernel
