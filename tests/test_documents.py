"""What the README, the chapters and the examples say runs."""

import doctest
import re
import runpy
from pathlib import Path

import pytest

from tests.integrations.recorded_naslib import import_real

ROOT = Path(__file__).parents[1]
OPTIONAL = ("optuna", "deap", "naslib")
"""Packages that an example may need and that may be missing."""


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_chapters_compute_what_they_show(path: Path) -> None:
    result = doctest.testfile(str(path), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.filterwarnings("ignore:::naslib", "ignore:::optuna")
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for package in OPTIONAL:
        if re.search(rf"^(import|from) {package}\b", path.read_text(), re.MULTILINE):
            import_real() if package == "naslib" else pytest.importorskip(package, reason=f"{path.name} needs {package}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(path), *(["--smoke"] if "--smoke" in path.read_text() else [])])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_readme_blocks_run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ops = ("none", "nor_conv_3x3", "skip_connect")
    rows = [f"|nor_conv_3x3~0|+|none~0|{op}~1|+|skip_connect~0|none~1|{op}~2|,{80 + i}\n" for i, op in enumerate(ops)]
    Path("results.csv").write_text("architecture,val_accuracy\n" + "".join(rows))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "|" in capsys.readouterr().out


def test_links_between_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
