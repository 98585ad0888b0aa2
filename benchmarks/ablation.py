"""What each choice of the default `EmProx` is worth: ``python benchmarks/ablation.py --tables-root DIR [LINE ...]``.

Every line changes one choice. Tables, splits and seeds are those that choices are made on: `bundled`, five tasks of
TransNAS-Bench-101 micro and `nasbench301`, seed 100. Results are one JSON file; lines that are in it are not measured again.
``--show`` prints the table of docs/embedding.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau
from sklearn.frozen import FrozenEstimator

from emprox import PerformanceTable, load_table
from emprox.encoders import MetricEncoder, MLKREncoder, SequenceAutoencoder
from emprox.encoders.kernel import ScalePrior
from emprox.encodings.blocks import BLOCKS
from emprox.estimators import EmProx
from emprox.parallel import limit_threads
from emprox.report.differences import paired_difference
from emprox.spaces import get_space

RESULTS = Path(__file__).parent / "results" / "ablation.json"
TASKS = ("class_scene", "room_layout", "segmentsemantic", "normal", "autoencoder")
TABLES = ("bundled", *(f"transnas101-micro:{task}" for task in TASKS), "nasbench301")
SIZES, TRIALS, SEED, MOST_TESTED = (20, 50, 121), 10, 100, 500
ONE_DISTANCE = ScalePrior(amplitudes=((0.0, 1.5),), weights=((-3.0, 1.0),))
PRETRAINED = 2000
"""Unlabelled architectures that the autoencoder of two lines learns to reconstruct."""


@cache
def pretrained(space: str) -> FrozenEstimator:
    """Return an encoder trained by reconstruction on unlabelled architectures."""
    archs = get_space(space).sample(np.random.default_rng(0), PRETRAINED)
    return FrozenEstimator(SequenceAutoencoder(epochs=30, random_state=0).fit(archs))


LINES: dict[str, Callable[[str], EmProx]] = {
    "default": lambda _: EmProx(),
    **{f"without {block}": lambda _, b=block: EmProx(encoder=MetricEncoder(without=(b,))) for block in BLOCKS},
    "features for blocks": lambda _: EmProx(encoder=MetricEncoder(features=("features",))),
    "and an autoencoder's embedding": lambda s: EmProx(encoder=MetricEncoder(features=("blocks", pretrained(s)))),
    "only an autoencoder's embedding": lambda s: EmProx(encoder=pretrained(s)),
    "one distance": lambda _: EmProx(encoder=MetricEncoder(prior=ONE_DISTANCE)),
    "32 dimensions": lambda _: EmProx(encoder=MetricEncoder(embedding_size=32)),
    "MLKR": lambda _: EmProx(encoder=MLKREncoder()),
    "MLKR, kernel weights": lambda _: EmProx(encoder=MLKREncoder(), weights="kernel"),
    "kernel weights, 32 neighbours": lambda _: EmProx(weights="kernel", n_neighbors=32),
    "inverse weights, 10 neighbours": lambda _: EmProx(weights="inverse", n_neighbors=10),
}


def measure(make: Callable[[str], EmProx], table: PerformanceTable) -> list[list[float]]:
    """Return Kendall's tau for each size and trial."""
    y = table.target(None)[1]
    test_size = min(MOST_TESTED, len(table) - max(SIZES))
    taus = []
    for size in SIZES:
        taus.append([])
        for trial in range(TRIALS):
            test, train = table.split(size, test_size, SEED, trial, max(SIZES))
            estimator = make(table.space).fit([table.architectures[i] for i in train], y[train])
            taus[-1].append(float(kendalltau(estimator.predict([table.architectures[i] for i in test]), y[test])[0]))
    return taus


def show(results: dict[str, dict[str, list[list[float]]]]) -> None:
    """Print a table of mean differences to the default with paired intervals."""
    default = np.array([results["default"][table] for table in TABLES]).mean(axis=0)  # (sizes, trials)
    print("| " + " | ".join(["line", *(f"{size} labels" for size in SIZES)]) + " |")
    print("|---" * (len(SIZES) + 1) + "|")
    for line in (line for line in LINES if set(results.get(line, {})) == set(TABLES)):
        mean = np.array([results[line][table] for table in TABLES]).mean(axis=0)
        cells = [f"{mean[i].mean():.3f}" for i in range(len(SIZES))]
        if line != "default":
            found = [paired_difference(mean[i], default[i]) for i in range(len(SIZES))]
            cells = [f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" for d in found]
        print("| " + " | ".join([line, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", metavar="LINE", help=f"some of: {'; '.join(LINES)}; all by default")
    parser.add_argument("--tables-root")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.show:
        show(results)
        return
    for line in arguments.lines or LINES:
        kept = results.setdefault(line, {})
        for name in (name for name in TABLES if name not in kept):
            with limit_threads(1):
                kept[name] = measure(LINES[line], load_table(name, arguments.tables_root))
            RESULTS.write_text(json.dumps(results) + "\n")
            print(line, name, [round(float(np.mean(taus)), 4) for taus in kept[name]], flush=True)


if __name__ == "__main__":
    main()
