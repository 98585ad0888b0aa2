"""Train NAS-Bench-201 cells on small data and write the table that ships with emprox.

    python benchmarks/build_bundled_table.py settings            # which data and recipe rank two seeds alike
    python benchmarks/build_bundled_table.py train               # all 5,425 classes, in a random order; can be stopped
    python benchmarks/build_bundled_table.py proxies             # zero-cost proxies of the trained cells
    python benchmarks/build_bundled_table.py collect             # write the table of what is trained so far
    python benchmarks/build_bundled_table.py check --cells 20    # retrain a random sample, compare with the table

A cell is trained with all its seeds at once (see `bundled_training`). Every finished cell is one line appended to a
JSON-lines file; a rerun does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from bundled_proxies import NAMES as PROXIES
from bundled_proxies import proxies_of
from bundled_training import CHOSEN, SETTINGS, SPACE, Setting, train
from numpy.typing import NDArray
from scipy.stats import kendalltau

from emprox.parallel import Engine, run
from emprox.spaces import Architecture
from emprox.tables import PerformanceTable, load_table, write_table

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
BUNDLED = ROOT.parent / "emprox" / "tables" / "bundled" / "nasbench201_digits.csv"
TARGETS = ("val_accuracy", "test_accuracy")


def representatives() -> list[Architecture]:
    """Return one architecture for each of the 5,425 classes, the one with the fewest parameters, in a fixed random order."""
    by_hash: dict[str, Architecture] = {}
    for architecture in sorted(SPACE, key=lambda a: (SPACE.count_parameters(a), a.spec)):
        by_hash.setdefault(SPACE.canonical_hash(architecture), architecture)
    classes = list(by_hash.values())
    return [classes[i] for i in np.random.default_rng(0).permutation(len(classes))]


def read_records(path: Path) -> list[dict]:
    """Return the finished cells; a line cut short by an interruption is left out and trained again."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def train_missing(cells: Sequence[Architecture], setting: Setting, seeds: int, path: Path, processes: int) -> list[dict]:
    """Train what the file does not hold yet, append each cell as it comes, return the records of all cells."""
    return complete(cells, partial(_train_on_one_thread, seeds=seeds, setting=setting), path, processes)


