"""A prior: an estimate that needs no label of the target, as a trend beneath what the neighbours say.

Letters: n known, m queries, T targets, dim dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from scipy.stats import norm

from emprox.encoders.kernel import JITTER, draw
from emprox.errors import InvalidOptionError
from emprox.estimators.base import ESTIMATORS, ArchitectureRegressor, make_estimator, takes_option
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.tables.sources import Source
from emprox.validation import standard_deviation

if TYPE_CHECKING:
    from emprox.encoders import Encoder
    from emprox.encoders.kernel import Kernel
    from emprox.index import EmbeddingIndex

__all__ = ["Learned", "Prior", "PriorEstimator", "PriorOnly", "Trend", "learn_trend"]

Floats = NDArray[np.float64]
PriorEstimator: TypeAlias = "str | ArchitectureRegressor | None"
"""Text form of an estimator that ranks without labels, such as ``universal``, or one; None for no prior."""
MEAN, STD = 0.6, 0.3
"""Normal prior of the slope of the trend, both in standard deviations: how well other families' knowledge tells a new one."""
DOUBT = 1 / 15
"""What each label takes off the logarithm of the odds for the trend: likelihoods of scores say too much for one."""
REFERENCES = 500
"""Architectures of the family over which the prior's estimates are standardised."""
FURTHEST = 5.0
"""Standard deviations beyond which a score counts no more, so that a dead network does not tell the slope."""
LEARNED_FROM = 500
"""Most labels that slope and trust are learned from."""
Learned: TypeAlias = "tuple[Encoder | None, EmbeddingIndex, tuple[Kernel, ...]]"
"""Encoder, embeddings of the known architectures, a kernel for each target."""


class Prior:
    """Estimates of another estimator in standard deviations of the family.

    Parameters
    ----------
    estimator : ArchitectureRegressor
        Fitted, without labels.
    centre, scale : float
        Of its estimates; a negative scale turns them round, where smaller measurements are better.
    """

    def __init__(self, estimator: ArchitectureRegressor, centre: float, scale: float) -> None:
        self.estimator, self.centre, self.scale = estimator, centre, scale

    @classmethod
    def fit(
        cls,
        given: str | ArchitectureRegressor,
        family: ArchitectureFamily,
        source: Source,
        known: list[Architecture],
        seed: int | None,
        direction: float,
    ) -> Prior:
        """Return the prior of a family; one that cannot be sampled is represented by the known architectures.

        The direction is -1 where smaller measurements are better.

        Raises
        ------
        InvalidOptionError
            If the estimator cannot rank without labels.
        """
        options = {"space": family, "random_state": seed}
        if isinstance(given, str):
            estimator = make_estimator(given, **options, **({"source": source} if takes_option(given, "source") else {}))
        else:
            estimator = type(given)(**given.get_params(deep=False) | options)  # clone would copy the tables of its source
        if estimator.needs_labels:
            raise InvalidOptionError(
                f"prior={given!r} learns from labels of the target; a prior ranks without, such as 'universal', 'size' or 'gnn'"
            )
        if estimator.several_targets:  # what estimates by neighbours keeps vectors, and so does what it is a prior of
            raise InvalidOptionError(f"prior={given!r} is a prior with neighbours above it; give its own prior instead")
        estimator.fit([], [])
        references = [a for a in family.references(REFERENCES) or known if family.is_connected(a)]
        scores = estimator.predict(references) if references else np.zeros(1)
        return cls(estimator, float(scores.mean()), direction * (standard_deviation(scores) or 1.0))

    def __call__(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        """Return scores of architectures, (m,)."""
        if not architectures:
            return np.empty(0, np.float32)
        scores = (self.estimator.predict(architectures) - self.centre) / self.scale
        return np.clip(scores, -FURTHEST, FURTHEST).astype(np.float32)

    def write(self, folder: Path) -> dict[str, Any]:
        """Write what the estimator has learned into a folder; return the rest for the manifest."""
        options = self.estimator._options() | {"space": self.estimator.space_.setting}
        state = self.estimator._write(folder)
        return {"kind": self.estimator.kind, "options": options, "state": state, "centre": self.centre, "scale": self.scale}

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any], space: str) -> Prior:
        """Return the prior that `write` wrote."""
        manifest = {"space": space, "options": state["options"], "state": state["state"]}
        known: dict[str, Any] = {"architectures": [], "y": [], "y_std": None}
        estimator = ESTIMATORS.get(state["kind"])._restore(folder, manifest | {"known": known})  # type: ignore[attr-defined]
        return cls(estimator, state["centre"], state["scale"])


