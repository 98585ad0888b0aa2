"""Computation graphs in files: one as JSON, many as npz. Nothing is pickled."""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError
from emprox.persistence import write_file
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["from_json", "load_npz", "save_npz", "to_json"]

FORMAT = 1
NAMES = [field.name for field in fields(NodeAttributes)]
MOST_NODES = 100_000
"""Nodes of a graph in a file; hashing takes up to their number squared."""
MOST_BYTES = 1 << 28
"""Bytes of an unpacked npz file."""
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
        attributes = tuple(_attributes(row) for row in read["attributes"])
        edges = tuple((_whole(source), _whole(target)) for source, target in read["edges"])
        return _graph(tuple(map(_word, read["kinds"])), edges, attributes)
    except CorruptFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
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
        columns = {name: values.tolist() for name, values in _arrays(Path(path)).items()}
        if columns["format"] != FORMAT:
            raise CorruptFileError(f"{path}: expected format {FORMAT}, got {columns['format']!r}; update emprox to read it")
        return _graphs(columns)
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, SyntaxError, EOFError) as error:
        raise CorruptFileError(f"{path} is not a file of computation graphs ({error}); write it again with save_npz") from error
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        if isinstance(error, CorruptFileError):
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
            made[row] = _attributes({**values, "bias": bool(values["bias"])})
        nodes.append(made[row])
    flat = (columns["kinds"], [tuple(edge) for edge in columns["edges"]], nodes)
    parts = [_pieces(values, [row[column] for row in columns["counts"]]) for column, values in enumerate(flat)]
    return [_graph(*graph) for graph in zip(*parts, strict=True)]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file; their sizes are compared with what is there before memory is taken for them."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MOST_BYTES:
            raise CorruptFileError(f"{path} unpacks to more than {MOST_BYTES} bytes; it is made to fill the memory")
        return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}


def _array(data: bytes) -> NDArray[Any]:
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array of another format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if is_fortran or dtype.kind not in "iU" or dtype.itemsize < 1 or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"an array of {dtype} and shape {shape} in {len(data)} bytes")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape)


def _attributes(row: dict[str, Any]) -> NodeAttributes:
    """Return attributes after checking that each is of its kind."""
    checked: dict[str, Any] = {}
    for name, value in row.items():
        if name in AXES:
            checked[name] = tuple(map(_whole, value))
        elif name == "function":
            checked[name] = _word(value)
        elif name == "bias":
            checked[name] = value if isinstance(value, bool) else _whole(value) > 0
        else:
            checked[name] = _whole(value)
    return NodeAttributes(**checked)


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"expected a whole number, got {value!r:.40}")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a word, got {value!r:.40}")
    return value


def _graph(kinds: tuple[str, ...], edges: Any, attributes: tuple[NodeAttributes, ...]) -> ComputationGraph:
    if max(len(kinds), len(edges) // 10) > MOST_NODES:
        raise ValueError(f"{len(kinds)} nodes and {len(edges)} edges, at most {MOST_NODES} and ten times as many are read")
    return ComputationGraph(kinds, edges, attributes)


def _pieces(values: Sequence[Any], lengths: Sequence[int]) -> list[tuple[Any, ...]]:
    ends = np.cumsum([0, *lengths]).tolist()
    if ends[-1] != len(values):
        raise ValueError(f"{len(values)} entries for {ends[-1]} places")
    return [tuple(values[start:end]) for start, end in pairwise(ends)]
