"""The part of a report about estimators scored on a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from emprox.report.charts import Axis, Chart, Panel, Section, Series, Table
from emprox.report.differences import FEW, Difference, method_of
from emprox.report.metrics import LEVEL
from emprox.report.numbers import count, fixed, listed, mean_interval, percent, seconds, slug, value
from emprox.report.predictions import prediction_charts
from emprox.report.runs import Run

__all__ = ["benchmark_section"]

BARS = "Bars and bands are 95 % intervals of the mean over trials."


def benchmark_section(run: Run, place: int = 0) -> Section:
    """Return what a run says in charts, a table and sentences; its place among all runs keeps its key apart."""
    name = f"{run.table}, {run.target}"
    split = dict(run.protocol)["split"]
    key = slug(f"{run.table} {place}")
    colours = {estimator: place for place, estimator in enumerate(_in_order(run))}
    charts = [_speed(run, key, colours), _learning(run, key, colours), _coverage(run, key, colours)]
    charts += prediction_charts(run, key)
    most = dict(run.protocol)["largest_train_size"]
    title = f"{name}: {count(run.population, 'row')}, up to {most} labels"
    title += ", one row of each class of equal function" if split == "class" else ""
    return Section(key, f"{run.table}, up to {most} labels", title, _sentences(run), (*filter(None, charts), _table(run, key)))


def _in_order(run: Run) -> list[str]:
    """Return the estimators, those of this project first, so that they have the same colours everywhere."""
    return sorted(run.estimators, key=lambda name: (name != "emprox", not name.startswith("emprox")))


def _speed(run: Run, key: str, colours: Mapping[str, int]) -> Chart | None:
    """Return fit time against Kendall's tau."""
    panels = []
    for size in sorted(run.sizes, key=lambda size: (-len(run.measured(size)), -size)):
        series = [_speed_point(run, name, size, colours[name]) for name in colours if run.values(name, size, "fit_seconds")]
        panels += [Panel(f"{size} labels", tuple(series))] if series else []
    if not panels:
        return None
    shown = panels[0]
    text = "; ".join(f"{s.name}: {s.notes[0]}" for s in shown.series)
    return Chart(
        f"{key}-speed",
        "Fit time against Kendall's tau",
        f"Further up ranks better, further left fits faster. {_population(run)} {BARS} Fit time is from strings, one fit.",
        f"With {shown.name}: {text}.",
        Axis("seconds to fit", log=True),
        Axis("Kendall's tau"),
        tuple(panels),
    )


def _speed_point(run: Run, name: str, size: int, colour: int) -> Series:
    mean, low, high = mean_interval(run.values(name, size))
    fit = mean_interval(run.values(name, size, "fit_seconds"))[0]
    note = f"tau {fixed(mean)} ({fixed(low)} to {fixed(high)}), {seconds(fit)} to fit"
    return Series(name, [fit], [mean], low=[low], high=[high], notes=[note], colour=colour)


def _learning(run: Run, key: str, colours: Mapping[str, int]) -> Chart | None:
    """Return Kendall's tau over the number of labels."""
    if len(run.sizes) < 2:
        return None
    series = []
    for name, colour in colours.items():
        sizes = [size for size in run.sizes if run.values(name, size)]
        found = [mean_interval(run.values(name, size)) for size in sizes]
        mean, low, high = (list(column) for column in zip(*found, strict=True))
        notes = [f"{count(len(run.values(name, size)), 'trial')}" for size in sizes]
        series.append(Series(name, sizes, mean, "line", low, high, notes, colour=colour))
    text = "; ".join(f"{s.name} goes from {fixed(s.y[0])} to {fixed(s.y[-1])}" for s in series)
    return Chart(
        f"{key}-learning",
        "Learning curves",
        f"Kendall's tau with more and more measured architectures. {_population(run)} {BARS}",
        f"From {run.sizes[0]} to {run.sizes[-1]} labels: {text}.",
        Axis("labels", log=True),
        Axis("Kendall's tau"),
        (Panel("all", tuple(series)),),
    )


def _coverage(run: Run, key: str, colours: Mapping[str, int]) -> Chart | None:
    """Return the share of test values inside 90 % intervals, by number of labels or, where there is one, by estimator."""
    series = []
    for name, colour in colours.items():
        sizes = [size for size in run.sizes if run.values(name, size, "coverage")]
        if sizes:
            found = [mean_interval(run.values(name, size, "coverage")) for size in sizes]
            mean, low, high = (np.clip(column, 0, 1).tolist() for column in zip(*found, strict=True))
            series.append(Series(name, sizes, mean, "line", low, high, colour=colour))
    if not series:
        return None
    said = [f"{s.name} {', '.join(f'{percent(v)} with {n}' for n, v in zip(s.x, s.y, strict=True))}" for s in series]
    share, names = Axis("share inside 90 % intervals"), tuple(s.name for s in reversed(series))
    is_one = len(run.sizes) == 1
    return Chart(
        f"{key}-coverage",
        "How honest the intervals are",
        f"Share of measured values inside the estimate's 90 % interval; the dashed line is what was promised. {BARS}",
        f"Share of values inside 90 % intervals by number of labels: {'; '.join(said)}.",
        share if is_one else Axis("labels", log=True),
        Axis("", names=names) if is_one else share,
        (Panel("all", tuple(map(_across, series) if is_one else series)),),
        level=LEVEL,
    )


