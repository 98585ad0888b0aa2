"""The datasheet of a table: what it holds, in which unit, how often it was measured, whom to cite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.spaces import get_family
from emprox.tables.base import PerformanceTable

__all__ = ["datasheet"]


def datasheet(table: PerformanceTable) -> dict[str, Any]:
    """Return the facts of a table as JSON-ready values; a number that is not known is None."""
    return {
        "name": table.name,
        "space": table.space,
        "rows": len(table),
        "populations": {name: len(table.population(name)) for name in table.populations} if len(table) else {},
        "space_size": _size(table.space),
        "targets": {name: _target(table, name) for name in table.targets},
        "curves": {name: _curve(values) for name, values in table.curves.items()},
        "columns": {name: _column(values) for name, values in table.columns.items()},
        "epochs": table.epochs,
        "citation": table.citation,
    }


def _size(space: str) -> int | None:
    """Return the number of descriptions of a search space, None of a family without end."""
    size = getattr(get_family(space), "size", None)
    return None if size is None else int(size)


def _target(table: PerformanceTable, name: str) -> dict[str, Any]:
    measure, counts, spreads = table.measures[name], table.counts.get(name), table.spreads.get(name)
    return {
        "unit": measure.unit,
        "larger_is_better": measure.larger_is_better,
        **_range(table.targets[name]),
        "trainings": None if counts is None or not len(counts) else [int(counts.min()), int(counts.max())],
        "median_spread": float(np.median(spreads)) if spreads is not None and len(spreads) else None,
    }


def _curve(values: NDArray[np.float64]) -> dict[str, Any]:
    complete = int(np.isfinite(values).all(axis=1).sum())
    return {"epochs": values.shape[1], "complete": complete}


def _column(values: NDArray[Any]) -> dict[str, Any]:
    if values.dtype.kind == "U":
        return {"kind": "text", "distinct": len(np.unique(values)), "missing": int((values == "").sum())}
    known = values[np.isfinite(values)]
    return {"kind": "number", **_range(known), "missing": len(values) - len(known)}


def _range(values: NDArray[np.float64]) -> dict[str, float | None]:
    if not len(values):
        return {"min": None, "median": None, "max": None}
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}
