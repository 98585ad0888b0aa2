"""Embeddings that a query is compared with one by one: all of an index, or those that may be found.

Letters: n queries.
"""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

__all__ = ["Compared"]


class Compared:
    """Some embeddings next to each other in memory: twins of what may be found, hidden among all, would have to be passed over.

    Parameters
    ----------
    vectors : ndarray of shape (n_stored, dim)
    rows : ndarray, optional
        Those that may be found; None for all.
    """

    def __init__(self, vectors: NDArray[np.float32], rows: NDArray[np.int64] | None) -> None:
        self.rows = rows
        self.vectors = np.require(vectors if rows is None else vectors[rows], requirements="A")
        self.count = len(self.vectors)

    def find(self, queries: NDArray[np.float32], k: int, metric: int) -> NDArray[np.int64]:
        """Return the rows of the k nearest of each query, (n, k); -1 where an embedding is no number."""
        found: NDArray[np.int64] = faiss.knn(queries, self.vectors, k, metric)[1]
        return found if self.rows is None else np.where(found < 0, -1, self.rows[found])
