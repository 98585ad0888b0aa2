"""Nearest neighbours by FAISS, exact while they are few, with ids that survive removal, saving and loading."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal, get_args

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, StorageError
from emprox.index.approximate import FINDERS, GPU_MOST, Finder, on_gpu
from emprox.index.compared import Compared
from emprox.index.files import FLAT, MAPPED, METRICS, read_arrays, read_flat, write_arrays, write_flat
from emprox.index.ids import Ids
from emprox.index.rows import Rows
from emprox.persistence import write_file
from emprox.registry import nearest
from emprox.validation import check_at_least

__all__ = ["EmbeddingIndex", "IndexKind", "check_index_kind"]

IndexKind = Literal["auto", "flat", "ivf", "hnsw", "ivfpq"]
KINDS: tuple[str, ...] = get_args(IndexKind)
EXACT_UP_TO = 50_000
"""Largest number of embeddings of which ``auto`` searches all."""
SHORT_CODES_FROM = 4_000_000
"""Number of embeddings beyond which ``auto`` keeps codes of a byte for four dimensions instead of one for each."""
RELEARNED = 4
"""An approximate index is learned again when it holds this many times the embeddings that it was learned from."""
MOST_GONE = 0.2
"""Share of removed embeddings beyond which an approximate index is made again without them."""
MARGIN = 8
"""Neighbours fetched beyond k, since FAISS rounds when it searches many queries at once."""
ROUNDING = 4e-6
"""Bound on twice the error of FAISS's squared distances, relative to the squared norms."""
AT_ONCE = 1 << 24
"""Numbers of the embeddings that are compared exactly at a time; bounds memory."""


