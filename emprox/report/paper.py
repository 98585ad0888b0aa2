"""The charts of a report as figures for papers, by matplotlib: one file each, for a column or a whole width."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emprox._optional import import_optional
from emprox.errors import InvalidDataError, StorageError
from emprox.report.charts import Chart, Map, Panel, Report, Series
from emprox.report.figures import axis_ticks, colour_range, spread_out, symbol_place
from emprox.report.numbers import slug, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_chart", "write_figures"]

PALETTE = ("#0066a6", "#c44e00", "#00795a", "#a3347a", "#8a6a00", "#5a50b8", "#5f6770", "#8c3a2b")
"""The colours of the page's light theme."""
MARKERS = ("o", "s", "D", "^", "P", "*", "X", "h")
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 2)))
GREY = "#55606c"
WIDTH, HEIGHT, ROW, LINE = 5.0, 3.4, 0.24, 0.16
"""Inches: of a figure, of each name along an axis, and of each line of a legend after the first."""
TITLE = 70
"""Letters in a line of a title."""
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "emprox",
    "pdf.fonttype": 42,
}
"""Text stays text in SVG and PDF."""


def write_figures(report: Report, folder: Path, kind: str) -> list[Path]:
    """Write every chart, each state of it by itself, and return the files.

    Raises
    ------
    InvalidDataError
        If the report has no charts.
    MissingDependencyError
        If matplotlib is not installed.
    """
    matplotlib = import_optional("matplotlib", "plots")
    written = []
    charts = [(section.name, item) for section in report.sections for item in section.items if isinstance(item, Chart)]
    for subject, chart in charts:
        names = told_apart([chart.key if len(chart.panels) == 1 else f"{chart.key}-{slug(p.name)}" for p in chart.panels])
        for panel, name in zip(chart.panels, names, strict=True):
            written.append(folder / f"{name}.{kind}")
            with matplotlib.rc_context(STYLE):
                _save(draw_chart(chart, panel, f"{subject}: {chart.title}"), written[-1])
    if not written:
        raise InvalidDataError("the report has no charts to write; its text is in --format html")
    return written


def draw_chart(chart: Chart, panel: Panel, title: str = "") -> Figure:
    """Return one state of a chart as a matplotlib figure, under a title with the name of the state where there are several."""
    figure_module = import_optional("matplotlib.figure", "plots")
    named = [series for series in panel.series if series.values is None and (series.kind != "cloud" or len(panel.series) > 1)]
    height = 0.9 + ROW * len(chart.y.names) if chart.y.names else HEIGHT
    height += LINE * max(0, (len(named) - 1) // 2)
    figure: Figure = figure_module.Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    if title:
        state = f"\n{panel.name}" if len(chart.panels) > 1 else ""
        axes.set_title("\n".join(textwrap.wrap(title, TITLE)) + state, fontsize=8, loc="left")
    for series in panel.series:
        _draw(axes, series, chart)
    _scales(axes, chart, panel)
    if chart.diagonal:
        axes.axline((_middle(axes.get_xlim()),) * 2, slope=1, color=GREY, linestyle="--", linewidth=1, zorder=0)
    if chart.level is not None:
        (axes.axvline if chart.y.names else axes.axhline)(chart.level, color=GREY, linestyle="--", linewidth=1, zorder=0)
    if len(named) > 1:
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _draw(axes: Axes, series: Series, chart: Chart) -> None:
    colour, marker = PALETTE[series.colour % len(PALETTE)], MARKERS[symbol_place(series.colour)]
    if series.values is not None:
        low, high = colour_range(series.values)
        points = axes.scatter(series.x, series.y, c=series.values, s=10, cmap="cividis", vmin=low, vmax=high, linewidths=0)
        axes.figure.colorbar(points, ax=axes, label=series.value_name, aspect=30)
        return
    line = LINES[series.colour % len(LINES)]
    if series.kind == "step":
        point: dict[str, Any] = {"marker": marker, "markersize": 4} if series.low is None else {}
        axes.step(series.x, series.y, where="post", color=colour, linestyle=line, label=series.name, linewidth=1.4, **point)
        if series.low is not None and series.high is not None:
            axes.fill_between(series.x, series.low, series.high, step="post", color=colour, alpha=0.18, linewidth=0)
        return
    is_cloud = series.kind == "cloud"
    places = [chart.y.names.index(name) for name in series.y] if chart.y.names else series.y
    axes.errorbar(
        series.x,
        places,
        fmt="." if is_cloud else marker,
        linestyle=line if series.kind == "line" else "none",
        color=colour,
        alpha=0.6 if is_cloud else 1,
        markersize=4,
        linewidth=1.3,
        elinewidth=0.5 if is_cloud else 1,
        capsize=0 if is_cloud else 2,
        label=series.name,
        **_bars(series, chart),
    )


def _bars(series: Series, chart: Chart) -> dict[str, Any]:
    if series.low is None or series.high is None:
        return {}
    middle = series.x if chart.y.names else series.y
    ends = [
        [m - low for m, low in zip(middle, series.low, strict=True)],
        [h - m for m, h in zip(middle, series.high, strict=True)],
    ]
    return {"xerr" if chart.y.names else "yerr": ends}


def _scales(axes: Axes, chart: Chart, panel: Panel) -> None:
    axes.set_xlabel(chart.x.title)
    axes.set_ylabel(chart.y.title)
    if isinstance(chart, Map):
        axes.set_axis_off()
    if chart.y.names:
        axes.set_yticks(range(len(chart.y.names)), chart.y.names)
    for axis, letter in ((chart.x, "x"), (chart.y, "y")):
        values = [value for series in panel.series for value in getattr(series, letter)]
        if axis.log and spread_out(values):
            axes.set(**{f"{letter}scale": "log"})
            low, high = getattr(axes, f"get_{letter}lim")()
            ticks = [tick for tick in axis_ticks([float(v) for v in values]) if low <= tick <= high]
            getattr(axes, f"set_{letter}ticks")(ticks, [f"{tick:,.10g}" for tick in ticks])
            getattr(axes, f"set_{letter}ticks")([], minor=True)


def _middle(ends: tuple[float, float]) -> float:
    return (ends[0] + ends[1]) / 2


def _save(figure: Figure, path: Path) -> None:
    metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200, metadata=metadata)
    except OSError as error:
        raise StorageError(f"could not write {path}: {error}") from error
