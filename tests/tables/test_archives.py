"""Zip files that are made to escape, to fill the memory, or that are cut short."""

import io
import json
import struct
import zipfile

import pytest

from emprox.errors import CorruptFileError, StorageError
from emprox.tables.archives import read_members
from emprox.tables.formats import read_nasbench201_zen


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _read(path, **bounds):
    return dict(read_members(path, lambda name: True, **bounds))


def test_members_come_by_name(tmp_path):
    path = _zip(tmp_path / "a.zip", {"x/a.json": b"1", "x/b.json": b"2", "c.txt": b"3"})
    assert dict(read_members(path, lambda name: name.endswith(".json"))) == {"x/a.json": b"1", "x/b.json": b"2"}


@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "/etc/evil", "..\\evil", "C:/evil"])
def test_a_member_outside_its_folder_refuses_the_file_before_anything_is_unpacked(tmp_path, name):
    path = _zip(tmp_path / "a.zip", {"good.json": b"1", name: b"2"})
    with pytest.raises(CorruptFileError, match="outside its folder"):
        next(read_members(path, lambda name: True))
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_a_bomb_is_refused_by_its_ratio(tmp_path):
    path = _zip(tmp_path / "a.zip", {"a": bytes(50_000_000)})
    with pytest.raises(CorruptFileError, match="fill the memory"):
        _read(path)


def test_many_members_are_refused_by_their_sum(tmp_path):
    path = _zip(tmp_path / "a.zip", {f"{i}": bytes(range(256)) * 40 for i in range(10)})
    assert len(_read(path, most_bytes=102_400)) == 10
    with pytest.raises(CorruptFileError, match="unpacks to 102400 bytes"):
        _read(path, most_bytes=102_399)


def test_a_bomb_that_declares_a_small_size_is_not_unpacked(tmp_path):
    path = _zip(tmp_path / "a.zip", {"a": bytes(10_000_000)})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", data, data.index(signature) + offset, 1000)
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="damaged"):
        _read(path)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_file_that_shrank_is_damaged(tmp_path, kept):
    path = _zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 100})
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
    with pytest.raises(CorruptFileError, match="damaged"):
        _read(path)


def test_a_changed_byte_is_noticed(tmp_path):
    path = _zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 100})
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    with pytest.raises(CorruptFileError):
        _read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(StorageError, match=r"none\.zip"):
        _read(tmp_path / "none.zip")


class TestZenReader:
    NAME = "zen/benchmark--nasbench201--cifar10--0.json"

    @pytest.mark.parametrize(
        "content",
        [b"[", b"3", b'[{"idx": 0}]', b'[{"idx": 0, "arch": [9,0,0,0,0,0], "val_accuracy": 1}]', b"[" * 2500],
    )
    def test_members_that_are_something_else(self, tmp_path, content):
        with pytest.raises(CorruptFileError, match="NASLib"):
            read_nasbench201_zen(_zip(tmp_path / "a.zip", {self.NAME: content}), "cifar10")

    def test_missing_cells(self, tmp_path):
        record = {"idx": 0, "arch": [0] * 6, "val_accuracy": 90.0}
        with pytest.raises(CorruptFileError, match="1 cells of cifar10"):
            read_nasbench201_zen(_zip(tmp_path / "a.zip", {self.NAME: json.dumps([record])}), "cifar10")

    def test_no_zip(self, tmp_path):
        (tmp_path / "a.zip").write_bytes(io.BytesIO(b"hello").getvalue())
        with pytest.raises(CorruptFileError, match="no zip"):
            read_nasbench201_zen(tmp_path / "a.zip", "cifar10")
