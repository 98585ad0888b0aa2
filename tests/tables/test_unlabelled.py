"""Architectures without measurements: the real files, and files that are something else."""

import json
import zipfile

import pytest

from emprox.errors import CorruptFileError, TableNotFoundError, UnknownNameError
from emprox.spaces import get_space
from emprox.tables import load_architectures, load_table
from emprox.tables.catalog import files_of
from emprox.tables.unlabelled import UNLABELLED, read_architectures

CELL = "(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 4, 1)"
OTHER = CELL.replace("4", "3")
MEMBER = "zen/benchmark--nasbench101--cifar10--{}.json"


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "space", "n"), [("nasbench101-unlabelled", "nasbench101", 10_250), ("nasbench301-unlabelled", "darts", 11_221)]
)
def test_the_real_files(tables_root, name, space, n):
    architectures = load_architectures(name, tables_root)
    assert len(architectures) == len(set(architectures)) == n
    assert {architecture.space for architecture in architectures} == {space}


def test_rows_come_in_the_order_of_their_numbers(tmp_path):
    members = {
        MEMBER.format(1): [{"idx": "1", "arch": OTHER, "zen": {"score": 1}}],
        MEMBER.format(0): [{"idx": "0", "arch": CELL}],
        "__MACOSX/zen/benchmark--nasbench101--cifar10--0.json": "x",
        "zen/benchmark--nasbench301--cifar10--0.json": "x",
    }
    space = get_space("nasbench101")
    found = read_architectures(write(tmp_path / "z.zip", members), "nasbench101", "nasbench101")
    assert found == [space.parse(CELL), space.parse(OTHER)]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "0 nasbench101 cells"),
        ({"other.json": []}, "0 nasbench101 cells"),
        ({MEMBER.format(0): [{"idx": 1, "arch": CELL}]}, "1 nasbench101 cells with gaps"),
        ({MEMBER.format(0): [{"idx": 0}]}, r"0\.json is not NASLib's list of nasbench101 cells: KeyError"),
        ({MEMBER.format(0): [{"idx": 0, "arch": "(1, 2)"}]}, "InvalidArchitectureError"),
        ({MEMBER.format(0): [{"idx": "a", "arch": CELL}]}, "ValueError"),
        ({MEMBER.format(0): 3}, "TypeError"),
        ({MEMBER.format(0): "["}, "JSONDecodeError"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, members, message):
    with pytest.raises(CorruptFileError, match=message):
        read_architectures(write(tmp_path / "z.zip", members), "nasbench101", "nasbench101")


def test_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "z.zip").write_bytes(b"PK")
    with pytest.raises(CorruptFileError, match="no zip file"):
        read_architectures(tmp_path / "z.zip", "nasbench101", "nasbench101")


def test_names(tmp_path, monkeypatch):
    monkeypatch.delenv("EMPROX_TABLES", raising=False)
    monkeypatch.setattr("emprox.tables.files.platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench101-unlabelled'"):
        load_architectures("nasbench101-unlabeled", tmp_path)
    with pytest.raises(TableNotFoundError, match=r"emprox tables get nb101_zen\.zip"):
        load_architectures("nasbench101-unlabelled", tmp_path)
    with pytest.raises(UnknownNameError, match=r"no table; use load_architectures\('nasbench101-unlabelled'\)"):
        load_table("nasbench101-unlabelled", tmp_path)


@pytest.mark.parametrize("name", UNLABELLED)
def test_the_catalogue_knows_the_file(name):
    assert files_of(name) == [UNLABELLED[name][0]]
