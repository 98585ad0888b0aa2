"""Estimates by kriging of warped performances: from all known architectures while they are few, else from the nearest.

Letters: m queries, n known, k neighbours, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from emprox.encoders.kernel import JITTER, Kernel
from emprox.errors import InvalidOptionError
from emprox.estimators.kriging import Kriging, local_kriging
from emprox.estimators.places import Places
from emprox.estimators.warp import Warp
from emprox.index import EmbeddingIndex

__all__ = ["WarpedKriging"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
COVERAGE = 0.9
"""Standard deviations are those of a normal distribution with the same central interval of this coverage."""
PRIOR_LABELS = 10
"""Leave-one-out residuals that the normal distribution counts for when intervals are calibrated."""
LEARNED = 10
"""Numbers that are learned from the labels that are left out too: intervals of n labels widen by sqrt(1 + LEARNED / n)."""
CALIBRATED = 500
"""Most known architectures that calibrate the local form."""
CHUNK = 64
"""Queries of the local form at a time; their small matrices fit in a processor's cache."""


class WarpedKriging:
    """Kriging of the scores that a `Warp` gives to known values, with intervals calibrated by leaving one out.

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
    ) -> None:
        self.index, self.kernels, self.warps = index, tuple(kernels), tuple(warps)
        self.n_neighbors, self.exact_up_to = n_neighbors, exact_up_to
        self.embeddings = np.empty((0, index.dim), np.float32)
        self.scores, self.noise = np.empty((2, 0, len(self.warps)))
        self.processes: list[Kriging] | None = None
        self.places: Places | None = None
        self.add(y, y_std)

    def add(self, y: Floats, y_std: Floats | None) -> None:
        """Take in architectures (their values (new, T)) whose embeddings the index holds already, after the known ones."""
        before = len(self.scores)
        scores, noise = score(self.warps, y, y_std)
        added = self.index.reconstruct(np.arange(before, before + len(y)))
        self.embeddings = np.concatenate([self.embeddings, added])
        self.scores, self.noise = np.concatenate([self.scores, scores]), np.concatenate([self.noise, noise])
        if len(self.scores) <= self.exact_up_to:
            self._extend(added.astype(np.float64), scores, noise)
        elif self.places is None:
            self.processes, self.places = None, Places(self.index.dim, len(self.warps))
            self.places.add(self.embeddings, self.scores, self._variances(self.noise))
        else:
            self.places.add(added, scores, self._variances(noise))
        self._calibrate()

    def _extend(self, added: Floats, scores: Floats, noise: Floats) -> None:
        if self.processes is None:
            new = zip(self.kernels, scores.T, noise.T, strict=True)
            self.processes = [Kriging(kernel, added, s, v) for kernel, s, v in new]
        else:
            grown = zip(self.processes, scores.T, noise.T, strict=True)
            self.processes = [process.extended(added, s, v) for process, s, v in grown]

    def _variances(self, noise: Floats) -> Floats:
        """Return the whole variances of measurements with known ones, (n, T)."""
        return noise + [kernel.noise + JITTER for kernel in self.kernels]

    def predict(self, queries: NDArray[np.float32], return_std: bool) -> tuple[Floats, Floats | None]:
        """Return medians and, if asked for, standard deviations, (m, T) each."""
        if not return_std and self.processes is not None:
            q = queries.astype(np.float64)
            return self._values(np.column_stack([process.predict(q) for process in self.processes])), None
        scores, variances = self.posterior(queries)
        if not return_std:
            return self._values(scores), None
        lower, upper = self._ends(scores, variances, COVERAGE)
        return self._values(scores), (upper - lower) / (2 * norm.ppf((1 + COVERAGE) / 2))

    def interval(self, queries: NDArray[np.float32], coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of central intervals, (m, T) each."""
        return self._ends(*self.posterior(queries), coverage)

    def posterior(self, queries: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Return means and variances of the scores that would be measured, (m, T) each."""
        if self.processes is None:
            return self._local(queries, self._nearest(queries, self.n_neighbors))
        q = queries.astype(np.float64)
        variances = np.column_stack([process.variance(q) for process in self.processes])
        return np.column_stack([process.predict(q) for process in self.processes]), variances

    def weights(self, query: NDArray[np.float32]) -> tuple[Floats, Ints, Floats]:
        """Return distances, positions and weights (of the first target) of the neighbours of one query (1, dim)."""
        if self.processes is not None:
            distances, neighbors = self.index.search(query, len(self.scores))
            weights = self.processes[0].weights(query.astype(np.float64))[0][neighbors[0]]
            return distances[0].astype(np.float64), neighbors[0], weights
        assert self.places is not None
        near = self._nearest(query, self.n_neighbors)
        by_place = self._local_weights(query, near)[0]
        members = np.flatnonzero(np.isin(self.places.of, near[0]))
        place = self.places.of[members]
        share = self.places.variances[place, 0] / self._variances(self.noise)[members, 0]
        lookup = dict(zip(near[0].tolist(), by_place.tolist(), strict=True))
        distances = np.linalg.norm(self.embeddings[members] - query, axis=1).astype(np.float64)
        return distances, members, share * [lookup[p] for p in place.tolist()]

    def sample(self, queries: NDArray[np.float32], n: int, rng: np.random.Generator) -> Floats:
        """Draw n times from the joint distribution of the queries' true values, (n, m, T)."""
        processes = self.processes or self._around(queries)
        q = queries.astype(np.float64)
        drawn = []
        for t, process in enumerate(processes):
            root = _square_root(process.covariance(q))
            widening = self._factor(t, COVERAGE) / norm.ppf((1 + COVERAGE) / 2)
            drawn.append(process.predict(q) + widening * rng.standard_normal((n, len(q))) @ root.T)
        return self._values(np.stack(drawn, axis=-1))

    def standardised_errors(self, queries: NDArray[np.float32], y: Floats, y_std: Floats | None) -> Floats:
        """Return measured less estimated scores in calibrated standard deviations, (m, T)."""
        scores, noise = score(self.warps, y, y_std)
        means, variances = self.posterior(queries)
        factors = [self._factor(t, COVERAGE) / norm.ppf((1 + COVERAGE) / 2) for t in range(len(self.warps))]
        return (scores - means) / np.sqrt(variances + noise) / factors

    def _values(self, scores: Floats) -> Floats:
        """Return the values of scores (..., T)."""
        return np.stack([warp.inverse(scores[..., t]) for t, warp in enumerate(self.warps)], axis=-1)

    def _ends(self, scores: Floats, variances: Floats, coverage: float) -> tuple[Floats, Floats]:
        if not 0 < coverage < 1:
            raise InvalidOptionError(f"coverage must be between 0 and 1, got {coverage!r}")
        half = np.sqrt(variances) * [self._factor(t, coverage) for t in range(len(self.warps))]
        return self._values(scores - half), self._values(scores + half)

    def _factor(self, target: int, coverage: float) -> float:
        """Return how many standard deviations of the process cover that share: leave-one-out residuals and a normal prior."""
        residuals = self.residuals[:, target]
        n, normal = len(residuals), norm.ppf((1 + coverage) / 2)
        observed = np.quantile(residuals, min(1.0, coverage * (1 + 1 / n)))
        return float((n * observed + PRIOR_LABELS * normal) / (n + PRIOR_LABELS) * np.sqrt(1 + LEARNED / n))

    def _calibrate(self) -> None:
        """Set the absolute leave-one-out residuals in standard deviations, (n or `CALIBRATED`, T)."""
        if self.processes is not None:
            each = [process.leave_one_out() for process in self.processes]
            left = np.column_stack(
                [(p.scores - mean) / np.sqrt(var) for p, (mean, var) in zip(self.processes, each, strict=True)]
            )
        else:
            assert self.places is not None
            chosen = np.random.default_rng(0).permutation(len(self.places))[:CALIBRATED]
            found = self._nearest(self.places.embeddings[chosen], self.n_neighbors + 1)
            others = np.argsort(found == chosen[:, None], axis=1, kind="stable")[:, :-1]
            means, variances = self._local(self.places.embeddings[chosen], np.take_along_axis(found, others, 1))
            variances += self.places.variances[chosen] - self._variances(np.zeros_like(means))
            left = (self.places.scores[chosen] - means) / np.sqrt(variances)
        self.residuals = np.abs(left)

    def _nearest(self, queries: NDArray[np.float32], k: int) -> Ints:
        """Return the nearest places, (m, k)."""
        assert self.places is not None
        return self.places.index.search(queries, k)[1]

    def _local(self, queries: NDArray[np.float32], near: Ints) -> tuple[Floats, Floats]:
        """Return means and variances of the scores from given places (m, k), (m, T) each."""
        assert self.places is not None
        means, variances = np.empty((2, len(queries), len(self.kernels)))
        scores, noise = self.places.scores, self.places.variances
        for start in range(0, len(queries), CHUNK):
            rows = slice(start, start + CHUNK)
            q, ids = queries[rows].astype(np.float64), near[rows]
            known = self.places.embeddings[ids].astype(np.float64)
            for t, kernel in enumerate(self.kernels):
                means[rows, t], variances[rows, t], _ = local_kriging(kernel, q, known, scores[ids, t], noise[ids, t])
        return means, variances

    def _local_weights(self, query: NDArray[np.float32], near: Ints) -> Floats:
        """Return the weights of given places for the first target, (m, k)."""
        assert self.places is not None
        known, q = self.places.embeddings[near].astype(np.float64), query.astype(np.float64)
        return local_kriging(self.kernels[0], q, known, self.places.scores[near, 0], self.places.variances[near, 0])[2]

    def _around(self, queries: NDArray[np.float32]) -> list[Kriging]:
        """Return exact processes over the nearest places of all queries together, the first `exact_up_to` by distance."""
        assert self.places is not None
        distances, near = self.places.index.search(queries, self.n_neighbors)
        order = near.ravel()[np.argsort(distances.ravel(), kind="stable")]
        _, first = np.unique(order, return_index=True)
        ids = order[np.sort(first)][: max(self.exact_up_to, self.n_neighbors)]
        known, scores = self.places.embeddings[ids].astype(np.float64), self.places.scores[ids]
        beyond = self.places.variances[ids] - self._variances(np.zeros_like(scores))
        return [Kriging(kernel, known, scores[:, t], beyond[:, t]) for t, kernel in enumerate(self.kernels)]


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
