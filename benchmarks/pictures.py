"""Draw the pictures of the chapters from the committed results and the bundled table: ``python benchmarks/pictures.py``.

SVG in ``docs/pictures/``, the same bytes for the same results and versions of matplotlib and scikit-learn.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from emprox import EmProx, get_space, load_table
from emprox.report.charts import Axis, Chart, Panel, Series
from emprox.report.paper import STYLE, draw_chart
from emprox.report.writing import build_report
from emprox.spaces.drawing import to_svg

HERE = Path(__file__).parent
RESULTS, PICTURES = HERE / "results", HERE.parent / "docs" / "pictures"
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|"
KNOWN, CELLS = 200, 500
"""Architectures of the map, and of the picture of the table."""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    cell = get_space("nasbench201").parse(CELL)
    (PICTURES / "cell.svg").write_text(to_svg(get_space("nasbench201").to_graph(cell)) + "\n")
    charts = {
        "speed": chart(RESULTS / "franken2022_nb201_cifar10" / "nasbench201.json", "speed"),
        "learning-curves": chart(RESULTS / "emprox" / "nasbench201.json", "learning"),
        "choices": chart(RESULTS / "ablation.json", "lines"),
        "accuracies": accuracies(),
        "scale": scale(),
        "proxies": proxies(),
        **model_charts(),
    }
    for name, shown in charts.items():
        with matplotlib.rc_context(STYLE):
            save(draw_chart(shown, shown.panels[0]), PICTURES / f"{name}.svg")


def chart(path: Path, ending: str) -> Chart:
    """Return a chart of the report on a file of results, without options that a legend has no room for."""
    shown = next(c for c in build_report([path]).charts if c.key.endswith(ending))
    return replace(shown, panels=tuple(replace(p, series=tuple(map(shortened, p.series))) for p in shown.panels))


def shortened(series: Series) -> Series:
    return replace(series, name=series.name if len(series.name) < 40 else f"{series.name.split(',')[0]}, tuned")


def accuracies() -> Chart:
    """Return some cells of the bundled table, parameters against accuracy."""
    table = load_table("bundled").rows(range(CELLS))
    name, values = table.target(None)
    costs = table.columns["parameters"]
    series = Series("cells", costs.tolist(), values.tolist(), "cloud")
    return Chart("accuracies", "", "", "", Axis("parameters"), Axis(f"{name}, percent"), (Panel("all", (series,)),))


def scale() -> Chart:
    """Return the seconds of each step by the number of architectures."""
    rows = json.loads((RESULTS / "index_scale.json").read_text())["results"]
    names = {"read": "read", "embed": "encode and embed", "add": "add to the index", "fit_estimator": "estimator", "open": "open"}
    sizes = [row["n"] for row in rows]
    series = tuple(
        Series(name, sizes, [row["seconds"][step]["processor"] for row in rows], "line", colour=place)
        for place, (step, name) in enumerate(names.items())
    )
    return Chart("scale", "", "", "", Axis("architectures", log=True), Axis("seconds", log=True), (Panel("all", series),))


def proxies() -> Chart:
    """Return Spearman's rank correlation of zero-cost proxies on the bundled table."""
    table = load_table("bundled")
    values = table.target(None)[1]
    found = {
        n: float(spearmanr(column, values, nan_policy="omit")[0])
        for n, column in table.columns.items()
        if column.dtype.kind == "f"
    }
    order = tuple(sorted(found, key=lambda name: abs(found[name])))
    series = Series("Spearman", [found[name] for name in order], list(order))
    axis = Axis("Spearman's rank correlation with the accuracy")
    return Chart("proxies", "", "", "", axis, Axis("", names=order), (Panel("all", (series,)),), level=0.0)


def model_charts() -> dict[str, Chart]:
    """Return the map, the leave-one-out scatter and the calibration of a model of the bundled table."""
    table = load_table("bundled").rows(range(KNOWN))
    with tempfile.TemporaryDirectory() as folder:
        EmProx(random_state=0).fit(table.architectures, table.target(None)[1]).save(Path(folder) / "model")
        charts = build_report([Path(folder) / "model"]).charts
    return {name: next(c for c in charts if c.key == f"model-{name}") for name in ("map", "left-out", "calibration")}


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


if __name__ == "__main__":
    main()
