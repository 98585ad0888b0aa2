"""Choose an estimator's options on the tuning tables: ``python benchmarks/tune.py --tables-root DIR --estimator xgboost``.

The tables are those that the defaults of EmProx were chosen on, with seeds of 100 and more. The budget is the number of settings,
the same for whoever is tuned; the estimator's own options are the first. Each is fitted on the same splits, and the one with
the highest mean of Kendall's tau over tables, labels and trials wins.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterSampler

from emprox.benchmark import Protocol, commit, machine, run_benchmark
from emprox.estimators import make_estimator
from emprox.persistence import write_file

RESULTS = Path(__file__).parent / "results" / "tuning"
TABLES = ("bundled", "transnas101-micro:class_scene", "transnas101-micro:room_layout", "nasbench301")
PROTOCOL = Protocol((50, 121), test_size=150, trials=3, seed=100)


def settings(spec: str, number: int, seed: int) -> list[str]:
    """Return the estimator and variations of its tunable options, in text form."""
    drawn = ParameterSampler(make_estimator(spec).tunable, number - 1, random_state=seed)
    return [spec, *(with_options(spec, options) for options in drawn)]


def with_options(spec: str, options: dict[str, Any]) -> str:
    values = {name: f"{value:.4g}" if isinstance(value, float | np.floating) else value for name, value in options.items()}
    return f"{spec}{',' if ':' in spec else ':'}" + ",".join(f"{name}={value}" for name, value in sorted(values.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", required=True)
    parser.add_argument("--settings", type=int, default=60)
    parser.add_argument("--tables-root", type=Path)
    arguments = parser.parse_args()
    specs = settings(arguments.estimator, arguments.settings, PROTOCOL.seed)
    scores: dict[str, dict[str, float]] = {spec: {} for spec in specs}
    for table in TABLES:
        run = run_benchmark(table, specs, PROTOCOL, tables_root=arguments.tables_root)
        for row in run["summary"]:
            scores[row["estimator"]][f"{table}, {row['train_size']} labels"] = round(row["kendall_mean"], 4)
        print(f"{table}: {len(run['results'])} fits", flush=True)
    ranked = sorted(specs, key=lambda spec: -np.mean(list(scores[spec].values())))
    about = {"commit": commit(), "machine": machine(), "seed": PROTOCOL.seed, "trials": PROTOCOL.trials, "settings": len(specs)}
    content = about | {"best": ranked[0], "kendall": {spec: scores[spec] for spec in ranked}}
    file = RESULTS / f"{arguments.estimator.replace(':', '-')}.json"
    write_file(file, (json.dumps(content, indent=1) + "\n").encode())
    for spec in dict.fromkeys([ranked[0], arguments.estimator]):
        print(f"{np.mean(list(scores[spec].values())):.4f} {spec}")


if __name__ == "__main__":
    main()
