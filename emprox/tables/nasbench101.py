"""NAS-Bench-101: the 500 cells of NASLib's file of zero-cost proxies."""

from __future__ import annotations

from pathlib import Path

from emprox.spaces import get_space
from emprox.tables.base import PerformanceTable
from emprox.tables.zero_cost import read_zero_cost

__all__ = ["read_nasbench101"]


def read_nasbench101(path: Path) -> PerformanceTable:
    """Read ``zc_nasbench101.json``: validation accuracy (percent) of one training of 108 epochs, and 11 proxies.

    The cells are random matrices, most of them small after pruning: the 500 are 292 different functions, so that half the
    test rows of a plain row split may have a twin among the labels. ``population("classes")`` has one row of each.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is not NASLib's file.
    """
    space = get_space("nasbench101")
    cells = read_zero_cost(path, space, "nasbench101", "cifar10")
    return PerformanceTable(
        "nasbench101", space.name, cells.architectures, {"val_accuracy": cells.measured}, columns=cells.proxies
    )
