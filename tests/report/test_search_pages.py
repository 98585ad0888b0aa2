"""Reports on searches: each of them is shown."""

import json
from pathlib import Path

from emprox.report.writing import build_report
from tests.report import samples


def test_searches_with_one_method_are_all_shown(tmp_path: Path) -> None:
    paths = [samples.search(tmp_path / name) for name in ("a", "b", "c")]
    for place, path in enumerate(paths):
        path.rename(path.parent.parent / "result.json")
        paths[place] = path.parent.parent / "result.json"
    copy = tmp_path / "d" / "a" / "result.json"
    copy.parent.mkdir(parents=True)
    copy.write_text(paths[0].read_text())
    report = build_report([*paths, copy])
    progress = next(chart for chart in report.charts if chart.key.endswith("best-so-far"))
    assert [series.name for series in progress.panels[0].series] == ["random (a)", "random (b)", "random (c)", "random (a) 2"]
    values = [row["best_so_far"]["mean"] for row in json.loads(paths[1].read_text())["summary"]]
    assert list(progress.panels[0].series[1].y) == values
