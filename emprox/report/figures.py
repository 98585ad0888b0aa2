"""Charts as Plotly figures, in plain dicts. A text ``@name`` stands for a colour of the page's theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from emprox.report.charts import Axis, Chart, Map, Panel, Series

__all__ = ["axis_ticks", "colour_range", "plotly_figure", "spread_out", "symbol_place"]

COLOURS = tuple(f"@s{i}" for i in range(8))
"""Palette; in both themes it tells apart what people with any colour vision see, and has contrast 3 with the paper."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MANY = 1500
"""Points from which on WebGL draws them."""
DIGITS = 5
"""Significant digits of numbers in a figure."""
SCALE = "Cividis"
"""Colours of numbers: the same order for all colour vision, and in grey."""


def plotly_figure(chart: Chart, panel: Panel) -> dict[str, Any]:
    """Return ``data`` and ``layout`` of one state of a chart."""
    data = [trace for series in panel.series for trace in (*_band(series), _trace(series, chart))]
    layout = {
        "margin": {"l": 64, "r": 14, "t": 12, "b": 52},
        "font": {
            "color": "@ink",
            "size": 13,
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "@raised", "bordercolor": "@line", "font": {"color": "@ink", "size": 12}, "align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "@muted", "activecolor": "@ink"},
        "xaxis": _axis(chart.x, [v for s in panel.series for v in s.x]),
        "yaxis": _axis(chart.y, [v for s in panel.series for v in s.y]),
        "shapes": _lines(chart, panel),
    }
    if isinstance(chart, Map):
        layout["margin"] = {"l": 12, "r": 12, "t": 12, "b": 12}
    return {"name": panel.name, "data": data, "layout": layout}


def colour_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a colour scale: all but the lowest and highest 2 %, which would take up most of it."""
    low, high = np.nanquantile(np.asarray(values, dtype=float), [0.02, 0.98])
    return float(low), float(high)


def _trace(series: Series, chart: Chart) -> dict[str, Any]:
    colour, symbol = COLOURS[series.colour % len(COLOURS)], SYMBOLS[symbol_place(series.colour)]
    is_cloud = series.kind == "cloud"
    trace: dict[str, Any] = {
        "type": "scattergl" if is_cloud and len(series.x) > MANY else "scatter",
        "mode": _mode(series),
        "name": series.name,
        "x": _short(series.x),
        "y": _short(series.y),
        "marker": _marker(series, colour, symbol),
        "hovertemplate": _hover(series, chart),
    }
    if not is_cloud:
        dash = DASHES[series.colour % len(DASHES)] if series.kind in ("line", "step") else None
        trace["legend_"] = {"colour": colour, "symbol": symbol, "dash": dash}
        trace["line"] = {
            "color": colour,
            "width": 2,
            "dash": dash or "solid",
            "shape": "hv" if series.kind == "step" else "linear",
        }
    elif series.values is None:
        trace["legend_"] = {"colour": colour, "symbol": symbol, "dash": None}
    if isinstance(chart, Map):
        trace["ids_"] = list(series.ids)
    if series.notes:
        trace["customdata"] = list(series.notes)
    if series.kind != "step" and series.low is not None and series.high is not None:
        trace["error_x" if chart.y.names else "error_y"] = _bars(series, colour, chart)
    return trace


def _mode(series: Series) -> str:
    if series.kind == "step":
        return "lines" if series.low is not None else "lines+markers"
    return "lines+markers" if series.kind == "line" else "markers"


def _band(series: Series) -> list[dict[str, Any]]:
    """Return the two edges of the band that shows the intervals of a step line."""
    if series.kind != "step" or series.low is None or series.high is None:
        return []
    colour = COLOURS[series.colour % len(COLOURS)]
    edge = {"type": "scatter", "mode": "lines", "name": series.name, "x": _short(series.x), "hoverinfo": "skip"}
    line = {"width": 0, "shape": "hv"}
    upper = edge | {"y": _short(series.high), "line": line}
    return [upper, edge | {"y": _short(series.low), "line": line, "fill": "tonexty", "fillcolor": f"{colour}/30"}]


def _marker(series: Series, colour: str, symbol: str) -> dict[str, Any]:
    if series.values is not None:
        low, high = colour_range(series.values)
        return {
            "color": _short(series.values),
            "colorscale": SCALE,
            "cmin": low,
            "cmax": high,
            "size": 5 if len(series.x) > MANY else 8,
            "line": {"width": 0.5, "color": "@muted"},
            "colorbar": {
                "thickness": 11,
                "outlinewidth": 0,
                "tickfont": {"color": "@muted", "size": 11},
                "title": {"text": series.value_name, "side": "right", "font": {"color": "@muted", "size": 12}},
            },
        }
    size = 9 if series.kind == "points" else 7 if series.kind != "cloud" else 4 if len(series.x) > MANY else 6
    opacity = 0.65 if series.kind == "cloud" else 1
    return {"color": colour, "symbol": "circle" if series.kind == "cloud" else symbol, "size": size, "opacity": opacity}


def _bars(series: Series, colour: str, chart: Chart) -> dict[str, Any]:
    lows, highs = series.low or (), series.high or ()
    middle = series.x if chart.y.names else series.y
    thin = series.kind == "cloud"
    return {
        "type": "data",
        "symmetric": False,
        "array": _short([high - m for high, m in zip(highs, middle, strict=True)]),
        "arrayminus": _short([m - low for low, m in zip(lows, middle, strict=True)]),
        "color": f"{colour}/50" if thin else colour,
        "thickness": 1 if thin else 1.5,
        "width": 0 if thin else 4,
    }


def _hover(series: Series, chart: Chart) -> str:
    lines = [f"<b>{series.name}</b>"] if series.kind != "cloud" else []
    if series.notes:
        lines.append("%{customdata}")
    if not isinstance(chart, Map):
        lines += [f"{axis.title}: %{{{letter}:.4~g}}" for letter, axis in (("x", chart.x), ("y", chart.y)) if not axis.names]
    if series.values is not None:
        lines.append(f"{series.value_name}: %{{marker.color:.4~g}}")
    return "<br>".join(lines) + "<extra></extra>"


def _axis(axis: Axis, values: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": {"text": axis.title, "standoff": 10},
        "gridcolor": "@line",
        "linecolor": "@muted",
        "tickfont": {"color": "@muted"},
        "zeroline": False,
        "automargin": True,
    }
    if not axis.title and not axis.names:
        return {"visible": False}
    if axis.log and spread_out(values):
        found |= {"type": "log", "dtick": 1} | _log_ticks([float(v) for v in values])
    if axis.names:
        found |= {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": list(axis.names),
            "range": [-0.6, len(axis.names) - 0.4],
        }
    return found


def _log_ticks(values: Sequence[float]) -> dict[str, Any]:
    ticks = axis_ticks(values)
    return {"tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]} if ticks else {}


def spread_out(values: Sequence[Any]) -> bool:
    """Whether values are worth a logarithmic axis: positive, and over more than a factor of three."""
    return bool(len(values)) and min(values) > 0 and max(values) > 3 * min(values)


def symbol_place(colour: int) -> int:
    """Return the place of a symbol, so that series of one colour have different ones."""
    return (colour + 3 * (colour // len(COLOURS))) % len(SYMBOLS)


def axis_ticks(values: Sequence[float]) -> list[float]:
    """Return ticks of a logarithmic axis: the values themselves where they are few whole numbers, 1-2-5 steps otherwise."""
    distinct = sorted(set(values))
    if not distinct or distinct[0] <= 0:
        return []
    if len(distinct) <= 8 and all(value.is_integer() for value in distinct):
        return distinct
    return _steps(distinct[0], distinct[-1])


def _steps(low: float, high: float) -> list[float]:
    start, end = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if end - start <= 2 else (1, 3) if end - start <= 3 else (1,)
    return [float(f"{f}e{e}") for e in range(start - 1, end + 2) for f in factors]


def _lines(chart: Chart, panel: Panel) -> list[dict[str, Any]]:
    line = {"color": "@muted", "width": 1.3, "dash": "dash"}
    shapes: list[dict[str, Any]] = []
    if chart.diagonal:
        values = [v for s in panel.series for v in (*s.x, *s.y)]
        low, high = (min(values), max(values)) if values else (0, 1)
        shapes.append({"type": "line", "x0": low, "y0": low, "x1": high, "y1": high, "line": line, "layer": "below"})
    if chart.level is not None:
        along = {"x0": chart.level, "x1": chart.level, "y0": 0, "y1": 1, "yref": "paper"}
        across = {"y0": chart.level, "y1": chart.level, "x0": 0, "x1": 1, "xref": "paper"}
        shapes.append({"type": "line", "line": line, "layer": "below", **(along if chart.y.names else across)})
    return shapes


def _short(values: Sequence[Any]) -> list[Any]:
    """Return numbers with `DIGITS` significant digits, not finite ones as null, names as they are."""
    return [_rounded(value) if isinstance(value, float) else value for value in values]


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
