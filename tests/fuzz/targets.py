"""Every parser and reader that meets bytes of others, as a function of bytes, with examples of what it accepts.

A reader may raise errors of emprox, and nothing else. `tests/fuzz/test_fuzz.py` tries some changes of the examples in every
run of the suite; `python tests/fuzz/run.py TARGET` searches with atheris, guided by what the code does.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import pickle
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from emprox.encoders import MetricEncoder
from emprox.errors import EmproxError
from emprox.estimators import EmProx, load
from emprox.index import EmbeddingIndex, Record, Store
from emprox.index.exchange import export_records, import_records
from emprox.index.journal import Line
from emprox.index.ledger import JOURNAL, RECORDS
from emprox.index.recovery import check_store, repair_store
from emprox.persistence import MANIFEST
from emprox.spaces import SPACES, ComputationGraph, NodeAttributes, get_family, get_space
from emprox.spaces.storage import from_json, load_npz, save_npz, to_json
from emprox.tables import PerformanceTable, read_csv, read_table, write_table
from emprox.tables.allow_list import unpickle_allowed
from emprox.tables.archives import read_members
from emprox.tables.plain_pickle import read_plain_pickle
from emprox.tables.zero_cost import read_zero_cost

__all__ = ["TARGETS", "examples", "run"]

STRANGE = (
    *("null", "true", "0", "-1", "1e308", "1e999", "NaN", '""', '"x"', "[]", "{}", "[[]]", "[null]", '{"x": 1}', "2.5", '"1e9"'),
    *("9" * 30, "[" * 60 + "]" * 60, '"\\ud800"', '"../../x"'),
)
"""JSON values that do not belong where they are put."""
FIRST_STORE = Path(__file__).parents[1] / "index" / "first_store"
SPACE = get_space("nasbench201")
CELLS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 8)))
NODE = NodeAttributes(channels=3, size=(8, 8), kernel=(3, 3))
GRAPH = ComputationGraph(("input", "conv", "identity", "output"), ((0, 1), (0, 2), (1, 3), (2, 3)), (NODE,) * 4)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="emprox-fuzz-"))


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


@cache
def _model() -> Path:
    """A saved estimator."""
    path = _folder() / "model"
    EmProx(encoder=MetricEncoder(embedding_size=4)).fit(CELLS, np.arange(len(CELLS))).save(path)
    return path


@cache
def _table() -> PerformanceTable:
    values = np.linspace(80, 90, len(CELLS))
    return PerformanceTable("mine", SPACE.name, tuple(CELLS), {"val_accuracy": values}, {"val_accuracy": values / 100})


@cache
def _records() -> tuple[Record, ...]:
    return tuple(Record.of(cell, {"val_accuracy": float(i)}, seed=i, key=str(i)) for i, cell in enumerate(CELLS))


def _written(name: str, write: Callable[[Path], object]) -> bytes:
    path = _folder() / name
    write(path)
    return path.read_bytes()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def architectures(data: bytes) -> None:
    """Texts, read by every space; the first byte chooses it. `restore` is what files and stores are read with."""
    names = [*SPACES, "nasbench-nlp"]
    family = get_family(names[data[0] % len(names)] if data else names[0])
    architecture = family.restore(_text(data[1:]))
    assert family.restore(str(architecture)) == architecture
    family.canonical_hash(architecture)


def graph_texts(data: bytes) -> None:
    """The text form of a network: the graph inside is what is changed."""
    family = get_family("network")
    text = f"graph#x:{base64.urlsafe_b64encode(zlib.compress(data)).decode()}"
    network = family.restore(text)
    family.canonical_hash(network)
    family.costs([network])


def network_texts(data: bytes) -> None:
    """What may stand where the text of a network is expected."""
    get_family("network").restore(_text(data))


def _with_other_parts(tree: Any, data: bytes) -> Any:
    """Return a JSON value with parts of it replaced as the bytes say: two for the place, one for what comes there."""
    tree = json.loads(json.dumps(tree))
    for step in range(0, len(data) - 2, 3):
        places = list(_places(tree))
        if places:
            parent, key = places[int.from_bytes(data[step : step + 2], "big") % len(places)]
            parent[key] = json.loads(STRANGE[data[step + 2] % len(STRANGE)])
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def parts_of_graphs(data: bytes) -> None:
    graph_texts(json.dumps(_with_other_parts(json.loads(to_json(GRAPH)), data)).encode())


def parts_of_manifests(data: bytes) -> None:
    manifests(json.dumps(_with_other_parts(json.loads((_model() / MANIFEST).read_text()), data)).encode())


def parts_of_records(data: bytes) -> None:
    """Rows of records whose checksum was corrected."""
    *row, _ = Record.of(CELLS[0], {"val_accuracy": 1.0}, seed=1, key="a", source="b").row
    targets = json.dumps(_with_other_parts(json.loads(str(row[3])), data[3:]))
    row = _with_other_parts([*row[:3], targets, *row[4:]], data[:3])
    Record.from_row([*row, hashlib.sha256(json.dumps(row).encode()).hexdigest()]).restored()


def graphs_json(data: bytes) -> None:
    graph = from_json(_text(data))
    graph.simplified().canonical_hash()
    hash(graph)


def graphs_npz(data: bytes) -> None:
    for graph in load_npz(_file("graphs.npz", data)):
        graph.simplified().canonical_hash()


def manifests(data: bytes) -> None:
    """The manifest of a saved model."""
    path = _folder() / "changed"
    shutil.copytree(_model(), path, dirs_exist_ok=True)
    (path / MANIFEST).write_bytes(data)
    load(path)


def _model_with(name: str, data: bytes) -> None:
    """Read a model one of whose files was changed by someone who corrected its checksum."""
    path = _folder() / "corrected"
    shutil.copytree(_model(), path, dirs_exist_ok=True)
    (path / name).write_bytes(data)
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (path / MANIFEST).write_text(json.dumps(manifest))
    load(path)


def safetensors(data: bytes) -> None:
    _model_with("columns.safetensors", data)


def vectors_of_a_model(data: bytes) -> None:
    _model_with("vectors.faiss", data)


def faiss_bytes(data: bytes) -> None:
    index = EmbeddingIndex.from_bytes(data)
    index.search(np.zeros((1, index.dim)), 3)


def own_csv(data: bytes) -> None:
    read_csv(_file("own.csv", data), None, "val_accuracy", std="std", default_space="nasbench201")


def table_csv(data: bytes) -> None:
    read_table(_file("table.csv", data))


def table_parquet(data: bytes) -> None:
    read_table(_file("table.parquet", data))


def records_csv(data: bytes) -> None:
    import_records(_file("records.csv", data))


def own_records_csv(data: bytes) -> None:
    import_records(_file("own-records.csv", data), ["val_accuracy"], space="nasbench201", seed="seed")


def records_parquet(data: bytes) -> None:
    import_records(_file("records.parquet", data))


def journal_lines(data: bytes) -> None:
    """A line whose checksum was corrected."""
    line = Line.decode(hashlib.sha256(data).hexdigest().encode() + b" " + data)
    if line is not None:
        [record.restored() for record in line.records]


def _store_with(name: str, data: bytes) -> None:
    path = _folder() / "store"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for file in (RECORDS, JOURNAL):
        shutil.copy(FIRST_STORE / file, path / file)
    (path / name).write_bytes(data)
    for call in (lambda: Store(path).stats(), lambda: check_store(path), lambda: repair_store(path), lambda: Store(path).stats()):
        with suppress(EmproxError):
            call()


def journals(data: bytes) -> None:
    _store_with(JOURNAL, data)


def databases(data: bytes) -> None:
    _store_with(RECORDS, data)


def zero_cost_json(data: bytes) -> None:
    read_zero_cost(_file("zc.json", data), SPACE, "cifar10")


def archives(data: bytes) -> None:
    for _ in read_members(_file("archive.zip", data), lambda name: True):
        pass


def plain_pickles(data: bytes) -> None:
    read_plain_pickle(io.BytesIO(data), "pickle")


def allowed_pickles(data: bytes) -> None:
    unpickle_allowed(data, {}, "pickle")


def onnx_files(data: bytes) -> None:
    from emprox.spaces.tracing import from_onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from_onnx(_file("net.onnx", data)).simplified().canonical_hash()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        architectures,
        graph_texts,
        network_texts,
        graphs_json,
        parts_of_graphs,
        parts_of_manifests,
        parts_of_records,
        graphs_npz,
        manifests,
        safetensors,
        vectors_of_a_model,
        faiss_bytes,
        own_csv,
        table_csv,
        table_parquet,
        records_csv,
        own_records_csv,
        records_parquet,
        journal_lines,
        journals,
        databases,
        zero_cost_json,
        archives,
        plain_pickles,
        allowed_pickles,
        onnx_files,
    )
}


def run(name: str, data: bytes) -> bool:
    """Try a target; return whether the bytes were accepted. Anything but an error of emprox is raised."""
    try:
        TARGETS[name](data)
    except EmproxError:
        return False
    return True


@cache
def examples(name: str) -> list[bytes]:
    """Return bytes that the target accepts."""
    rows = "".join(f'"{cell}",{80 + i},0.5,{i}\n' for i, cell in enumerate(CELLS))
    own = f"# by hand\narchitecture,val_accuracy,std,seed\n{rows}".encode()
    index = EmbeddingIndex(3)
    index.add(np.arange(6).reshape(2, 3), ids=[9, 2])
    larger = EmbeddingIndex(2, kind="hnsw")
    larger.add(np.random.default_rng(0).random((1000, 2)))
    made: dict[str, Callable[[], list[bytes]]] = {
        "architectures": lambda: [
            bytes([i]) + str(cell).encode()
            for i, name in enumerate(SPACES)
            for cell in get_space(name).sample(np.random.default_rng(0), 2)
        ],
        "graph_texts": lambda: [to_json(GRAPH).encode()],
        "network_texts": lambda: [str(get_family("network").read(GRAPH)).encode()],
        "parts_of_graphs": lambda: [b""],
        "parts_of_manifests": lambda: [b""],
        "parts_of_records": lambda: [b""],
        "graphs_json": lambda: [to_json(GRAPH).encode()],
        "graphs_npz": lambda: [_written("made.npz", lambda path: save_npz(path, [GRAPH, GRAPH]))],
        "manifests": lambda: [(_model() / MANIFEST).read_bytes()],
        "safetensors": lambda: [(_model() / "columns.safetensors").read_bytes()],
        "vectors_of_a_model": lambda: [(_model() / "vectors.faiss").read_bytes()],
        "faiss_bytes": lambda: [index.to_bytes(), larger.to_bytes()],
        "own_csv": lambda: [own],
        "table_csv": lambda: [_written("made.csv", lambda path: write_table(_table(), path))],
        "table_parquet": lambda: [_written("made.parquet", lambda path: write_table(_table(), path))],
        "records_csv": lambda: [_written("made.csv", lambda path: export_records(_records(), path))],
        "own_records_csv": lambda: [own],
        "records_parquet": lambda: [_written("made.parquet", lambda path: export_records(_records(), path))],
        "journal_lines": lambda: [line.rstrip().partition(b" ")[2] for line in (FIRST_STORE / JOURNAL).read_bytes().splitlines()],
        "journals": lambda: [(FIRST_STORE / JOURNAL).read_bytes()],
        "databases": lambda: [(FIRST_STORE / RECORDS).read_bytes()],
        "zero_cost_json": lambda: [
            json.dumps(
                {"cifar10": {str(tuple(cell.spec)): {"val_accuracy": 80.0, "snip": {"score": 1.0}} for cell in CELLS}}
            ).encode()
        ],
        "archives": lambda: [_written("made.zip", _zip)],
        "plain_pickles": lambda: [pickle.dumps({"a": [1.0, 2.0, "x", (None, True)], "b": {"c": 1 << 40}})],
        "allowed_pickles": lambda: [pickle.dumps({"a": [1.0, 2.0, "x", (None, True)]})],
        "onnx_files": lambda: [_onnx()],
    }
    return made[name]()


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", "[1, 2, 3]" * 10)
        archive.writestr("folder/b.json", "{}")


def _onnx() -> bytes:
    import onnx
    from onnx import helper

    shape = [1, 3, 8, 8]
    tensors = [onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")]
    tensors += [onnx.numpy_helper.from_array(np.array([-1, -2]), "axes")]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["c", "r"], ["s"]),
        helper.make_node("ReduceMean", ["s", "axes"], ["y"], keepdims=0),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
