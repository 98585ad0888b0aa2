"""A report as one HTML file that loads nothing: text and tables as they are, figures drawn by the plotly.js that it carries."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.resources import files
from itertools import repeat
from string import Template
from typing import Any

from emprox.report.charts import Chart, Map, Report, Section, Source, Table
from emprox.report.figures import plotly_figure

__all__ = ["render_html"]

FOLDED = 12
"""Rows that a table shows before it is unfolded."""
SPELLED = 60
"""Points up to which a chart's numbers stand below it as a table."""
NARROW = 6
"""Names along an axis up to which a chart takes half the width."""
PAGE = "page"
"""Folder of the page's template, style and script."""


def render_html(report: Report) -> str:
    """Return the file's text."""
    charts = report.charts
    figures = {chart.key: _packed_chart(chart) for chart in charts}
    sections = [_summary(report), *map(_section, report.sections), _sources(report.sources)]
    return Template(_asset("page.html")).substitute(
        title=escape(report.title),
        version=escape(version("emprox")),
        style=_asset("page.css"),
        script=_asset("page.js"),
        contents="\n".join(_contents(report)),
        body="\n".join(sections),
        plotly=_plotly(),
        figures=_pack(figures),
        details="\n".join(_block(f"{chart.key}-details", chart.details) for chart in charts if isinstance(chart, Map)),
    )


def _asset(name: str) -> str:
    return files("emprox.report").joinpath(PAGE, name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """Return plotly.js, packed; a third of its size as it is."""
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs().encode())


def _pack(value: Any) -> str:
    return _packed(json.dumps(value, allow_nan=False, separators=(",", ":")).encode())


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def _block(key: str, value: Any) -> str:
    return f'<script type="text/plain" id="{escape(key)}">{_pack(value)}</script>'


def _packed_chart(chart: Chart) -> dict[str, Any]:
    """Return the figures of a chart; those of a map without the places and names that its details hold once."""
    panels = [plotly_figure(chart, panel) for panel in chart.panels]
    for trace in (trace for panel in panels for trace in panel["data"] if isinstance(chart, Map)):
        for name in ("x", "y", "customdata"):
            trace.pop(name, None)
    return {"map": isinstance(chart, Map), "panels": panels}


def _contents(report: Report) -> list[str]:
    entries = [
        ("summary", "In short"),
        *((s.key, s.name) for s in report.sections),
        ("sources", "What was run"),
    ]
    return [f'<li><a href="#{escape(key)}">{escape(title)}</a></li>' for key, title in entries]


def _summary(report: Report) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in report.summary)
    return f'<section aria-labelledby="summary"><h2 id="summary">In short</h2><ul class="summary">{items}</ul></section>'


def _section(section: Section) -> str:
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in section.sentences)
    items = "\n".join(_table(item) if isinstance(item, Table) else _chart(item) for item in section.items)
    key = escape(section.key)
    return (
        f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(section.title)}</h2>{text}'
        f'<div class="items">{items}</div></section>'
    )


def _chart(chart: Chart) -> str:
    key = escape(chart.key)
    panels = '<div class="controls panels"></div>' if len(chart.panels) > 1 else ""
    role = "group" if isinstance(chart, Map) else "img"
    plot = (
        f'<div class="plot" role="{role}" aria-labelledby="{key}-title" aria-describedby="{key}-text">'
        '<p class="waiting note">The figure is being drawn.</p></div>'
    )
    heading = (
        f'<h3 id="{key}-title">{escape(chart.title)}</h3>{panels}<div class="legend" role="group" aria-label="Legend"></div>'
    )
    more = "In words and numbers" if _points(chart) <= SPELLED else "In words"
    caption = (
        f"<figcaption>{escape(chart.caption)}<details><summary>{more}</summary>"
        f'<p id="{key}-text">{escape(chart.text)}</p>{_numbers(chart)}</details></figcaption>'
    )
    if isinstance(chart, Map):
        return f'<figure id="{key}" class="wide explorer">{heading}<div>{plot}{caption}</div>{_card()}{_browser(key)}</figure>'
    rows = f' style="--rows: {len(chart.y.names)}"' if chart.y.names else ""
    kind = f' class="names{" wide" if len(chart.y.names) > NARROW else ""}"' if chart.y.names else ""
    return f'<figure id="{key}"{kind}{rows}>{heading}{plot}{caption}</figure>'


