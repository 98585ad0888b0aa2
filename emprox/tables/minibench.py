"""NAS-Bench-201 after 12 epochs, ``mini-bench-arch-cell-accs.pd``: the one download that is unpickled.

It is a pandas data frame as a pickle, and there is no other form of it. So its hash is compared first, with one that is
written here, not in a catalogue; only the ten globals that it contains may appear; and nothing is imported for them: numpy's
arrays are built by the functions below, pandas' classes are stand-ins that only keep what they are given.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError, StorageError
from emprox.spaces import get_space
from emprox.tables.allow_list import unpickle_allowed
from emprox.tables.base import PerformanceTable

__all__ = ["read_nasbench201_12epochs"]

SHA256 = "bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe"
COLUMN_PREFIX = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet"}


def read_nasbench201_12epochs(path: Path, dataset: str) -> PerformanceTable:
    """Read one data set: validation and test accuracy (percent) of the 15,625 cells after 12 epochs, rows by index.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is any other file than the published one; it is not unpickled then.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    came = hashlib.sha256(data).hexdigest()
    if came != SHA256:
        raise CorruptFileError(
            f"{path} is not the published file: sha256 {came[:16]}..., expected {SHA256[:16]}.... It was not opened, because a "
            "pickle can run code; remove it and get it again"
        )
    columns = _columns(unpickle_allowed(data, ALLOWED, str(path)))
    order = np.argsort(columns["arch"].astype(np.int64))
    space = get_space("nasbench201")
    architectures = tuple(space.parse(columns["cellstr"][i]) for i in order)
    parts = {"val_accuracy": "val", "test_accuracy": "test"}
    targets = {name: columns[f"{COLUMN_PREFIX[dataset]}-{part}"][order].astype(np.float64) for name, part in parts.items()}
    return PerformanceTable("nasbench201-12epochs", space.name, architectures, targets)


class _Kept:
    """Stands for a class of pandas: keeps the state that it is given and does nothing."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _new_index(kind: type[_Kept], state: Any) -> Any:
    return state


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> NDArray[Any]:
    return np.empty(shape, dtype=code.decode())


def _array_of_buffer(buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


ALLOWED = {
    ("pandas.core.frame", "DataFrame"): _Kept,
    ("pandas.core.internals.managers", "BlockManager"): _Kept,
    ("pandas.core.indexes.base", "_new_Index"): _new_index,
    ("pandas.core.indexes.base", "Index"): _Kept,
    ("pandas.core.indexes.range", "RangeIndex"): _Kept,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("builtins", "slice"): slice,
}
"""All that the file contains, and what stands for each."""


def _columns(frame: _Kept) -> dict[str, NDArray[Any]]:
    """Return the columns of a data frame from the blocks of rows that pandas keeps columns of one type in."""
    _, _, _, managed = frame.state["_data"].state
    manager = managed["0.14.1"]
    names = list(manager["axes"][0]["data"])
    columns: dict[str, NDArray[Any]] = {}
    for block in manager["blocks"]:
        for name, values in zip(np.array(names, dtype=object)[block["mgr_locs"]], block["values"], strict=True):
            columns[name] = values
    return columns
