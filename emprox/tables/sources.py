"""Tables that knowledge is transferred from: which they are, and what they say in one direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError
from emprox.spaces import Architecture, ArchitectureFamily, get_family
from emprox.tables.base import PerformanceTable
from emprox.tables.catalog import load_table

__all__ = ["Source", "labelled", "source_tables"]

Source: TypeAlias = "Sequence[str | PerformanceTable] | str | None"
"""Tables or their names; as one text they are joined by ``+``; None for no source."""


def source_tables(source: Source, target: ArchitectureFamily) -> list[PerformanceTable]:
    """Return the tables of a source.

    Raises
    ------
    InvalidOptionError
        If one is of the target's own family: what it knows would be no transfer. Its rows belong among the labels.
    """
    given = [] if source is None else source.split("+") if isinstance(source, str) else list(source)
    tables = [load_table(item) if isinstance(item, str) else item for item in given]
    for table in tables:
        if table.space == target.name:
            raise InvalidOptionError(
                f"table {table.name} is of {target.name}, the family that is estimated; a source is of other families: "
                "leave it out, or fit its rows"
            )
    return tables


def labelled(table: PerformanceTable, most: int, seed: int) -> tuple[list[Architecture], NDArray[np.float64]]:
    """Return at most so many connected architectures of a table, drawn with a seed, and their target, larger is better.

    An architecture whose output is constant tells nothing about others and is left out.
    """
    name, values = table.target()
    family = get_family(table.space)
    rows: list[int] = []
    for row in np.random.default_rng(seed).permutation(len(table)).tolist():
        if len(rows) == most:
            break
        if family.is_connected(table.architectures[row]):
            rows.append(row)
    return [table.architectures[row] for row in rows], table.measures[name].sign * values[rows]
