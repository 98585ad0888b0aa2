"""Run the published tables as we measure them: ``python benchmarks/run.py benchmarks/configs/bundled.yaml``.

A config names tables, a protocol, and estimators with what was published of them. Results go to
``benchmarks/results/<config>/<table>.json`` in the format of ``emprox bench``; ``run`` of each result is its place in
``runs``, which say commit, machine, versions, threads and time. What is in the file is not measured again.
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from emprox.benchmark import Protocol, commit, machine, run_benchmark, summarise
from emprox.errors import InvalidDataError
from emprox.estimators import ESTIMATORS
from emprox.parallel import ENGINES, Engine
from emprox.persistence import write_file
from emprox.registry import parse_spec

RESULTS = Path(__file__).parent / "results"
SAVE_EVERY = 20.0
"""Seconds between writes while an estimator runs."""
SPLIT = ("test_size", "seed", "split", "population", "target")
"""What has to stay the same for results to belong together, besides the largest training size."""
FACTS = ("table", "target", "population", "citation")
"""What a benchmark says of its table."""
QUICK = {"epochs": 1, "n_estimators": 5}
"""Options that a smoke run sets where an estimator has them."""


@dataclass(frozen=True)
class Experiment:
    """One table of a config."""

    table: str
    protocol: Protocol
    trials: dict[str, int]
    """Estimator to its number of trials."""
    file: Path
    """Where the results go."""


def read_config(path: Path, out: Path) -> list[Experiment]:
    """Return the experiments of a config; what a table says for itself goes before what the config says for all."""
    config = yaml.safe_load(path.read_text())
    experiments = []
    for table, own in config["tables"].items():
        options = config["protocol"] | (own or {}).get("protocol", {})
        protocol = Protocol(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})
        estimators = {**config["estimators"], **(own or {}).get("estimators", {})}
        left_out = (own or {}).get("without", [])
        trials = {
            spec: (facts or {}).get("trials", protocol.trials) for spec, facts in estimators.items() if spec not in left_out
        }
        experiments.append(Experiment(table, protocol, trials, out / path.stem / f"{table.replace(':', '-')}.json"))
    return experiments


def smaller(experiment: Experiment) -> Experiment:
    """Return the experiment with one trial, the fewest labels, at most 100 test rows and as little training as possible."""
    protocol = replace(experiment.protocol, train_sizes=experiment.protocol.train_sizes[:1], test_size=100, trials=1)
    return replace(experiment, protocol=protocol, trials={quick(spec): 1 for spec in experiment.trials})


def quick(spec: str) -> str:
    """Return an estimator's text form with the `QUICK` options that it has."""
    name, given = parse_spec(spec)
    known = inspect.signature(ESTIMATORS.get(name)).parameters
    options = given | {option: value for option, value in QUICK.items() if option in known}
    return f"{name}:{','.join(f'{option}={value}' for option, value in options.items())}".rstrip(":")


def measure(experiment: Experiment, estimators: list[str], engine: Engine, tables_root: Path | None) -> None:
    """Measure what the results file lacks, one estimator after the other, and keep it as it comes."""
    content = earlier(experiment)
    runs, saved = content["runs"], time.monotonic()
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    where: dict[str, Any] = {"jobs": engine.jobs, "engine": engine.name, "address": engine.address}
    about = {"commit": commit(), "machine": machine(), "threads": experiment.protocol.threads, **where, "started": now}
    number = len(runs)

    def keep(result: dict[str, Any]) -> None:
        nonlocal saved
        content["results"].append(result | {"run": number})
        content["runs"] = [*runs, about]
        if time.monotonic() - saved > SAVE_EVERY:
            write(experiment.file, content)
            saved = time.monotonic()

    for spec in estimators:
        protocol = replace(experiment.protocol, trials=experiment.trials[spec], **where)
        known = [result for result in content["results"] if result["estimator"] == spec]
        run = run_benchmark(experiment.table, [spec], protocol, tables_root=tables_root, known=known, on_result=keep)
        new = len(run["results"]) - sum(result in known for result in run["results"])
        content |= {name: run[name] for name in FACTS}
        if new:
            write(experiment.file, content)
        print(f"{experiment.table} {spec}: {new} new, {len(run['results'])} in all", flush=True)


def earlier(experiment: Experiment) -> dict[str, Any]:
    """Return what the results file holds, or an empty content.

    Raises
    ------
    InvalidDataError
        If its results are those of other splits.
    """
    protocol = experiment.protocol
    asked = {name: getattr(protocol, name) for name in SPLIT} | {"largest_train_size": max(protocol.train_sizes)}
    if protocol.source:
        asked |= {"source": list(protocol.source), "trainings": protocol.trainings}
    if not experiment.file.exists():
        return {"protocol": asked, "runs": [], "results": []}
    content: dict[str, Any] = json.loads(experiment.file.read_text())
    if content["protocol"] != asked:
        there = content["protocol"]
        raise InvalidDataError(
            f"{experiment.file} holds results of {there}, the config asks for {asked}; move it or change the config"
        )
    return content


def write(file: Path, content: dict[str, Any]) -> None:
    """Write results with their summary, one result a line."""
    rest = {name: value for name, value in content.items() if name != "results"}
    text = json.dumps(rest | {"summary": summarise(content["results"])}, indent=1, allow_nan=False)
    lines = ",\n  ".join(json.dumps(rounded(result), allow_nan=False) for result in content["results"])
    write_file(file, f'{text[:-2]},\n "results": [\n  {lines}\n ]\n}}\n'.encode())


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with six significant digits."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="+")
    parser.add_argument("--tables-root", type=Path, help="folder of downloaded tables")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--table", action="append", help="only this table of the configs; may be repeated")
    parser.add_argument("--estimator", action="append", help="only this estimator of the configs; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share all but the timed trials")
    parser.add_argument("--engine", default="loky", choices=list(ENGINES), help="what shares them")
    parser.add_argument("--address", help="Dask scheduler or Ray head")
    parser.add_argument("--smoke", action="store_true", help="one small quick trial of everything; needs --out")
    arguments = parser.parse_args()
    if arguments.smoke and arguments.out == RESULTS:
        parser.error("a smoke run needs --out, so that its results stay apart")
    engine = Engine(arguments.engine, arguments.jobs, arguments.address)
    for path in arguments.configs:
        for experiment in read_config(path, arguments.out):
            if arguments.table and experiment.table not in arguments.table:
                continue
            names = [name for name in experiment.trials if not arguments.estimator or name in arguments.estimator]
            chosen = replace(experiment, trials={name: experiment.trials[name] for name in names})
            chosen = smaller(chosen) if arguments.smoke else chosen
            measure(chosen, list(chosen.trials), engine, arguments.tables_root)


if __name__ == "__main__":
    main()
