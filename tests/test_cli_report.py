"""`emprox report` as a user calls it."""

from pathlib import Path

import pytest

from emprox import load_table
from emprox.estimators import load
from emprox.estimators.base import Target
from tests.report import samples
from tests.test_cli import emprox_here, fails


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-report")
    samples.model(folder)
    samples.ablation(folder)
    return folder


def test_report_is_written_where_asked_and_by_default(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = emprox_here("report", folder / "ablation.json", "--title", "Mine & yours")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("report written to report.html (2.")
    page = (tmp_path / "report.html").read_text()
    assert "<title>Mine &amp; yours</title>" in page
    assert page.count('http-equiv="Content-Security-Policy" content="default-src \'none\'') == 1
    assert emprox_here("report", folder / "ablation.json", "-o", "other.html").returncode == 0
    assert (tmp_path / "other.html").is_file()


def test_candidates_and_direction_of_a_model(folder: Path, tmp_path: Path) -> None:
    asked = [str(a) for a in load_table("bundled").population("classes").architectures[50:55]]
    (tmp_path / "candidates.txt").write_text("# some\n\n" + "\n".join(asked) + "\n")
    options = ("--candidates", tmp_path / "candidates.txt", "--smaller-is-better", "-o", tmp_path / "report.html")
    result = emprox_here("report", folder / "model", *options)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "report.html").read_text()
    assert "among 5 unmeasured architectures that were given" in page
    assert "its interval reaches the lowest of all" in page


def test_fit_tells_the_report_what_it_learned(tmp_path: Path) -> None:
    cells = load_table("bundled").population("classes").architectures[:4]
    rows = "".join(f"{cell},{ms}\n" for ms, cell in enumerate(cells))
    (tmp_path / "results.csv").write_text("architecture,latency_ms\n" + rows)
    model = tmp_path / "model"
    fitted = emprox_here("fit", tmp_path / "results.csv", "--target", "latency_ms", "--estimator", "knn", "-o", model)
    assert fitted.returncode == 0, fitted.stderr
    assert load(model).target_ == Target("latency_ms", "ms", larger_is_better=False)


def test_figures(folder: Path, tmp_path: Path) -> None:
    result = emprox_here("report", folder / "ablation.json", "--format", "svg", "-o", tmp_path / "figures")
    assert result.returncode == 0, result.stderr
    assert "3 figures" in result.stdout
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 3


def test_errors_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    fails(emprox_here("report", tmp_path / "no.json"), "cannot read", "expected a file of results or a folder")
    fails(emprox_here("report", folder / "ablation.json", "-o", tmp_path), "is a folder; name the file to write")
    before = (folder / "ablation.json").read_bytes()
    fails(emprox_here("report", folder / "ablation.json", "-o", folder / "ablation.json"), "that it is about; name another place")
    assert (folder / "ablation.json").read_bytes() == before
    asked = tmp_path / "asked.txt"
    asked.write_text("a cell")
    fails(emprox_here("report", folder / "model", "--candidates", asked, "-o", asked), "written over the candidates")
    assert asked.read_text() == "a cell"
    missing = tmp_path / "no.txt"
    fails(emprox_here("report", folder / "model", "--candidates", missing), "cannot read", "one architecture per line")
    assert emprox_here("report").returncode == 2