def complete(cells: Sequence[Architecture], make: Callable[[Architecture], dict], path: Path, processes: int) -> list[dict]:
    """Make the records that the file does not hold yet, append each as it comes, return the records of all cells."""
    done = {record["architecture"] for record in read_records(path)}
    missing = [cell for cell in cells if str(cell) not in done]
    results = run(make, missing, engine=Engine(jobs=processes))
    with path.open("a") as file:
        if file.tell() and not path.read_text().endswith("\n"):
            file.write("\n")
        for number, (_, record) in enumerate(results, start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if number % 20 == 0 or number == len(missing):
                print(f"{path.name}: {number}/{len(missing)}", flush=True)
    wanted = {str(cell) for cell in cells}
    return [record for record in read_records(path) if record["architecture"] in wanted]


def _train_on_one_thread(cell: Architecture, seeds: int, setting: Setting) -> dict[str, object]:
    torch.set_num_threads(1)
    return train(cell, range(seeds), setting)


def _train_again(work: tuple[Architecture, int]) -> dict[str, object]:
    return _train_on_one_thread(*work, SETTINGS[CHOSEN])


def agreement(values: NDArray[np.float64]) -> dict[str, float]:
    """Return how alike seeds rank the cells: Kendall's tau between two of them, and between the means of two halves.

    ``kendall_expected`` is what two means over all seeds would agree at, and ``kendall_ceiling`` what the mean over all seeds
    and the mean over infinitely many would: the Spearman-Brown formula on the halves, with tau as that of normal variables.

    Parameters
    ----------
    values : ndarray of shape (cells, seeds)
        Accuracies; all pairs and all halves are averaged.
    """
    seeds = range(values.shape[1])
    halves = [list(half) for half in combinations(seeds, len(seeds) // 2) if 0 in half]
    pairs = [kendalltau(values[:, i], values[:, j])[0] for i, j in combinations(seeds, 2)]
    means = [kendalltau(values[:, half].mean(1), np.delete(values, half, axis=1).mean(1))[0] for half in halves]
    correlation = max(0.0, float(np.sin(np.pi / 2 * np.mean(means))))
    of_all = 2 * correlation / (1 + correlation)
    taus = {
        "between_seeds": np.mean(pairs),
        "between_halves": np.mean(means),
        "expected": 2 / np.pi * np.arcsin(of_all),
        "ceiling": 2 / np.pi * np.arcsin(of_all**0.5),
    }
    return {f"kendall_{name}": round(float(tau), 3) for name, tau in taus.items()}


def compare_settings(names: Sequence[str], seeds: int, cells: int, work: Path, processes: int) -> None:
    """Train the same connected cells with each setting; print how alike seeds rank them."""
    connected = [a for a in representatives() if SPACE.is_connected(a)][:cells]
    for name in names:
        records = train_missing(connected, SETTINGS[name], seeds, work / f"settings-{name}.jsonl", processes)
        print(json.dumps({"setting": name, "cells": cells, "seeds": seeds, **summary(records)}), flush=True)


def summary(records: Sequence[dict]) -> dict[str, object]:
    """Return agreement of seeds, range and spread of validation accuracies, and seconds of training a cell with all its seeds."""
    values = np.array([record["val_accuracy"] for record in records])
    return {
        **agreement(values),
        "accuracy_quartiles": np.percentile(values, [0, 25, 50, 75, 100]).round(1).tolist(),
        "sd_between_cells": round(float(values.mean(1).std()), 2),
        "sd_between_seeds": round(float(values.std(1, ddof=1).mean()), 2),
        "train_seconds_all_seeds": round(float(np.mean([r["train_seconds"] for r in records])) * values.shape[1], 2),
    }


def table_of(records: Sequence[dict], proxies: Mapping[str, dict] | None = None) -> PerformanceTable:
    """Return the table of finished cells: means, spreads and counts over seeds, mean curves, costs and proxies of the network.

    Parameters
    ----------
    records : sequence of dict
        Trained cells.
    proxies : mapping, optional
        Architecture to its proxies by name.
    """
    cells = tuple(SPACE.parse(record["architecture"]) for record in records)
    networks = [SETTINGS[CHOSEN].network(cell) for cell in cells]
    seeds = {name: [record[name] for record in records] for name in TARGETS}
    count = np.array([len(values) for values in seeds[TARGETS[0]]])
    means = {name: np.array([np.mean(values) for values in rows]).round(3) for name, rows in seeds.items()}
    seconds = np.array([record["train_seconds"] for record in records])
    return PerformanceTable(
        "bundled",
        SPACE.name,
        cells,
        {**means, "train_seconds": seconds},
        spreads={name: np.array([np.std(values, ddof=1) for values in rows]).round(3) for name, rows in seeds.items()},
        counts=dict.fromkeys(TARGETS, count),
        curves={name: np.array([record[f"{name}_curve"] for record in records]) for name in ("train_loss", "val_accuracy")},
        columns={
            "parameters": np.array([network.parameters for network in networks]),
            "macs": np.array([network.macs for network in networks]),
            **(
                {}
                if proxies is None
                else {n: np.array([proxies[r["architecture"]][n] for r in records], dtype=np.float64) for n in PROXIES}
            ),
        },
    )


def collect(runs: Path, scored: Path) -> None:
    """Write the finished cells as the file that ships with the package, and print the figures of its chapter."""
    records = read_records(runs)
    table = table_of(records, {record["architecture"]: record["proxies"] for record in read_records(scored)})
    write_table(table, BUNDLED)
    connected = [record for record in records if SPACE.is_connected(SPACE.parse(record["architecture"]))]
    final = {name: table.targets[name] for name in TARGETS}
    print(json.dumps({"rows": len(table), "connected": len(connected), "bytes": BUNDLED.stat().st_size}))
    print(json.dumps({"population": "connected", **summary(connected)}))
    print(json.dumps({"kendall_validation_test": round(float(kendalltau(*final.values())[0]), 3)}))


def errors_of(table: PerformanceTable, records: Sequence[dict]) -> dict[str, float]:
    """Return the root mean square difference between the table's rows and new trainings of them, in standard errors.

    The standard error is that of the difference of two means over the seeds of a cell, at least 0.1 percent.
    """
    errors = {}
    for name in TARGETS:
        difference = np.array([np.mean(record[name]) for record in records]) - table.targets[name]
        error = np.maximum(table.spreads[name] * np.sqrt(2 / table.counts[name]), 0.1)
        errors[name] = float(np.sqrt(np.mean((difference / error) ** 2)).round(3))
    return errors


def check(cells: int, seed: int, processes: int) -> bool:
    """Train a random sample of the table again; return whether it lies no further from the table than other seeds would.

    On the machine that made the table the difference is 0; another one may round otherwise, and a training that rounds
    otherwise is like one with another seed, a difference of about 1 standard error.
    """
    table = load_table("bundled")
    sample = table.rows(np.sort(np.random.default_rng(seed).permutation(len(table))[:cells]))
    seeds = sample.counts[TARGETS[0]].tolist()
    work = list(zip(sample.architectures, seeds, strict=True))
    found = dict(run(_train_again, work, engine=Engine(jobs=processes)))
    records = [found[i] for i in range(len(work))]
    errors = errors_of(sample, records)
    print(json.dumps({"cells": len(sample), "difference_in_standard_errors": errors}))
    return max(errors.values()) < 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["settings", "train", "proxies", "collect", "check"])
    parser.add_argument("--work", type=Path, default=RESULTS / "bundled", help="folder of the JSON-lines files")
    parser.add_argument("--cells", type=int, help="of settings (80), train (all) and check (20)")
    parser.add_argument("--seeds", type=int, default=8, help="of settings and train")
    parser.add_argument("--seed", type=int, default=0, help="of the sample that is checked")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--names", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="settings to compare")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    runs, scored = arguments.work / "cells.jsonl", arguments.work / "proxies.jsonl"
    if arguments.command == "settings":
        compare_settings(arguments.names, arguments.seeds, arguments.cells or 80, arguments.work, arguments.processes)
    elif arguments.command == "train":
        train_missing(representatives()[: arguments.cells], SETTINGS[CHOSEN], arguments.seeds, runs, arguments.processes)
    elif arguments.command == "proxies":
        trained = [SPACE.parse(record["architecture"]) for record in read_records(runs)]
        complete(trained, proxies_of, scored, arguments.processes)
    elif arguments.command == "collect":
        collect(runs, scored)
    elif not check(arguments.cells or 20, arguments.seed, arguments.processes):
        sys.exit("the retrained cells differ by more than seeds do; is this the recipe that made the table?")


if __name__ == "__main__":
    main()
