"""Kriging: the weights of the known architectures that make the estimate's expected squared error smallest.

Letters: m queries, n known, k neighbours, dim dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri

from emprox.encoders.kernel import JITTER, Kernel

__all__ = ["Kriging", "local_kriging"]

Floats = NDArray[np.float64]
Vectors = NDArray[np.floating]


class Kriging:
    """A Gaussian process of mean 0 over embeddings, conditioned on all known architectures.

    Fitting costs O(n^3), a query O(n) for the estimate and O(n^2) with its variance.

    Parameters
    ----------
    kernel : Kernel
        Covariance of embeddings.
    embeddings : ndarray of shape (n, dim)
    scores : ndarray of shape (n,)
        Standardised performances.
    noise : ndarray of shape (n,) or float
        Variances of the scores beyond the kernel's noise; negative for the mean of several measurements.

    References
    ----------
    Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, sections 2.2 and 5.4.2.
    """

    def __init__(self, kernel: Kernel, embeddings: Floats, scores: Floats, noise: Floats | float = 0.0) -> None:
        self.kernel, self.embeddings, self.scores = kernel, embeddings, scores
        self.noise = np.broadcast_to(np.asarray(noise, dtype=np.float64), scores.shape)
        self._lower = cholesky(self._covariance(embeddings, self.noise), lower=True, check_finite=False)
        self._alpha = cho_solve((self._lower, True), scores, check_finite=False)

    def extended(self, embeddings: Floats, scores: Floats, noise: Floats | float = 0.0) -> Kriging:
        """Return the process with more known architectures, by rows added to the Cholesky factor: O(n^2) for each."""
        fresh = object.__new__(Kriging)
        added = np.broadcast_to(np.asarray(noise, dtype=np.float64), scores.shape)
        cross = solve_triangular(self._lower, self.kernel(self.embeddings, embeddings), lower=True, check_finite=False)
        corner = cholesky(self._covariance(embeddings, added) - cross.T @ cross, lower=True, check_finite=False)
        fresh.kernel = self.kernel
        fresh.embeddings = np.concatenate([self.embeddings, embeddings])
        fresh.scores, fresh.noise = np.concatenate([self.scores, scores]), np.concatenate([self.noise, added])
        fresh._lower = np.block([[self._lower, np.zeros_like(cross)], [cross.T, corner]])
        fresh._alpha = cho_solve((fresh._lower, True), fresh.scores, check_finite=False)
        return fresh

    def predict(self, queries: Floats) -> Floats:
        """Return the estimated scores of queries (m, dim), (m,)."""
        return self.kernel(queries, self.embeddings) @ self._alpha

    def posterior(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return means and variances of the scores that would be measured, noise included, (m,) each."""
        cross = self.kernel(queries, self.embeddings)
        half = solve_triangular(self._lower, cross.T, lower=True, check_finite=False)
        variances = np.maximum(self.kernel.variance - np.square(half).sum(axis=0), 0) + self.kernel.noise + JITTER
        return cross @ self._alpha, variances

    def covariance(self, queries: Floats) -> Floats:
        """Return the covariance of the queries' scores without noise, (m, m)."""
        known = self.projections(queries)
        return self.kernel(queries, queries) - known @ known.T

    def projections(self, queries: Floats) -> Floats:
        """Return what is known of the queries' scores as vectors (m, n): their products are the covariance that is explained."""
        return solve_triangular(self._lower, self.kernel(self.embeddings, queries), lower=True, check_finite=False).T

    @cached_property
    def projected_scores(self) -> Floats:
        """The known scores (n,) in the same terms: a query's vector times them is its estimate."""
        return np.asarray(solve_triangular(self._lower, self.scores, lower=True, check_finite=False), dtype=np.float64)

    def unprojected(self, vectors: Floats) -> Floats:
        """Return the weights of the known scores that vectors (m, n) stand for, (m, n)."""
        return solve_triangular(self._lower, vectors.T, lower=True, trans="T", check_finite=False).T

    def weights(self, queries: Floats) -> Floats:
        """Return the weight of each known score in each estimate, (m, n); they need not be positive or sum to 1."""
        return cho_solve((self._lower, True), self.kernel(self.embeddings, queries), check_finite=False).T

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """Return for each known architecture the estimate and the variance it would have got without itself, (n,) each."""
        variance = 1 / np.diag(self._inverse)
        return self.scores - self._alpha * variance, variance

    def left_out_together(self, by_size: Sequence[NDArray[np.int64]]) -> list[Floats]:
        """Return what the first of each group differs from its estimate without the group, in standard deviations, (c,) each.

        Parameters
        ----------
        by_size : sequence of ndarray of shape (c, g)
            Positions of the known in each group; groups of one size in one array, each of which has a result.

        References
        ----------
        Dubrule, *Cross validation of kriging in a unique neighborhood*, Mathematical Geology 15, 1983.
        """
        inverse, found = self._inverse, []
        for groups in by_size:
            first = np.eye(groups.shape[1], 1)
            rows = np.linalg.solve(inverse[groups[:, :, None], groups[:, None, :]], first)[..., 0]
            found.append(np.einsum("cg,cg->c", rows, self._alpha[groups]) / np.sqrt(rows[:, 0]))
        return found

    def left_out_weights(self) -> Floats:
        """Return the weight of each known score (columns) in the estimate of each other (rows) without itself, (n, n)."""
        inverse = self._inverse
        weights = -inverse / np.diag(inverse)[:, None]
        np.fill_diagonal(weights, 0)
        return np.asarray(weights, dtype=np.float64)

    @property
    def _inverse(self) -> Floats:
        """Inverse of the covariance, (n, n), from its factor: a third of the work of solving for the unit matrix."""
        half, _ = dpotri(self._lower, lower=1)
        half = np.tril(half)
        return np.asarray(half + np.tril(half, -1).T, dtype=np.float64)

    def _covariance(self, embeddings: Floats, noise: Floats) -> Floats:
        covariance = self.kernel(embeddings, embeddings)
        covariance[np.diag_indices(len(embeddings))] += self.kernel.noise + JITTER + noise
        return covariance


