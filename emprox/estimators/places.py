"""Distinct embeddings, each with the mean of what was measured there: architectures of the same function are one neighbour.

Letters: n measurements, P places, T targets, dim dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emprox.index import EmbeddingIndex
from emprox.index.rows import Rows

__all__ = ["Places"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
AT_ONCE = 1 << 16
"""Embeddings that are put on the grid at a time; bounds memory."""
GRID = 1e-5
"""Embeddings in the same cell of a grid this wide are one place; length scales are about 1."""


class Places:
    """Measurements by place; the mean of several weighs each by the inverse of its variance.

    For a Gaussian process that mean is worth exactly as much as the measurements it stands for, so nothing is lost, and the k
    nearest places reach further than the k nearest measurements. Adding costs time for the new rows only.

    Parameters
    ----------
    index : EmbeddingIndex
        Embeddings of the measurements, by position; a place has that of the first that was measured there.
    targets : int
        T.
    """

    def __init__(self, index: EmbeddingIndex, targets: int) -> None:
        self.index = index
        self._of, self._first = Rows(np.empty(0, np.int64)), Rows(np.empty(0, np.int64))
        self._is_first = Rows(np.empty(0, bool))
        self._precision, self._weighted = Rows(np.empty((0, targets))), Rows(np.empty((0, targets)))
        self._known: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._first)

    @property
    def of(self) -> Ints:
        """Place of each measurement, (n,)."""
        return self._of.all

    @property
    def first(self) -> Ints:
        """Position of what was measured first at each place, (P,)."""
        return self._first.all

    def add(self, embeddings: Vectors, scores: Floats, variances: Floats) -> None:
        """Add measurements: embeddings (new, dim), which the index holds already, scores and their variances (new, T)."""
        before = len(self._of)
        for start in range(0, len(embeddings), AT_ONCE):
            self._place(embeddings[start : start + AT_ONCE])
        places = self.of[before:]
        empty = np.zeros((len(self) - len(self._precision), scores.shape[1]))
        for totals, new in ((self._precision, 1 / variances), (self._weighted, scores / variances)):
            totals.append(empty)
            np.add.at(totals.all, places, new)

    def _place(self, embeddings: Vectors) -> None:
        """Say of embeddings (new, dim) which place they are at."""
        position, count = len(self._of), len(self)
        places: list[int] = []
        fresh: list[int] = []
        for row, cell in enumerate(np.round(embeddings / GRID).astype(np.int64)):
            key = hash(cell.tobytes())
            if key not in self._known:
                self._known[key] = count + len(fresh)
                fresh.append(position + row)
            places.append(self._known[key])
        is_first = np.zeros(len(places), bool)
        is_first[np.array(fresh, dtype=np.int64) - position] = True
        for rows, new in ((self._of, places), (self._first, fresh), (self._is_first, is_first)):
            rows.append(new)

    def nearest(self, queries: Vectors, k: int) -> tuple[NDArray[np.float32], Ints]:
        """Return distances and places of the k nearest of each query, (m, k) each."""
        distances, positions = self.index.search(queries, k, self._is_first.all)
        return distances, self.of[positions]

    def embeddings(self, places: Ints) -> Vectors:
        """Return the embeddings of places, (m, dim)."""
        return self.index.reconstruct(self.first[places])

    def scores(self, places: Ints) -> Floats:
        """Return the mean scores of places of any shape (...), (..., T)."""
        return self._weighted.all[places] / self._precision.all[places]

    def variances(self, places: Ints) -> Floats:
        """Return the variances of those means, (..., T)."""
        return 1 / self._precision.all[places]
