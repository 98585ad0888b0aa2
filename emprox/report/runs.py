"""Results of `emprox bench` and of ``benchmarks/run.py`` as one kind of value."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emprox.errors import InvalidDataError
from emprox.report.charts import Source
from emprox.report.differences import Difference, sure_difference
from emprox.report.numbers import count, listed
from emprox.report.sources import machine_words

__all__ = ["Run", "is_run", "read_run", "together"]

SPLITS = {"row": "random rows", "class": "one row of each class of equal function"}


@dataclass(frozen=True)
class Run:
    """Estimators scored on random splits of one table."""

    table: str
    """Name of the table."""
    target: str
    """What is estimated."""
    population: int
    """Rows drawn from."""
    protocol: tuple[tuple[str, Any], ...]
    """What the splits depend on; results of equal protocols on one table belong together."""
    results: Sequence[Mapping[str, Any]]
    """One for each estimator, number of labels and trial."""
    sources: tuple[Source, ...]
    """Where they come from."""
    tested: Mapping[str, Sequence[Any]]
    """``architectures`` and ``measured`` of the first trial's test rows, where predictions were kept."""

    @property
    def estimators(self) -> list[str]:
        """Estimators in the order of the file."""
        return list(dict.fromkeys(result["estimator"] for result in self.results))

    @property
    def sizes(self) -> list[int]:
        """Numbers of labels."""
        return sorted({result["train_size"] for result in self.results})

    def by_trial(self, estimator: str, size: int, metric: str) -> dict[int, float]:
        """Return a metric by trial, of the trials that have it."""
        chosen = (r for r in self.results if r["estimator"] == estimator and r["train_size"] == size)
        return {r["trial"]: r[metric] for r in chosen if r.get(metric) is not None}

    def values(self, estimator: str, size: int, metric: str = "kendall") -> list[float]:
        """Return a metric of all trials that have it."""
        return list(self.by_trial(estimator, size, metric).values())

    def measured(self, size: int) -> list[str]:
        """Return the estimators that have results with that many labels, the best mean Kendall first."""
        means = {name: self.values(name, size) for name in self.estimators}
        return sorted((n for n, v in means.items() if v), key=lambda name: -sum(means[name]) / len(means[name]))

    def difference(self, first: str, second: str, size: int) -> Difference | None:
        """Return Kendall of the first minus the second over the trials that both have, None where these are fewer than two."""
        one, two = self.by_trial(first, size, "kendall"), self.by_trial(second, size, "kendall")
        trials = sorted(one.keys() & two.keys())
        return sure_difference([one[t] for t in trials], [two[t] for t in trials]) if len(trials) > 1 else None


def is_run(content: Any) -> bool:
    """Whether a JSON value is what `emprox bench` or ``benchmarks/run.py`` writes."""
    return isinstance(content, dict) and {"table", "target", "results", "summary"} <= content.keys()


def read_run(content: dict[str, Any], path: Path) -> Run:
    """Return the run of a file.

    Raises
    ------
    InvalidDataError
        If it holds no results, or results without an estimator, a training size, a trial or Kendall's tau.
    """
    results = content["results"]
    needed = {"estimator", "train_size", "trial", "kendall"}
    if not results:
        raise InvalidDataError(f"{path} holds no results; let `emprox bench --out` write it again")
    for result in results:
        if missing := needed - result.keys():
            raise InvalidDataError(
                f"{path} holds a result without {', '.join(sorted(missing))}; expected what `emprox bench` writes"
            )
        tau = result["kendall"]
        if tau is not None and (isinstance(tau, bool) or not isinstance(tau, int | float) or not math.isfinite(tau)):
            raise InvalidDataError(f"{path} holds Kendall's tau {tau!r} of {result['estimator']}; expected a finite number")
    protocol = {"split": "row", "population": "all", **(content.get("protocol") or _protocol(content))}
    return Run(
        content["table"],
        content["target"],
        content["population"],
        tuple(sorted((name, value) for name, value in protocol.items() if name != "target")),
        results,
        (_source(content, protocol, path),),
        content.get("tested", {}),
    )


