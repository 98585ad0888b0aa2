"""Train NAS-Bench-201 cells on small data and write the table that ships with emprox.

    python benchmarks/build_bundled_table.py settings --processes 2            # which data and recipe rank two seeds alike
    python benchmarks/build_bundled_table.py train --classes 300 --seeds 2 --processes 2
    python benchmarks/build_bundled_table.py collect

Every finished training is one line appended to a JSON-lines file; a rerun trains only what is missing.
Needs the extra ``build`` (mnist1d).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import kendalltau
from torch import Tensor, nn

from emprox.spaces import Architecture, get_space

ROOT = Path(__file__).parent
BUNDLED = ROOT.parent / "emprox" / "tables" / "bundled"
SPACE = get_space("nasbench201")


@dataclass(frozen=True)
class Setting:
    """One data set and training recipe."""

    data: str
    """``mnist1d`` (sequences of 40 numbers, 10 classes) or ``digits`` (8 x 8 images, 10 classes)."""
    train_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    """Peak of the one-cycle schedule of AdamW."""
    channels: int = 8
    cells_per_stage: int = 1
    weight_decay: float = 1e-3


SETTINGS = {
    "mnist1d-narrow": Setting("mnist1d", train_size=1000, epochs=20, batch_size=100, learning_rate=1e-2, channels=4),
    "mnist1d": Setting("mnist1d", train_size=1000, epochs=15, batch_size=100, learning_rate=1e-2),
    "mnist1d-low-rate": Setting("mnist1d", train_size=1000, epochs=15, batch_size=100, learning_rate=3e-3),
    "mnist1d-large-batch": Setting("mnist1d", train_size=2000, epochs=12, batch_size=250, learning_rate=1e-2),
    "mnist1d-fresh": Setting("mnist1d", train_size=6000, epochs=3, batch_size=100, learning_rate=1e-2),
    "digits": Setting("digits", train_size=400, epochs=20, batch_size=100, learning_rate=1e-2),
    "digits-low-rate": Setting("digits", train_size=400, epochs=20, batch_size=50, learning_rate=3e-3, channels=4),
    "digits-lower-rate": Setting("digits", train_size=400, epochs=20, batch_size=50, learning_rate=1.5e-3, channels=4),
}
CHOSEN = "digits-low-rate"
CURVE_SIZE = 500
"""Validation examples in the accuracy after each epoch; the final accuracy is taken on all."""


@dataclass(frozen=True)
class Data:
    """Inputs (n, channels, ...) scaled to zero mean and unit variance of the training part, labels (n,)."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def load_data(setting: Setting) -> Data:
    """Return training, validation and test part; the split never changes."""
    if setting.data == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        inputs, labels = digits.images[:, None], digits.target
        sizes = (setting.train_size, 600)
    else:
        from mnist1d.data import get_dataset_args, make_dataset

        arguments = get_dataset_args()
        arguments.num_samples, arguments.train_split = 14_000, 0.999
        made = make_dataset(arguments)
        inputs = np.concatenate([made["x"], made["x_test"]])[:, None]
        labels = np.concatenate([made["y"], made["y_test"]])
        sizes = (setting.train_size, 4000)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = np.split(order, np.cumsum(sizes))
    train = inputs[parts[0]]
    inputs = (inputs - train.mean()) / train.std()
    return Data(*((torch.tensor(inputs[part], dtype=torch.float32), torch.tensor(labels[part])) for part in parts))


