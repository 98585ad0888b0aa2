"""Run simulated searches on tables: ``python benchmarks/search.py benchmarks/configs/han2023_search.yaml --tables-root DIR``.

A config names tables, methods with their options, and a protocol. Results go to
``benchmarks/results/search/<config>/<table>.json``, one line for each run: when it found what. A run that is in the file is not
done again. ``--show`` and ``--brief 50`` print the results as Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from emprox.benchmark import commit, machine
from emprox.errors import InvalidDataError
from emprox.parallel import limit_threads
from emprox.persistence import write_file
from emprox.search import SEARCHES, Bound, Goals, Search, TablePool, Trial
from emprox.search.results import spread_of
from emprox.search.run import Budget, TableEvaluator, run_search
from emprox.tables import load_table

RESULTS = Path(__file__).parent / "results" / "search"
SMOKE = {"runs": 1, "evaluations": 15, "at_most": 15, "marks": [5, 15]}
TOP = 0.001
"""Share of a population whose rows are called the best, at least one row."""
RESAMPLES = 5000
SAVE_EVERY = 20.0


@dataclass(frozen=True)
class Experiment:
    """One table of a config."""

    title: str
    table: str
    bounds: tuple[str, ...]
    protocol: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    file: Path


def read_config(path: Path, out: Path) -> list[Experiment]:
    """Return the experiments of a config; what a table says for itself goes before what the config says for all."""
    config = yaml.safe_load(path.read_text())
    experiments = []
    for title, own in config["tables"].items():
        own = own or {}
        methods = {**config["methods"], **own.get("methods", {})}
        kept = {name: options for name, options in methods.items() if name not in own.get("without", [])}
        file = out / path.stem / f"{title.replace(':', '-').replace(' ', '-')}.json"
        protocol = config["protocol"] | own.get("protocol", {})
        experiments.append(Experiment(title, own.get("table", title), tuple(own.get("bounds", ())), protocol, kept, file))
    return experiments


class Simulation:
    """A table to be searched, and how good its rows are."""

    def __init__(self, experiment: Experiment, tables_root: Path | None) -> None:
        table = load_table(experiment.table, tables_root)
        self.target, _ = table.target(experiment.protocol.get("target"))
        self.sign = float(table.measures[self.target].sign)
        self.pool = TablePool(table, [Bound.parse(bound) for bound in experiment.bounds])
        self.goals = Goals.of(self.target if self.sign > 0 else f"-{self.target}")
        self.ordered = np.sort(self.sign * self.pool.table.targets[self.target])
        self.top = max(1, int(TOP * len(self.ordered)))

    def rank(self, value: float) -> int:
        """Return 1 for the best row and its equals."""
        return int(len(self.ordered) - np.searchsorted(self.ordered, self.sign * value, "right")) + 1

    def run(self, method: dict[str, Any], seed: int, protocol: dict[str, Any]) -> dict[str, Any]:
        """Search once: until the evaluations are used and the top is reached, or nothing better is left."""
        options = {name: value for name, value in method.items() if name not in ("search", "runs")}
        search: Search = SEARCHES.get(method["search"])(self.pool, goals=self.goals, random_state=seed, **options)
        improved: list[list[float]] = []

        def note(trial: Trial) -> bool:
            value = (trial.values or {})[self.target]
            if not improved or self.sign * value > self.sign * improved[-1][1]:
                improved.append([trial.number + 1, value, self.rank(value)])
            rank = improved[-1][2]
            return rank == 1 or (rank <= self.top and trial.number + 1 >= protocol["evaluations"])

        start = time.process_time()
        choosing = run_search(search, TableEvaluator(self.pool), Budget(protocol["at_most"]), note)
        asked = len(search.history)
        return {
            "seed": seed,
            "asked": asked,
            "improved": improved,
            "choosing_seconds_per_query": round(choosing / asked, 5),
            "cpu_seconds": round(time.process_time() - start, 2),
        }


def measure(experiment: Experiment, tables_root: Path | None, seed: int) -> None:
    """Do the runs that the file lacks, all methods of one seed before the next."""
    simulation = Simulation(experiment, tables_root)
    content = earlier(experiment, simulation)
    done = {(row["method"], row["seed"]) for row in content["results"]}
    counts = {name: options.get("runs", experiment.protocol["runs"]) for name, options in experiment.methods.items()}
    wanted = [
        (n, s) for s in range(seed, seed + max(counts.values())) for n in counts if s < seed + counts[n] and (n, s) not in done
    ]
    if not wanted:
        return
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    content["about"].append({"commit": commit(), "machine": machine(), "threads": 1, "started": now})
    saved = time.monotonic()
    for name, number in wanted:
        with limit_threads(1):
            row = simulation.run(experiment.methods[name], number, experiment.protocol)
        content["results"].append({"method": name, **row, "about": len(content["about"]) - 1})
        if time.monotonic() - saved > SAVE_EVERY:
            write(experiment.file, content)
            saved = time.monotonic()
    write(experiment.file, content)
    print(f"{experiment.title}: {len(wanted)} new, {len(content['results'])} in all", flush=True)


def earlier(experiment: Experiment, simulation: Simulation) -> dict[str, Any]:
    """Return what the results file holds, or an empty content."""
    facts = {
        "table": experiment.table,
        "bounds": list(experiment.bounds),
        "target": simulation.target,
        "population": simulation.pool.size,
        "top": simulation.top,
        "best_known": float(simulation.sign * simulation.ordered[-1]),
        "larger_is_better": simulation.sign > 0,
        "evaluations": experiment.protocol["evaluations"],
        "at_most": experiment.protocol["at_most"],
        "citation": simulation.pool.table.citation,
    }
    asked = {name: without_runs(options) for name, options in experiment.methods.items()}
    if not experiment.file.exists():
        return {**facts, "methods": asked, "about": [], "results": []}
    content: dict[str, Any] = json.loads(experiment.file.read_text())
    other = {name: content[name] for name in facts if content[name] != facts[name]}
    other |= {
        name: there for name, there in content["methods"].items() if without_runs(there) != asked.get(name, without_runs(there))
    }
    if other:
        raise InvalidDataError(f"{experiment.file} holds results of another protocol, {other}; move it or change the config")
    content["methods"] |= asked
    return content


def without_runs(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "runs"}


def write(file: Path, content: dict[str, Any]) -> None:
    """Write results one run a line, sorted."""
    order = list(content["methods"])
    rows = sorted(content["results"], key=lambda row: (order.index(row["method"]), row["seed"]))
    text = json.dumps({name: value for name, value in content.items() if name != "results"}, indent=1, allow_nan=False)
    lines = ",\n  ".join(json.dumps(row, allow_nan=False) for row in rows)
    write_file(file, f'{text[:-2]},\n "results": [\n  {lines}\n ]\n}}\n'.encode())


def reached(row: dict[str, Any], rank: int) -> float:
    """Return the queries of a run until a rank, infinite if it ended before."""
    return next((number for number, _, place in row["improved"] if place <= rank), np.inf)


def at(row: dict[str, Any], queries: int, column: int) -> float:
    """Return value (1) or rank (2) of the best after so many queries."""
    return [entry for entry in row["improved"] if entry[0] <= queries][-1][column]


def ratio(others: list[float], ours: list[float]) -> tuple[float, float, float]:
    """Return the ratio of two medians and the ends of its 95 % bootstrap interval; as many runs are paired by seed."""
    rng = np.random.default_rng(0)
    a, b = np.array(others), np.array(ours)
    if len(a) == len(b):
        rows = rng.integers(len(a), size=(RESAMPLES, len(a)))
        ratios = np.median(a[rows], axis=1) / np.median(b[rows], axis=1)
    else:
        first, second = (rng.integers(len(x), size=(RESAMPLES, len(x))) for x in (a, b))
        ratios = np.median(a[first], axis=1) / np.median(b[second], axis=1)
    lower, upper = np.quantile(ratios, [0.025, 0.975])
    return float(np.median(a) / np.median(b)), float(lower), float(upper)


def show(experiment: Experiment, marks: list[int]) -> str:
    """Return a table of Markdown: queries until the top, regret and rank at marks, milliseconds of choosing."""
    content = json.loads(experiment.file.read_text())
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in content["results"]:
        runs.setdefault(row["method"], []).append(row)
    bounds = "".join(f", {bound}" for bound in content["bounds"])
    lines = [
        f"**{experiment.title}**, `{content['table']}`{bounds}: {content['population']:,} rows, "
        f"best {content['best_known']:.2f}, top {content['top']}\n",
        f"| method | runs | queries until top {content['top']}: median (quartiles) | "
        "guided emprox needs fewer by (95 %) | "
        + " | ".join(f"regret after {mark} (90 %)" for mark in marks)
        + " | "
        + " | ".join(f"rank after {mark}" for mark in marks)
        + " | ms a query |",
        "|---|---|---|---|" + "---|" * (2 * len(marks) + 1),
    ]
    ours = [reached(row, content["top"]) for row in runs.get("guided emprox", [])]
    for method, rows in runs.items():
        until = [reached(row, content["top"]) for row in rows]
        quartiles = [number(value) for value in np.quantile(until, [0.5, 0.25, 0.75], method="higher")]
        cells = [method, str(len(rows)), f"{quartiles[0]} ({quartiles[1]} to {quartiles[2]})"]
        both = method != "guided emprox" and ours and np.isfinite(np.median(until)) and np.isfinite(np.median(ours))
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(*ratio(until, ours)) if both else "")
        for mark in marks:
            spread = spread_of([abs(content["best_known"] - at(row, mark, 1)) for row in rows])
            cells.append(f"{spread['mean']:.3f} ({spread['lower']:.3f} to {spread['upper']:.3f})")
        cells += [f"{np.median([at(row, mark, 2) for row in rows]):.0f}" for mark in marks]
        cells.append(f"{1000 * np.mean([row['choosing_seconds_per_query'] for row in rows]):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def brief(experiments: list[Experiment], mark: int) -> str:
    """Return a table of Markdown with a line for each experiment that has runs of all methods: medians, and mean regret."""
    names = ("random", "local", "evolution", "guided xgboost", "guided emprox")
    lines = [
        f"| table (rows, top, runs) | {' | '.join(names)} | evolution / guided emprox (95 %) "
        f"| regret after {mark}: "
        f"{', '.join(names[2:])} |",
        "|---|" + "---|" * (len(names) + 2),
    ]
    for experiment in experiments:
        content = json.loads(experiment.file.read_text())
        runs = {name: [row for row in content["results"] if row["method"] == name] for name in names}
        if not all(runs.values()):
            continue  # not all methods have run yet
        until = {name: [reached(row, content["top"]) for row in rows] for name, rows in runs.items()}
        medians = [number(float(np.quantile(until[name], 0.5, method="higher"))) for name in names]
        fewer = "{:.1f} ({:.1f} to {:.1f})".format(*ratio(until["evolution"], until["guided emprox"]))
        best = content["best_known"]
        regrets = [f"{np.mean([abs(best - at(row, mark, 1)) for row in runs[name]]):.3f}" for name in names[2:]]
        title = f"{experiment.title} ({content['population']:,}, {content['top']}, {len(runs[names[-1]])})"
        lines.append("| " + " | ".join([title, *medians, fewer, ", ".join(regrets)]) + " |")
    return "\n".join(lines)


def number(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "more"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="+")
    parser.add_argument("--tables-root", type=Path, help="folder of downloaded tables")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--table", action="append", help="only this table of the configs; may be repeated")
    parser.add_argument("--method", action="append", help="only this method of the configs; may be repeated")
    parser.add_argument("--runs", type=int, help="at most so many runs of each method; the rest can be added later")
    parser.add_argument("--smoke", action="store_true", help="one short run of everything; needs --out")
    parser.add_argument("--show", action="store_true", help="print what there is and measure nothing")
    parser.add_argument("--brief", type=int, metavar="QUERIES", help="print a line for each table, with the regret after so many")
    arguments = parser.parse_args()
    if arguments.smoke and arguments.out == RESULTS:
        parser.error("a smoke run needs --out, so that its results stay apart")
    if arguments.brief:
        every = [experiment for path in arguments.configs for experiment in read_config(path, arguments.out)]
        print(brief([experiment for experiment in every if experiment.file.exists()], arguments.brief))
        return
    for path in arguments.configs:
        for experiment in read_config(path, arguments.out):
            if arguments.table and experiment.title not in arguments.table:
                continue
            methods = {n: o for n, o in experiment.methods.items() if not arguments.method or n in arguments.method}
            protocol = experiment.protocol | (SMOKE if arguments.smoke else {})
            most = 1 if arguments.smoke else arguments.runs or protocol["runs"]
            shorter = {n: {**o, "runs": min(most, o.get("runs", protocol["runs"]))} for n, o in methods.items()}
            chosen = Experiment(experiment.title, experiment.table, experiment.bounds, protocol, shorter, experiment.file)
            if not arguments.show:
                measure(chosen, arguments.tables_root, protocol["seed"])
            if arguments.show and chosen.file.exists():
                print(show(chosen, protocol["marks"]))


if __name__ == "__main__":
    main()
