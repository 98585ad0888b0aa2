"""NASLib's files of zero-cost proxies: cells by description, each with a measured value and its proxies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError, EmproxError, StorageError
from emprox.spaces import Architecture, SearchSpace
from emprox.validation import as_targets

__all__ = ["ZeroCost", "proxy_columns", "read_zero_cost"]

MEASURED = "val_accuracy"
NO_PROXIES = ("idx", "arch", MEASURED)
FAILED = -1e8
"""Written where a proxy could not be computed, such as `jacov` of a cell without a path from input to output."""
WITH_UNIT = {"params": "params_millions", "flops": "flops_millions"}


@dataclass(frozen=True)
class ZeroCost:
    """The content of one file or of one of its parts; a row for each cell, all different."""

    architectures: tuple[Architecture, ...]
    """In the order of the file."""
    measured: NDArray[np.float64]
    """What the file calls ``val_accuracy``, ndarray of shape (n_rows,); finite."""
    proxies: Mapping[str, NDArray[np.float64]]
    """Proxies by name, each ndarray of shape (n_rows,); NaN where missing."""


def read_zero_cost(path: Path, space: SearchSpace, *keys: str) -> ZeroCost:
    """Read the cells under nested keys of a file, ``{key: {description: {"val_accuracy": ..., proxy: ...}}}``.

    A proxy is a number, or a mapping with its ``score``.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is not in this form, has no cells, has a cell twice, or a measured value is not finite.
    """
    try:
        content = json.loads(path.read_bytes())
        for key in keys:
            content = content[key]
        return _zero_cost(space, content)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, EmproxError) as error:
        raise CorruptFileError(
            f"{path} is not NASLib's file of {space.name} cells with {MEASURED} and proxies under {' > '.join(keys)}: {error!r}; "
            "remove it and get it again"
        ) from error


def proxy_columns(records: Sequence[Mapping[str, Any]], leave_out: Iterable[str] = NO_PROXIES) -> dict[str, NDArray[np.float64]]:
    """Return the proxies of records as columns, ndarray of shape (n_records,); NaN where missing or failed.

    A proxy that failed for all is left out; parameters and operations say that they are in millions.
    """
    names = [name for name in dict.fromkeys(name for record in records for name in record) if name not in set(leave_out)]
    columns = {WITH_UNIT.get(name, name): np.array([_score(record.get(name)) for record in records]) for name in names}
    return {name: values for name, values in columns.items() if not np.isnan(values).all()}


def _zero_cost(space: SearchSpace, cells: Mapping[str, Mapping[str, Any]]) -> ZeroCost:
    if not cells:
        raise CorruptFileError("it has no cells")
    architectures = tuple([space.parse(text) for text in cells])
    if len(set(architectures)) < len(cells):
        raise CorruptFileError(f"{len(cells)} descriptions stand for {len(set(architectures))} cells")
    records = list(cells.values())
    measured = as_targets([float(record[MEASURED]) for record in records], len(records))
    return ZeroCost(architectures, measured, proxy_columns(records))


def _score(value: Any) -> float:
    """Return the number of a proxy; NaN for one that is missing or failed."""
    if value is None:
        return float("nan")
    number = float(value["score"] if isinstance(value, Mapping) else value)
    return float("nan") if number == FAILED else number