def _card() -> str:
    return '<div class="card" tabindex="-1" role="region" aria-live="polite" aria-label="The architecture chosen"></div>'


def _browser(key: str) -> str:
    return (
        '<div class="browse"><div class="controls"><label>Find <input type="search" placeholder="part of its name" '
        'autocomplete="off"></label><button type="button" class="previous">Previous</button>'
        '<button type="button" class="next">Next'
        '</button><span class="place note" role="status"></span></div><div class="scroll" role="region" tabindex="0" '
        'aria-label="Architectures of the map"><table><caption class="hidden">Architectures; choose one to see it. Sort by the '
        "heads of the columns.</caption><thead></thead><tbody></tbody></table></div></div>"
    )


def _points(chart: Chart) -> int:
    return sum(len(series.x) for panel in chart.panels for series in panel.series)


def _numbers(chart: Chart) -> str:
    if _points(chart) > SPELLED:
        return ""
    heads = ("", chart.x.title or "x", chart.y.title or "y", "low", "high")
    rows = [
        (f"{series.name}, {panel.name}" if len(chart.panels) > 1 else series.name, x, y, low, high)
        for panel in chart.panels
        for series in panel.series
        for x, y, low, high in zip(series.x, series.y, series.low or repeat(None), series.high or repeat(None), strict=False)
    ]
    body = _rows(rows)
    return f'<div class="scroll"><table><thead><tr>{_heads(heads, rows)}</tr></thead><tbody>{body}</tbody></table></div>'


def _table(table: Table) -> str:
    key = escape(table.key)
    body = _rows(table.rows, FOLDED)
    more = f"Show all {len(table.rows)} rows"
    button = (
        f'<button type="button" class="more-button" data-more="{more}" aria-expanded="false" hidden>{more}</button>'
        if len(table.rows) > FOLDED
        else ""
    )
    return (
        f'<div class="wide"><h3 id="{key}-title">{escape(table.title)}</h3>'
        f'<p class="note" id="{key}-note">{escape(table.caption)}</p><div class="scroll" role="region" tabindex="0" '
        f'aria-labelledby="{key}-title" aria-describedby="{key}-note"><table id="{key}" class="sortable"><thead><tr>'
        f"{_heads(table.columns, table.rows)}</tr></thead><tbody>{body}</tbody></table></div>{button}</div>"
    )


def _heads(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    numeric = [any(isinstance(row[c], int | float) for row in rows) for c in range(len(columns))]
    return "".join(
        f'<th scope="col"{" class=n" if is_number else ""}>{escape(name)}</th>'
        for name, is_number in zip(columns, numeric, strict=True)
    )


def _cell(cell: Any, digits: int) -> str:
    if isinstance(cell, str):
        return f'<td class="text">{escape(cell)}</td>'
    if cell is None:
        return '<td class="n" data-v=""></td>'
    text = f"{cell:,}" if isinstance(cell, int) else f"{cell:,.{digits}f}"
    return f'<td class="n" data-v="{cell!r}">{text}</td>'


def _digits(column: Sequence[Any]) -> int:
    """Return decimals with which a column's numbers line up: four significant digits of the largest, two of the smallest."""
    sizes = [abs(cell) for cell in column if isinstance(cell, float) and cell]
    if not sizes:
        return 0
    return min(4, max(0, 3 - math.floor(math.log10(max(sizes))), 1 - math.floor(math.log10(min(sizes)))))


def _rows(rows: Sequence[Sequence[Any]], folded: int | None = None) -> str:
    """Return the rows of a table's body; those beyond a number are marked as folded."""
    digits = [_digits(column) for column in zip(*rows, strict=True)]
    return "".join(
        f"<tr{' class=more' if folded is not None and i >= folded else ''}>"
        f"{''.join(_cell(cell, places) for cell, places in zip(row, digits, strict=True))}</tr>"
        for i, row in enumerate(rows)
    )


def _sources(sources: Sequence[Source]) -> str:
    parts = []
    for source in sources:
        facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in source.facts.items())
        parts.append(f"<h3>{escape(source.name)}</h3><pre>{escape(source.command)}</pre><dl>{facts}</dl>")
    return f'<section class="sources" aria-labelledby="sources"><h2 id="sources">What was run</h2>{"".join(parts)}</section>'
