"""The kernel over embeddings: how much the performances of two architectures have in common, and learning it from labels.

Letters: n known, B blocks, P parts of the embedding, T targets, dim dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from emprox.errors import InvalidOptionError

__all__ = ["Kernel", "ScalePrior", "MAX_LABELS", "correlation", "draw", "learn_kernels", "learn_scales", "squared_distances"]

Floats = NDArray[np.float64]
JITTER = 1e-6
"""Added to the variance of every label, so that equal embeddings leave a matrix that can be factorised."""
REACH = 5.0
"""Standard deviations of the prior beyond which nothing is tried: a first step may be long, and its matrix singular."""
MAX_LABELS = 500
"""Labels that kernels are learned from by default; more change little and cost their number cubed."""
ITERATIONS = 10
"""Steps of L-BFGS from the prior mean; more changed no estimate."""


@dataclass(frozen=True)
class Kernel:
    """Sum of Matern-5/2 kernels, each over one part of the embedding's dimensions, and the noise of a label.

    Targets are standardised; so are amplitudes and noise.
    """

    parts: tuple[int, ...]
    """Number of dimensions of each part, in their order."""
    amplitudes: tuple[float, ...]
    """Variance that each part explains."""
    noise: float
    """Variance that no part explains."""
    weights: tuple[float, ...]
    """Factor of each part's squared distances; 1 where the embedding is scaled already."""

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """Return the covariances of embeddings a (..., n, dim) and b (..., m, dim), (..., n, m), without noise."""
        total: Floats | float = 0.0
        start = 0
        for size, amplitude, weight in zip(self.parts, self.amplitudes, self.weights, strict=True):
            part = slice(start, start + size)
            squared = squared_distances(a[..., part], b[..., part])
            squared *= weight
            found = correlation(squared)
            found *= amplitude
            total = found if start == 0 else np.add(total, found, out=found)
            start += size
        return np.asarray(total)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Kernel:
        """Return the kernel whose fields, lists instead of tuples, JSON gave back."""
        tuples = {name: tuple(fields[name]) for name in ("parts", "amplitudes", "weights")}
        return cls(**tuples, noise=fields["noise"])

    def scaled(self, variance: float) -> Kernel:
        """Return the kernel of targets that are not standardised but have this variance."""
        return replace(self, amplitudes=tuple(a * variance for a in self.amplitudes), noise=self.noise * variance)

    @property
    def variance(self) -> float:
        """Covariance of an architecture with itself, without noise."""
        return sum(self.amplitudes)


@dataclass(frozen=True)
class ScalePrior:
    """Normal priors (mean, standard deviation) of the logarithms of a kernel's numbers, for a long-range and a local part.

    Chosen on the bundled table, TransNAS-Bench-101 micro and NAS-Bench-301; a long length scale (small weights) of the first
    part matters most.
    """

    noise: tuple[float, float] = (-2.0, 1.0)
    """Of the noise variance."""
    amplitudes: tuple[tuple[float, float], ...] = ((0.0, 1.5), (-2.0, 1.5))
    """Of each part's variance."""
    weights: tuple[tuple[float, float], ...] = ((-4.0, 1.0), (-2.5, 1.0))
    """Of the weights of the blocks in each part."""

    def __post_init__(self) -> None:
        if len(self.amplitudes) != len(self.weights) or not self.weights:
            raise InvalidOptionError(f"expected as many priors of amplitudes as of weights, got {self}")


def draw(n: int, most: int) -> NDArray[np.int64]:
    """Return positions of at most so many of n, drawn with a fixed seed."""
    return np.random.default_rng(0).permutation(n)[:most]


