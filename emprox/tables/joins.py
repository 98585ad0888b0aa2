"""Two tables of one space, row by row of the same function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidDataError
from emprox.spaces import get_family
from emprox.tables.base import PerformanceTable

__all__ = ["join"]


def join(left: PerformanceTable, right: PerformanceTable) -> PerformanceTable:
    """Return the rows of `left` whose function `right` knows too, with what `right` says of them.

    A row is matched with the row of the same architecture or, where there is none, with the first one of the same
    canonical hash, so that twins (different descriptions of one function) find each other.

    Parameters
    ----------
    left : PerformanceTable
        Keeps its rows' order, targets, spreads, counts, curves and columns.
    right : PerformanceTable
        Its targets and columns become further columns, its curves further curves; a name that `left` has already is
        written ``<table>:<name>``.

    Raises
    ------
    InvalidDataError
        If the tables are of different spaces or have no function in common.
    """
    if left.space != right.space:
        raise InvalidDataError(f"cannot join {left.name} of space {left.space} with {right.name} of space {right.space}")
    pairs = _matches(left, right)
    if not pairs:
        raise InvalidDataError(f"tables {left.name} and {right.name} have no architecture of the same function in common")
    kept = left.rows([i for i, _ in pairs])
    found = right.rows([j for _, j in pairs])
    taken = {"architecture", *kept.targets, *kept.columns, *kept.curves}
    return replace(
        kept,
        columns={**kept.columns, **_renamed({**found.targets, **found.columns}, taken, right.name)},
        curves={**kept.curves, **_renamed(found.curves, taken, right.name)},
        citation=" ".join(dict.fromkeys(filter(None, (left.citation, right.citation)))),
    )


def _matches(left: PerformanceTable, right: PerformanceTable) -> list[tuple[int, int]]:
    """Return pairs of row numbers."""
    space = get_family(left.space)
    same = _first(right.architectures)
    twin = _first(space.canonical_hash(a) for a in right.architectures)
    pairs = []
    for row, architecture in enumerate(left.architectures):
        match = same.get(architecture, twin.get(space.canonical_hash(architecture)))
        if match is not None:
            pairs.append((row, match))
    return pairs


def _first(keys: Iterable[Any]) -> dict[Any, int]:
    first: dict[Any, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return first


def _renamed(arrays: Mapping[str, NDArray[np.generic]], taken: set[str], prefix: str) -> dict[str, NDArray[Any]]:
    return {f"{prefix}:{name}" if name in taken else name: values for name, values in arrays.items()}
