"""The figures of docs/universal.md are those of the results."""

from pathlib import Path

import pytest

from tests.benchmarks.loading import load_script

ROOT = Path(__file__).parents[2]


def test_the_chapter_has_what_the_script_prints(capsys: pytest.CaptureFixture[str]) -> None:
    load_script("universal").main()
    chapter = (ROOT / "docs" / "universal.md").read_text()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) > 20
    assert all(line in chapter for line in printed)
