"""Readers given bytes that nobody wrote on purpose: they raise errors of emprox and nothing else."""

import base64
import json
import random
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emprox.errors import CorruptFileError, EmproxError, InvalidArchitectureError
from emprox.estimators import load
from emprox.persistence import MANIFEST, read_folder
from emprox.spaces import ComputationGraph, NodeAttributes, get_family
from emprox.spaces.storage import from_json, load_npz, save_npz, to_json
from tests.fuzz.targets import GRAPH, TARGETS, examples, run

NEEDS = {"onnx_files": "onnx", "table_parquet": "pyarrow", "records_parquet": "pyarrow"}
SLOW = {"journals": 5, "databases": 5, "own_csv": 15, "own_records_csv": 15}
"""Tries of readers that take tens of milliseconds."""
TRIES = 25
PIECES = [b"0", b"9" * 25, b"-1", b"1e999", b"NaN", b"null", b"[", b'"', b"{", b"\n", b"\0", b"\xff" * 4, b",", b"|", b"../"]


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """Return an example with some bytes replaced, inserted, removed, repeated or cut off."""
    data = draw(st.sampled_from(examples(name)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 24))
        piece = draw(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=6))
        other = draw(st.integers(0, len(data)))
        choices = (
            data[:place] + piece + data[place + len(piece) :],
            data[:place] + piece + data[place:],
            data[:place] + data[place + length :],
            data[:place] + data[other : other + length] + data[place:],
            data[:place],
        )
        data = draw(st.sampled_from(choices))
    return data


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_readers_raise_errors_of_emprox_only(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs {NEEDS[name]}")
    assert all(run(name, data) for data in examples(name))

    @settings(max_examples=SLOW.get(name, TRIES), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=changed(name) | st.binary(max_size=60))
    def search(data: bytes) -> None:
        run(name, data)

    search()


def network(text: str) -> str:
    return f"graph#x:{base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()}"


class TestWhatFillsTheMemory:
    def test_a_network_that_unpacks_to_too_much(self) -> None:
        packed = zlib.compress(bytes((1 << 25) + 1))
        with pytest.raises(InvalidArchitectureError, match="cut off, or too large"):
            get_family("network").restore(f"graph#x:{base64.urlsafe_b64encode(packed).decode()}")

    def test_wires_that_multiply(self) -> None:
        depth = 60
        kinds = ("input", *["identity"] * depth, "output")
        edges = tuple((i, i + 1) for i in range(depth + 1) for _ in range(2))
        graph = ComputationGraph(kinds, edges, tuple(NodeAttributes(channels=1) for _ in kinds))
        with pytest.raises(InvalidArchitectureError, match="wires; this is no network"):
            graph.simplified()

    def test_more_nodes_than_any_network_has(self) -> None:
        kinds = ["input", *["activation"] * 100_000, "output"]
        text = json.dumps({"format": 1, "kinds": kinds, "edges": [], "attributes": []})
        with pytest.raises(CorruptFileError, match="nodes"):
            from_json(text)

    def test_an_npz_whose_header_promises_too_much(self, tmp_path: Path) -> None:
        save_npz(tmp_path / "good.npz", [GRAPH])
        header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % 10**12
        header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
        bad = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        with zipfile.ZipFile(tmp_path / "good.npz") as good, zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
            for name in good.namelist():
                archive.writestr(name, bad if name == "channels.npy" else good.read(name))
        with pytest.raises(CorruptFileError, match="an array of int64"):
            load_npz(tmp_path / "bad.npz")

    def test_an_npz_that_unpacks_to_too_much(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("emprox.spaces.storage.MOST_BYTES", 1 << 20)
        with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in "abc":
                archive.writestr(f"{name}.npy", bytes(1 << 19))
        with pytest.raises(CorruptFileError, match="made to fill the memory"):
            load_npz(tmp_path / "bomb.npz")

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000])
    def test_json_that_is_nested_or_long(self, text: str, tmp_path: Path) -> None:
        (tmp_path / MANIFEST).write_text(text)
        for call, argument in ((from_json, text), (read_folder, tmp_path), (get_family("network").restore, network(text))):
            with pytest.raises(EmproxError):
                call(argument)


