"""Exact nearest neighbours by FAISS, with ids that survive removal, saving and loading."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal, cast

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, StorageError
from emprox.validation import check_at_least

__all__ = ["EmbeddingIndex"]

HEAD = struct.Struct("<4siqqq?i")
"""What FAISS writes first of an index: kind, dimensions, vectors, two unused numbers, whether it is trained, metric."""
COUNT = struct.Struct("<Q")
KINDS = {b"IxF2": faiss.METRIC_L2, b"IxFI": faiss.METRIC_INNER_PRODUCT}

MARGIN = 8
"""Neighbours fetched beyond k, since FAISS rounds when it searches many queries at once."""
ROUNDING = 4e-6
"""Bound on twice the error of FAISS's squared distances, relative to the squared norms."""


class EmbeddingIndex:
    """A flat FAISS index over embeddings.

    Distances are recomputed from the differences of the vectors found, so that a vector that is in the index is found at
    distance exactly 0, and ties are ordered by id, so that answers do not depend on the order of insertion.

    Parameters
    ----------
    dim : int
        Dimensions of an embedding.
    metric : {"l2", "inner_product"}
        Euclidean distance, smallest first; or inner product, largest first.

    Examples
    --------
    >>> index = EmbeddingIndex(dim=2)
    >>> index.add([[0, 0], [3, 4]], ids=[7, 9])
    array([7, 9])
    >>> distances, ids = index.search([[0, 0]], k=2)
    >>> distances.tolist(), ids.tolist()
    ([[0.0, 5.0]], [[7, 9]])
    """

    def __init__(self, dim: int, metric: Literal["l2", "inner_product"] = "l2") -> None:
        check_at_least("dim", dim, 1)
        flat = {"l2": faiss.IndexFlatL2, "inner_product": faiss.IndexFlatIP}
        if metric not in flat:
            raise InvalidOptionError(f"metric must be one of {', '.join(flat)}, got {metric!r}")
        self._index = faiss.IndexIDMap2(flat[metric](dim))
        self._next = 0

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Dimensions of an embedding."""
        return int(self._index.d)

    @property
    def metric(self) -> str:
        """``l2`` or ``inner_product``."""
        return "l2" if self._index.metric_type == faiss.METRIC_L2 else "inner_product"

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids in the index, in storage order, ndarray of shape (len(index),)."""
        return faiss.vector_to_array(self._index.id_map).astype(np.int64)

    def add(self, vectors: ArrayLike, ids: ArrayLike | None = None) -> NDArray[np.int64]:
        """Add embeddings and return their ids.

        Parameters
        ----------
        vectors : array-like of shape (n, dim)
            Finite numbers, kept as float32.
        ids : array-like of shape (n,), optional
            Non-negative integers that are not in the index yet; by default those that follow the largest ever given.

        Raises
        ------
        InvalidDataError
            If shapes differ, a number is not finite, or an id is taken or given twice; the index stays as it was.
        """
        x = self._vectors(vectors)
        new = np.arange(self._next, self._next + len(x)) if ids is None else np.asarray(ids)
        if new.shape != (len(x),) or not np.issubdtype(new.dtype, np.integer):
            raise InvalidDataError(f"expected {len(x)} integer ids, one for each vector, got {ids!r}")
        new = new.astype(np.int64)
        taken = np.intersect1d(new, self.ids)
        if len(taken) or len(np.unique(new)) < len(new) or (new < 0).any():
            raise InvalidDataError(
                f"ids must be non-negative, distinct and new to the index; got {new[:5].tolist()}..., taken: {taken[:5].tolist()}"
            )
        self._index.add_with_ids(x, new)
        self._next = max(self._next, int(new.max(initial=-1)) + 1)
        return new

    def remove(self, ids: ArrayLike) -> None:
        """Remove embeddings by id; the other ids stay. An id that is not there is an error and nothing is removed."""
        gone = np.unique(np.atleast_1d(np.asarray(ids, dtype=np.int64)))
        self._require(gone)
        self._index.remove_ids(gone)  # type: ignore[arg-type]

    def reconstruct(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Return the stored embeddings of these ids, ndarray of shape (n, dim)."""
        wanted = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        self._require(wanted)
        return self._index.reconstruct_batch(wanted)

    def search(self, queries: ArrayLike, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the k nearest embeddings of each query, or all of them if there are fewer.

        Parameters
        ----------
        queries : array-like of shape (n, dim)
        k : int
            At least 1.

        Returns
        -------
        distances : ndarray of shape (n, min(k, len(self)))
            Euclidean distances in increasing order, or inner products in decreasing order.
        ids : ndarray of shape (n, min(k, len(self)))
            Equal distances are in the order of the ids.
        """
        check_at_least("k", k, 1)
        q = self._vectors(queries)
        k = min(k, len(self))
        if k == 0:
            return np.empty((len(q), 0), np.float32), np.empty((len(q), 0), np.int64)
        distances = np.empty((len(q), k), np.float32)
        ids = np.empty((len(q), k), np.int64)
        rows, fetch = np.arange(len(q)), k
        while len(rows):
            fetch = min(fetch + MARGIN, len(self))
            found, settled = self._fetch(q[rows], k, fetch)
            distances[rows], ids[rows] = found
            rows = rows[~settled]
            fetch *= 2
        return distances, ids

    def save(self, path: str | Path) -> None:
        """Write the index to a file in FAISS's own format."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise StorageError(f"could not write the index to {path}: {error}") from error

    def to_bytes(self) -> bytes:
        """Return what `save` would write."""
        return faiss.serialize_index(self._index).tobytes()

    @classmethod
    def load(cls, path: str | Path) -> EmbeddingIndex:
        """Read an index from a file that `save` wrote; ids are as they were."""
        if not Path(path).is_file():
            raise StorageError(f"no index file at {path}")
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except CorruptFileError as error:
            raise CorruptFileError(f"{path} is not a FAISS index: {error}") from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> EmbeddingIndex:
        """Return the index of what `to_bytes` gave.

        The layout is compared with that of a flat index before FAISS, whose reader trusts what it is given, sees a byte.

        Raises
        ------
        CorruptFileError
            If it is something else.
        """
        _check_layout(data)
        try:
            stored = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        except (RuntimeError, MemoryError) as error:
            raise CorruptFileError(str(error)) from error
        index = cls(stored.d)
        index._index = cast(faiss.IndexIDMap2, stored)
        index._next = int(index.ids.max(initial=-1)) + 1
        return index

    def _fetch(
        self, q: NDArray[np.float32], k: int, fetch: int
    ) -> tuple[tuple[NDArray[np.float32], NDArray[np.int64]], NDArray[np.bool_]]:
        """Return the k best of the `fetch` that FAISS finds, and for which queries no tie can lie beyond those."""
        _, ids, vectors = self._index.search_and_reconstruct(q, fetch)
        key = np.square(vectors - q[:, None]).sum(-1) if self.metric == "l2" else -np.einsum("nkd,nd->nk", vectors, q)
        order = np.lexsort((ids, key), axis=-1)
        key, ids = np.take_along_axis(key, order, 1), np.take_along_axis(ids, order, 1)
        error = ROUNDING * (np.square(q).sum(-1) + np.square(vectors).sum(-1).max(-1))
        settled = (key[:, -1] - error > key[:, k - 1]) | (fetch == len(self))
        values = np.sqrt(key) if self.metric == "l2" else -key
        return (values[:, :k], ids[:, :k]), settled

    def _vectors(self, vectors: ArrayLike) -> NDArray[np.float32]:
        x = np.ascontiguousarray(vectors, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InvalidDataError(f"expected vectors of shape (n, {self.dim}), got {x.shape}")
        if not np.isfinite(x).all():
            raise InvalidDataError("vectors must be finite, got NaN or infinity")
        return x

    def _require(self, ids: NDArray[np.int64]) -> None:
        missing = np.setdiff1d(ids, self.ids)
        if len(missing):
            raise InvalidDataError(f"ids not in the index: {missing[:5].tolist()}")


def _check_layout(data: bytes) -> None:
    """Raise unless these are the bytes of a flat index with distinct ids: every count agrees with the length."""
    try:
        outer, dim, total, *_, metric = HEAD.unpack_from(data)
        inner, inner_dim, inner_total, *_, inner_metric = HEAD.unpack_from(data, HEAD.size)
    except struct.error as error:
        raise CorruptFileError(f"it has {len(data)} bytes: {error}") from None
    if outer != b"IxM2" or KINDS.get(inner) != inner_metric:
        raise CorruptFileError(f"it holds {outer!r} over {inner!r}, expected a flat index with ids")
    if (dim, total, metric) != (inner_dim, inner_total, inner_metric) or dim < 1 or total < 0:
        raise CorruptFileError(f"it says {dim} dimensions and {total} vectors, and {inner_dim} and {inner_total}")
    start = 2 * HEAD.size
    middle = start + COUNT.size + 4 * dim * total
    if len(data) != middle + COUNT.size + 8 * total:
        raise CorruptFileError(f"it has {len(data)} bytes, not those of {total} vectors of {dim} dimensions")
    if (COUNT.unpack_from(data, start), COUNT.unpack_from(data, middle)) != ((dim * total,), (total,)):
        raise CorruptFileError("its counts do not agree")
    vectors = np.frombuffer(data, "<f4", dim * total, start + COUNT.size)
    ids = np.frombuffer(data, "<i8", total, middle + COUNT.size)
    if not np.isfinite(vectors).all() or len(np.unique(ids)) < total or (ids < 0).any():
        raise CorruptFileError("its vectors are not finite, or its ids not distinct and non-negative")
