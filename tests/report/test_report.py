"""Reports on results: what they say, and that it is what the results say."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emprox import EmproxError
from emprox.errors import InvalidDataError, InvalidOptionError, StorageError
from emprox.report import write_report
from emprox.report.charts import Chart, Report, Series, Table
from emprox.report.figures import plotly_figure
from emprox.report.html import render_html
from emprox.report.paper import draw_chart
from emprox.report.writing import build_report
from tests.report import samples

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PAGE = Path(__file__).parents[2] / "emprox" / "report" / "page"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return samples.bench(folder)


def chart(report: Report, ending: str) -> Chart:
    return next(chart for chart in report.charts if chart.key.endswith(ending))


def table(report: Report, ending: str) -> Table:
    items = [item for section in report.sections for item in section.items]
    return next(item for item in items if isinstance(item, Table) and item.key.endswith(ending))


def test_a_run_is_shown_as_it_was_measured(run: Path) -> None:
    content, report = json.loads(run.read_text()), build_report([run])
    summary = {(row["estimator"], row["train_size"]): row for row in content["summary"]}
    for series in chart(report, "learning").panels[0].series:
        means = [summary[series.name, size]["kendall_mean"] for size in series.x]
        np.testing.assert_allclose(series.y, means)
        assert all(low < mean < high for low, mean, high in zip(series.low, series.y, series.high, strict=True))
    for panel, size in zip(chart(report, "speed").panels, (40, 20), strict=True):
        assert panel.name == f"{size} labels"
        for series in panel.series:
            row = summary[series.name, size]
            np.testing.assert_allclose([series.x[0], series.y[0]], [row["fit_seconds_mean"], row["kendall_mean"]])
    rows = {(row[0], row[1]): row for row in table(report, "table").rows}
    assert {key: row[6] for key, row in rows.items()} == pytest.approx({k: r["spearman_mean"] for k, r in summary.items()})


def test_predictions_are_those_of_the_estimators(run: Path) -> None:
    content, report = json.loads(run.read_text()), build_report([run])
    kept = [r for r in content["results"] if "predictions" in r]
    assert {(r["trial"], len(r["predictions"]["estimated"])) for r in kept} == {(0, 60)}
    shown = {panel.name: panel.series[0] for panel in chart(report, "predicted").panels}
    for result in kept:
        series = shown[f"{result['estimator']}, {result['train_size']} labels"]
        assert list(series.x) == content["tested"]["measured"]
        assert list(series.y) == result["predictions"]["estimated"]
        errors = np.abs(np.array(series.x) - np.array(series.y))
        assert errors.mean() == pytest.approx(result["mae"])
    for result in (r for r in kept if "calibration" in r["predictions"]):
        assert result["predictions"]["calibration"][8] == result["coverage"]


def test_the_summary_says_who_is_ahead_and_by_how_much() -> None:
    report = build_report([RESULTS / "emprox" / "nasbench201.json"])
    text = " ".join(report.summary)
    assert "emprox ranks best of 2 estimators: Kendall's tau .879" in text
    assert "It is ahead of xgboost:encoding=features beyond chance, by .0" in text
    assert "(95 % bootstrap interval of the differences, paired over 20 trials)" in text
    assert "% of the time" in text


def test_what_cannot_be_told_is_said(tmp_path: Path, run: Path) -> None:
    content = json.loads(run.read_text())
    for result in content["results"]:
        result["kendall"] = 0.5 + 0.1 * (result["trial"] - 1) * (-1 if result["estimator"] == "knn" else 1)
    path = tmp_path / "same.json"
    path.write_text(json.dumps(content))
    text = " ".join(build_report([path]).summary)
    assert "ahead of emprox (it is in 1 of 3) these trials cannot tell. Fewer than 10 trials are too few" in text


def test_intervals_of_shares_are_shares(tmp_path: Path, run: Path) -> None:
    content = json.loads(run.read_text())
    for result in content["results"]:
        result["coverage"] = 0.7 + 0.15 * result["trial"]
    path = tmp_path / "sure.json"
    path.write_text(json.dumps(content))
    series = chart(build_report([path]), "coverage").panels[0].series[0]
    assert list(series.high) == [1, 1]


def test_few_trials_do_not_exclude_chance(tmp_path: Path, run: Path) -> None:
    content = json.loads(run.read_text())
    for result in content["results"]:
        result["kendall"] = 0.5 + (0.01 * (1 + 4 * result["trial"]) if result["estimator"] == "emprox" else 0)
    path = tmp_path / "few.json"
    path.write_text(json.dumps(content))
    text = " ".join(build_report([path]).summary)
    assert "beyond chance" not in text
    assert "knn (it is in 3 of 3) these trials cannot tell" in text


def test_runs_of_one_protocol_are_joined_and_others_kept_apart(tmp_path: Path, run: Path) -> None:
    content = json.loads(run.read_text())
    parts = []
    for name in ("knn", "emprox"):
        part = content | {"results": [r for r in content["results"] if r["estimator"] == name]}
        parts.append(tmp_path / f"{name}.json")
        parts[-1].write_text(json.dumps(part))
    other = tmp_path / "other.json"
    other.write_text(json.dumps([content | {"seed": 7}]))
    report = build_report([*parts, other])
    assert [len({row[0] for row in item.rows}) for s in report.sections for item in s.items if isinstance(item, Table)] == [2, 2]
    assert len(report.sources) == 3
    assert len({c.key for c in report.charts}) == len(report.charts)


def test_the_command_of_a_source_is_the_one_that_was_run(run: Path) -> None:
    report = build_report([run, RESULTS / "emprox" / "nasbench201.json"])
    first, second = (source.command for source in report.sources)
    assert first == (
        "emprox bench --table bundled --target val_accuracy --estimator knn --estimator emprox --train-size 20 --train-size 40 "
        "--split row --population all --test-size 60 --trials 3 --seed 0 --threads 1 --jobs 1"
    )
    assert second == "python benchmarks/run.py benchmarks/configs/emprox.yaml --table nasbench201"


def test_ablation_is_in_order_and_paired(folder: Path) -> None:
    report = build_report([samples.ablation(folder)])
    lines = chart(report, "lines").panels[0].series[0]
    assert list(lines.y) == list(samples.BLOCKS[:0:-1])
    np.testing.assert_allclose(lines.x, [-0.06, -0.04, -0.02], atol=0.005)
    assert "Of 3 changes of the default, 3 make the ranking worse beyond chance" in report.summary[0]
    assert "Student interval of the differences, paired over 5 trials" in chart(report, "lines").caption


def test_searches_of_one_task_are_compared(folder: Path) -> None:
    paths = [samples.search(folder, "random"), samples.search(folder, "guided")]
    report = build_report(paths)
    assert len(report.sections) == 1
    best = chart(report, "best-so-far")
    assert [series.name for series in best.panels[0].series] == ["random", "guided, emprox"]
    assert best.level == 91.0
    content = json.loads(paths[1].read_text())
    assert list(best.panels[0].series[1].y) == [row["best_so_far"]["mean"] for row in content["summary"]]
    assert len(chart(report, "beliefs").panels[0].series[0].x) == 7
    values = [row[4] for row in table(report, "best").rows]
    assert values == sorted(values, reverse=True)
    assert len(values) == 14
    assert "1 evaluation of 8 failed" in " ".join(report.summary)


def test_search_of_several_objectives_has_a_front(folder: Path) -> None:
    report = build_report([samples.search(folder, "guided", ("val_accuracy", "macs"))])
    front = chart(report, "front").panels[0].series[1]
    assert front.kind == "step"
    assert len(front.x) == 1
    assert "hypervolume of guided, emprox" in report.summary[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON file"),
        ("[]", "holds an empty list"),
        ('{"a": 1}', "no file of results that a report knows"),
        ('{"kind": "search", "format": 9, "runs": []}', "format 9 and 0 runs"),
        ('{"table": "t", "target": "y", "results": [], "summary": []}', "holds no results"),
        ('{"kind": "search", "format": 1, "runs": [{}]}', "file.json is not as it was written, KeyError"),
        ('{"table": "t", "target": "y", "results": [{"estimator": "e"}], "summary": []}', "without kendall, train_size, trial"),
    ],
)
def test_files_that_are_no_results(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(InvalidDataError, match=words):
        write_report([path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_wrong_calls(tmp_path: Path, run: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        write_report([tmp_path / "missing.json"], tmp_path / "report.html")
    with pytest.raises(InvalidOptionError, match="format must be one of html, pdf, svg, png"):
        write_report([run], tmp_path / "report.html", format="gif")
    with pytest.raises(InvalidOptionError, match="projection must be one of tsne, umap"):
        write_report([run], tmp_path / "report.html", projection="pca")
    with pytest.raises(EmproxError, match="expected at least one file"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(InvalidDataError, match="2 x and 1 y"):
        Series("s", [1, 2], [1])


def test_a_report_is_not_written_over_what_it_is_about(tmp_path: Path, run: Path) -> None:
    results, model = tmp_path / "results.json", samples.model(tmp_path)
    results.write_bytes(run.read_bytes())
    (tmp_path / "link.json").hardlink_to(results)
    manifest = (model / "manifest.json").read_bytes()
    for out in (results, tmp_path / "model" / ".." / "results.json", tmp_path / "link.json", model / "manifest.json"):
        with pytest.raises(InvalidOptionError, match="that it is about; name another place"):
            write_report([results, model], out)
    with pytest.raises(InvalidOptionError, match="name another place"):
        write_report([model], model, format="svg")
    assert results.read_bytes() == run.read_bytes()
    assert (model / "manifest.json").read_bytes() == manifest


def test_names_from_files_cannot_become_code(tmp_path: Path, run: Path) -> None:
    content = json.loads(run.read_text())
    for result in content["results"]:
        result["estimator"] = "</script><img src=x onerror=alert(1)>"
    path = tmp_path / "evil.json"
    path.write_text(json.dumps(content))
    page = render_html(build_report([path]))
    assert "<img" not in page
    assert page.count("</script>") == 3


def test_errors_in_files_of_runs_name_them(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "broken.json"
    content = json.loads(run.read_text())
    for tau in ("high", float("nan")):
        path.write_text(json.dumps(content | {"results": [content["results"][0] | {"kendall": tau}]}))
        with pytest.raises(InvalidDataError, match=r"broken.json holds Kendall's tau .*; expected a finite number"):
            build_report([path])
    path.write_text(json.dumps(content | {"tested": content["tested"] | {"measured": content["tested"]["measured"][1:]}}))
    with pytest.raises(InvalidDataError, match=r"broken.json: 59 measured values"):
        build_report([path])


def test_folders_are_those_of_searches_and_models(tmp_path: Path) -> None:
    path = samples.search(tmp_path)
    assert build_report([path.parent]).sections == build_report([path]).sections
    (tmp_path / "store").mkdir()
    with pytest.raises(StorageError, match="A store has no report: learn from it first"):
        build_report([tmp_path / "store"])


def test_calibration_says_whose_it_is_and_stands_beside_the_same_estimator(run: Path) -> None:
    report = build_report([run])
    curve, cloud = chart(report, "calibration"), chart(report, "predicted")
    names = [series.name for series in curve.panels[0].series]
    assert names[0] == cloud.panels[0].name
    assert all(name in curve.title and name in curve.caption for name in names)
    assert f"intervals of {' and '.join(names)}." in cloud.caption
    assert not any("knn" in name for name in names)


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_figures_for_papers(folder: Path, kind: str) -> None:
    source = samples.ablation(folder)
    written = write_report([source], folder / kind, format=kind)
    magic = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[kind]
    assert len(written) == len({path.name for path in written}) == 3
    before = [path.read_bytes() for path in written]
    assert all(data.startswith(magic) for data in before)
    if kind == "svg":
        assert before == [path.read_bytes() for path in write_report([source], folder / kind, format=kind)]
        texts = "".join(ElementTree.fromstring(before[0]).itertext())
        assert all(word in texts for word in ("Choices: What each choice is worth", "most labels"))
        assert all(word in texts for word in ("difference in Kendall's tau", *samples.BLOCKS[1:]))


def test_every_kind_of_chart_can_be_drawn_for_paper(folder: Path, run: Path) -> None:
    paths = [run, samples.search(folder, "guided", ("val_accuracy", "macs")), samples.model(folder)]
    for shown in build_report(paths).charts:
        figure = draw_chart(shown, shown.panels[0])
        texts = [axes.get_xlabel() for axes in figure.axes]
        assert shown.x.title in texts


def test_a_report_without_charts_has_no_figures(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="no charts"):
        write_report([samples.model(tmp_path, known=3)], tmp_path / "figures", format="svg")


def test_figures_hold_finite_numbers_and_colours_of_the_theme(run: Path) -> None:
    for shown in build_report([run]).charts:
        for panel in shown.panels:
            text = json.dumps(plotly_figure(shown, panel), allow_nan=False)
            assert not re.search(r"#[0-9a-f]{6}", text), "a colour that does not follow the theme"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_and_marks_have_contrast_in_both_themes() -> None:
    """WCAG 2.2, level AA: 4.5 for text, 3 for marks and outlines of controls."""
    blocks: list[Any] = re.findall(r"\{([^{}]*--paper:[^{}]*)\}", (PAGE / "page.css").read_text())
    assert len(blocks) == 3
    for block in blocks:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
        for ground in (colours["paper"], colours["raised"]):
            assert min(_contrast(colours[name], ground) for name in ("ink", "muted", "accent")) >= 4.5
            assert min(_contrast(colours[name], ground) for name in ("focus", *(f"s{i}" for i in range(8)))) >= 3
