"""`emprox tables` as it is typed: what it prints, one-line errors, exit codes."""

import errno
import json
import os
import sys

import pytest

from emprox import cli
from emprox.tables import TABLES, download
from tests import served

DATA = os.urandom(100_000)
NAME = "data.bin"


@pytest.fixture
def site(tmp_path, monkeypatch):
    with served.site(tmp_path, monkeypatch) as found:
        found.add(NAME, DATA, tables=("ours",))
        yield found


@pytest.fixture
def emprox(monkeypatch, capsys):
    """Run the command line; return exit code, standard output and standard error."""
    monkeypatch.setattr("emprox.tables.download.time.sleep", lambda seconds: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["emprox", "tables", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code or 0, *capsys.readouterr()

    return run


def assert_one_line_error(answer, word):
    code, out, err = answer
    lines = [line for line in err.splitlines() if line.strip()]
    assert code == 1
    assert out == ""
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert word in lines[0]


class TestGet:
    @pytest.mark.parametrize("name", [NAME, "ours", "ours:variant"])
    def test_the_path_and_whom_to_cite(self, site, emprox, name):
        code, out, _ = emprox("get", name)
        assert code == 0
        assert out.splitlines() == [str(site.folder / NAME), "  CC0-1.0; please cite: Nobody, Nothing, 2020."]
        assert (site.folder / NAME).read_bytes() == DATA

    def test_500_then_good(self, site, emprox):
        site.add(NAME, DATA, served.status(500), served.good(DATA))
        assert emprox("get", NAME)[0] == 0

    def test_a_redirect(self, site, emprox):
        site.add("other.bin", DATA)
        site.add(NAME, DATA, served.redirect(f"{site.url}/other.bin"))
        assert emprox("get", NAME)[0] == 0

    @pytest.mark.parametrize(
        ("answer", "word"),
        [
            (served.truncated(DATA, len(DATA)), "connection failed"),
            (served.good(bytes(len(DATA))), "not the catalogue's file"),
            (served.status(404), "404"),
            (served.status(500), "500"),
        ],
        ids=["truncated", "wrong", "404", "500"],
    )
    def test_failures(self, site, emprox, answer, word):
        site.add(NAME, DATA, answer)
        assert_one_line_error(emprox("get", NAME), word)
        assert site.left_over() == []

    def test_a_stall(self, site, emprox):
        site.add(NAME, DATA, served.stalled(site, DATA))
        assert_one_line_error(emprox("get", NAME, "--timeout", 0.2, "--attempts", 1), "timed out")
        assert site.left_over() == []

    def test_a_full_disk(self, site, emprox, monkeypatch):
        def full(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(download.os, "fsync", full)
        assert_one_line_error(emprox("get", NAME), "No space left")
        assert site.left_over() == []

    def test_a_read_only_folder(self, site, emprox, monkeypatch):
        def refuse(*arguments, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(os, "mkdir", refuse)
        assert_one_line_error(emprox("get", NAME), "Read-only file system")
        assert not site.folder.exists()

    def test_from_a_file(self, site, emprox, tmp_path):
        (tmp_path / "mine").write_bytes(DATA)
        assert emprox("get", "ours", "--from", tmp_path / "mine")[0] == 0
        assert site.requests == []
        assert site.left_over() == [NAME]

    def test_from_a_file_of_a_table_with_several(self, site, emprox, tmp_path):
        site.add("second.bin", b"second", tables=("ours",))
        (tmp_path / "mine").write_bytes(b"second")
        assert emprox("get", "ours", "--from", tmp_path / "mine")[0] == 0
        assert site.left_over() == ["second.bin"]

    def test_from_a_wrong_file(self, site, emprox, tmp_path):
        (tmp_path / "mine").write_bytes(DATA[1:])
        assert_one_line_error(emprox("get", "ours", "--from", tmp_path / "mine"), "99999 bytes")
        assert_one_line_error(emprox("get", "ours", "--from", tmp_path / "none"), "missing")
        assert (tmp_path / "mine").exists()
        assert site.left_over() == []

    def test_the_bundled_table(self, site, emprox, tmp_path):
        assert emprox("get", "bundled")[:2] == (0, "bundled: part of emprox, nothing to download\n")
        code, _, err = emprox("get", "bundled", "--from", tmp_path)
        assert (code, err.startswith("error: --from")) == (1, True)

    def test_an_unknown_name(self, site, emprox):
        assert_one_line_error(emprox("get", "our"), "did you mean 'ours'?")

    def test_no_name_is_a_wrong_call(self, emprox):
        assert emprox("get")[0] == 2


class TestList:
    def test_text_and_json_agree(self, site, emprox):
        site.folder.mkdir()
        code, out, _ = emprox("list")
        rows = json.loads(emprox("list", "--json")[1])
        assert code == 0
        assert {row["file"] for row in rows} >= {NAME, "nb201_zen.zip", "wikitext2_logs.zip", TABLES.get("bundled").file}
        assert all(row["file"] in out for row in rows)
        assert next(row for row in rows if row["file"] == NAME)["tables"] == ["ours (no reader yet)"]

    def test_tables_with_variants_in_several_files_and_without_measurements(self, site, emprox):
        site.folder.mkdir()
        tables = {row["file"]: row["tables"] for row in json.loads(emprox("list", "--json")[1])}
        assert tables["nb201_zc_proxies.csv"] == ["nasbench201-proxies"]
        assert tables["nb201_zen.zip"] == ["nasbench201:{cifar10,cifar100,ImageNet16-120}", "nasbench201-proxies"]
        assert tables["mbnv3w10_linasga_acc.csv"] == tables["mbnv3w10_evoga_acc.csv"] == ["ofa-mobilenetv3"]
        assert tables["nb101_zen.zip"] == ["nasbench101-unlabelled (architectures only)"]
        assert tables["zc_transbench101_micro.json"][0].startswith("transnas101-micro:{class_scene,")

    def test_what_is_here(self, site, emprox):
        def state():
            return next(row for row in json.loads(emprox("list", "--json")[1]) if row["file"] == NAME)["state"]

        site.folder.mkdir()
        assert state() == "missing"
        (site.folder / NAME).write_bytes(DATA[1:])
        assert state() == "wrong file"
        (site.folder / NAME).write_bytes(DATA)
        assert state() == "here"

    def test_a_broken_catalogue_of_others(self, site, emprox):
        site.folder.mkdir()
        site.write_plugin("raise RuntimeError('two\\nlines')\n")
        assert_one_line_error(emprox("list"), "emprox_test_catalogue")


class TestPath:
    def test_after_get(self, site, emprox):
        emprox("get", NAME)
        assert emprox("path", "ours") == (0, f"{site.folder / NAME}\n", "")

    def test_not_here(self, site, emprox):
        site.folder.mkdir()
        assert_one_line_error(emprox("path", "ours"), "emprox tables get data.bin")

    def test_a_wrong_file(self, site, emprox):
        site.folder.mkdir()
        (site.folder / NAME).write_bytes(DATA[1:])
        assert_one_line_error(emprox("path", "ours"), "not the catalogue's file")

    def test_the_bundled_table(self, emprox):
        assert emprox("path", "bundled")[1].rstrip().endswith(TABLES.get("bundled").file)


class TestInfo:
    def test_a_file(self, site, emprox):
        code, out, _ = emprox("info", NAME)
        assert code == 0
        assert "CC0-1.0" in out
        assert "Nobody, Nothing, 2020." in out
        assert json.loads(emprox("info", "ours", "--json")[1])["files"][0]["bytes"] == len(DATA)

    def test_a_table(self, emprox, tables_root):
        code, out, _ = emprox("info", "nasbench201-12epochs:cifar100", "--tables-root", tables_root)
        assert code == 0
        assert "15625 rows of nasbench201" in out
        assert "5425" in out
        assert "val_accuracy" in out
        assert "percent" in out
        assert "larger is better" in out
        sheet = json.loads(emprox("info", "nasbench201-12epochs", "--json", "--tables-root", tables_root)[1])
        assert sheet["populations"]["classes"] == 5425
        assert sheet["files"][0]["licence"] == "MIT"

    def test_a_table_in_several_files(self, emprox, tables_root):
        code, out, _ = emprox("info", "ofa-mobilenetv3", "--tables-root", tables_root)
        assert code == 0
        assert "1203 rows of ofa-mobilenetv3" in out
        assert "initial 100" in out
        assert out.count("mbnv3w10_") >= 3

    def test_the_metric_of_a_task(self, emprox, tables_root):
        out = emprox("info", "transnas101-micro:room_layout", "--tables-root", tables_root)[1]
        assert "target val_loss_negated: -1.09 to -0.6095" in out
        assert "larger is better" in out

    def test_architectures_without_measurements(self, emprox, tables_root):
        code, out, _ = emprox("info", "nasbench101-unlabelled", "--tables-root", tables_root)
        assert (code, out.startswith("nb101_zen.zip")) == (0, True)

    def test_an_unknown_name(self, emprox):
        assert_one_line_error(emprox("info", "nasbench202"), "nasbench201")
