"""Estimates by kriging of warped performances: from all known architectures while they are few, else from the nearest.

Letters: m queries, n known, k neighbours, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emprox.encoders.kernel import Kernel, draw
from emprox.errors import InvalidOptionError
from emprox.estimators.calibration import Calibration, normal_half_width
from emprox.estimators.prior import Trend
from emprox.estimators.processes import ExactKriging, LocalKriging
from emprox.estimators.warp import Warp
from emprox.index import EmbeddingIndex

__all__ = ["WarpedKriging"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
COVERAGE = 0.9
"""Standard deviations are those of a normal distribution with the same central interval of this coverage."""
COMPARED = 500
"""Most known architectures whose distances to one another say what is usual."""


class WarpedKriging:
    """Kriging of the scores that a `Warp` gives to known values, with intervals calibrated by leaving known ones out.

    Parameters
    ----------
    index : EmbeddingIndex
        Embeddings of the known architectures, by position.
    y, y_std : ndarray of shape (n, T)
        Known values and their standard deviations, or None.
    kernels : sequence of T Kernel
    warps : sequence of T Warp
    n_neighbors : int
        k of the local form.
    exact_up_to : int
        The largest n at which all known architectures are neighbours.
    trend : Trend, optional
        What a prior adds to scores; queries then have its score as one more column.
    prior : ndarray of shape (n,), optional
        That of the known architectures.
    """

    def __init__(
        self,
        index: EmbeddingIndex,
        y: Floats,
        y_std: Floats | None,
        kernels: Sequence[Kernel],
        warps: Sequence[Warp],
        n_neighbors: int,
        exact_up_to: int,
        trend: Trend | None = None,
        prior: Vectors | None = None,
    ) -> None:
        self.index, self.warps = index, tuple(warps)
        self.n_neighbors, self.exact_up_to = n_neighbors, exact_up_to
        self.trend, self.offsets = trend, np.empty((0, len(self.warps)))
        known = self._scores(y, y_std, prior)
        self.process: ExactKriging | LocalKriging
        if len(y) <= exact_up_to:
            self.process = ExactKriging(kernels, index.reconstruct(np.arange(len(y))), *known)
        else:
            self.process = LocalKriging(kernels, index, *known, n_neighbors)

    def add(self, y: Floats, y_std: Floats | None, prior: Vectors | None = None) -> None:
        """Take in architectures (their values (new, T)) whose embeddings the index holds already, after the known ones."""
        before, after = len(self.process), len(self.process) + len(y)
        if isinstance(self.process, ExactKriging) and after > self.exact_up_to:
            self.process = self.process.localised(self.index, self.n_neighbors)
        self.process.add(self.index.reconstruct(np.arange(before, after)), *self._scores(y, y_std, prior))
        vars(self).pop("calibration", None)

    @cached_property
    def calibration(self) -> Calibration:
        """How wide intervals have to be, worked out when the first is asked for."""
        known = self.index.reconstruct(draw(len(self.process), COMPARED))
        spacing = float(np.median(self.index.search(known, 2)[0][:, 1])) if len(known) > 1 else 0.0
        return Calibration(np.abs(self.process.left_out()), spacing, self.process.left_out_far)

    def predict(self, queries: Vectors, return_std: bool) -> tuple[Floats, Floats | None]:
        """Return medians and, if asked for, standard deviations, (m, T) each."""
        embeddings, offsets = self._split(queries)
        if not return_std:
            return self._values(self.process.mean(embeddings) + offsets), None
        scores, variances = self.process.posterior(embeddings)
        lower, upper = self._ends(scores + offsets, variances, self._factors(embeddings, COVERAGE))
        return self._values(scores + offsets), (upper - lower) / (2 * normal_half_width(COVERAGE))

    def interval(self, queries: Vectors, coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of central intervals, (m, T) each."""
        embeddings, offsets = self._split(queries)
        scores, variances = self.process.posterior(embeddings)
        return self._ends(scores + offsets, variances, self._factors(embeddings, coverage))

    def weights(self, query: Vectors) -> tuple[Floats, Ints, Floats]:
        """Return distances, positions and weights (of the first target) of the neighbours of one query (1, dim)."""
        return self.process.weights(query[:, : self.index.dim])

    def leave_one_out(self, coverage: float) -> tuple[Ints, Floats, Floats, Floats]:
        """Return positions (m,) of known ones, their estimates without themselves, and the ends of intervals, (m, T) each.

        Of all while kriging is exact, of a few hundred beyond. Embedding, kernels and the width of intervals know all labels.
        """
        positions, scores, variances = self.process.leave_one_out()
        scores = scores + self.offsets[positions]
        return positions, self._values(scores), *self._ends(scores, variances, self.calibration.among_known(coverage))

    def left_out_weights(self) -> Iterator[tuple[Ints, Floats]]:
        """Yield, for each position of `leave_one_out`, positions of the others and their weights for the first target."""
        return self.process.left_out_weights()

    def sample(self, queries: Vectors, n: int, rng: np.random.Generator) -> Floats:
        """Draw n times from the joint distribution of the queries' true values, (n, m, T)."""
        embeddings, offsets = self._split(queries)
        q = embeddings.astype(np.float64)
        drawn = []
        around = self.process.around(embeddings, max(self.exact_up_to, self.n_neighbors))
        for process, widening in zip(around, self._widening(embeddings).T, strict=True):
            root = widening[:, None] * _square_root(process.covariance(q))
            drawn.append(process.predict(q) + rng.standard_normal((n, len(q))) @ root.T)
        return self._values(np.stack(drawn, axis=-1) + offsets)

    def standardised_errors(self, queries: Vectors, y: Floats, y_std: Floats | None) -> Floats:
        """Return measured less estimated scores in standard deviations, calibrated as next to known ones, (m, T)."""
        embeddings, offsets = self._split(queries)
        scores, noise = score(self.warps, y, y_std)
        means, variances = self.process.posterior(embeddings)
        widening = self.calibration.among_known(COVERAGE) / normal_half_width(COVERAGE)
        return (scores - means - offsets) / np.sqrt(variances + noise) / widening

    def _scores(self, y: Floats, y_std: Floats | None, prior: Vectors | None) -> tuple[Floats, Floats]:
        """Return what the trend leaves of the scores of architectures that become known, and their variances, (n, T) each."""
        scores, noise = score(self.warps, y, y_std)
        offsets = np.zeros_like(scores) if self.trend is None or prior is None else self.trend(prior)
        self.offsets = np.concatenate([self.offsets, offsets])
        return scores - offsets, noise

    def _split(self, queries: Vectors) -> tuple[Vectors, Floats]:
        """Return embeddings (m, dim), and what the trend adds to the scores, (m, T) or (1, 1)."""
        if self.trend is None:
            return queries, np.zeros((1, 1))
        return queries[:, : self.index.dim], self.trend(queries[:, -1])

    def _values(self, scores: Floats) -> Floats:
        """Return the values of scores (..., T)."""
        return np.stack([warp.inverse(scores[..., t]) for t, warp in enumerate(self.warps)], axis=-1)

    def _ends(self, scores: Floats, variances: Floats, factors: Floats) -> tuple[Floats, Floats]:
        half = np.sqrt(variances) * factors
        return self._values(scores - half), self._values(scores + half)

    def _factors(self, embeddings: Vectors, coverage: float) -> Floats:
        """Return how many standard deviations of queries cover that share, (m, T)."""
        if not 0 < coverage < 1:
            raise InvalidOptionError(f"coverage must be between 0 and 1, got {coverage!r}")
        # among places of the local form, as the twins that the index holds besides would be told apart by their ids
        find = self.process.places.nearest if isinstance(self.process, LocalKriging) else self.index.search
        return self.calibration.factors(coverage, find(embeddings, 1)[0][:, 0].astype(np.float64))

    def _widening(self, embeddings: Vectors) -> Floats:
        """Return what standard deviations of queries are multiplied by to be calibrated, (m, T)."""
        return self._factors(embeddings, COVERAGE) / normal_half_width(COVERAGE)


def score(warps: Sequence[Warp], y: Floats, y_std: Floats | None) -> tuple[Floats, Floats]:
    """Return scores of values (n, T), and their known variances, (n, T)."""
    scores = np.column_stack([warp.forward(column) for warp, column in zip(warps, y.T, strict=True)])
    if y_std is None:
        return scores, np.zeros_like(scores)
    spreads = [warp.spread(column, std) for warp, column, std in zip(warps, y.T, y_std.T, strict=True)]
    return scores, np.square(np.column_stack(spreads))


def _square_root(covariance: Floats) -> Floats:
    """Return a root of a covariance that may be singular; O(m^3)."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))
