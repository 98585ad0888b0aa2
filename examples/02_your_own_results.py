"""Results from a csv file, a saved model, estimates from the saved model.

python examples/02_your_own_results.py
"""

import csv
import tempfile
from pathlib import Path

import numpy as np

from emprox import EmProx, get_space, load, read_csv

space = get_space("nasbench201")
rng = np.random.default_rng(0)
with tempfile.TemporaryDirectory() as folder:
    results = Path(folder) / "results.csv"
    with results.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "val_accuracy", "std"])
        for cell in space.sample(rng, 50):  # stands for networks that were trained
            convolutions = sum(space.ops[op].startswith("nor_conv") for op in cell.spec)
            writer.writerow([cell, 80 + 2 * convolutions + rng.normal(), 1.0])

    table = read_csv(results, space, "val_accuracy", std="std")
    model = EmProx(random_state=0).fit(table.architectures, table.targets["val_accuracy"], table.spreads["val_accuracy"])
    model.save(Path(folder) / "model")

    candidates = space.sample(rng, 5)
    for cell, value, std in zip(candidates, *load(Path(folder) / "model").predict(candidates, return_std=True), strict=True):
        print(f"{cell}  {value:.1f} +- {std:.1f}")
