"""Nearest neighbours among embeddings.

In: embeddings, float32 ndarray of shape (n, dim). Out: distances and ids of the nearest, each of shape (n, k).
Next: `emprox.estimators` weighs the known performance of those neighbours.
"""

from emprox.index.embedding_index import EmbeddingIndex

__all__ = ["EmbeddingIndex"]
