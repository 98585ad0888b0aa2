"""Coverage of 90 % intervals by thirds of the estimate, and their score: ``python benchmarks/intervals.py --tables-root DIR``.

The interval score (smaller is better) is width plus 20 times the distance by which a value lies outside; beside it stands
that of a band of constant width, the 90 % quantile of the absolute leave-one-out residuals.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from emprox import PerformanceTable, load_table
from emprox.estimators import EmProx
from emprox.parallel import limit_threads
from emprox.report import score_interval

RESULTS = Path(__file__).parent / "results" / "intervals.json"
COVERAGE, TEST, TRIALS, SEED = 0.9, 1000, 20, 0


def trial(table: PerformanceTable, size: int, number: int, largest: int) -> list[float]:
    """Return coverage, coverage of each third, the interval score, and that of the constant band."""
    archs, y = table.architectures, table.target(None)[1]
    test, train = table.split(size, min(TEST, len(y) - largest), SEED, number, largest)
    estimator = EmProx().fit([archs[i] for i in train], y[train])
    asked = [archs[i] for i in test]
    lower, upper = estimator.predict_interval(asked, COVERAGE)
    estimates = estimator.predict(asked)
    inside = (lower <= y[test]) & (y[test] <= upper)
    thirds = [float(part.mean()) for part in np.array_split(inside[np.argsort(estimates, kind="stable")], 3)]
    left_out = estimator.weigher_.warps[0].inverse(estimator.weigher_.process.processes[0].leave_one_out()[0])
    half = np.quantile(np.abs(y[train] - left_out), COVERAGE)
    scores = (
        score_interval(y[test], low, high)["interval_score"]
        for low, high in ((lower, upper), (estimates - half, estimates + half))
    )
    return [float(inside.mean()), *thirds, *scores]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-root")
    parser.add_argument("--table", default="nasbench201")
    parser.add_argument("--train-size", type=int, nargs="+", default=[50, 121, 400])
    arguments = parser.parse_args()
    table, largest = load_table(arguments.table, arguments.tables_root), max(arguments.train_size)
    rows = []
    print("| labels | coverage | lower third | middle | upper third | interval score | constant band |\n|---" + "|---" * 6 + "|")
    for size in arguments.train_size:
        with limit_threads(1):
            found = [trial(table, size, number, largest) for number in range(TRIALS)]
        mean = np.mean(found, axis=0)
        rows.append({"table": arguments.table, "labels": size, "trials": found})
        print(
            f"| {size} | " + " | ".join(f"{value:.3f}" for value in mean[:4]) + f" | {mean[4]:.2f} | {mean[5]:.2f} |", flush=True
        )
    RESULTS.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
