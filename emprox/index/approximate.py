"""Candidates for nearest neighbours among many embeddings, by FAISS: quick, and not always all of them.

`EmbeddingIndex` keeps the embeddings, compares candidates exactly, and asks for these where it holds too many for a full search.
What is kept here is small: 8 bits or less for each dimension. FAISS reads no file: its structures are made again from plain
arrays that were checked.

Letters: n embeddings, dim dimensions, L lists, c bytes of a code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError

__all__ = ["FINDERS", "Finder", "on_gpu"]

Arrays = Mapping[str, NDArray[Any]]
Vectors = NDArray[np.float32]
PROBES = 64
"""Lists that are searched for a query."""
LISTS = 2.0
"""Lists for each square root of the number of embeddings."""
TRAINED_ON = 64
"""Embeddings for each list from which the lists' centres are learned, drawn with a fixed seed."""
ROUNDS = 10
"""Rounds of k-means."""
LINKS = 16
"""Links of an embedding in each level of HNSW, twice as many in the lowest."""
GPU_MOST = 2048
"""Most candidates that FAISS finds on a GPU."""


class Finder(ABC):
    """Finds candidates by row number.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim)
        Embeddings to learn from and to hold.
    metric : int
        FAISS's number of the metric.
    """

    kind: ClassVar[str]
    least: ClassVar[int]
    """Fewest embeddings that it can be learned from."""
    wider: ClassVar[int] = 1
    """How many candidates are compared exactly for each that is asked for, since codes are rough."""
    index: Any

    def __init__(self, vectors: Vectors, metric: int) -> None:
        self.index = self._empty(vectors.shape[1], self._size(len(vectors)), metric)
        chosen = np.sort(np.random.default_rng(0).permutation(len(vectors))[: self._sample(len(vectors))])
        self.index.train(np.ascontiguousarray(vectors[chosen]))
        self.learned_from = len(vectors)
        self.add(vectors)

    def add(self, vectors: Vectors) -> None:
        """Hold further embeddings, whose rows follow those that are there."""
        self.index.add(np.ascontiguousarray(vectors))

    def find(self, queries: Vectors, count: int) -> NDArray[np.int64]:
        """Return rows of candidates, (n, count); -1 where there are fewer."""
        return self.index.search(queries, count)[1]

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that `restore` needs as plain arrays."""

    @classmethod
    def restore(cls, arrays: Arrays, n: int, dim: int, metric: int) -> Finder:
        """Return the finder of these arrays, for n embeddings.

        Raises
        ------
        CorruptFileError
            If one is missing, or is not what `arrays` returns for so many embeddings; FAISS is not given it then.
        """
        finder = object.__new__(cls)
        try:
            finder._restore(arrays, n, dim, metric)
            finder.learned_from = int(_checked(arrays["learned_from"], np.int64, (1,), 1, 2**62)[0])
        except KeyError as error:
            raise CorruptFileError(f"it lacks the array {error} of a {cls.kind} index") from None
        return finder

    @classmethod
    @abstractmethod
    def _empty(cls, dim: int, size: int, metric: int) -> Any:
        """Return FAISS's index with nothing in it."""

    @abstractmethod
    def _restore(self, arrays: Arrays, n: int, dim: int, metric: int) -> None:
        """Check arrays and set `index`."""

    @staticmethod
    @abstractmethod
    def _size(n: int) -> int:
        """Return how large the structure for n embeddings is, such as its number of lists."""

    @staticmethod
    @abstractmethod
    def _sample(n: int) -> int:
        """Return how many of n embeddings it is learned from."""


