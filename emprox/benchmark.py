"""Score and time estimators on a table: the same splits for all, fit and query from architecture strings."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from emprox.errors import InvalidOptionError
from emprox.estimators import ArchitectureRegressor, make_estimator
from emprox.estimators.base import takes_option
from emprox.parallel import Engine, limit_threads, run
from emprox.proxies import KnownProxies
from emprox.report import COSTS, INTERVAL_METRICS, METRICS, score, score_interval, training_cost
from emprox.report.metrics import CALIBRATION_LEVELS, LEVEL, coverage
from emprox.tables import PerformanceTable, load_table
from emprox.tables.base import CLASSES
from emprox.validation import check_at_least

__all__ = ["Protocol", "run_benchmark"]

SECONDS = ("fit_seconds", "fit_cpu_seconds", "query_seconds_per_architecture")
MEASURED = (*METRICS, *INTERVAL_METRICS, *SECONDS, *COSTS)
WARM_UP = 10
"""Architectures of the fit that comes first and is not counted: imports and first calls are not the estimator's time."""
PACKAGES = ("torch", "faiss-cpu", "scikit-learn", "numpy", "xgboost", "xgboost-cpu")


@dataclass(frozen=True)
class Protocol:
    """What is measured of every estimator.

    Raises
    ------
    InvalidOptionError
        If a number is below 1 or the split is unknown.
    """

    train_sizes: tuple[int, ...]
    """Numbers of labelled architectures; training sets are nested. At 0 only estimators that need no label are measured."""
    test_size: int | Literal["rest"] = 1000
    """Architectures scored in each trial, or all that the largest training set leaves."""
    trials: int = 20
    """Random splits."""
    seed: int = 0
    """With the trial's number it identifies the split, and seeds the estimator."""
    split: Literal["row", "class"] = "row"
    """``row`` draws from all rows; ``class`` from one row of each canonical hash, so that no test cell has a twin in training."""
    population: str = "all"
    """Rows taken part, by name."""
    target: str | None = None
    """Column to estimate; None is the table's first."""
    threads: int = 1
    """Threads of each process."""
    jobs: int = 1
    """Processes that share the trials, except the timed ones."""
    engine: str = "loky"
    """What they are processes of, see `emprox.parallel.Engine`."""
    address: str | None = None
    """Where the Dask or Ray cluster is whose workers share the trials instead."""
    source: tuple[str, ...] = ()
    """Tables of other families whose labels are handed to estimators that transfer."""
    trainings: int = 1
    """Pretrainings on the source, which the trials take in turn; they are not part of the fit time."""
    timed: int = 3
    """With workers, so many first trials run alone and here before the others are shared, and only theirs have seconds."""

    def __post_init__(self) -> None:
        for name in ("trials", "threads", "jobs", "trainings"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("seed", "timed"):
            check_at_least(name, getattr(self, name), 0)
        if not self.train_sizes:
            raise InvalidOptionError("expected at least one training size")
        for size in self.train_sizes:
            check_at_least("train_size", size, 0)
        if self.test_size != "rest":
            check_at_least("test_size", self.test_size, 1)
        if self.split not in ("row", "class"):
            raise InvalidOptionError(f"split must be 'row' or 'class', got {self.split!r}")
        _ = self.workers

    @property
    def workers(self) -> Engine:
        """Where trials run that are not timed."""
        return Engine(self.engine, self.jobs, self.address)


def run_benchmark(
    table: str,
    estimators: Sequence[str],
    protocol: Protocol,
    *,
    tables_root: str | Path | None = None,
    known: Sequence[dict[str, Any]] = (),
    keep_predictions: bool = False,
    on_result: Callable[[dict[str, Any]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Fit and score estimators on random splits of a table.

    Fit time goes from strings to a fitted estimator, query time from strings to numbers, both with everything between.
    The processor's time is kept as well: on a busy machine it says more than the clock. Estimators that use zero-cost proxies
    are handed those of the table, which then cost nothing; what the table lacks is computed and timed. Learning curves are handed
    over likewise, and every result says what training it has cost (`emprox.report.training_cost`). A target of which smaller is
    better is learned and scored with its sign changed, so that larger is better for every estimator and metric.

    Parameters
    ----------
    table : str
        Name for `load_table`.
    estimators : sequence of str
        Specs for `make_estimator`.
    protocol : Protocol
        Sizes, trials and splits.
    tables_root : str or Path, optional
        Folder of downloaded tables.
    known : sequence of dict
        Results of an earlier run of the same protocol; what is among them is not measured again.
    keep_predictions : bool
        Whether the results of the first trial hold ``predictions`` too: ``estimated``, the ends ``lower`` and ``upper`` of 90 %
        intervals, and ``calibration``, the share of measured values inside intervals of each of `CALIBRATION_LEVELS`.
    on_result : callable, optional
        Called with each new result, for instance to keep it.
    progress : callable, optional
        Called with the numbers of finished and of all fits.

    Returns
    -------
    dict
        As `emprox bench` writes it: facts of the run, ``results`` with one entry per estimator, size and trial, and
        ``summary`` with their means and standard deviations. With predictions, ``tested`` has ``architectures`` and ``measured``
        values of the first trial's test rows.
    """
    estimators = list(dict.fromkeys(estimators))
    needs_labels = {spec: make_estimator(spec).needs_labels for spec in estimators}  # a wrong name or option is an error here
    rows = load_table(table, tables_root).population(protocol.population)
    if protocol.split == "class":
        rows = rows.population(CLASSES)
    target, _ = rows.target(protocol.target)
    sizes = sorted(set(protocol.train_sizes))
    for size in sizes:
        rows.split(size, protocol.test_size, protocol.seed, 0, sizes[-1])
    wanted = [
        (spec, size, trial)
        for trial in range(protocol.trials)
        for spec in estimators
        for size in sizes
        if size or not needs_labels[spec]
    ]
    if not wanted:
        raise InvalidOptionError(
            f"without labels none of {', '.join(estimators)} gives an estimate; ask for a train size of 1 or more"
        )
    asked = set(wanted)
    results = [result for result in known if _identity(result) in asked]
    done = {_identity(result) for result in results}
    work = [item for item in wanted if item not in done]
    source = [load_table(name, tables_root) for name in protocol.source] if work else []
    for result in _results(work, rows, target, protocol, source, keep_predictions):
        results.append(result)
        if on_result is not None:
            on_result(result)
        if progress is not None:
            progress(len(results), len(wanted))
    results.sort(key=lambda r: (list(estimators).index(r["estimator"]), r["train_size"], r["trial"]))
    return {
        "table": table,
        "target": target,
        "population": len(rows),
        "population_name": protocol.population,
        "split": protocol.split,
        "test_size": protocol.test_size,
        "trials": protocol.trials,
        "seed": protocol.seed,
        "source": list(protocol.source),
        "trainings": protocol.trainings,
        "threads": protocol.threads,
        "jobs": protocol.jobs,
        "engine": protocol.engine,
        "machine": machine(),
        "commit": commit(),
        "citation": rows.citation,
        **({"tested": _tested(rows, target, protocol)} if keep_predictions else {}),
        "results": results,
        "summary": summarise(results),
    }


def _identity(result: dict[str, Any]) -> tuple[str, int, int]:
    return result["estimator"], result["train_size"], result["trial"]


def _tested(rows: PerformanceTable, target: str, protocol: Protocol) -> dict[str, list[Any]]:
    """Return the test rows of the first trial, measured values as estimators learn them."""
    test, _ = rows.split(min(protocol.train_sizes), protocol.test_size, protocol.seed, 0, max(protocol.train_sizes))
    measured = rows.measures[target].sign * rows.targets[target][test]
    return {"architectures": [str(rows.architectures[i]) for i in test], "measured": measured.tolist()}


def _results(
    work: list[tuple[str, int, int]],
    rows: PerformanceTable,
    target: str,
    protocol: Protocol,
    source: Sequence[PerformanceTable],
    keep_predictions: bool,
) -> Iterator[dict[str, Any]]:
    strings = np.array([str(a) for a in rows.architectures], dtype=object)
    known = KnownProxies.from_table(rows)
    options = _Options(known if known.names or known.curves else None, source, rows.space, protocol)
    values = rows.measures[target].sign * rows.targets[target]
    shared = _Shared(strings, values, rows, protocol, keep_predictions, options)
    timed = protocol.trials if protocol.workers.is_this_process else protocol.timed
    alone, others = [item for item in work if item[2] < timed], [item for item in work if item[2] >= timed]
    warm: set[str] = set()
    for item in alone:
        if item[0] not in warm:
            warm.add(item[0])
            _measure(item, shared, labels=WARM_UP)
        yield _measure(item, shared)
    if not others:
        return
    for item in others:
        options.of(item)  # what is pretrained is pretrained here, once
    for _, result in run(_measure, others, shared=shared, engine=protocol.workers):
        yield result | dict.fromkeys(SECONDS)


class _Options:
    """What estimators are handed besides labels: what the table knows, the source, and what was learned from it."""

    def __init__(self, known: KnownProxies | None, source: Sequence[PerformanceTable], space: str, protocol: Protocol) -> None:
        self.known, self.source, self.space, self.protocol = known, source, space, protocol
        self.pretrained: dict[tuple[str, int], Any] = {}

    def of(self, item: tuple[str, int, int]) -> dict[str, Any]:
        """Return the options of an estimator that the benchmark sets; pretraining is done once for each training."""
        spec, _, trial = item
        options: dict[str, Any] = {"known": self.known} if takes_option(spec, "known") else {}
        if self.source and takes_option(spec, "pretrained"):
            training = trial % self.protocol.trainings
            if (spec, training) not in self.pretrained:
                with limit_threads(self.protocol.threads):
                    estimator = make_estimator(spec, space=self.space, source=self.source, random_state=training, **options)
                    self.pretrained[spec, training] = estimator.fit([], []).pretrained_
            options["pretrained"] = self.pretrained[spec, training]
        elif self.source and takes_option(spec, "source"):
            options["source"] = self.source
        return options


@dataclass(frozen=True)
class _Shared:
    """What all fits need."""

    strings: np.ndarray
    values: np.ndarray
    rows: PerformanceTable
    protocol: Protocol
    keep_predictions: bool
    options: _Options


def _measure(item: tuple[str, int, int], shared: _Shared, labels: int | None = None) -> dict[str, Any]:
    """Return metrics and seconds of one fit, on the first labels only if their number is given."""
    spec, size, trial = item
    rows, protocol, strings, values = shared.rows, shared.protocol, shared.strings, shared.values
    test, train = rows.split(size, protocol.test_size, protocol.seed, trial, max(protocol.train_sizes))
    train = train[:labels]
    known, asked = strings[train].tolist(), strings[test].tolist()
    options = shared.options.of(item)
    with limit_threads(protocol.threads):
        estimator = make_estimator(spec, space=rows.space, random_state=protocol.seed * 100_003 + trial, **options)
        start, start_cpu = time.perf_counter(), time.process_time()
        estimator.fit(known, values[train])
        fitted, fitted_cpu = time.perf_counter(), time.process_time()
        estimates = estimator.predict(asked)
        done = time.perf_counter()
        ends = _intervals(estimator, asked, LEVEL)
        intervals = {} if ends is None else score_interval(values[test], *ends)
        kept = _predictions(estimator, asked, values[test], estimates, ends) if shared.keep_predictions and trial == 0 else {}
    return {
        "estimator": spec,
        "train_size": size,
        "trial": trial,
        **score(values[test], estimates),
        **intervals,
        **training_cost(estimator, rows, train, test),
        "fit_seconds": fitted - start,
        "fit_cpu_seconds": fitted_cpu - start_cpu,
        "query_seconds_per_architecture": (done - fitted) / len(test),
        **kept,
    }


def _intervals(estimator: ArchitectureRegressor, asked: list[str], level: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ends of the estimator's own intervals, or of normal ones if it has standard deviations."""
    if hasattr(estimator, "predict_interval"):
        lower, upper = estimator.predict_interval(asked, level)
    elif estimator.has_std:
        estimates, std = estimator.predict(asked, return_std=True)
        reach = float(stats.norm.ppf((1 + level) / 2)) * std
        lower, upper = estimates - reach, estimates + reach
    else:
        return None
    if not np.isfinite(lower).all() or not np.isfinite(upper).all():
        return None  # with one label some spreads are unknown
    return lower, upper


def _predictions(
    estimator: ArchitectureRegressor,
    asked: list[str],
    measured: np.ndarray,
    estimates: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray] | None,
) -> dict[str, Any]:
    kept: dict[str, Any] = {"estimated": estimates.tolist()}
    if ends is not None:
        kept |= {"lower": ends[0].tolist(), "upper": ends[1].tolist()}
        each = [_intervals(estimator, asked, level) for level in CALIBRATION_LEVELS]
        kept["calibration"] = [coverage(measured, *found) for found in each if found is not None]
    return {"predictions": kept}


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and sample standard deviation (0 for one trial) over trials for each estimator and training size.

    A metric that no trial has is left out: intervals of estimators without standard deviation, seconds of trials that shared
    the machine, costs of training that the table does not tell.
    """
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["estimator"], result["train_size"]), []).append(result)
    summary = []
    for (estimator, size), group in groups.items():
        row: dict[str, Any] = {"estimator": estimator, "train_size": size, "trials": len(group)}
        for name in MEASURED:
            values = np.array([result[name] for result in group if result.get(name) is not None])
            if not len(values):
                continue
            row[f"{name}_mean"] = float(values.mean())
            row[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        summary.append(row)
    return summary


def machine() -> dict[str, Any]:
    """Return processor, cores, Python and package versions."""
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": packages,
    }


def commit() -> str | None:
    """Return the commit of the checkout this package runs from, with ``+`` if it has changes, or None outside one."""
    folder = Path(__file__).parent
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