def _across(series: Series) -> Series:
    """Return a series of one point along the other axis, at its name."""
    return replace(series, x=series.y, y=[series.name], kind="points")


def _population(run: Run) -> str:
    protocol, trials = dict(run.protocol), sorted({len(run.values(n, s)) for n in run.estimators for s in run.sizes} - {0})
    tested = "all the rest" if protocol["test_size"] == "rest" else f"{protocol['test_size']:,} architectures"
    span = count(trials[0], "trial") if len(trials) == 1 else f"{trials[0]} to {trials[-1]} trials"
    return f"{count(run.population, 'row')} of {run.table}, {tested} tested, {span}."


def _table(run: Run, key: str) -> Table:
    columns = ("estimator", "labels", "trials", "Kendall", "low", "high", "Spearman", "MAE", "inside 90 %", "fit, s", "query, ms")
    rows: list[tuple[Any, ...]] = []
    for name in run.estimators:
        for size in (size for size in run.sizes if run.values(name, size)):
            rest = [_mean(run, name, size, metric) for metric in ("spearman", "mae", "coverage", "fit_seconds")]
            query = _mean(run, name, size, "query_seconds_per_architecture")
            kendall = mean_interval(run.values(name, size))
            trials = len(run.values(name, size))
            rows.append((name, size, trials, *kendall, *rest, None if query is None else 1000 * query))
    caption = "Means over trials; low and high are the ends of the 95 % interval of the mean of Kendall's tau."
    return Table(f"{key}-table", "All results", columns, rows, caption)


def _mean(run: Run, name: str, size: int, metric: str) -> float | None:
    values = run.values(name, size, metric)
    return mean_interval(values)[0] if values else None


def _sentences(run: Run) -> tuple[str, ...]:
    size = max(run.sizes, key=lambda size: (len(run.measured(size)), size))
    best = run.measured(size)[0]
    return tuple(filter(None, [_ranking(run, best, size), _lead(run, size), _saved(run, size), _cost(run, best, size)]))


def _ranking(run: Run, best: str, size: int) -> str:
    mean, low, high = mean_interval(run.values(best, size))
    trials = count(len(run.values(best, size)), "trial")
    among = f"ranks best of {len(run.measured(size))} estimators" if len(run.measured(size)) > 1 else "was scored"
    return (
        f"On {run.table} ({run.target}, {count(run.population, 'row')}), with {size} labels, {best} {among}: Kendall's tau "
        f"{fixed(mean)} (95 % interval {fixed(low)} to {fixed(high)}, {trials}). Of two architectures that differ it names the "
        "better "
        f"one about {percent((1 + mean) / 2)} of the time."
    )


def _lead(run: Run, size: int) -> str:
    """Say which of the others are behind for sure, and which not."""
    best, *others = run.measured(size)
    found = [(name, run.difference(best, name, size)) for name in others]
    sure = [(name, d) for name, d in found if d is not None and d.is_real]
    unsure = [(name, d) for name, d in found if d is None or not d.is_real]
    parts = []
    if sure:
        name, d = sure[0]
        behind = listed([name for name, _ in sure]) if len(sure) < 4 else count(len(sure), "other")
        of = "" if len(sure) == 1 else f"of {name} "
        parts.append(
            f"It is ahead of {behind} beyond chance, {of}by {fixed(d.mean)} [{fixed(d.low)}, {fixed(d.high)}] "
            f"({method_of(d.trials)})."
        )
    if unsure:
        parts.append(f"Whether it is ahead of {listed([_unsure(*each) for each in unsure])} these trials cannot tell.")
    if any(d is None or d.trials < FEW for _, d in unsure):
        parts.append(f"Fewer than {FEW} trials are too few to exclude chance unless a difference is large beside their spread.")
    return " ".join(parts)


def _unsure(name: str, difference: Difference | None) -> str:
    """Name an estimator, and in how many trials another was ahead of it where these are few."""
    if difference is None:
        return f"{name} (fewer than two trials in common)"
    return f"{name} (it is in {difference.ahead} of {difference.trials})" if difference.trials < FEW else name


def _saved(run: Run, size: int) -> str:
    """Say with how few labels the best reaches what the second needs the most for."""
    ranked = run.measured(size)
    if len(ranked) < 2:
        return ""
    best, second = ranked[:2]
    goal = mean_interval(run.values(second, size))[0]
    reached = [s for s in run.sizes if s < size and run.values(best, s) and mean_interval(run.values(best, s))[0] >= goal]
    return f"With {reached[0]} labels it already ranks as well as {second} with {size}." if reached else ""


def _cost(run: Run, best: str, size: int) -> str:
    fit, query = _mean(run, best, size, "fit_seconds"), _mean(run, best, size, "query_seconds_per_architecture")
    error, inside = _mean(run, best, size, "mae"), _mean(run, best, size, "coverage")
    said = f"Its estimates are off by {value(error)} on average" if error is not None else "It"
    said += f"; its 90 % intervals hold {percent(inside)} of the measured values" if inside is not None else ""
    if fit is None or query is None:
        return said + "." if error is not None else ""
    return f"{said}. It fits in {seconds(fit)} and answers in {seconds(query)} per architecture."
