"""Computation graphs in files: one as JSON, many as npz. Nothing is pickled."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError, EmproxError
from emprox.persistence import write_file
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["from_json", "load_npz", "save_npz", "to_json"]

FORMAT = 1
NAMES = [field.name for field in fields(NodeAttributes)]
AXES = ("size", "kernel", "stride", "dilation")
"""Attributes with one number for each spatial axis."""
NUMBERS = [name for name in NAMES if name not in (*AXES, "function")]


def to_json(graph: ComputationGraph) -> str:
    """Return a graph as JSON text; attributes are written as far as they differ from their defaults.

    >>> graph = ComputationGraph(("input", "output"), ((0, 1), (0, 1)))
    >>> to_json(graph)
    '{"format": 1, "kinds": ["input", "output"], "edges": [[0, 1], [0, 1]], "attributes": []}'
    >>> from_json(to_json(graph)) == graph
    True
    """
    default = asdict(NodeAttributes())
    attributes = [{k: v for k, v in asdict(node).items() if v != default[k]} for node in graph.attributes]
    return json.dumps({"format": FORMAT, "kinds": graph.kinds, "edges": graph.edges, "attributes": attributes})


def from_json(text: str) -> ComputationGraph:
    """Return the graph that `to_json` wrote.

    Raises
    ------
    CorruptFileError
        If the text is not such a graph.
    """
    try:
        read = json.loads(text)
        if read["format"] != FORMAT:
            raise CorruptFileError(
                f"expected a graph in format {FORMAT}, got format {read['format']!r}; update emprox to read it"
            )
        rows: list[dict[str, Any]] = [{k: tuple(v) if k in AXES else v for k, v in row.items()} for row in read["attributes"]]
        attributes = tuple(NodeAttributes(**row) for row in rows)
        edges = tuple((int(source), int(target)) for source, target in read["edges"])
        return ComputationGraph(tuple(map(str, read["kinds"])), edges, attributes)
    except CorruptFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFileError(
            f"expected a graph as JSON with format, kinds, edges and attributes, got {text[:80]!r} ({error})"
        ) from error


def save_npz(path: str | Path, graphs: Sequence[ComputationGraph]) -> None:
    """Write graphs to one compressed npz file of flat columns, some hundred bytes for a cell."""
    nodes = [node for graph in graphs for node in graph.attributes]
    columns: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "kinds": np.array([kind for graph in graphs for kind in graph.kinds], dtype=np.str_),
        "edges": np.array([edge for graph in graphs for edge in graph.edges], dtype=np.int64).reshape(-1, 2),
        "counts": np.array([(len(g), len(g.edges), len(g.attributes)) for g in graphs], dtype=np.int64).reshape(-1, 3),
        "function": np.array([node.function for node in nodes], dtype=np.str_),
    }
    for name in NUMBERS:
        columns[name] = np.array([getattr(node, name) for node in nodes], dtype=np.int64)
    for name in AXES:
        rows = [getattr(node, name) for node in nodes]
        columns[f"{name}_axes"] = np.array([len(row) for row in rows], dtype=np.int64)
        columns[name] = np.array([number for row in rows for number in row], dtype=np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    write_file(path, buffer.getvalue())


def load_npz(path: str | Path) -> list[ComputationGraph]:
    """Return the graphs that `save_npz` wrote.

    Raises
    ------
    CorruptFileError
        If the file is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name].tolist() for name in file.files}
        if columns["format"] != FORMAT:
            raise CorruptFileError(f"{path}: expected format {FORMAT}, got {columns['format']!r}; update emprox to read it")
        return _graphs(columns)
    except (BadZipFile, KeyError, ValueError, TypeError, StopIteration) as error:
        if isinstance(error, EmproxError):
            raise
        raise CorruptFileError(f"{path} is not a file of computation graphs ({error}); write it again with save_npz") from error


def _graphs(columns: dict[str, Any]) -> list[ComputationGraph]:
    axes = [_pieces(columns[name], columns[f"{name}_axes"]) for name in AXES]
    names = (*NUMBERS, "function", *AXES)
    rows = zip(*(columns[name] for name in NUMBERS), columns["function"], *axes, strict=True)
    made: dict[tuple[Any, ...], NodeAttributes] = {}  # nodes of the same attributes share them
    nodes = []
    for row in rows:
        if row not in made:
            values = dict(zip(names, row, strict=True))
            made[row] = NodeAttributes(**{**values, "bias": bool(values["bias"])})
        nodes.append(made[row])
    flat = (columns["kinds"], [tuple(edge) for edge in columns["edges"]], nodes)
    parts = [_pieces(values, [row[column] for row in columns["counts"]]) for column, values in enumerate(flat)]
    return [ComputationGraph(*graph) for graph in zip(*parts, strict=True)]


def _pieces(values: Sequence[Any], lengths: Sequence[int]) -> list[tuple[Any, ...]]:
    ends = np.cumsum([0, *lengths]).tolist()
    if ends[-1] != len(values):
        raise ValueError(f"{len(values)} entries for {ends[-1]} places")
    return [tuple(values[start:end]) for start, end in pairwise(ends)]
