"""What the README, the chapters and the examples say runs."""

import doctest
import re
import runpy
from pathlib import Path

import pytest
import yaml

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


def test_the_site_has_every_chapter_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = [
        page for entry in nav for pages in ([entry] if isinstance(entry, str) else entry.values()) for page in pages_of(pages)
    ]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md")), (
        "put a new chapter into nav of mkdocs.yml"
    )


def pages_of(pages: str | list[str]) -> list[str]:
    return [pages] if isinstance(pages, str) else pages


def test_examples_are_numbered_along_the_flow() -> None:
    numbers = [path.name[:2] for path in sorted((ROOT / "examples").glob("*.py"))]
    assert all(number.isdigit() for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_pictures_are_used_and_say_how_they_are_made() -> None:
    chapters = "\n".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    shown = re.findall(r"!\[([^\]]+)\]\((pictures/[^)]+)\)\n\n\*([^*]+)\*", chapters)
    assert {place for _, place, _ in shown} == {f"pictures/{path.name}" for path in (ROOT / "docs" / "pictures").iterdir()}
    assert all("`python benchmarks/pictures.py`" in caption for *_, caption in shown)


def test_links_between_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