def learn_kernels(embeddings: Floats, scores: Floats, noise: Floats | None = None) -> tuple[Kernel, ...]:
    """Return a kernel over embeddings of any origin, one part, for each column of standardised scores (n, T).

    From at most `MAX_LABELS` of them.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
    scores, noise : ndarray of shape (n, T)
        Standardised labels, and their known variances or None.
    """
    some = draw(len(scores), MAX_LABELS)
    squared = squared_distances(embeddings[some], embeddings[some])
    unit = 2 / (squared.mean() or 1)  # as the blocks: squared distances of mean 2
    (weights,), variances = learn_scales(unit * squared[None], [[0]], scores[some], None if noise is None else noise[some])
    weight = float(weights[0]) * unit
    return tuple(Kernel((embeddings.shape[1],), amplitudes, noise, (weight,)) for amplitudes, noise in variances)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Return the squared Euclidean distances of a (..., n, dim) and b (..., m, dim), (..., n, m)."""
    squared = a @ np.swapaxes(b, -1, -2)
    squared *= -2
    squared += np.einsum("...i,...i->...", a, a)[..., :, None]
    squared += np.einsum("...i,...i->...", b, b)[..., None, :]
    return np.maximum(squared, 0, out=squared)


def correlation(squared: Floats) -> Floats:
    """Return the Matern-5/2 correlation at squared distances."""
    r = np.sqrt(5 * squared)
    polynomial = r / 3
    polynomial += 1
    polynomial *= r
    polynomial += 1
    polynomial *= np.exp(np.negative(r, out=r), out=r)
    return polynomial


def correlation_slope(squared: Floats) -> Floats:
    """Return the derivative of `correlation` by the squared distance."""
    r = np.sqrt(5 * squared)
    return -5 / 6 * (1 + r) * np.exp(-r)


def learn_scales(
    distances: Floats,
    parts: Sequence[Sequence[int]],
    targets: Floats,
    noise: Floats | None = None,
    prior: ScalePrior | None = None,
) -> tuple[list[Floats], list[tuple[tuple[float, ...], float]]]:
    """Learn the weights of the blocks by maximum a posteriori marginal likelihood, shared by all targets.

    L-BFGS with analytic gradients from the prior mean, deterministic. O(ITERATIONS (T n^3 + P B n^2)).

    Parameters
    ----------
    distances : ndarray of shape (B, n, n)
        Squared distances within each block.
    parts : sequence of P sequences of int
        Blocks of each part.
    targets : ndarray of shape (n, T)
        Standardised labels.
    noise : ndarray of shape (n, T), optional
        Known variances of the labels, added to the learned noise.
    prior : ScalePrior, optional

    Returns
    -------
    weights : list of P ndarray
        Weight of each block of each part.
    variances : list of T pairs
        Amplitudes of the parts and noise, for each target.

    References
    ----------
    Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, section 5.4.
    """
    objective = _Posterior(distances, [list(part) for part in parts], targets, noise, prior or ScalePrior())
    if len(targets) == 0:
        return objective.read(objective.mean)
    far = REACH * objective.std
    bounds = np.column_stack([objective.mean - far, objective.mean + far])
    found = minimize(objective, objective.mean, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    return objective.read(found.x)


class _Posterior:
    """Negative log posterior of the logarithms: for each target noise and amplitudes, then the weights of each part."""

    def __init__(
        self, distances: Floats, parts: list[list[int]], targets: Floats, noise: Floats | None, prior: ScalePrior
    ) -> None:
        self.blocks = [distances[part].reshape(len(part), -1) for part in parts]
        self.sizes = [len(part) for part in parts]
        self.targets, self.noise = targets, noise
        own = [prior.noise, *prior.amplitudes[: len(parts)]] * targets.shape[1]
        shared = [prior.weights[p] for p, size in enumerate(self.sizes) for _ in range(size)]
        self.mean, self.std = np.array([*own, *shared]).T

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        weights, _ = self.read(theta)
        n = len(self.targets)
        squared = [(w @ block).reshape(n, n) for w, block in zip(weights, self.blocks, strict=True)]
        kernels, slopes = [correlation(s) for s in squared], [correlation_slope(s) for s in squared]
        value, gradient, pulls = 0.0, np.zeros_like(theta), [np.zeros((n, n)) for _ in kernels]
        own = np.exp(theta[: -sum(self.sizes)]).reshape(self.targets.shape[1], -1)
        for t, (noise, *amplitudes) in enumerate(own):
            covariance = sum(a * k for a, k in zip(amplitudes, kernels, strict=True))
            known = 0 if self.noise is None else self.noise[:, t]
            covariance[np.diag_indices(n)] += noise + known + JITTER
            loss, slope = _likelihood(covariance, self.targets[:, t])
            value += loss
            each = [a * np.vdot(slope, k) for a, k in zip(amplitudes, kernels, strict=True)]
            gradient[t * len(own[t]) : (t + 1) * len(own[t])] = [noise * np.trace(slope), *each]
            for pull, a, by_distance in zip(pulls, amplitudes, slopes, strict=True):
                pull += a * slope * by_distance
        by_weight = [w * (block @ pull.ravel()) for w, block, pull in zip(weights, self.blocks, pulls, strict=True)]
        gradient[-sum(self.sizes) :] = np.concatenate(by_weight)
        z = (theta - self.mean) / self.std
        return value + 0.5 * z @ z, gradient + z / self.std

    def read(self, theta: Floats) -> tuple[list[Floats], list[tuple[tuple[float, ...], float]]]:
        """Return the weights of each part, and amplitudes and noise of each target."""
        count = sum(self.sizes)
        weights = np.split(np.exp(theta[-count:]), np.cumsum(self.sizes)[:-1])
        own = np.exp(theta[:-count]).reshape(self.targets.shape[1], -1)
        return weights, [(tuple(float(a) for a in amplitudes), float(noise)) for noise, *amplitudes in own]


def _likelihood(covariance: Floats, target: Floats) -> tuple[float, Floats]:
    """Return the negative log likelihood of a target (n,) up to a constant, and its derivative by the covariance (n, n)."""
    lower = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((lower, True), np.eye(len(target)), check_finite=False)
    alpha = inverse @ target
    value = 0.5 * target @ alpha + np.log(np.diag(lower)).sum()
    return float(value), 0.5 * (inverse - np.outer(alpha, alpha))
