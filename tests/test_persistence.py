import errno
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from emprox import persistence
from emprox.errors import CorruptFileError, StorageError
from emprox.persistence import MANIFEST, read_folder, write_file, write_folder


def writes(text: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        (folder / "data").write_text(text)
        return {"kind": text}

    return write


def test_written_and_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "model", writes("one"))
    manifest = read_folder(tmp_path / "deep" / "model")
    assert manifest["kind"] == "one"
    assert list(manifest["files"]) == ["data"]
    write_folder(tmp_path / "deep" / "model", writes("two"))
    assert read_folder(tmp_path / "deep" / "model")["kind"] == "two"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


def test_an_empty_folder_may_be_used_and_anything_else_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", writes("one"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for taken in ("mine", "file"):
        with pytest.raises(StorageError, match="not a folder that emprox wrote"):
            write_folder(tmp_path / taken, writes("one"))
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("when", ["write", "flush", "rename"])
def test_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, code: int) -> None:
    write_folder(tmp_path / "model", writes("one"))

    def fail(*_: object) -> dict[str, Any]:
        raise OSError(code, "no")

    if when == "flush":
        monkeypatch.setattr(persistence, "flush", fail)
    if when == "rename":
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda self, to: fail() if to == tmp_path / "model" and "-old" not in self.name else rename(self, to)
        )
    with pytest.raises(StorageError, match="nothing was changed"):
        write_folder(tmp_path / "model", fail if when == "write" else writes("two"))
    monkeypatch.undo()
    assert read_folder(tmp_path / "model")["kind"] == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_full_disk_while_a_library_writes(tmp_path: Path) -> None:
    """/dev/full fails every write with ENOSPC, which FAISS reports in its own way."""

    def link(name: str, folder: Path) -> Path:
        (folder / name).symlink_to("/dev/full")
        return folder / name

    def vectors(folder: Path) -> dict[str, Any]:
        index = faiss.IndexFlatL2(256)
        index.add(np.ones((5000, 256), dtype=np.float32))
        faiss.write_index(index, str(link("vectors.faiss", folder)))
        return {}

    def text(folder: Path) -> dict[str, Any]:
        link("text", folder).write_text("x" * 10_000_000)
        return {}

    for write in (vectors, text):
        with pytest.raises(StorageError, match="could not write"):
            write_folder(tmp_path / "model", write)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("manifest", "error", "message"),
    [
        ("", CorruptFileError, "not a manifest"),
        ("[1]", CorruptFileError, "not a manifest"),
        ("{}", CorruptFileError, "not a manifest"),
        ('{"format": 99, "files": {}}', CorruptFileError, "has format 99, this emprox reads 1"),
        ('{"format": 1, "files": {"data": 3}}', CorruptFileError, "not a manifest"),
        ('{"format": 1, "files": {"lost": {}}}', CorruptFileError, "lacks the file 'lost'"),
        ('{"format": 1, "files": {"../secret": {}}}', CorruptFileError, "lacks the file '../secret'"),
    ],
)
def test_damaged_manifests(tmp_path: Path, manifest: str, error: type[Exception], message: str) -> None:
    (tmp_path / "secret").write_text("x")
    write_folder(tmp_path / "model", writes("one"))
    (tmp_path / "model" / MANIFEST).write_text(manifest)
    with pytest.raises(error, match=message):
        read_folder(tmp_path / "model")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not read a saved folder"):
        read_folder(tmp_path / "no")


def test_write_file_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "out.json"
    write_file(path, json.dumps({"a": 1}).encode())

    def fail(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(persistence, "flush", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_file(path, b"other")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["out.json"]


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    path, data = tmp_path / "file", [bytes([i]) * 1000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_file(path, data[i % 8]), range(80)))
    assert path.read_bytes() in data
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
