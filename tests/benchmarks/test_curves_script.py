"""Rank correlation against the cost of training."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmarks.loading import load_script

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "curves.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("curves")


def call(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["curves.py", *map(str, arguments)])
    script.main()


def test_measures_prints_and_draws(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "MOST_CANDIDATES", 60)
    options = ("--table", "bundled", "--out", tmp_path)
    call(script, monkeypatch, "measure", "--smoke", *options)
    measured = capsys.readouterr().out
    run = json.loads((tmp_path / "bundled.json").read_text())
    assert {row["estimator"] for row in run["summary"]} == {
        *script.EXPERIMENTS["bundled"].label_free,
        *script.EXPERIMENTS["bundled"].learned,
    }
    spent = {row["estimator"]: row["training_epochs_mean"] for row in run["summary"]}
    assert (spent["size"], spent["sotle:epochs=3"], spent["emprox"]) == (0, 180, 200)
    assert spent["emprox:features=structure+curves@3"] == 380
    call(script, monkeypatch, "markdown", *options)
    assert capsys.readouterr().out == measured
    lines = measured.splitlines()
    assert sum(line.startswith("| `") for line in lines) == len(run["summary"])
    assert any(line.startswith("| `emprox` | 20 | 0 | 200 | 33% | ") for line in lines)
    pytest.importorskip("matplotlib")
    call(script, monkeypatch, "plot", tmp_path / "curves.png", *options)
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_committed_results_are_those_of_the_chapter(script: ModuleType) -> None:
    chapter = (SCRIPT.parents[1] / "docs" / "curves.md").read_text()
    for name in script.EXPERIMENTS:
        run = json.loads((script.RESULTS / f"{name}.json").read_text())
        assert (run["trials"], run["seed"]) == (20, 100)
        assert script.markdown(run).strip() in chapter
