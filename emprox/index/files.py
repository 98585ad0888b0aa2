"""Files of an `EmbeddingIndex`, read without trust: FAISS's flat layout, or safetensors of which the embeddings are mapped.

Nothing here is given to FAISS; every count is compared with the length before an array is made.

Letters: n embeddings, dim dimensions.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from emprox.errors import CorruptFileError

__all__ = ["FLAT", "MAPPED", "METRICS", "read_arrays", "read_flat", "write_arrays", "write_flat"]

Arrays = dict[str, NDArray[Any]]
HEAD = struct.Struct("<4siqqq?i")
"""What FAISS writes first of an index: kind, dimensions, vectors, two unused numbers, whether it is trained, metric."""
COUNT = struct.Struct("<Q")
FLAT = b"IxM2"
"""First bytes of a flat index with ids."""
KINDS = {b"IxF2": faiss.METRIC_L2, b"IxFI": faiss.METRIC_INNER_PRODUCT}
UNUSED = 1 << 20
METRICS = {"l2": faiss.METRIC_L2, "inner_product": faiss.METRIC_INNER_PRODUCT}
FACTS = "index"
"""Key of the facts in the metadata of the file."""
MAPPED = "vectors"
"""The array that `read_arrays` leaves in the file."""


def write_flat(vectors: NDArray[np.float32], ids: NDArray[np.int64], metric: int) -> bytes:
    """Return what FAISS writes of a flat index with ids."""
    total, dim = vectors.shape
    inner = next(kind for kind, number in KINDS.items() if number == metric)
    heads = [HEAD.pack(kind, dim, total, UNUSED, UNUSED, True, metric) for kind in (FLAT, inner)]
    rows = np.ascontiguousarray(vectors, "<f4").tobytes()
    return b"".join([*heads, COUNT.pack(vectors.size), rows, COUNT.pack(total), np.ascontiguousarray(ids, "<i8").tobytes()])


def read_flat(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Return embeddings (n, dim), ids (n,) and FAISS's number of the metric of what `write_flat` returned.

    Raises
    ------
    CorruptFileError
        Unless these are the bytes of a flat index with distinct ids: every count agrees with the length.
    """
    try:
        outer, dim, total, *_, metric = HEAD.unpack_from(data)
        inner, inner_dim, inner_total, *_, inner_metric = HEAD.unpack_from(data, HEAD.size)
    except struct.error as error:
        raise CorruptFileError(f"it has {len(data)} bytes: {error}") from None
    if outer != FLAT or KINDS.get(inner) != inner_metric:
        raise CorruptFileError(f"it holds {outer!r} over {inner!r}, expected a flat index with ids")
    if (dim, total, metric) != (inner_dim, inner_total, inner_metric) or dim < 1 or total < 0:
        raise CorruptFileError(f"it says {dim} dimensions and {total} vectors, and {inner_dim} and {inner_total}")
    start = 2 * HEAD.size
    middle = start + COUNT.size + 4 * dim * total
    if len(data) != middle + COUNT.size + 8 * total:
        raise CorruptFileError(f"it has {len(data)} bytes, not those of {total} vectors of {dim} dimensions")
    if (COUNT.unpack_from(data, start), COUNT.unpack_from(data, middle)) != ((dim * total,), (total,)):
        raise CorruptFileError("its counts do not agree")
    vectors = np.frombuffer(data, "<f4", dim * total, start + COUNT.size).reshape(total, dim).copy()
    ids = np.frombuffer(data, "<i8", total, middle + COUNT.size).copy()
    if not np.isfinite(vectors).all() or len(np.unique(ids)) < total or (ids < 0).any():
        raise CorruptFileError("its vectors are not finite, or its ids not distinct and non-negative")
    return vectors, ids, metric


def write_arrays(arrays: Arrays, facts: dict[str, str]) -> bytes:
    """Return arrays and facts about them as safetensors."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(whole, {FACTS: json.dumps(facts, sort_keys=True)})  # one key, since safetensors orders several at random


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays of what `write_arrays` returned, from a file, and the facts; embeddings stay in the file, mapped.

    Raises
    ------
    CorruptFileError
        If it is something else: safetensors compares the places of all arrays with the length of the file.
    """
    try:
        with safe_open(path, framework="np") as file:
            facts = json.loads((file.metadata() or {})[FACTS])
            arrays: Arrays = {name: file.get_tensor(name) for name in file.keys() if name != MAPPED}  # noqa: SIM118
            shape = tuple(file.get_slice(MAPPED).get_shape())
        with path.open("rb") as raw:
            size = int.from_bytes(raw.read(8), "little")
            place = json.loads(raw.read(size))[MAPPED]
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"it is neither a flat index nor arrays of a larger one: {error}") from error
    if not isinstance(facts, dict) or not all(isinstance(value, str) for value in facts.values()):
        raise CorruptFileError(f"it says {facts!r:.80} of itself")
    if place["dtype"] != "F32" or len(shape) != 2 or 0 in shape:
        raise CorruptFileError(f"it has embeddings of {place['dtype']} {shape}, expected F32 (n, dim)")
    arrays[MAPPED] = np.memmap(path, np.float32, "r", 8 + size + place["data_offsets"][0], shape)
    return arrays, facts
