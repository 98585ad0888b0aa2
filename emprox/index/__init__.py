"""Nearest neighbours among embeddings, and a store of measured architectures that lasts.

In: embeddings, float32 ndarray of shape (n, dim); records of what was measured. Out: distances and ids of the nearest, each
of shape (n, k); entries and tables. Next: `emprox.estimators` weighs the known performance of those neighbours.
"""

from emprox.index.embedding_index import EmbeddingIndex
from emprox.index.embeddings import StoredEmbedding
from emprox.index.records import Record
from emprox.index.store import Entry, Store

__all__ = ["EmbeddingIndex", "Entry", "Record", "Store", "StoredEmbedding"]
