"""Distinct embeddings, each with the mean of what was measured there: architectures of the same function are one neighbour.

Letters: n measurements, P places, T targets, dim dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emprox.index import EmbeddingIndex

__all__ = ["Places"]

Floats = NDArray[np.float64]
GRID = 1e-5
"""Embeddings in the same cell of a grid this wide are one place; length scales are about 1."""


class Places:
    """Measurements by place; the mean of several weighs each by the inverse of its variance.

    For a Gaussian process that mean is worth exactly as much as the measurements it stands for, so nothing is lost, and the k
    nearest places reach further than the k nearest measurements. Adding costs time for the new rows only, apart from copying.

    Attributes
    ----------
    of : ndarray of shape (n,)
        Place of each measurement.
    embeddings : ndarray of shape (P, dim)
    index : EmbeddingIndex
        Of the places.
    """

    def __init__(self, dim: int, targets: int) -> None:
        self.index = EmbeddingIndex(dim)
        self.embeddings = np.empty((0, dim), np.float32)
        self.of = np.empty(0, np.int64)
        self._precision, self._weighted = np.empty((0, targets)), np.empty((0, targets))
        self._known: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.embeddings)

    def add(self, embeddings: NDArray[np.float32], scores: Floats, variances: Floats) -> None:
        """Add measurements: embeddings (new, dim), scores and their variances (new, T)."""
        cells = np.round(embeddings / GRID).astype(np.int64)
        before = len(self)
        places: list[int] = []
        fresh: list[int] = []
        for row, cell in enumerate(cells):
            key = hash(cell.tobytes())
            if key not in self._known:
                self._known[key] = before + len(fresh)
                fresh.append(row)
            places.append(self._known[key])
        new = embeddings[fresh]
        self.index.add(new)
        self.embeddings = np.concatenate([self.embeddings, new])
        self.of = np.concatenate([self.of, np.array(places, dtype=np.int64)])
        empty = np.zeros((len(fresh), scores.shape[1]))
        self._precision, self._weighted = np.concatenate([self._precision, empty]), np.concatenate([self._weighted, empty])
        np.add.at(self._precision, places, 1 / variances)
        np.add.at(self._weighted, places, scores / variances)

    @property
    def scores(self) -> Floats:
        """Mean score of each place, (P, T)."""
        return self._weighted / self._precision

    @property
    def variances(self) -> Floats:
        """Variance of each mean, (P, T)."""
        return 1 / self._precision
