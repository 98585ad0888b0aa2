"""The part of a report about searches: how fast they found what, and the trade-offs they ended with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emprox.errors import InvalidDataError
from emprox.report.charts import Axis, Chart, Panel, Section, Series, Source, Table
from emprox.report.numbers import count, listed, slug, told_apart, value
from emprox.report.predictions import Estimates, prediction_chart
from emprox.report.sources import RESULT, machine_words

__all__ = ["check_search", "is_search", "search_sections", "search_source"]

FORMAT = 1
REACH = 1.645
"""Standard deviations on either side that make a normal interval of 90 %."""
LISTED = 50
"""Trials that the table of the best lists."""
Content = Mapping[str, Any]
STEPS = {
    "best_so_far": "best so far",
    "regret": "regret",
    "rank": "place in the table, 1 is the best",
    "hypervolume": "hypervolume",
}


def is_search(content: Any) -> bool:
    """Whether a JSON value is what `emprox search` writes."""
    return isinstance(content, dict) and content.get("kind") == "search"


def check_search(content: Content, path: Path) -> None:
    """Raise if a search has another format or holds no run."""
    if content.get("format") != FORMAT or not content.get("runs"):
        runs = count(len(content.get("runs") or []), "run")
        raise InvalidDataError(
            f"{path} has format {content.get('format')!r} and {runs}; expected format {FORMAT} and at least one run, as `emprox "
            "search` "
            "writes it"
        )


def search_sections(contents: Sequence[tuple[Path, Content]]) -> list[Section]:
    """Return a section for each task; searches of one table or objective with the same goals are compared in one."""
    tasks: dict[Any, list[tuple[Path, Content]]] = {}
    for path, content in contents:
        goals = content["goals"]
        key = (content["table"], content["objective"], str(goals["objectives"]), str(goals["bounds"]))
        tasks.setdefault(key, []).append((path, content))
    return [_section(_by_name(searches), place) for place, searches in enumerate(tasks.values())]


def _by_name(searches: Sequence[tuple[Path, Content]]) -> dict[str, Content]:
    """Return searches by method; those of one method by their folder as well, since every search writes `RESULT`."""
    methods = [_method(content) for _, content in searches]
    files = [path.parent.resolve().name if path.name == RESULT else path.stem for path, _ in searches]
    names = told_apart(methods, [f"{method} ({file})" for method, file in zip(methods, files, strict=True)])
    return dict(zip(names, (content for _, content in searches), strict=True))


def search_source(content: Content, path: Path) -> Source:
    """Return where a search comes from."""
    goals = content["goals"]
    objectives = [f"{o['name']}, {'largest' if o['larger_is_better'] else 'smallest'}" for o in goals["objectives"]]
    seeds = listed([str(run["seed"]) for run in content["runs"]])
    budget = [f"{number:,} {name}" for name, number in content["budget"].items() if number is not None]
    options = ", ".join(f"{name}={given}" for name, given in content["options"].items())
    facts = {
        "searched": f"{content['space']}, {_place(content)}, {count(content['population'], 'architecture')}",
        "method": f"{content['method']} ({options})" if options else content["method"],
        "goals": "; ".join([*objectives, *goals["bounds"]]),
        "budget": f"{', '.join(budget)}, {count(len(content['runs']), 'run')}, seeds {seeds}",
        "machine": machine_words(content.get("machine") or {}),
        "commit": str(content.get("commit"))[:10],
        "data": str(content.get("citation") or "unknown"),
    }
    where = ["--table", content["table"]] if content["table"] else ["--objective", str(content["objective"])]
    given = content.get("command") or " ".join(["emprox search", *where, "-o", str(path.parent)])
    return Source(str(path), given, facts)


def _method(content: Content) -> str:
    options = content.get("options") or {}
    return f"{content['method']}, {options['estimator']}" if "estimator" in options else str(content["method"])


def _place(content: Content) -> str:
    return f"table {content['table']}" if content["table"] else f"objective {content['objective']}"


def _section(methods: Mapping[str, Content], place: int) -> Section:
    first = next(iter(methods.values()))
    objectives = [o["name"] for o in first["goals"]["objectives"]]
    key = slug(f"search {first['table'] or first['objective']} {place}")
    charts = [_progress(methods, key, name, objectives) for name in STEPS]
    if len(objectives) > 1:
        charts.append(_trade_off(methods, key, objectives))
    charts.append(_beliefs(methods, key, objectives[0]))
    title = f"Search of {first['table'] or first['objective']}: {listed(objectives)}"
    tables = (_best(methods, key, first["goals"]["objectives"]),)
    return Section(key, title, title, tuple(_said(methods, first)), (*filter(None, charts), *tables))


def _progress(methods: Mapping[str, Content], key: str, step: str, objectives: list[str]) -> Chart | None:
    """Return what was reached after each evaluation, mean over runs."""
    series = []
    for colour, (name, content) in enumerate(methods.items()):
        rows = [row for row in content["summary"] if step in row]
        if rows:
            mean, low, high = ([row[step][end] for row in rows] for end in ("mean", "lower", "upper"))
            series.append(Series(name, [row["evaluations"] for row in rows], mean, "step", low, high, colour=colour))
    if not series:
        return None
    runs = {len(content["runs"]) for content in methods.values()}
    title = STEPS[step] if step != "best_so_far" else f"best {objectives[0]} so far"
    text = "; ".join(
        f"{s.name}: {value(s.y[0])} after {s.x[0]}, {value(s.y[-1])} after {count(s.x[-1], 'evaluation')}" for s in series
    )
    return Chart(
        f"{key}-{slug(step)}",
        f"{title[0].upper()}{title[1:]}",
        f"After each evaluation, mean over {count(max(runs), 'run')}; bands are 90 % bootstrap intervals of the mean."
        + (" The dashed line is the best of the table." if step == "best_so_far" and _best_known(methods) is not None else ""),
        text + ".",
        Axis("evaluations"),
        Axis(title, log=step == "rank"),
        (Panel("all", tuple(series)),),
        level=_best_known(methods) if step == "best_so_far" else None,
    )


def _best_known(methods: Mapping[str, Content]) -> float | None:
    known = next(iter(methods.values()))["best_known"]
    return None if known is None else float(known)


def _trade_off(methods: Mapping[str, Content], key: str, objectives: list[str]) -> Chart:
    """Return the front of the first run of each method among its trials, for every pair of the first objective and another."""
    panels = []
    for other in objectives[1:]:
        series: list[Series] = []
        for colour, (name, content) in enumerate(methods.items()):
            run = content["runs"][0]
            done = [trial for trial in run["trials"] if trial["values"] is not None]
            best = sorted((t for t in done if t["number"] in set(run["front"])), key=lambda t: t["values"][other])
            series.append(_trials(f"{name}, all trials", done, other, objectives[0], "cloud", colour))
            series.append(_trials(f"{name}, front", best, other, objectives[0], "step", colour))
        panels.append(Panel(f"{objectives[0]} against {other}", tuple(series)))
    fronts = "; ".join(
        f"{s.name}: {', '.join(f'{value(y)} at {value(x)}' for x, y in zip(s.x, s.y, strict=True))}"
        for s in panels[0].series
        if s.kind == "step"
    )
    return Chart(
        f"{key}-front",
        "What a gain costs",
        "Trials of the first run of each method. No trial is better than one on the steps of the front in all objectives.",
        f"{objectives[0]} at {objectives[1]}: {fronts}.",
        Axis(objectives[1] if len(objectives) == 2 else "other objective"),
        Axis(objectives[0]),
        tuple(panels),
    )


def _trials(name: str, trials: Sequence[Content], x: str, y: str, kind: Any, colour: int) -> Series:
    across, up = ([trial["values"][axis] for trial in trials] for axis in (x, y))
    return Series(name, across, up, kind, notes=[trial["architecture"] for trial in trials], colour=colour)


def _beliefs(methods: Mapping[str, Content], key: str, objective: str) -> Chart | None:
    """Return what estimators said of the architectures that they chose, beside what training gave."""
    found = {}
    for name, content in methods.items():
        told = [t for run in content["runs"] for t in run["trials"] if t["values"] is not None and objective in t["belief"]]
        if told:
            measured = np.array([t["values"][objective] for t in told])
            estimated = np.array([t["belief"][objective]["estimate"] for t in told])
            spread = [t["belief"][objective].get("std") for t in told]
            reach = None if None in spread else REACH * np.array(spread)
            ends = None if reach is None else (estimated - reach, estimated + reach)
            found[name] = Estimates(measured, estimated, ends, labels=[t["architecture"] for t in told])
    return (
        prediction_chart(f"{key}-beliefs", "Architectures that an estimator chose, all runs", objective, found) if found else None
    )


def _best(methods: Mapping[str, Content], key: str, objectives: Sequence[Content]) -> Table:
    """Return the best trials of all methods by the first objective."""
    names = [o["name"] for o in objectives]
    costs = sorted({n for c in methods.values() for r in c["runs"] for t in r["trials"] for n in t["values"] or {}} - set(names))
    found = [
        (name, run["seed"], trial)
        for name, content in methods.items()
        for run in content["runs"]
        for trial in run["trials"]
        if trial["values"] is not None
    ]
    sign = -1 if objectives[0]["larger_is_better"] else 1
    found.sort(key=lambda item: sign * item[2]["values"][names[0]])
    rows = [
        [name, seed, trial["number"], trial["architecture"], *(trial["values"].get(n) for n in (*names, *costs)), trial["origin"]]
        for name, seed, trial in found[:LISTED]
    ]
    columns = ("method", "seed", "trial", "architecture", *names, *costs, "origin")
    return Table(
        f"{key}-best", "The best that were found", columns, rows, f"The first of {count(len(found), 'trial')} by {names[0]}."
    )


def _said(methods: Mapping[str, Content], first: Content) -> Iterator[str]:
    objectives = first["goals"]["objectives"]
    step = "best_so_far" if len(objectives) == 1 else "hypervolume"
    better: Callable[..., Any] = max if len(objectives) > 1 or objectives[0]["larger_is_better"] else min
    reached = {name: content["summary"][-1] for name, content in methods.items() if content["summary"]}
    last = {name: row[step]["mean"] for name, row in reached.items() if step in row}
    if last:
        best = better(last, key=lambda name: last[name])
        row, what = reached[best], "the best value" if step == "best_so_far" else "the hypervolume"
        among = f", the best of {len(last)} methods" if len(last) > 1 else ""
        sentence = (
            f"Searching {_place(first)} for {listed([o['name'] for o in objectives])}, {what} of {best} is {value(last[best])} "
            f"after {count(row['evaluations'], 'evaluation')} (mean of {count(len(methods[best]['runs']), 'run')}, 90 % interval "
            f"{value(row[step]['lower'])} to {value(row[step]['upper'])}){among}."
        )
        if "rank" in row:
            sentence += f" In a table of {first['population']:,} it is number {row['rank']['median']:,.0f} at the median."
        yield sentence
    else:
        yield f"Searching {_place(first)}, no evaluation that all runs reached has a value within bounds."
    for name, content in methods.items():
        failed, done = (sum(run[each] for run in content["runs"]) for each in ("failures", "evaluations"))
        spent = sum(run["choosing_seconds"] for run in content["runs"]) / max(1, done)
        lost = f"; {count(failed, 'evaluation')} of {done} failed" if failed else ""
        yield f"{name} took {1000 * spent:.3g} ms to choose each architecture{lost}."
