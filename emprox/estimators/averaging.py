"""Weighted averages of the nearest known architectures' performances, as published.

Letters: n queries, k neighbours, T targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from emprox.encoders.kernel import correlation
from emprox.errors import InvalidOptionError
from emprox.index import EmbeddingIndex

__all__ = ["WEIGHTS", "NeighborAverage"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SAME = 1e-5
"""Embeddings closer than this share of their mean norm are one point: encoding in another batch changes the last digits."""


def inverse_weights(distances: Floats) -> Floats:
    """Return 1 / distance, the published weights."""
    return 1 / distances


def kernel_weights(distances: Floats) -> Floats:
    """Return the Matern-5/2 correlation at a distance, with length scale 1: the Nadaraya-Watson estimate."""
    return np.maximum(correlation(np.square(distances)), np.finfo(np.float64).tiny)


WEIGHTS: dict[str, Callable[[Floats], Floats]] = {"inverse": inverse_weights, "kernel": kernel_weights}
"""Weights by name: positive distances (n, k) to weights (n, k) of any scale."""


class NeighborAverage:
    """Estimates that are averages of the k nearest known values, and their spread.

    A query at distance 0 of known architectures gets the mean of their values alone.

    Parameters
    ----------
    index : EmbeddingIndex
        Embeddings of the known architectures, by position.
    y, y_std : ndarray of shape (n_known, T)
        Known values and their standard deviations, or None.
    n_neighbors : int
        k.
    weights : str or callable
        Name in `WEIGHTS`, or a function of positive distances (n, k).
    """

    def __init__(
        self,
        index: EmbeddingIndex,
        y: Floats,
        y_std: Floats | None,
        n_neighbors: int,
        weights: str | Callable[[Floats], Floats],
    ) -> None:
        self.index, self.y, self.y_std = index, y, y_std
        self.n_neighbors, self.function = n_neighbors, weights
        self.precision = None
        if y_std is not None:
            variance = np.square(y_std).mean(axis=1)
            self.precision = 1 / (variance + (variance.mean() or 1))
        self._calibrate()

    def predict(self, queries: NDArray[np.float32], return_std: bool) -> tuple[Floats, Floats | None]:
        """Return estimates and, if asked for, their standard deviations, (n, T) each."""
        distances, neighbors = self.nearest(queries)
        weights = self.weigh(distances, neighbors)
        estimates = self._average(weights, neighbors)
        return estimates, self._std(estimates, distances, weights, neighbors) if return_std else None

    def interval(self, queries: NDArray[np.float32], coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of a central normal interval around each estimate, (n, T) each."""
        estimates, std = self.predict(queries, return_std=True)
        half = norm.ppf((1 + coverage) / 2) * std
        return estimates - half, estimates + half

    def weights(self, query: NDArray[np.float32]) -> tuple[Floats, Ints, Floats]:
        """Return distances, positions and weights of the neighbours of one query (1, dim)."""
        distances, neighbors = self.nearest(query)
        return distances[0], neighbors[0], self.weigh(distances, neighbors)[0]

    def leave_one_out(self, coverage: float) -> tuple[Ints, Floats, Floats, Floats]:
        """Return positions (n,) of all known, their estimates without themselves, and the ends of intervals, (n, T) each."""
        distances, neighbors, weights = self._others()
        estimates = self._average(weights, neighbors)
        half = norm.ppf((1 + coverage) / 2) * self._std(estimates, distances, weights, neighbors)
        return np.arange(len(self.y)), estimates, estimates - half, estimates + half

    def left_out_weights(self) -> Iterator[tuple[Ints, Floats]]:
        """Yield, for each known architecture, positions of its neighbours and their weights."""
        _, neighbors, weights = self._others()
        return zip(neighbors, weights, strict=True)

    def _others(self) -> tuple[Floats, Ints, Floats]:
        """Return distances, positions and weights of the neighbours of each known architecture but itself, (n, k) each."""
        known = self.index.reconstruct(np.arange(len(self.y)))
        distances, neighbors = self.index.search(known, self.n_neighbors + 1)
        is_self = neighbors == np.arange(len(known))[:, None]
        others = np.argsort(is_self, axis=1, kind="stable")[:, : distances.shape[1] - 1]
        snapped, neighbors = self._snapped(np.take_along_axis(distances, others, 1)), np.take_along_axis(neighbors, others, 1)
        return snapped, neighbors, self.weigh(snapped, neighbors)

    def nearest(self, queries: NDArray[np.float32]) -> tuple[Floats, Ints]:
        """Return distances and positions of the k nearest known, and of all at distance 0."""
        known = len(self.index)
        k = min(self.n_neighbors, known)
        distances, neighbors = self.index.search(queries, k)
        while k < known and len(queries) and (distances[:, -1] <= self.same).any():
            k = min(2 * k, known)
            distances, neighbors = self.index.search(queries, k)
        return self._snapped(distances), neighbors

    def weigh(self, distances: Floats, neighbors: Ints) -> Floats:
        """Return weights (n, columns) that sum to 1 in each row: those at distance 0 alone, or the first k by distance."""
        k = min(self.n_neighbors, distances.shape[1])
        exact = distances == 0
        positive = np.where(exact[:, :k], 1, distances[:, :k])
        weights = np.zeros(distances.shape)
        weights[:, :k] = self._weight_function(positive)
        weights = np.where(exact[:, :1], exact, weights)
        if self.precision is not None:
            weights = weights * self.precision[neighbors]
        return weights / weights.sum(axis=1, keepdims=True)

    def _snapped(self, distances: NDArray[np.float32]) -> Floats:
        """Return distances as float64, those within rounding of an exact match as 0."""
        return np.where(distances <= self.same, 0, distances).astype(np.float64)

    def _weight_function(self, distances: Floats) -> Floats:
        if not callable(self.function):
            return WEIGHTS[self.function](distances)
        weights = np.asarray(self.function(distances), dtype=np.float64)
        usable = weights.shape == distances.shape and np.isfinite(weights).all() and (weights >= 0).all()
        if not usable or (weights.sum(axis=1) == 0).any():
            raise InvalidOptionError(
                f"weights({distances.shape}) must return finite non-negative weights of the same shape, not all 0 in a row; "
                f"got shape {weights.shape}, smallest {weights.min(initial=np.inf)}"
            )
        return weights

    def _average(self, weights: Floats, neighbors: Ints) -> Floats:
        values = self.y[neighbors]  # (n, columns, T)
        used = (weights > 0)[..., None]
        lowest = np.where(used, values, np.inf).min(axis=1, initial=np.inf)
        highest = np.where(used, values, -np.inf).max(axis=1, initial=-np.inf)
        return np.clip((weights[..., None] * values).sum(axis=1), lowest, highest)

    def _variance(self, estimates: Floats, weights: Floats, neighbors: Ints) -> Floats:
        return (weights[..., None] * (self.y[neighbors] - estimates[:, None]) ** 2).sum(axis=1)

    def _std(self, estimates: Floats, distances: Floats, weights: Floats, neighbors: Ints) -> Floats:
        std = self.scale * np.sqrt(self._variance(estimates, weights, neighbors) + self.floor)
        known = np.sqrt(self._variance(estimates, weights, neighbors))  # of what was measured there more than once
        if self.y_std is not None:
            known = np.hypot(known, np.sqrt(((weights[..., None] * self.y_std[neighbors]) ** 2).sum(axis=1)))
        return np.where((distances == 0).any(axis=1)[:, None], known, std)

    def _calibrate(self) -> None:
        """Set scale and floor of standard deviations (T,) from the leave-one-out residuals of the known architectures."""
        known = self.index.reconstruct(np.arange(len(self.y)))
        self.same = SAME * float(np.linalg.norm(known, axis=1).mean())
        if len(known) == 1:
            self.scale, self.floor = np.full(self.y.shape[1], np.inf), np.ones(self.y.shape[1])
            return
        _, neighbors, weights = self._others()
        estimates = self._average(weights, neighbors)
        squared = (self.y - estimates) ** 2
        self.floor = np.maximum(squared.mean(axis=0), np.finfo(np.float64).tiny)
        self.scale = np.sqrt(np.mean(squared / (self._variance(estimates, weights, neighbors) + self.floor), axis=0))