class InvertedLists(Finder):
    """Embeddings in lists by the nearest of L centres, as 8-bit numbers; the lists of the nearest centres are searched.

    References
    ----------
    Jegou, Douze, Schmid, *Product Quantization for Nearest Neighbor Search*, IEEE TPAMI 2011.
    """

    kind = "ivf"
    least = 1000

    @staticmethod
    def _size(n: int) -> int:
        return max(1, int(LISTS * n**0.5))

    @staticmethod
    def _sample(n: int) -> int:
        return TRAINED_ON * InvertedLists._size(n)

    @classmethod
    def _empty(cls, dim: int, size: int, metric: int) -> Any:
        index = cls._lists(_flat(dim, metric), dim, size, metric)
        index.nprobe, index.cp.niter, index.cp.min_points_per_centroid = PROBES, ROUNDS, 1
        return index

    @classmethod
    def _lists(cls, centres: Any, dim: int, size: int, metric: int) -> Any:
        return faiss.IndexIVFScalarQuantizer(centres, dim, size, faiss.ScalarQuantizer.QT_8bit, metric, False)

    @staticmethod
    def _learned(index: Any) -> Any:
        """Return FAISS's vector of the numbers by which codes are read."""
        return index.sq.trained

    @staticmethod
    def _count_learned(dim: int) -> int:
        return 2 * dim

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return centres (L, dim), list (n,) and code (n, c) of each embedding, and the numbers by which codes are read."""
        index, lists = self.index, self.index.invlists
        of, codes = np.empty(index.ntotal, np.int32), np.empty((index.ntotal, index.code_size), np.uint8)
        for number in range(index.nlist):
            if size := lists.list_size(number):
                rows = faiss.rev_swig_ptr(lists.get_ids(number), size)
                of[rows] = number
                codes[rows] = faiss.rev_swig_ptr(lists.get_codes(number), size * index.code_size).reshape(size, -1)
        return {
            "centres": index.quantizer.reconstruct_n(0, index.nlist),
            "lists": of,
            "codes": codes,
            "learned": faiss.vector_to_array(self._learned(index)),
            "learned_from": np.array([self.learned_from]),
        }

    def _restore(self, arrays: Arrays, n: int, dim: int, metric: int) -> None:
        count = len(arrays["centres"])
        centres = _checked(arrays["centres"], np.float32, (count, dim))
        of = _checked(arrays["lists"], np.int32, (n,), 0, count - 1)
        self.index = index = self._empty(dim, count, metric)
        codes = _checked(arrays["codes"], np.uint8, (n, index.code_size))
        faiss.copy_array_to_vector(_checked(arrays["learned"], np.float32, (self._count_learned(dim),)), self._learned(index))
        index.quantizer.add(centres)
        index.quantizer.is_trained = index.is_trained = True
        rows = np.argsort(of, kind="stable")
        codes = codes[rows]
        ends = np.cumsum(np.bincount(of, minlength=count))
        for number, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
            if end > start:
                own = np.ascontiguousarray(rows[start:end])
                index.invlists.add_entries(number, end - start, faiss.swig_ptr(own), faiss.swig_ptr(codes[start:end]))
        index.ntotal = n


class ProductLists(InvertedLists):
    """The same lists with shorter codes: one byte for about four dimensions, by product quantization."""

    kind = "ivfpq"
    least = 1000
    wider = 8

    @classmethod
    def _lists(cls, centres: Any, dim: int, size: int, metric: int) -> Any:
        parts = next(parts for parts in range(-(-dim // 4), dim + 1) if dim % parts == 0)
        index = faiss.IndexIVFPQ(centres, dim, size, parts, 8, metric)
        index.pq.cp.niter, index.pq.cp.max_points_per_centroid, index.pq.cp.min_points_per_centroid = ROUNDS, TRAINED_ON, 1
        return index

    @staticmethod
    def _learned(index: Any) -> Any:
        return index.pq.centroids

    @staticmethod
    def _count_learned(dim: int) -> int:
        return 256 * dim

    def _restore(self, arrays: Arrays, n: int, dim: int, metric: int) -> None:
        super()._restore(arrays, n, dim, metric)
        self.index.precompute_table()


class SmallWorld(Finder):
    """A graph of links between neighbours in levels, through which a search walks; embeddings as 8-bit numbers.

    References
    ----------
    Malkov and Yashunin, *Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World
    Graphs*, IEEE TPAMI 2020.
    """

    kind = "hnsw"
    least = 1000
    breadth: ClassVar = {"build": 80, "search": 80}
    """Candidates that a walk keeps."""

    def find(self, queries: Vectors, count: int) -> NDArray[np.int64]:
        """Return rows of candidates, (n, count); -1 where there are fewer."""
        self.index.hnsw.efSearch = max(self.breadth["search"], count)
        return super().find(queries, count)

    @staticmethod
    def _size(n: int) -> int:
        return LINKS

    @staticmethod
    def _sample(n: int) -> int:
        return n

    @classmethod
    def _empty(cls, dim: int, size: int, metric: int) -> Any:
        index: Any = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, size, metric)  # type: ignore[arg-type]
        index.hnsw.efConstruction = cls.breadth["build"]
        return index

    @staticmethod
    def _store(index: Any) -> Any:
        """Return FAISS's index of the codes."""
        return faiss.downcast_index(index.storage)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return code (n, c) and number of levels (n,) of each embedding, all links by level, and where a search starts."""
        hnsw, store = self.index.hnsw, self._store(self.index)
        return {
            "codes": faiss.vector_to_array(store.codes).reshape(self.index.ntotal, -1),
            "learned": faiss.vector_to_array(store.sq.trained),
            "levels": faiss.vector_to_array(hnsw.levels),
            "links": faiss.vector_to_array(hnsw.neighbors),
            "start": np.array([hnsw.entry_point]),
            "learned_from": np.array([self.learned_from]),
        }

    def _restore(self, arrays: Arrays, n: int, dim: int, metric: int) -> None:
        self.index = index = self._empty(dim, LINKS, metric)
        hnsw, store = index.hnsw, self._store(index)
        codes = _checked(arrays["codes"], np.uint8, (n, store.code_size))
        levels = _checked(arrays["levels"], np.int32, (n,), 1, hnsw.assign_probas.size())
        start = int(_checked(arrays["start"], np.int64, (1,), 0, n - 1)[0])
        offsets = np.concatenate(
            [[0], np.cumsum(LINKS * (1 + levels.astype(np.int64)))]
        )  # twice as many links in the lowest level
        links = _checked(arrays["links"], np.int32, (int(offsets[-1]),), -1, n - 1)
        owner = np.repeat(np.arange(n), np.diff(offsets))
        level = np.maximum(0, (np.arange(len(links)) - offsets[owner]) // LINKS - 1)
        if levels[start] != levels.max() or (levels[links] <= level)[links >= 0].any():
            raise CorruptFileError("a link leads to a level that is not there")
        faiss.copy_array_to_vector(_checked(arrays["learned"], np.float32, (2 * dim,)), store.sq.trained)
        store.is_trained = index.is_trained = True
        store.add_sa_codes(codes)
        faiss.copy_array_to_vector(levels, hnsw.levels)
        hnsw.prepare_level_tab(n, True)
        faiss.copy_array_to_vector(links, hnsw.neighbors)
        hnsw.entry_point, hnsw.max_level, index.ntotal = start, int(levels.max()) - 1, n


FINDERS: dict[str, type[Finder]] = {finder.kind: finder for finder in (InvertedLists, SmallWorld, ProductLists)}


def on_gpu(index: Any) -> Any | None:
    """Return a copy of an index on the first GPU that FAISS sees, None where it sees none or has no such index there."""
    if not getattr(faiss, "get_num_gpus", int)() or isinstance(index, faiss.IndexHNSW):
        return None
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)


def _flat(dim: int, metric: int) -> Any:
    return faiss.IndexFlatL2(dim) if metric == faiss.METRIC_L2 else faiss.IndexFlatIP(dim)


def _checked(
    array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...], low: float = -np.inf, high: float = np.inf
) -> NDArray[Any]:
    """Return an array if it is of this type and shape, its numbers finite and within bounds."""
    if array.dtype != dtype or array.shape != shape or not array.size:
        raise CorruptFileError(f"it has an array of {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}, not empty")
    if array.dtype != np.uint8 and not (np.isfinite(array).all() and low <= array.min() and array.max() <= high):
        raise CorruptFileError(f"numbers of an array of {array.dtype} {array.shape} are not finite, or not from {low} to {high}")
    return np.ascontiguousarray(array)