class EmbeddingIndex:
    """Embeddings by id, and the nearest of them.

    Up to 50,000 embeddings the search goes through all of them, and is exact. Beyond, FAISS finds candidates, and those are
    compared exactly: distances are right, and a few neighbours may be missing (`recall`).

    Distances are computed from the differences of the vectors found, so that a vector that is in the index is found at
    distance exactly 0, and ties are ordered by id, so that answers of an exact index do not depend on the order of insertion.

    Parameters
    ----------
    dim : int
        Dimensions of an embedding.
    metric : {"l2", "inner_product"}
        Euclidean distance, smallest first; or inner product, largest first.
    kind : {"auto", "flat", "ivf", "hnsw", "ivfpq"}
        ``flat`` always searches all. ``ivf`` searches the lists of the nearest of 2 sqrt(n) centres, ``hnsw`` walks a graph,
        ``ivfpq`` is ``ivf`` with shorter codes, each from 1,000 embeddings on. ``auto`` is ``flat`` up to 50,000, then ``ivf``,
        beyond 4 million ``ivfpq``. docs/scale.md has the measurements behind this rule.

    Notes
    -----
    Adding costs time for the new embeddings. An approximate index is learned again whenever it has grown fourfold. `remove`
    marks embeddings of an approximate index, and makes it again when a fifth is gone. Where FAISS sees a GPU, it searches there.

    Examples
    --------
    >>> index = EmbeddingIndex(dim=2)
    >>> index.add([[0, 0], [3, 4]], ids=[7, 9])
    array([7, 9])
    >>> distances, ids = index.search([[0, 0]], k=2)
    >>> distances.tolist(), ids.tolist()
    ([[0.0, 5.0]], [[7, 9]])
    """

    def __init__(self, dim: int, metric: Literal["l2", "inner_product"] = "l2", kind: IndexKind = "auto") -> None:
        check_at_least("dim", dim, 1)
        if metric not in METRICS:
            raise InvalidOptionError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
        check_index_kind(kind)
        self.metric, self.kind = metric, kind
        self._hold(np.empty((0, dim), np.float32), Ids(np.empty(0, np.int64)))

    def _hold(self, vectors: NDArray[np.float32], ids: Ids) -> None:
        """Set what is in the index."""
        self._vectors, self._ids = Rows(vectors), ids
        self._finder: Finder | None = None
        self._device: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_device": None}

    def __len__(self) -> int:
        return len(self._ids) - self._ids.count_gone

    @property
    def dim(self) -> int:
        """Dimensions of an embedding."""
        return int(self._vectors.all.shape[1])

    @property
    def is_exact(self) -> bool:
        """Whether a search goes through all embeddings."""
        return self._finder is None

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids in the index, in storage order, ndarray of shape (len(index),)."""
        return self._ids.all[~self._ids.gone]

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
        x = self._checked(vectors)
        new = self._ids.following + np.arange(len(x)) if ids is None else np.asarray(ids)
        if new.shape != (len(x),) or not np.issubdtype(new.dtype, np.integer):
            raise InvalidDataError(f"expected {len(x)} integer ids, one for each vector, got {ids!r}")
        new = new.astype(np.int64)
        taken = new[self._ids.rows(new) >= 0]
        if len(taken) or len(np.unique(new)) < len(new) or (new < 0).any():
            raise InvalidDataError(
                f"ids must be non-negative, distinct and new to the index; got {new[:5].tolist()}..., taken: {taken[:5].tolist()}"
            )
        self._vectors.append(x)
        self._ids.add(new)
        self._index(x)
        return new

    def remove(self, ids: ArrayLike) -> None:
        """Remove embeddings by id; the other ids stay. An id that is not there is an error and nothing is removed."""
        self._ids.remove(np.unique(self._required(ids)))
        if self.is_exact or self._ids.count_gone > MOST_GONE * len(self._ids):
            kept = ~self._ids.gone
            self._hold(self._vectors.all[kept], Ids(self.ids, following=self._ids.following))
            self._index(self._vectors.all)

    def reconstruct(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Return the stored embeddings of these ids, ndarray of shape (n, dim)."""
        return np.asarray(self._vectors.all[self._required(ids)])

    def search(
        self, queries: ArrayLike, k: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the k nearest embeddings of each query, or all of them if there are fewer.

        Parameters
        ----------
        queries : array-like of shape (n, dim)
        k : int
            At least 1.
        among : ndarray of shape (len(index),), optional
            Which embeddings may be found, in storage order; only for an index of which nothing was removed.

        Returns
        -------
        distances : ndarray of shape (n, min(k, len(self)))
            Euclidean distances in increasing order, or inner products in decreasing order.
        ids : ndarray of shape (n, min(k, len(self)))
            Equal distances are in the order of the ids.
        """
        check_at_least("k", k, 1)
        q = self._checked(queries)
        allowed = ~self._ids.gone if self._ids.count_gone else None
        if among is not None:
            if self._ids.count_gone or among.shape != (len(self),):
                raise InvalidDataError(f"among needs an index without removals and {len(self)} values, got {among.shape}")
            allowed = among
        count = len(self._ids) if allowed is None else int(np.count_nonzero(allowed))
        k = min(k, count)
        distances, ids = np.empty((len(q), k), np.float32), np.empty((len(q), k), np.int64)
        if not k:
            return distances, ids
        left, compared = np.arange(len(q)), None
        for fetch, is_exact in self._tries(k, count):
            step = max(1, AT_ONCE // (fetch * self.dim))
            settled = np.empty(len(left), bool)
            if is_exact and compared is None:
                compared = Compared(self._vectors.all, None if allowed is None else np.flatnonzero(allowed))
            for start in range(0, len(left), step):
                rows = left[start : start + step]
                distances[rows], ids[rows], settled[start : start + step] = self._nearest(q[rows], k, fetch, allowed, compared)
            left = left[~settled]
            if not len(left):
                break
        return distances, ids

    def recall(self, queries: ArrayLike, k: int = 10) -> float:
        """Return the share of the exact k nearest of these queries (n, dim) that `search` finds; 1 while the index is exact."""
        found = self.search(queries, k)[1]
        finder, self._finder, self._device = self._finder, None, None
        try:
            exact = self.search(queries, k)[1]
        finally:
            self._finder, self._device = finder, None
        return float(np.mean([len(np.intersect1d(*rows)) / max(1, len(rows[1])) for rows in zip(found, exact, strict=True)]))

    def save(self, path: str | Path) -> None:
        """Write the index to a file: an exact one in FAISS's own format, an approximate one as safetensors."""
        try:
            write_file(path, self.to_bytes())
        except StorageError as error:
            raise StorageError(f"could not write the index: {error}") from error

    def to_bytes(self) -> bytes:
        """Return what `save` would write."""
        if self._finder is None:
            return write_flat(self._vectors.all, self._ids.all, METRICS[self.metric])
        own = {MAPPED: self._vectors.all, "ids": self._ids.all, "gone": self._ids.gone.view(np.uint8)}
        facts = {"metric": self.metric, "kind": self.kind, "finder": self._finder.kind}
        return write_arrays(own | self._finder.arrays(), facts)

    @classmethod
    def load(cls, path: str | Path, kind: IndexKind = "auto") -> EmbeddingIndex:
        """Read an index from a file that `save` wrote; ids are as they were.

        The embeddings of an approximate index stay in the file, mapped into memory, until `add` copies them; the file has to
        stay as it is while the index is used.

        Parameters
        ----------
        path : str or Path
            The file.
        kind : str
            What an exact index becomes when it grows; an approximate one keeps its own.
        """
        if not Path(path).is_file():
            raise StorageError(f"no index file at {path}")
        try:
            with Path(path).open("rb") as file:
                if file.read(len(FLAT)) != FLAT:
                    return cls._from_arrays(*read_arrays(Path(path)))
                file.seek(0)
                return cls._from_flat(file.read(), kind)
        except CorruptFileError as error:
            raise CorruptFileError(f"{path} is not a FAISS index: {error}") from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes, kind: IndexKind = "auto") -> EmbeddingIndex:
        """Return the index of what `to_bytes` gave.

        FAISS, whose reader trusts what it is given, sees none of it; it is given arrays that were checked.

        Raises
        ------
        CorruptFileError
            If it is something else.
        """
        if data[: len(FLAT)] == FLAT:
            return cls._from_flat(data, kind)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "index"
            file.write_bytes(data)
            index = cls._from_arrays(*read_arrays(file))
            index._vectors = Rows(np.array(index._vectors.all))
        return index

    @classmethod
    def _from_flat(cls, data: bytes, kind: IndexKind) -> EmbeddingIndex:
        vectors, ids, metric = read_flat(data)
        index = cls(vectors.shape[1], _name(metric), kind)
        index._hold(vectors, Ids(ids))
        return index

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, str]) -> EmbeddingIndex:
        """Return an approximate index of arrays from a file of anyone's."""
        metric, kind, finder = (facts.get(name, "") for name in ("metric", "kind", "finder"))
        if metric not in METRICS or kind not in KINDS or finder not in FINDERS:
            raise CorruptFileError(f"it says metric {metric!r}, kind {kind!r} and finder {finder!r}")
        vectors, ids, gone = (arrays.get(name, np.empty(0)) for name in (MAPPED, "ids", "gone"))
        n = len(vectors)
        if ids.dtype != np.int64 or ids.shape != (n,) or gone.dtype != np.uint8 or gone.shape != (n,) or gone.max() > 1:
            raise CorruptFileError(f"its ids and marks of what was removed do not go with {n} embeddings")
        kept = ids[gone == 0]
        if (ids < 0).any() or not ((np.diff(kept) > 0).all() or len(np.unique(kept)) == len(kept)):
            raise CorruptFileError("its ids are not distinct and non-negative")
        index = cls(vectors.shape[1], metric, kind)  # type: ignore[arg-type]
        index._hold(vectors, Ids(ids, gone.astype(bool)))
        index._finder = FINDERS[finder].restore(arrays, n, index.dim, METRICS[metric])
        return index

    def _index(self, new: NDArray[np.float32]) -> None:
        """Tell the finder of new embeddings, which are in the last rows; make one where there should be one."""
        n, self._device = len(self._ids), None
        kind = self.kind
        if kind == "auto":
            kind = "flat" if n <= EXACT_UP_TO else "ivf" if n <= SHORT_CODES_FROM else "ivfpq"
        finder = FINDERS.get(kind)
        if finder is None or n < finder.least:
            self._finder = None
        elif type(self._finder) is not finder or n >= RELEARNED * self._finder.learned_from:
            self._finder = finder(self._vectors.all, METRICS[self.metric])
        elif len(new):
            self._finder.add(new)

    def _tries(self, k: int, count: int) -> list[tuple[int, bool]]:
        """Return how many candidates to fetch for k of `count` embeddings, one try after the other, and whether among all."""
        n, fetch = len(self._ids), k + MARGIN
        tries = []
        if self._finder is not None:
            among_all = fetch if count == n else fetch * n // count + MARGIN
            tries.append((min(n, among_all * self._finder.wider), False))
        while fetch < count:
            tries.append((fetch, True))
            fetch *= 3
        return [*tries, (count, True)]

    def _candidates(self, q: NDArray[np.float32], fetch: int, compared: Compared | None) -> NDArray[np.int64]:
        """Return rows of candidates, (n, fetch), of those compared one by one or by the approximate index; -1: none."""
        is_whole = compared is None or compared.rows is None
        if (compared is not None) == self.is_exact and is_whole and fetch <= GPU_MOST and self._gpu() is not None:
            return self._gpu().search(q, fetch)[1]
        if compared is not None:
            return compared.find(q, fetch, METRICS[self.metric])
        assert self._finder is not None
        return self._finder.find(q, fetch)

    def _gpu(self) -> Any:
        """Return FAISS's index on a GPU, None without one; made again after a change."""
        if self._device is None and getattr(faiss, "get_num_gpus", int)():
            index = faiss.IndexFlat(self.dim, METRICS[self.metric]) if self._finder is None else self._finder.index
            if self._finder is None:
                index.add(self._vectors.all)
            self._device = on_gpu(index)
        return self._device

    def _nearest(
        self, q: NDArray[np.float32], k: int, fetch: int, allowed: NDArray[np.bool_] | None, compared: Compared | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        """Return the k best of `fetch` candidates, and for which queries no better one can be left."""
        rows = self._candidates(q, fetch, compared)
        vectors = self._vectors.all[rows]
        key = np.square(vectors - q[:, None]).sum(-1) if self.metric == "l2" else -np.einsum("nkd,nd->nk", vectors, q)
        error = ROUNDING * (np.square(q).sum(-1) + np.square(vectors).sum(-1).max(-1))
        if not np.isfinite(key).all() and not np.isfinite(vectors).all():
            raise CorruptFileError("the embeddings in the file of the index are not finite; it was changed")
        reach = key.max(-1)
        no = rows < 0 if allowed is None else (rows < 0) | ~allowed[rows]
        key[no] = np.inf
        ids = np.where(no, np.iinfo(np.int64).max, self._ids.all[rows])
        order = np.lexsort((ids, key), axis=-1)[:, :k]
        key, ids = np.take_along_axis(key, order, 1), np.take_along_axis(ids, order, 1)
        settled = np.isfinite(key[:, -1]) if compared is None else (reach - error > key[:, -1]) | (fetch == compared.count)
        return np.sqrt(key) if self.metric == "l2" else -key, ids, settled

    def _checked(self, vectors: ArrayLike) -> NDArray[np.float32]:
        x = np.ascontiguousarray(vectors, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InvalidDataError(f"expected vectors of shape (n, {self.dim}), got {x.shape}")
        if not np.isfinite(x).all():
            raise InvalidDataError("vectors must be finite, got NaN or infinity")
        most = np.sqrt(np.finfo(np.float32).max / (4 * self.dim))  # beyond, squared distances overflow
        if np.abs(x).max(initial=0) > most:
            raise InvalidDataError(f"vectors must not hold numbers beyond {most:.2g}, got {np.abs(x).max():.2g}; scale them")
        return x

    def _required(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the rows of ids that have to be in the index."""
        wanted = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        rows = self._ids.rows(wanted)
        if (rows < 0).any():
            raise InvalidDataError(f"ids not in the index: {np.unique(wanted[rows < 0])[:5].tolist()}")
        return rows


def check_index_kind(kind: Any) -> None:
    """Raise unless this is a kind of index."""
    if kind not in KINDS:
        raise InvalidOptionError(f"index must be one of {', '.join(KINDS)}, got {kind!r}; {nearest(str(kind), list(KINDS))}")


def _name(metric: int) -> Any:
    return next(name for name, number in METRICS.items() if number == metric)
