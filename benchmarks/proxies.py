"""Zero-cost proxies against published ones: agreement, ranks, seconds and memory.

``python benchmarks/proxies.py agreement --tables-root DIR``: 300 random cells of `nasbench201-proxies`, each proxy against the
table's; goes on where it was stopped, and writes what it has after every cell. ``ranks``: the tables' columns against accuracy.
``seconds``: each proxy alone and all in one call, with peak memory.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from emprox import load_table
from emprox.benchmark import commit, machine
from emprox.proxies import PROXIES, Recipe, score_architecture
from emprox.proxies.storage import ProxyFile

RESULTS = Path(__file__).parent / "results" / "proxies"
CELLS, SEED = 300, 0
PUBLISHED = {"macs": "flops_millions", "params": "params_millions"}
TASKS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
TABLES = ("nasbench201-proxies", "nasbench101", "nasbench301", *(f"transnas101-micro:{task}" for task in TASKS))


def agreement(root: str | None) -> None:
    table = load_table("nasbench201-proxies", root)
    rows = np.random.default_rng(SEED).permutation(len(table))[:CELLS]
    names, recipe = [name for name in PROXIES if PUBLISHED.get(name, name) in table.columns], Recipe()
    path = RESULTS / "nasbench201.csv"
    file = ProxyFile(path, names, str(recipe))
    for count, row in enumerate(rows, start=1):
        cell = table.architectures[row]
        if missing := file.missing(str(cell)):
            start = time.perf_counter()
            file.add(str(cell), score_architecture(cell, missing, recipe))
            print(f"{count} of {CELLS}: {time.perf_counter() - start:.1f} s", flush=True)
    done = [row for row in rows if not file.missing(str(table.architectures[row]))]
    results = {}
    for name in names:
        ours = np.array([float(file.rows[str(table.architectures[row])][name] or "nan") for row in done])
        theirs = table.columns[PUBLISHED.get(name, name)][done]
        both = np.isfinite(ours) & np.isfinite(theirs)
        results[name] = {"cells": int(both.sum()), "spearman": float(spearmanr(ours[both], theirs[both]).statistic)}
    exact = [
        float(file.rows[str(table.architectures[row])]["params"]) / 1e6 == table.columns["params_millions"][row] for row in done
    ]
    write(
        "agreement.json",
        {"cells": len(done), "seed": SEED, "recipe": str(recipe), "params_equal": all(exact), "proxies": results},
    )


def write(name: str, content: dict) -> None:
    facts = {**content, "machine": machine(), "commit": commit()}
    (RESULTS / name).write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["agreement"])
    parser.add_argument("--tables-root")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    agreement(arguments.tables_root)


if __name__ == "__main__":
    main()
