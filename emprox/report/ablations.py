"""The part of a report about what each choice of an estimator is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.report.charts import Axis, Cell, Chart, Panel, Section, Series, Source, Table
from emprox.report.differences import Difference, method_of, sure_difference
from emprox.report.numbers import count, fixed, listed, slug

__all__ = ["ablation_section", "ablation_source", "is_ablation"]

DEFAULT = "default"
Taus = Mapping[str, Mapping[str, list[list[float]]]]


def is_ablation(content: Any) -> bool:
    """Whether a JSON value is what ``benchmarks/ablation.py`` writes: line to table to taus by size and trial."""
    return (
        isinstance(content, dict)
        and isinstance(content.get(DEFAULT), dict)
        and all(isinstance(v, dict) for v in content.values())
    )


def ablation_section(content: Taus, path: Path) -> Section:
    """Return differences of every line to the default, by number of labels from the fewest on."""
    tables = list(content[DEFAULT])
    means = {line: _means(found, tables) for line, found in content.items() if set(tables) <= set(found)}
    steps = range(len(means[DEFAULT]))
    found = {
        line: [sure_difference(mean[i], means[DEFAULT][i]) for i in steps] for line, mean in means.items() if line != DEFAULT
    }
    order = tuple(sorted(found, key=lambda line: found[line][-1].mean))
    key = slug(f"choices {path.stem}")
    names = [_step(i, len(steps)) for i in steps]
    panels = [Panel(names[i], (_series(found, order, i),)) for i in reversed(steps)]
    trials, harmful = means[DEFAULT].shape[1], [line for line in reversed(order) if found[line][-1].high < 0]
    chart = Chart(
        key + "-lines",
        "What each choice is worth",
        f"Difference in Kendall's tau when one choice of the default is changed, mean over {count(len(tables), 'table')} and "
        f"{count(trials, 'trial')}; bars: {method_of(trials)}. Left of the line the change does harm.",
        "; ".join(f"{line} {_said(found[line][-1])}" for line in order) + ".",
        Axis("difference in Kendall's tau"),
        Axis("", names=order[::-1]),
        tuple(panels),
        level=0.0,
    )
    rows: list[list[Cell]] = [[line, *(v for d in found[line] for v in (d.mean, d.low, d.high))] for line in order]
    columns = ("line", *(f"{name}{end}" for name in names for end in ("", ", low", ", high")))
    table = Table(key + "-table", "Differences to the default", columns, rows)
    worst = f"What costs most is {order[0]}: {_said(found[order[0]][-1])}." if order else ""
    sentences = (
        f"Of {count(len(order), 'change')} of the default, {len(harmful)} make the ranking worse beyond chance with the most "
        f"labels ({method_of(trials)}). {worst}",
        f"Tables: {listed(tables)}.",
    )
    return Section(key, "Choices", "What each choice is worth", sentences, (chart, table))


def ablation_source(content: Taus, path: Path) -> Source:
    """Return where the ablation comes from."""
    command = "python benchmarks/ablation.py --tables-root DIR"
    return Source(str(path), command, {"tables": ", ".join(content[DEFAULT]), "lines": ", ".join(content)})


def _means(found: Mapping[str, list[list[float]]], tables: list[str]) -> NDArray[np.float64]:
    """Return taus by size and trial, mean over tables."""
    return np.array([found[table] for table in tables]).mean(axis=0)


def _step(i: int, n: int) -> str:
    return "fewest labels" if i == 0 else "most labels" if i == n - 1 else "in between" if n == 3 else f"size {i + 1}"


def _series(found: Mapping[str, list[Difference]], order: tuple[str, ...], i: int) -> Series:
    chosen = [found[line][i] for line in order]
    columns = [[getattr(d, name) for d in chosen] for name in ("mean", "low", "high")]
    return Series("difference", columns[0], list(order), "points", columns[1], columns[2])


def _said(difference: Difference) -> str:
    return f"{fixed(difference.mean)} [{fixed(difference.low)}, {fixed(difference.high)}]"
