"""Zero-cost proxies against published ones: agreement, ranks, seconds and memory.

``python benchmarks/proxies.py agreement --tables-root DIR``: 300 random cells of `nasbench201-proxies`, each proxy against the
table's; goes on where it was stopped, and writes what it has after every cell. ``ranks``: the tables' columns against accuracy.
``seconds --naslib CHECKOUT``: each proxy alone and all in one call, with peak memory, in turn with NASLib's code.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import MethodType

import naslib_checkout
import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from emprox import PerformanceTable, get_space, load_table
from emprox.benchmark import commit, machine
from emprox.proxies import PROXIES, KnownProxies, Recipe, compute_proxies, score_architecture
from emprox.proxies.storage import ProxyFile

RESULTS = Path(__file__).parent / "results" / "proxies"
CELLS, TIMED, SEED = 300, 4, 0
PUBLISHED = {"macs": "flops_millions", "params": "params_millions"}
NASLIB = ("l2_norm", "synflow", "nwot", "zen", "jacov", "grad_norm", "epe_nas", "plain", "snip", "fisher", "grasp")
"""Proxies that NASLib has; its params and flops need a package that is gone."""
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


def seconds(root: str | None, naslib: str | None) -> None:
    """Processor seconds and peak memory of each proxy, and of all in one call, each in a process of its own, beside NASLib's."""
    found = []
    for name in (*PROXIES, "all", "none"):
        command = [sys.executable, __file__, "one", "--proxy", name]
        command += [part for option in (("--tables-root", root), ("--naslib", naslib)) if option[1] for part in option]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
        print(json.dumps(found[-1]), flush=True)
    base = next(row["peak_mib"] for row in found if row["proxy"] == "none")
    for row in found:
        row["peak_mib"] = round(row["peak_mib"] - base, 1)
    theirs = sum(row.get("naslib_processor_seconds", 0) for row in found)
    facts = {"cells": TIMED, "seed": SEED, "batch": str(Recipe()), "threads": 1, "naslib_sum": round(theirs, 2)}
    write("seconds.json", {**facts, "proxies": found[:-1]})


def one(root: str | None, name: str, naslib: str | None) -> None:
    """Time one proxy on networks that are built already, in turn with NASLib's; a first, smaller call is not counted."""
    torch.set_num_threads(1)
    table = load_table("nasbench201-proxies", root)
    rows = np.random.default_rng(SEED).permutation(len(table))[:TIMED]
    modules = [get_space("nasbench201").to_module(table.architectures[row]) for row in rows]
    batches = Recipe().batches((3, 32, 32), 10)
    names = {"all": None, "none": []}.get(name, [name])
    compute_proxies(modules[0], names, batches=[(x[:8], y[:8]) for x, y in batches])
    compute_proxies(modules[0], names, batches=batches)
    facts = {"proxy": name, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    measure = theirs(naslib, name) if naslib and name in NASLIB else None
    spent = np.zeros((2, len(modules)))
    for i, module in enumerate(modules):
        start = time.process_time()
        compute_proxies(module, names, batches=batches)
        middle = time.process_time()
        if measure:
            measure(module, batches[0])
        spent[:, i] = middle - start, time.process_time() - middle
    facts["processor_seconds"] = round(spent[0].mean(), 3)
    if measure:
        facts["naslib_processor_seconds"] = round(spent[1].mean(), 3)
    print(json.dumps(facts))


def theirs(checkout: str, name: str) -> Callable:
    """Return NASLib's measure of a network and a batch, which it takes for the one batch of a loader."""
    naslib_checkout.prepare(checkout)
    from naslib.predictors.utils.pruners import predictive

    def features(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        kept = []
        pool = [m for m in module.modules() if isinstance(m, torch.nn.AdaptiveAvgPool2d)][-1]
        hook = pool.register_forward_hook(lambda _, given, __: kept.append(given[0]))
        module(x)
        hook.remove()
        return kept[-1]

    def measure(module: torch.nn.Module, batch: tuple) -> object:
        module.forward_before_global_avg_pool = MethodType(features, module)
        loader, device = ("random", 1, 10), torch.device("cpu")
        return predictive.find_measures(module, [batch], loader, device, torch.nn.functional.cross_entropy, [name])

    return measure


def write(name: str, content: dict) -> dict:
    facts = {**content, "machine": machine(), "commit": commit()}
    (RESULTS / name).write_text(json.dumps(facts, indent=1) + "\n")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["agreement", "ranks", "seconds", "one"])
    parser.add_argument("--tables-root")
    parser.add_argument("--proxy", default="all", help="of one")
    parser.add_argument("--naslib", help="of seconds: folder of a NASLib checkout, docs/naslib.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    extra = (arguments.naslib,) if arguments.what == "seconds" else ()
    if arguments.what == "one":
        one(arguments.tables_root, arguments.proxy, arguments.naslib)
    else:
        {"agreement": agreement, "ranks": ranks, "seconds": seconds}[arguments.what](arguments.tables_root, *extra)


if __name__ == "__main__":
    main()
