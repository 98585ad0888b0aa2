"""`emprox store` as it is typed."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emprox import get_space
from emprox.index import Store
from emprox.tables import Measure
from tests.test_cli import emprox_here, fails

CELLS = [str(cell) for cell in dict.fromkeys(get_space("nasbench201").sample(np.random.default_rng(0), 12))]
A = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
TWIN = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def works(*arguments: object) -> str:
    result = emprox_here("store", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def here(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return emprox_here("store", *arguments)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "runs"
    for seed, value in enumerate((90.5, 91.5)):
        works("add", path, A, "--target", f"val_accuracy={value}", "--seed", seed, "--source", "lab", "--space", "nasbench201")
    works("add", path, f"nasbench201:{CELLS[0]}", "--target", "val_accuracy=70", "--target", "latency_ms=3.5")
    return path


def test_add_and_query(runs: Path) -> None:
    rows = json.loads(works("query", runs, "--target", "val_accuracy", "--json"))
    assert rows == [
        {"architecture": A, "mean": 91.0, "spread": pytest.approx(0.7071, abs=1e-4), "count": 2},
        {"architecture": CELLS[0], "mean": 70.0, "spread": None, "count": 1},
    ]
    assert works("query", runs, "--target", "val_accuracy", "--csv").splitlines()[1].endswith(",2")
    assert "2 found" in works("query", runs, "--target", "val_accuracy")
    every = json.loads(works("query", runs, "--target", "val_accuracy", "--measurements", "--json"))
    assert [(row["val_accuracy"], row["seed"], row["source"]) for row in every] == [
        (90.5, 0, "lab"),
        (91.5, 1, "lab"),
        (70.0, None, ""),
    ]


def test_filters(runs: Path) -> None:
    def found(*options: object) -> list[float]:
        return [row["mean"] for row in json.loads(works("query", runs, "--target", "val_accuracy", "--json", *options))]

    assert found("--top", 1) == [91.0]
    assert found("--at-most", 80) == [70.0]
    assert found("--at-least", 80) == [91.0]
    assert found("--source", "lab") == [91.0]
    assert found("--architecture", TWIN) == [91.0]
    assert json.loads(works("query", runs, "--target", "latency_ms", "--top", 5, "--json"))[0]["mean"] == 3.5
    assert found("--at-least", 99) == []


def test_a_key_makes_a_rerun_harmless(runs: Path) -> None:
    for _ in range(2):
        assert (
            works("add", runs, A, "--target", "val_accuracy=92", "--space", "nasbench201", "--key", "job 7")
            == f"record 4 in {runs}\n"
        )


def test_stats(runs: Path) -> None:
    works("add", runs, TWIN, "--target", "val_accuracy=91", "--space", "nasbench201")
    text = works("stats", runs)
    assert "3 architectures, 2 of them have a twin" in text
    assert "val_accuracy: 3 architectures, 4 measurements, means 70 to 91 percent, spread of repeated ones 0.707" in text
    facts = json.loads(works("stats", runs, "--json"))
    assert (facts["records"], facts["sources"]) == (4, {"lab": 2, "": 2})
    assert facts["spaces"]["nasbench201"]["targets"]["latency_ms"]["unit"] == "ms"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_import_merge(runs: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    file = tmp_path / f"all.{suffix}"
    assert works("export", runs, file) == f"3 records written to {file}\n"
    assert works("import", tmp_path / "copy", file) == f"3 new records in {tmp_path / 'copy'}, 0 were there\n"
    assert works("import", tmp_path / "copy", file) == f"0 new records in {tmp_path / 'copy'}, 3 were there\n"
    works("add", runs, A, "--target", "val_accuracy=92", "--space", "nasbench201")
    assert works("merge", tmp_path / "copy", runs) == f"1 new records from {runs}\n"
    assert len(Store(tmp_path / "copy")) == 4


def test_of_stores_that_do_not_fit_together_none_is_merged(runs: Path, tmp_path: Path) -> None:
    other = Store(tmp_path / "other", create=True)
    other.add(CELLS[0], {"val_accuracy": 0.9}, space="nasbench201", measures={"val_accuracy": Measure("fraction", True)})
    works("add", tmp_path / "all", A, "--target", "latency_ms=3", "--space", "nasbench201")
    fails(here("merge", tmp_path / "all", runs, other.path), "val_accuracy came with unit", "Nothing was added")
    assert len(Store(tmp_path / "all")) == 1


def test_own_results(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(f'arch,acc_accuracy,s\n"{A}",88.0,0\n"{A}",88.5,1\n')
    options = ("--target", "acc_accuracy", "--seed-column", "s", "--architecture-column", "arch", "--space", "nasbench201")
    for new in (2, 0):
        assert works("import", tmp_path / "own", file, *options).startswith(f"{new} new records")


def test_the_space_of_a_store_that_has_one_may_be_left_out(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(f'architecture,val_accuracy\n"{CELLS[1]}",88.0\n')
    assert works("import", runs, file, "--target", "val_accuracy").startswith("1 new records")
    assert works("add", runs, CELLS[2], "--target", "val_accuracy=70").startswith("record 5 in")
    fails(here("import", tmp_path / "new", file, "--target", "val_accuracy"), "cannot tell the search space", "--space")


def test_wrong_input_leaves_no_store(tmp_path: Path) -> None:
    path = tmp_path / "new"
    for arguments in ((A, "--target", "val_accuracy=nan"), ("nonsense", "--target", "val_accuracy=1"), (A, "--target", "high")):
        assert here("add", path, *arguments, "--space", "nasbench201").returncode == 1
        assert not path.exists()
    fails(here("add", path, A, "--target", "a_ms=1", "--target", "a_ms=2", "--space", "nasbench201"), "one value of a target")


def test_near_filters_before_it_cuts(runs: Path) -> None:
    for i, cell in enumerate(CELLS[1:]):
        works("add", runs, cell, "--target", f"val_accuracy={80 + i}", "--source", f"lab {i}")
    works("reembed", runs, "--target", "val_accuracy")

    def near(*options: object) -> list[str]:
        rows = works("query", runs, "--target", "val_accuracy", "--near", A, "--json", *options)
        return [row["architecture"] for row in json.loads(rows)]

    assert len(near("--top", 3)) == 3
    assert near("--top", 1, "--source", "lab 4") == [CELLS[5]]
    assert near("--top", 2, "--at-least", 86, "--at-most", 90) == near("--at-least", 86, "--at-most", 90)[:2] != []


def test_damage_is_reported_and_repaired(runs: Path) -> None:
    assert works("check", runs) == "3 records, all whole in both copies\n"
    assert "whole, nothing to do" in works("repair", runs)
    os.truncate(runs / "records.journal", 100)
    fails(here("query", runs), "emprox store repair")
    checked = here("check", runs)
    assert (checked.returncode, checked.stdout) == (
        1,
        "records.journal lacks 1-3\n3 records can be saved, none is known to be lost\n",
    )
    assert json.loads(here("check", runs, "--json").stdout) == {"problems": ["records.journal lacks 1-3"], "saved": 3, "lost": []}
    assert "repaired; the old files are in" in works("repair", runs)
    assert works("check", runs) == "3 records, all whole in both copies\n"


def test_reembed_near_and_fit(runs: Path, tmp_path: Path) -> None:
    fails(here("query", runs, "--target", "val_accuracy", "--near", A), "emprox store reembed")
    for i, cell in enumerate(CELLS[1:]):
        works("add", runs, cell, "--target", f"val_accuracy={80 + i}", "--space", "nasbench201")
    assert "embedded for val_accuracy, version" in works("reembed", runs, "--target", "val_accuracy")
    (row,) = json.loads(works("query", runs, "--target", "val_accuracy", "--near", A, "--top", 1, "--json"))
    assert (row["architecture"], row["distance"]) == (A, 0.0)
    fitted = emprox_here("fit", runs, "--target", "val_accuracy", "-o", tmp_path / "model")
    assert "fitted on 13 architectures of nasbench201" in fitted.stdout, fitted.stderr


def test_mistakes_are_one_line(runs: Path, tmp_path: Path) -> None:
    fails(here("query", tmp_path / "none"), "there is no store")
    fails(here("query", runs), "has 2 targets in nasbench201: val_accuracy, latency_ms", "--target")
    fails(here("add", runs, "nonsense", "--target", "val_accuracy=1", "--space", "nasbench201"), "three groups")
    fails(here("add", runs, A, "--target", "val_accuracy", "--space", "nasbench201"), "name=value")
    fails(here("add", runs, A, "--target", "val_accuracy=nan", "--space", "nasbench201"), "finite")
    fails(here("query", runs, "--target", "val_accuracy", "--json", "--csv"), "choose one")
    fails(here("import", runs, tmp_path / "none.csv"), "cannot read")
    fails(here("check", tmp_path / "none"), "there is no store")
    (tmp_path / "file").touch()
    fails(here("query", tmp_path / "file"), "is a file; a store is a folder")
    Store(tmp_path / "empty", create=True)
    assert works("stats", tmp_path / "empty") == f"{tmp_path / 'empty'}: 0 records\n"