class TestFound:
    """What the search has found, so that it stays mended."""

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            (("edges", 0, 0), float("inf")),
            (("edges", 0, 0), 0.5),
            (("attributes", 1, "channels"), "3"),
            (("attributes", 1, "channels"), -1),
            (("attributes", 1, "channels"), 1 << 70),
            (("attributes", 1, "kernel"), "33"),
            (("attributes", 1, "function"), ["relu"]),
            (("kinds", 1), None),
        ],
    )
    def test_parts_of_a_graph_that_are_of_another_kind(self, place: tuple[object, ...], value: object) -> None:
        tree = json.loads(to_json(GRAPH))
        parent = tree
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        with pytest.raises(CorruptFileError, match="expected a graph as JSON"):
            from_json(json.dumps(tree))

    @pytest.mark.parametrize("seed", range(3))
    def test_npz_files_with_damaged_zip_headers(self, tmp_path: Path, seed: int) -> None:
        whole, rng = examples("graphs_npz")[0], random.Random(seed)
        central = whole.index(b"PK\x01\x02")
        for _ in range(40):
            data = bytearray(whole)
            data[rng.randrange(central, len(data))] ^= 1 << rng.randrange(8)
            run("graphs_npz", bytes(data))

    def test_a_model_that_names_a_file_to_read(self, tmp_path: Path) -> None:
        tree = json.loads(examples("manifests")[0])
        tree["options"]["known"] = "/etc/hostname"
        with pytest.raises(CorruptFileError, match="no saved estimator has"):
            TARGETS["manifests"](json.dumps(tree).encode())

    def test_a_manifest_whose_values_are_no_numbers(self) -> None:
        tree = json.loads(examples("manifests")[0])
        tree["known"]["y"][0] = "x"
        with pytest.raises(CorruptFileError, match="is not a saved estimator"):
            TARGETS["manifests"](json.dumps(tree).encode())

    def test_a_zip_member_without_a_name(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("a"), "x")
        data = (tmp_path / "odd.zip").read_bytes().replace(b"a", b"\0")
        with pytest.raises(CorruptFileError, match=r"without a name|no zip file"):
            TARGETS["archives"](data)

    def test_a_journal_line_of_one_word(self) -> None:
        assert not run("journal_lines", b"2")

    def test_an_onnx_operator_without_what_it_needs(self, tmp_path: Path) -> None:
        onnx = pytest.importorskip("onnx", reason="needs onnx")
        from emprox.spaces.tracing import from_onnx

        helper = onnx.helper
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
        y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 4, 4])
        graph = helper.make_graph([helper.make_node("MaxPool", ["x"], ["y"])], "net", [x], [y])
        path = tmp_path / "net.onnx"
        path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
        with pytest.raises(CorruptFileError, match=r"not as ONNX defines it|do not fit together"):
            from_onnx(path)


def test_nothing_saved_is_opened_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    TARGETS["manifests"](examples("manifests")[0])
    for name in ("../secret", "/etc/hostname", "..", "."):
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / MANIFEST).write_text(json.dumps({"format": 1, "files": {name: {"bytes": 1, "sha256": ""}}}))
        with pytest.raises(CorruptFileError, match="lacks the file"):
            load(folder)


def test_arrays_of_graphs_are_read_as_they_were(tmp_path: Path) -> None:
    save_npz(tmp_path / "graphs.npz", [GRAPH, GRAPH])
    assert load_npz(tmp_path / "graphs.npz") == [GRAPH, GRAPH]
    with np.load(tmp_path / "graphs.npz", allow_pickle=False) as file:
        assert set(file.files) > {"kinds", "edges", "counts"}