@dataclass(frozen=True)
class Trend:
    """What the prior adds to the scores of architectures: a slope for each target, times the prior's score less a mean."""

    slopes: Floats
    """(T,)."""
    trust: Floats
    """(T,) weight, between 0 and 1, of the model with a trend against that without."""
    centre: float
    """Mean score of the known architectures by the prior."""

    def __call__(self, prior: NDArray[np.floating]) -> Floats:
        """Return what is added to scores, (m, T), given the prior's (m,)."""
        return (prior.astype(np.float64) - self.centre)[:, None] * self.slopes

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"slopes": self.slopes.tolist(), "trust": self.trust.tolist(), "centre": self.centre}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Trend:
        """Return the trend that `to_json` gave."""
        return cls(np.array(fields["slopes"]), np.array(fields["trust"]), float(fields["centre"]))


def learn_trend(
    learn: Callable[[Floats], Learned],
    prior: NDArray[np.floating],
    scores: Floats,
    noise: Floats,
) -> tuple[Learned, Trend]:
    """Learn a trend, and an embedding of what it leaves.

    The slope has a normal prior and is what the labels make of it, under the kernels of the embedding (Rasmussen and
    Williams 2006, section 2.7). A model with a trend and one without each estimate every known score from the others; the
    likelihood of what is left, less a doubt for each label, says how far the trend is trusted, and mean and variance of the
    prior are scaled by that.

    Parameters
    ----------
    learn : callable
        From scores (n, T) to encoder, embeddings and kernels.
    prior : ndarray of shape (n,)
    scores, noise : ndarray of shape (n, T)
        Standardised labels, and their known variances.
    """
    centred = prior.astype(np.float64) - prior.mean(dtype=np.float64)

    def trusting(trust: Floats) -> tuple[Learned, Floats, Floats]:
        learned = learn(scores - MEAN * centred[:, None] * trust)
        return learned, *_posterior(learned, centred, scores, noise, trust)

    none = np.zeros(scores.shape[1])
    (_, _, without), (_, _, with_trend) = trusting(none), trusting(none + 1)
    trust = expit(with_trend - without - DOUBT * len(scores))
    learned, slopes, _ = trusting(trust)
    return learned, Trend(slopes, trust, float(prior.mean(dtype=np.float64)))


def _posterior(learned: Learned, prior: Floats, scores: Floats, noise: Floats, trust: Floats) -> tuple[Floats, Floats]:
    """Return mean slopes (T,), and the log likelihoods of each score given all others, summed, (T,)."""
    some = draw(len(scores), LEARNED_FROM)
    _, index, kernels = learned
    x, p = index.reconstruct(some).astype(np.float64), prior[some]
    slopes, likelihoods = np.empty((2, len(kernels)))
    for t, kernel in enumerate(kernels):
        left = scores[some, t] - trust[t] * MEAN * p
        covariance = kernel(x, x) + trust[t] * STD**2 * np.outer(p, p)
        covariance[np.diag_indices(len(x))] += kernel.noise + JITTER + noise[some, t]
        factor = cho_factor(covariance, lower=True)
        alpha = cho_solve(factor, left)
        precision = np.diag(cho_solve(factor, np.eye(len(x))))
        slopes[t] = trust[t] * (MEAN + STD**2 * p @ alpha)
        likelihoods[t] = 0.5 * (np.log(precision) - alpha**2 / precision).sum()
    return slopes, likelihoods


class PriorOnly:
    """Estimates where nothing is measured: the prior's score, in standard deviations of the family, and how unsure it is."""

    def __init__(self) -> None:
        self.std = float(np.sqrt(1 - MEAN**2))

    def predict(self, queries: NDArray[np.float32], return_std: bool) -> tuple[Floats, Floats | None]:
        """Return means and, if asked for, standard deviations, (m, 1) each, of queries whose last column is the prior's score."""
        means = MEAN * queries[:, -1:].astype(np.float64)
        return means, np.full_like(means, self.std) if return_std else None

    def interval(self, queries: NDArray[np.float32], coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of central intervals, (m, 1) each."""
        means, half = self.predict(queries, False)[0], float(norm.ppf((1 + coverage) / 2)) * self.std
        return means - half, means + half

    def sample(self, queries: NDArray[np.float32], n: int, rng: np.random.Generator) -> Floats:
        """Draw n times, (n, m, 1)."""
        means = self.predict(queries, False)[0]
        return means + self.std * rng.standard_normal((n, *means.shape))

    def weights(self, query: NDArray[np.float32]) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Return no neighbours."""
        return np.empty(0), np.empty(0, np.int64), np.empty(0)
