"""Zero-cost proxies against published ones: agreement, ranks, seconds and memory.

``python benchmarks/proxies.py agreement --tables-root DIR``: 300 random cells of `nasbench201-proxies`, each proxy against the
table's; goes on where it was stopped, and writes what it has after every cell. ``ranks``: the tables' columns against accuracy.
``seconds``: each proxy alone and all in one call, with peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from emprox import PerformanceTable, get_space, load_table
from emprox.benchmark import commit, machine
from emprox.proxies import PROXIES, KnownProxies, Recipe, compute_proxies, score_architecture
from emprox.proxies.storage import ProxyFile

RESULTS = Path(__file__).parent / "results" / "proxies"
CELLS, TIMED, SEED = 300, 1, 0
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
            report(file, table, rows, names)
            print(f"{count} of {CELLS}: {time.perf_counter() - start:.1f} s", flush=True)
    print(json.dumps(report(file, table, rows, names), indent=1))


def report(file: ProxyFile, table: PerformanceTable, rows: np.ndarray, names: list[str]) -> dict:
    """Compare the cells that are done with the table, and write it."""
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
    return write(
        "agreement.json",
        {"cells": len(done), "seed": SEED, "recipe": file.recipe, "params_equal": all(exact), "proxies": results},
    )


def ranks(root: str | None) -> None:
    """Rank correlation of each published proxy with the table's target, over all rows that have it."""
    found = []
    for name in TABLES:
        table = load_table(name, root)
        target, truth = table.target()
        known = KnownProxies.from_table(table)
        for proxy, values in known.columns.items():
            has = np.isfinite(values)
            row = {"table": name, "target": target, "proxy": proxy, "rows": int(has.sum())}
            row["spearman"] = float(spearmanr(values[has], truth[has]).statistic)
            row["kendall"] = float(kendalltau(values[has], truth[has]).statistic)
            found.append(row)
    write("ranks.json", {"ranks": found})
    proxies = sorted({row["proxy"] for row in found})
    print(f"| table (rows) | {' | '.join(proxies)} |\n|---|{'---|' * len(proxies)}")
    for name in TABLES:
        rows = {row["proxy"]: row for row in found if row["table"] == name}
        cells = [f"{rows[p]['spearman']:.2f} / {rows[p]['kendall']:.2f}" if p in rows else "" for p in proxies]
        print(f"| {name} ({max(row['rows'] for row in rows.values())}) | {' | '.join(cells).replace('0.', '.')} |")


def seconds(root: str | None) -> None:
    """Seconds of processor and peak memory of each proxy, and of all in one call, each in a process of its own."""
    found = []
    for name in (*PROXIES, "all", "none"):
        command = [sys.executable, __file__, "one", "--proxy", name, *(["--tables-root", root] if root else [])]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    base = next(row["peak_mib"] for row in found if row["proxy"] == "none")
    for row in found:
        row["peak_mib"] = round(row["peak_mib"] - base, 1)
    facts = write("seconds.json", {"cells": TIMED, "seed": SEED, "batch": str(Recipe()), "threads": 1, "proxies": found[:-1]})
    print(json.dumps(facts, indent=1))


def one(root: str | None, name: str) -> None:
    """Time one proxy on networks that are built already; the first, smaller call is not counted."""
    table = load_table("nasbench201-proxies", root)
    rows = np.random.default_rng(SEED).permutation(len(table))[:TIMED]
    modules = [get_space("nasbench201").to_module(table.architectures[row]) for row in rows]
    batches = Recipe().batches((3, 32, 32), 10)
    names = {"all": None, "none": []}.get(name, [name])
    compute_proxies(modules[0], names, batches=[(x[:8], y[:8]) for x, y in batches])
    start = time.process_time()
    for module in modules:
        compute_proxies(module, names, batches=batches)
    spent = (time.process_time() - start) / len(modules)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"proxy": name, "processor_seconds": round(spent, 3), "peak_mib": peak}))


def write(name: str, content: dict) -> dict:
    facts = {**content, "machine": machine(), "commit": commit()}
    (RESULTS / name).write_text(json.dumps(facts, indent=1) + "\n")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["agreement", "ranks", "seconds", "one"])
    parser.add_argument("--tables-root")
    parser.add_argument("--proxy", default="all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    if arguments.what == "one":
        one(arguments.tables_root, arguments.proxy)
    else:
        {"agreement": agreement, "ranks": ranks, "seconds": seconds}[arguments.what](arguments.tables_root)


if __name__ == "__main__":
    main()