def local_kriging(
    kernel: Kernel,
    queries: Floats,
    neighbors: Floats,
    scores: Floats,
    variances: Floats,
    explained: tuple[Vectors, Vectors] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Krige every query from its own neighbours, in one batch of small systems: O(k^3 + k^2 p) for each query.

    Parameters
    ----------
    kernel : Kernel
    queries : ndarray of shape (m, dim)
    neighbors : ndarray of shape (m, k, dim)
        Embeddings of the known architectures next to each query.
    scores : ndarray of shape (m, k)
    variances : ndarray of shape (m, k)
        Whole variances of the scores.
    explained : pair of ndarray of shape (m, p) and (m, k, p), optional
        Vectors of queries and neighbours whose products are the covariance that something else explains already
        (`Kriging.projections`); scores are what it leaves.

    Returns
    -------
    estimates, variances : ndarray of shape (m,)
        Of a measurement, the kernel's noise included.
    weights : ndarray of shape (m, k)
    """
    covariance = kernel(neighbors, neighbors)
    diagonal = np.arange(covariance.shape[-1])
    covariance[:, diagonal, diagonal] += variances
    cross = kernel(queries[:, None], neighbors)[:, 0]
    own: Floats | float = kernel.variance
    if explained is not None:
        of_queries, of_neighbors = explained
        covariance -= of_neighbors @ of_neighbors.swapaxes(-1, -2)
        cross -= (of_neighbors @ of_queries[..., None])[..., 0]
        own = own - np.square(of_queries).sum(axis=-1)
    weights = np.asarray(np.linalg.solve(covariance, cross[..., None])[..., 0], dtype=np.float64)
    left = np.maximum(own - (weights * cross).sum(axis=1), 0) + kernel.noise + JITTER
    estimates: Floats = (weights * scores).sum(axis=1)
    return estimates, left, weights
