"""NAS-Bench-301: DARTS cells with the accuracy that a surrogate predicts, from two versions of one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emprox.spaces import get_space
from emprox.tables.base import PerformanceTable
from emprox.tables.runs import table_of_runs
from emprox.tables.zero_cost import read_zero_cost

__all__ = ["read_nasbench301"]


def read_nasbench301(first: Path, second: Path) -> PerformanceTable:
    """Read ``zc_nasbench301.v0.json`` and ``zc_nasbench301.v2.json``: surrogate CIFAR-10 accuracy (percent) and proxies.

    No network was trained: the accuracies are draws of the benchmark's surrogate. Cells that are in both files are averaged,
    accuracy and proxies, so their count is 2; the proxy ``nwot`` is in the second file only and missing for the others.

    Raises
    ------
    StorageError
        If a file cannot be read.
    CorruptFileError
        If one is not NASLib's file.
    """
    space = get_space("darts")
    parts = [read_zero_cost(first, space, "nasbench301", "cifar10"), read_zero_cost(second, space, "cifar10")]
    names = dict.fromkeys(name for part in parts for name in part.proxies)
    missing = [np.full(len(part.architectures), np.nan) for part in parts]
    return table_of_runs(
        "nasbench301",
        space.name,
        [architecture for part in parts for architecture in part.architectures],
        {"val_accuracy": np.concatenate([part.measured for part in parts])},
        columns={
            name: np.concatenate([part.proxies.get(name, nothing) for part, nothing in zip(parts, missing, strict=True)])
            for name in names
        },
    )
