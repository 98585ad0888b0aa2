"""Names to tables, files to places, and the catalogue against the real files."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emprox.errors import CorruptFileError, InvalidDataError, StorageError, TableNotFoundError, UnknownNameError
from emprox.spaces import get_space
from emprox.tables import TABLES, PerformanceTable, load_table
from emprox.tables.catalog import TableEntry, files_of
from emprox.tables.download import download_file
from emprox.tables.files import CatalogFile, catalog, find_file
from tests import served

DATA = b"some bytes"
NAME = "data.bin"


class TestCatalogue:
    def test_every_entry_is_the_real_file(self, tables_root):
        folder = tables_root / "originals"
        assert sorted(catalog()) == sorted(path.name for path in folder.iterdir())
        for name, facts in catalog().items():
            data = (folder / name).read_bytes()
            assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())

    @pytest.mark.parametrize("facts", catalog().values(), ids=lambda facts: facts.name)
    def test_every_entry_is_pinned_credited_and_described(self, facts):
        assert facts.url.startswith("https://raw.githubusercontent.com/")
        assert len(facts.url.split("/")[5]) == 40
        assert facts.licence in {"Apache-2.0", "MIT"}
        assert "20" in facts.citation
        assert facts.content

    def test_every_readable_table_that_is_downloaded_is_in_it(self):
        for name in TABLES:
            entry = TABLES.get(name)
            assert entry.citation
            assert entry.bundled or sorted(entry.files) == sorted(files_of(name))

    @pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../a", "a\\b", ".."])
    def test_names_with_folders_are_refused(self, name):
        with pytest.raises(InvalidDataError, match="plain name"):
            CatalogFile(name, "https://host/x", 1, "0" * 64, "MIT", "")


class TestFindFile:
    @pytest.fixture
    def folders(self, site, tmp_path, monkeypatch):
        """Return the places in the order in which they are looked at."""
        site.add(NAME, DATA)
        root = tmp_path / "root"
        monkeypatch.setattr("emprox.tables.files.platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
        found = [root, root / "originals", site.folder, site.folder / "originals", tmp_path / "cache" / "emprox" / "tables"]
        for folder in found:
            folder.mkdir(parents=True)
        return found

    @pytest.mark.parametrize("first", range(5))
    def test_the_first_place_that_has_it(self, folders, first):
        for folder in folders[first:]:
            (folder / NAME).write_bytes(DATA)
        assert find_file(NAME, folders[0]) == folders[first] / NAME

    @pytest.mark.parametrize("first", range(5))
    def test_a_wrong_file_stops_the_search(self, folders, first):
        for folder in folders[first:]:
            (folder / NAME).write_bytes(DATA)
        (folders[first] / NAME).write_bytes(DATA[:-1] + b"!")
        with pytest.raises(CorruptFileError, match="expected 10 bytes") as caught:
            find_file(NAME, folders[0])
        assert str(folders[first] / NAME) in str(caught.value)

    def test_a_file_that_shrank(self, folders):
        (folders[2] / NAME).write_bytes(DATA[:4])
        with pytest.raises(CorruptFileError, match="4 bytes"):
            find_file(NAME)

    def test_nowhere_says_how_to_get_it(self, folders):
        with pytest.raises(TableNotFoundError, match=f"emprox tables get {NAME}") as caught:
            find_file(NAME, folders[0])
        assert all(str(folder) in str(caught.value) for folder in folders)

    def test_a_root_that_is_missing(self, folders, tmp_path):
        with pytest.raises(StorageError, match="missing"):
            find_file(NAME, tmp_path / "none")

    def test_an_unknown_file(self):
        with pytest.raises(UnknownNameError, match=r"'nb201_zen\.zip'"):
            find_file("nb201_zen.zi")


READER = """
from emprox.spaces import get_space
from emprox.tables import PerformanceTable
from emprox.tables.catalog import TableEntry


def read(path):
    cells = get_space("nasbench201").parse((0, 0, 0, 0, 0, 0)), get_space("nasbench201").parse((2, 0, 0, 0, 0, 0))
    return PerformanceTable("x", "nasbench201", cells, {"val_accuracy": list(path.read_bytes()[:2])})


