"""What kriging from landmarks and neighbours loses to kriging from all: ``python benchmarks/beyond_exact.py --tables-root DIR``.

NAS-Bench-301 with 1,000 labels, the rest tested; the embedding and its kernel are those of the exact form. Kendall's tau-b, and
coverage and mean width of 90 % intervals. ``--show`` prints the table of docs/embedding.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau
from sklearn.frozen import FrozenEstimator

import emprox.estimators.processes as processes
from emprox import load_table
from emprox.benchmark import commit, machine
from emprox.estimators import EmProx
from emprox.parallel import limit_threads
from emprox.report import paired_difference

RESULTS = Path(__file__).parent / "results" / "beyond_exact.json"
LABELS, TRIALS, SEED = 1000, 10, 100
LANDMARKS, NEIGHBORS = (1, 64, 256), (5, 10, 32)


def measure(estimator: EmProx, asked: list, y: np.ndarray) -> list[float]:
    """Return Kendall's tau, coverage and width of intervals."""
    lower, upper = estimator.predict_interval(asked, 0.9)
    tau = kendalltau(estimator.predict(asked), y)[0]
    return [float(tau), float(((lower <= y) & (y <= upper)).mean()), float((upper - lower).mean())]


def run(root: str | None) -> dict[str, list[list[float]]]:
    table = load_table("nasbench301", root)
    y, archs = table.target(None)[1], table.architectures
    found: dict[str, list[list[float]]] = {}
    for trial in range(TRIALS):
        test, train = table.split(LABELS, len(table) - LABELS, SEED, trial, LABELS)
        known, asked = [archs[i] for i in train], [archs[i] for i in test]
        exact = EmProx().fit(known, y[train])
        found.setdefault("all", []).append(measure(exact, asked, y[test]))
        for landmarks in LANDMARKS:
            processes.LANDMARKS = landmarks
            for k in NEIGHBORS:
                local = EmProx(encoder=FrozenEstimator(exact.encoder_), exact_up_to=0, n_neighbors=k).fit(known, y[train])
                found.setdefault(f"{landmarks} landmarks, {k} neighbours", []).append(measure(local, asked, y[test]))
        print(f"trial {trial + 1} of {TRIALS}", flush=True)
    return found


def show(found: dict[str, list[list[float]]]) -> None:
    print("| from | Kendall (sd) | less than from all [95 %] | coverage | width |\n|---|---|---|---|---|")
    exact = np.array(found["all"])
    for name, rows in found.items():
        values = np.array(rows)
        less = paired_difference(exact[:, 0], values[:, 0])
        shown = "" if name == "all" else f"{less.mean:.3f} [{less.low:.3f}, {less.high:.3f}]"
        tau, coverage, width = values.mean(axis=0)
        print(f"| {name} | {tau:.3f} ({values[:, 0].std(ddof=1):.3f}) | {shown} | {coverage:.3f} | {width:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-root")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    if not arguments.show:
        with limit_threads(1):
            found = run(arguments.tables_root)
        RESULTS.write_text(json.dumps({"machine": machine(), "commit": commit(), "found": found}) + "\n")
    show(json.loads(RESULTS.read_text())["found"])


if __name__ == "__main__":
    main()
