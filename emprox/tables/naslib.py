"""NASLib's NAS-Bench-201 with learning curves, ``nb201_<dataset>_full_training.pickle``.

The files are passed around without a fixed address, so they are in no catalogue; get one from NASLib's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError, EmproxError, StorageError, UnknownNameError
from emprox.registry import nearest
from emprox.spaces import get_space
from emprox.tables.base import PerformanceTable
from emprox.tables.plain_pickle import read_plain_pickle

__all__ = ["read_naslib"]

KEYS = {"cifar10": "cifar10-valid", "cifar100": "cifar100", "ImageNet16-120": "ImageNet16-120"}
CURVES = {
    "val_accuracy": "eval_acc1es",
    "train_accuracy": "train_acc1es",
    "val_loss": "eval_losses",
    "train_loss": "train_losses",
}
COSTS = {"params_millions": "params", "flops_millions": "flops", "latency_seconds": "latency", "train_seconds": "train_time"}
CITATION = (
    "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; "
    "values as reported by NASLib (Mehta et al., NAS-Bench-Suite, ICLR 2022)."
)


def read_naslib(path: str | Path, dataset: str = "cifar10") -> PerformanceTable:
    """Read one data set of NASLib's NAS-Bench-201 pickles: accuracies (percent) and losses, after each epoch and at the end.

    The layout is ``{architecture: {data set: {"eval_acc1es": [...], "train_acc1es": [...], "eval_losses": [...],
    "train_losses": [...], "cost_info": {...}}}}``, alone or under the key ``nb201_data``. Python's unpickler is not used and no
    code of the file can run. The file of all cells with 200 epochs takes about ten seconds and 300 MB of memory.

    Parameters
    ----------
    path : str or Path
        The file.
    dataset : {"cifar10", "cifar100", "ImageNet16-120"}
        The data set; the other ones of a file are skipped.

    Raises
    ------
    UnknownNameError
        If the data set is none of these.
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it holds anything but plain data, or lacks the data set.
    """
    if dataset not in KEYS:
        raise UnknownNameError(f"no data set {dataset!r}; {nearest(dataset, list(KEYS))}")
    others = {*KEYS, *KEYS.values()} - {KEYS[dataset]}
    try:
        with Path(path).open("rb") as file:
            content = read_plain_pickle(file, str(path), others.__contains__)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    try:
        content = content.get("nb201_data", content)
        return _table({text: cell[KEYS[dataset]] for text, cell in content.items()}, dataset)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, EmproxError) as error:
        raise CorruptFileError(f"{path} is not NASLib's NAS-Bench-201 with {dataset}: {error!r}") from error


def _table(cells: Mapping[str, Any], dataset: str) -> PerformanceTable:
    if not cells:
        raise CorruptFileError("it has no cells")
    space = get_space("nasbench201")
    records = list(cells.values())
    curves, targets = {}, {}
    for name, key in CURVES.items():
        if key in records[0]:
            lists = [record.pop(key) for record in records]  # so that each is held once
            curves[name] = _stacked(lists)
            targets[name] = np.array([float(values[-1]) for values in lists])
    costs = [record.get("cost_info", {}) for record in records]
    columns = {name: [_number(cost.get(key)) for cost in costs] for name, key in COSTS.items() if any(key in c for c in costs)}
    return PerformanceTable(
        f"naslib-nasbench201:{dataset}",
        space.name,
        tuple(space.parse(text) for text in cells),
        targets,
        citation=CITATION,
        curves=curves,
        columns={name: np.array(values) for name, values in columns.items()},
    )


def _stacked(curves: list[Any]) -> NDArray[np.float64]:
    """Return curves as rows, ndarray of shape (n_curves, longest); NaN after the end of a shorter one."""
    rows = np.full((len(curves), max(map(len, curves))), np.nan)
    for row, curve in zip(rows, curves, strict=True):
        row[: len(curve)] = curve
    return rows


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
