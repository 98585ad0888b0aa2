"""Rank correlation against the training it costs: learning curves, labels, and what needs neither.

``python benchmarks/curves.py measure --tables-root DIR`` measures on the bundled table and on NAS-Bench-NLP and writes
``benchmarks/results/curves/<table>.json``; ``markdown`` prints these files as tables, ``document`` puts them into docs/curves.md,
``plot FILE`` draws them (extra ``plots``). ``--table`` chooses one table, ``--smoke`` measures two trials with few labels.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emprox import load_table
from emprox._optional import import_optional
from emprox.benchmark import Protocol, run_benchmark, summarise
from emprox.errors import InvalidDataError
from emprox.persistence import write_file
from emprox.report import COSTS

RESULTS = Path(__file__).parent / "results" / "curves"
CHAPTER = Path(__file__).parents[1] / "docs" / "curves.md"
LABELS = (20, 50, 121)
MOST_CANDIDATES, TRIALS, SEED = 1000, 20, 100
KEPT = ("estimator", "train_size", "trial", "kendall", "spearman", *COSTS)
FACTS = (
    "table",
    "target",
    "population",
    "population_name",
    "split",
    "test_size",
    "trials",
    "seed",
    "machine",
    "commit",
    "citation",
)


@dataclass(frozen=True)
class Experiment:
    """One table."""

    table: str
    target: str
    population: str
    epochs: tuple[int, ...]
    """After which curves are read."""
    joined: tuple[int, ...]
    """After which curves are features beside the structure."""
    structure: str
    """Encoding of the tree ensemble."""
    sizes: tuple[str, ...]
    """Estimators that need no training at all."""

    @property
    def label_free(self) -> list[str]:
        names = [f"sotle:epochs={e}" for e in self.epochs] + [f"sotle:epochs={e},last=none" for e in self.epochs[1:]]
        return [*self.sizes, *names, *(f"early-stopping:epoch={e}" for e in self.epochs)]

    @property
    def learned(self) -> list[str]:
        both = [f"emprox:features={part}curves@{e}" for part in ("structure+", "") for e in self.joined]
        return ["emprox", *both, *(f"xgboost:encoding={self.structure}+curves@{e}" for e in self.joined)]


PROXIES = tuple(f"zerocost:proxy={name}" for name in ("nwot", "jacov", "synflow", "zico", "grad_norm"))
EXPERIMENTS = {
    "bundled": Experiment(
        "bundled", "test_accuracy", "connected", (1, 2, 3, 5, 7, 10), (1, 3, 5), "features", ("size", "params", "macs", *PROXIES)
    ),
    "nasbench-nlp": Experiment(
        "nasbench-nlp", "test_loss", "all", (1, 2, 5, 10, 20, 30, 50), (1, 5, 10), "recurrent", ("params", "macs")
    ),
}


def measure(experiment: Experiment, root: str | None, *, smoke: bool = False) -> dict[str, Any]:
    """Return the run: estimators that need no label once, the others with every number of labels, on the same candidates."""
    rows = load_table(experiment.table, root).population(experiment.population)
    labels = LABELS[:1] if smoke else LABELS
    candidates = min(MOST_CANDIDATES, len(rows) - LABELS[-1])
    parts = []
    for specs, sizes in ((experiment.label_free, labels[:1]), (experiment.learned, labels)):
        protocol = Protocol(
            sizes, candidates, 2 if smoke else TRIALS, SEED, population=experiment.population, target=experiment.target
        )
        parts.append(run_benchmark(experiment.table, specs, protocol, tables_root=root))
    results = [{name: row.get(name) for name in KEPT} for part in parts for row in part["results"]]
    facts = {name: parts[0][name] for name in FACTS}
    return {**facts, "epochs": rows.epochs, "results": results, "summary": summarise(results)}


def markdown(run: dict[str, Any]) -> str:
    """Return the table of one run, by the training spent."""
    full = run["epochs"] * run["test_size"]
    title = (
        f"`{run['table']}`, `{run['target']}`, population `{run['population_name']}` of {run['population']} rows, "
        f"{run['test_size']} candidates, {run['trials']} trials, seed {run['seed']}, {run['split']} split, one thread:"
    )
    head = "| estimator | labels | epochs per candidate | epochs in all | of training all | Kendall (sd) | Spearman |"
    lines = [title, "", head, "|---|---|---|---|---|---|---|"]
    for row in sorted(run["summary"], key=lambda row: (row["training_epochs_mean"], -row["kendall_mean"])):
        spent, labels = row["training_epochs_mean"], row["train_size"] if row["label_epochs_mean"] else 0
        each, tau, spread = (row[name] for name in ("training_epochs_per_candidate_mean", "kendall_mean", "kendall_std"))
        cost = f"{each:.0f} | {spent:,.0f} | {spent / full:.0%}"
        ranks = f"{_number(tau)} ({_number(spread)}) | {_number(row['spearman_mean'])}"
        lines.append(f"| `{row['estimator']}` | {labels} | {cost} | {ranks} |")
    return "\n".join(lines) + "\n"


def document(runs: list[dict[str, Any]], chapter: Path = CHAPTER) -> None:
    """Put the tables of the runs into the chapter, each between its marks."""
    text = chapter.read_text()
    for run in runs:
        start, end = f"<!-- {run['table']} -->\n", "<!-- end -->"
        before, mark, rest = text.partition(start)
        _, _, after = rest.partition(end)
        if not mark or not after:
            raise InvalidDataError(f"{chapter} has no place for {run['table']}; expected {start!r} and {end!r}")
        text = before + start + markdown(run) + end + after
    write_file(chapter, text.encode())


def plot(runs: list[dict[str, Any]], file: Path) -> None:
    """Draw Kendall's tau against epochs spent, a line for each kind of estimator."""
    import_optional("matplotlib", "plots").use("Agg")
    pyplot = import_optional("matplotlib.pyplot", "plots")
    figure, axes = pyplot.subplots(1, len(runs), figsize=(6 * len(runs), 4.5), squeeze=False)
    for axis, run in zip(axes[0], runs, strict=True):
        lines: dict[str, list[tuple[float, float, float]]] = {}
        for row in run["summary"]:
            point = (row["training_epochs_mean"], row["kendall_mean"], row["kendall_std"])
            lines.setdefault(re.sub(r"(epochs?=|@)\d+", r"\1e", row["estimator"]), []).append(point)
        for name, points in lines.items():
            spent, tau, spread = zip(*sorted(points), strict=True)
            axis.errorbar(spent, tau, spread, marker="o", markersize=3, capsize=2, linewidth=1, label=name)
        axis.set(
            xscale="symlog", xlabel=f"epochs of training for {run['test_size']} candidates, labels included", title=run["table"]
        )
        axis.set_xscale("symlog", linthresh=run["test_size"])
        axis.axhline(0, color="grey", linewidth=0.5)
    axes[0][0].set_ylabel("Kendall's tau")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def _number(value: float) -> str:
    """Return three digits, without a leading zero."""
    return f"{value:.3f}".replace("0.", ".", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "markdown", "document", "plot"))
    parser.add_argument("file", nargs="?", type=Path, default=RESULTS / "curves.png", help="picture to write")
    parser.add_argument("--table", action="append", choices=list(EXPERIMENTS))
    parser.add_argument("--tables-root")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    names = arguments.table or list(EXPERIMENTS)
    if arguments.what == "measure":
        for name in names:
            run = measure(EXPERIMENTS[name], arguments.tables_root, smoke=arguments.smoke)
            arguments.out.mkdir(parents=True, exist_ok=True)
            write_file(arguments.out / f"{name}.json", (json.dumps(run, indent=1) + "\n").encode())
    runs = [json.loads((arguments.out / f"{name}.json").read_text()) for name in names]
    if arguments.what == "plot":
        plot(runs, arguments.file)
        return
    if arguments.what == "document":
        document(runs)
    print("\n".join(markdown(run) for run in runs))


if __name__ == "__main__":
    main()