def together(runs: Iterable[Run]) -> list[Run]:
    """Return the runs with those of one table and protocol joined.

    Raises
    ------
    InvalidDataError
        If two files hold different results of an estimator with as many labels in one trial, or tested other rows.
    """
    joined: dict[Any, Run] = {}
    for run in runs:
        key = (run.table, run.target, run.population, run.protocol)
        first = joined.get(key)
        joined[key] = run if first is None else _join(first, run)
    return list(joined.values())


def _join(first: Run, second: Run) -> Run:
    files = f"{listed([source.name for source in first.sources])} and {second.sources[0].name}"
    known = {_cell(result): result for result in first.results}
    for result in second.results:
        estimator, size, trial = _cell(result)
        if known.get(_cell(result), result) != result:
            raise InvalidDataError(
                f"{files} hold different results of {estimator} with {size} labels in trial {trial} on {first.table}; write "
                "a report on each, or remove one of them"
            )
    if first.tested and second.tested and first.tested != second.tested:
        raise InvalidDataError(
            f"{files} tested other rows of {first.table}, though their protocols are equal; write a report on each"
        )
    new = [result for result in second.results if _cell(result) not in known]
    results, sources = [*first.results, *new], (*first.sources, *second.sources)
    return replace(first, results=results, sources=sources, tested=first.tested or second.tested)


def _cell(result: Mapping[str, Any]) -> tuple[str, int, int]:
    return result["estimator"], result["train_size"], result["trial"]


def _protocol(content: dict[str, Any]) -> dict[str, Any]:
    """Return what the splits of an `emprox bench` file depend on."""
    return {
        "test_size": content["test_size"],
        "seed": content["seed"],
        "split": content["split"],
        "population": content["population_name"],
        "largest_train_size": max(result["train_size"] for result in content["results"]),
    }


def _source(content: dict[str, Any], protocol: dict[str, Any], path: Path) -> Source:
    results = content["results"]
    trials = len({result["trial"] for result in results})
    machines = [run["machine"] for run in content.get("runs", [content]) if "machine" in run]
    commits = list(dict.fromkeys(str(run.get("commit"))[:10] for run in content.get("runs", [content])))
    facts = {
        "table": f"{content['table']}, {content['target']}, {count(content['population'], 'row')} ({protocol['population']})",
        "splits": f"{SPLITS.get(protocol['split'], protocol['split'])}, {protocol['test_size']} tested, up to "
        f"{count(trials, 'trial')}, seed {protocol['seed']}",
        "threads": f"{content.get('runs', [content])[-1].get('threads', 'unknown')}",
        "machine": "; ".join(dict.fromkeys(machine_words(machine) for machine in machines)) or "unknown",
        "commit": ", ".join(commits),
        "data": str(content.get("citation") or "unknown"),
    }
    return Source(str(path), _command(content, path), facts)


def _command(content: dict[str, Any], path: Path) -> str:
    if "runs" in content:
        return f"python benchmarks/run.py benchmarks/configs/{path.parent.name}.yaml --table {shlex.quote(content['table'])}"
    words = ["emprox", "bench", "--table", content["table"], "--target", content["target"]]
    for estimator in dict.fromkeys(result["estimator"] for result in content["results"]):
        words += ["--estimator", estimator]
    for size in sorted({result["train_size"] for result in content["results"]}):
        words += ["--train-size", str(size)]
    for option, name in (("split", "split"), ("population", "population_name"), ("test-size", "test_size")):
        words += [f"--{option}", str(content[name])]
    for option in ("trials", "seed", "threads", "jobs"):
        if option in content:
            words += [f"--{option}", str(content[option])]
    return shlex.join(words)