def accuracy(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the share of correct answers in percent."""
    network.eval()
    with torch.no_grad():
        correct = (network(inputs).argmax(1) == labels).float().mean().item()
    network.train()
    return 100 * correct


def train(architecture: Architecture, seed: int, setting: Setting, data: Data) -> dict[str, object]:
    """Train one network and return its record: curves, accuracies in percent, seconds of training."""
    torch.manual_seed(seed)
    inputs, labels = data.train
    network = SPACE.to_module(
        architecture,
        in_channels=inputs.shape[1],
        channels=setting.channels,
        cells_per_stage=setting.cells_per_stage,
        spatial_dims=inputs.ndim - 2,
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay)
    steps = len(labels) // setting.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, setting.learning_rate, total_steps=setting.epochs * steps)
    losses, curve, seconds = [], [], 0.0
    for _ in range(setting.epochs):
        start = time.perf_counter()
        total = 0.0
        for batch in torch.randperm(len(labels))[: steps * setting.batch_size].split(setting.batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds += time.perf_counter() - start
        losses.append(round(total / steps, 5))
        curve.append(round(accuracy(network, *(part[:CURVE_SIZE] for part in data.validation)), 3))
    return {
        "architecture": str(architecture),
        "seed": seed,
        "train_loss": losses,
        "val_curve": curve,
        "val_accuracy": round(accuracy(network, *data.validation), 3),
        "test_accuracy": round(accuracy(network, *data.test), 3),
        "train_seconds": round(seconds, 2),
    }


def representatives() -> list[Architecture]:
    """Return one architecture for each of the 5,425 classes, the one with the fewest parameters, in a fixed random order."""
    by_hash: dict[str, Architecture] = {}
    for architecture in sorted(SPACE, key=lambda a: (SPACE.count_parameters(a), a.spec)):
        by_hash.setdefault(SPACE.canonical_hash(architecture), architecture)
    classes = list(by_hash.values())
    return [classes[i] for i in np.random.default_rng(0).permutation(len(classes))]


def read_records(path: Path) -> list[dict]:
    """Return the finished trainings; a line cut short by an interruption is left out and trained again."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def run(jobs: list[tuple[Architecture, int]], setting: Setting, path: Path, processes: int) -> list[dict]:
    """Train what the file does not hold yet, append each result as it comes, return all records."""
    done = {(record["architecture"], record["seed"]) for record in read_records(path)}
    missing = [job for job in jobs if (str(job[0]), job[1]) not in done]
    data = load_data(setting)

    def one(architecture: Architecture, seed: int) -> dict[str, object]:
        torch.set_num_threads(1)
        return train(architecture, seed, setting, data)

    results: Iterator[dict[str, object]] = Parallel(n_jobs=processes, return_as="generator_unordered")(
        delayed(one)(*job) for job in missing
    )
    with path.open("a") as file:
        if file.tell() and not path.read_text().endswith("\n"):
            file.write("\n")
        for number, record in enumerate(results, start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if number % 20 == 0 or number == len(missing):
                print(f"{path.name}: {number}/{len(missing)}", flush=True)
    wanted = {(str(a), seed) for a, seed in jobs}
    return [record for record in read_records(path) if (record["architecture"], record["seed"]) in wanted]


def final_accuracies(records: list[dict], seeds: int) -> NDArray[np.float64]:
    """Return (architectures, seeds): validation accuracy after the last epoch, in percent."""
    table: dict[str, dict[int, float]] = {}
    for record in records:
        table.setdefault(record["architecture"], {})[record["seed"]] = record["val_accuracy"]
    return np.array([[row[seed] for seed in range(seeds)] for row in table.values() if all(s in row for s in range(seeds))])


def compare_settings(folder: Path, processes: int, names: list[str], seeds: int, cells: int = 40) -> None:
    """Train the same connected cells with each setting; print how alike two seeds rank them."""
    chosen = [a for a in representatives() if SPACE.is_connected(a)][:cells]
    for name in names:
        jobs = [(a, s) for a in chosen for s in range(seeds)]
        records = run(jobs, SETTINGS[name], folder / f"settings-{name}.jsonl", processes)
        values = final_accuracies(records, seeds)
        pairs = [(i, j) for i in range(seeds) for j in range(i)]
        agreement = np.mean([kendalltau(values[:, i], values[:, j])[0] for i, j in pairs])
        row = {
            "setting": name,
            "kendall_between_seeds": round(float(agreement), 3),
            "accuracy_quartiles": np.percentile(values, [0, 25, 50, 75, 100]).round(1).tolist(),
            "sd_between_cells": round(float(values.mean(1).std()), 2),
            "sd_between_seeds": round(float(values.std(1, ddof=1).mean()), 2),
            "seconds_per_training": round(float(np.mean([r["train_seconds"] for r in records])), 2),
        }
        print(json.dumps(row), flush=True)


def collect(runs: Path) -> None:
    """Write the finished trainings as the csv file that ships with the package, one row each."""
    records = sorted(read_records(runs), key=lambda record: record["seed"])
    rank = {str(architecture): position for position, architecture in enumerate(representatives())}
    columns = ["architecture", "seed", "val_accuracy", "test_accuracy", "train_seconds"]
    with (BUNDLED / "nasbench201_digits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(records, key=lambda record: rank[record["architecture"]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["settings", "train", "collect"])
    parser.add_argument("--work", type=Path, default=ROOT / "results" / "bundled", help="folder of the JSON-lines files")
    parser.add_argument("--classes", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--names", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="settings to compare")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.command == "settings":
        compare_settings(arguments.work, arguments.processes, arguments.names, arguments.seeds)
    elif arguments.command == "train":
        jobs = [(a, s) for s in range(arguments.seeds) for a in representatives()[: arguments.classes]]
        run(jobs, SETTINGS[CHOSEN], arguments.work / "runs.jsonl", arguments.processes)
    else:
        collect(arguments.work / "runs.jsonl")


if __name__ == "__main__":
    main()