THEIRS = TableEntry("data.bin", {"default": read}, "Them, 2021.")
"""


class TestLoadTable:
    @pytest.fixture(autouse=True)
    def _tables_of_before(self, monkeypatch):
        """Forget the tables that a test adds."""
        monkeypatch.setattr(TABLES, "_loaded", dict(TABLES._loaded))

    def test_a_table_of_another_package(self, site):
        site.add(NAME, DATA, tables=("theirs",))
        site.write_plugin(site.plugins.joinpath(f"{served.MODULE}.py").read_text() + READER)
        metadata = site.plugins / f"{served.MODULE}-1.0.dist-info" / "entry_points.txt"
        metadata.write_text(metadata.read_text() + f"[emprox.tables]\ntheirs = {served.MODULE}:THEIRS\n")
        download_file(NAME)
        table = load_table("theirs")
        assert table.targets["val_accuracy"].tolist() == list(DATA[:2])
        assert (table.name, table.citation) == ("theirs", "Them, 2021.")

    def test_a_table_in_several_files(self, site):
        def read(first, second):
            cells = get_space("nasbench201").parse((0, 0, 0, 0, 0, 0)), get_space("nasbench201").parse((2, 0, 0, 0, 0, 0))
            return PerformanceTable("x", "nasbench201", cells, {"val_accuracy": [*first.read_bytes(), *second.read_bytes()]})

        entry = TableEntry(("b.bin", "a.bin"), {"default": read}, "Us, 2022.")
        TABLES.register("ours", entry)
        assert entry.files == ("b.bin", "a.bin")
        for name, data in (("a.bin", b"A"), ("b.bin", b"B")):
            site.add(name, data, tables=("ours",))
            download_file(name)
        assert load_table("ours").targets["val_accuracy"].tolist() == [ord("B"), ord("A")]
        (site.folder / "a.bin").unlink()
        with pytest.raises(TableNotFoundError, match=r"a\.bin is in none"):
            load_table("ours")

    def test_a_table_without_a_reader_says_so(self, site):
        site.add("ours.csv", b"x", tables=("ours",))
        with pytest.raises(UnknownNameError, match=r"no reader.*emprox tables get ours.*ours\.csv"):
            load_table("ours:variant")

    def test_wrong_names_and_variants(self, tables_root):
        with pytest.raises(UnknownNameError, match="'nasbench201-12epochs'"):
            load_table("nasbench201-12epoch")
        with pytest.raises(UnknownNameError, match="'cifar100'"):
            load_table("nasbench201-12epochs:cifar1000", tables_root)

    def test_a_wrong_file_in_place_of_a_pickle_is_not_opened(self, tmp_path):
        (tmp_path / "mini-bench-arch-cell-accs.pd").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
        with pytest.raises(CorruptFileError, match="not the catalogue's file"):
            load_table("nasbench201-12epochs", tmp_path)

    @pytest.mark.parametrize(
        ("name", "best"),
        [("nasbench201", 91.57), ("nasbench201:cifar100", 73.26), ("nasbench201:ImageNet16-120", 47.33)],
    )
    def test_the_published_maxima(self, tables_root, name, best):
        table = load_table(name, tables_root)
        assert (len(table), table.name) == (15625, name)
        assert table.targets["val_accuracy"].max() == pytest.approx(best, abs=0.005)

    def test_short_and_long_training_agree_on_the_ranks(self, tables_root):
        long, short = load_table("nasbench201", tables_root), load_table("nasbench201-12epochs", tables_root)
        both = long.join(short)
        columns = both.targets["val_accuracy"], both.columns[f"{short.name}:val_accuracy"]
        ranks = [np.argsort(np.argsort(values)) for values in columns]
        assert np.corrcoef(*ranks)[0, 1] > 0.8
        assert short.citation == TABLES.get("nasbench201-12epochs").citation


def test_importing_tables_loads_nothing_heavy():
    heavy = ("torch", "pandas", "pyarrow", "pooch", "requests", "nats_bench", "sklearn", "faiss")
    code = f"import sys, json, emprox.tables; print(json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_chapter_lists_every_table_with_its_rows(tables_root):
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)`[^|]*\| ([0-9,]+) \|", text, re.MULTILINE))
    assert set(rows) == set(TABLES)
    del rows["timm-imagenet"]  # its networks are traced first, which takes minutes
    assert {name: int(count.replace(",", "")) for name, count in rows.items()} == {
        name: len(load_table(name, tables_root)) for name in rows
    }
