"""TransNAS-Bench-101 micro: about a sixth of the cells on each of seven tasks of one data set of indoor images."""

from __future__ import annotations

from pathlib import Path

from emprox.errors import UnknownNameError
from emprox.registry import nearest
from emprox.spaces import get_space
from emprox.tables.base import PerformanceTable
from emprox.tables.measures import Measure
from emprox.tables.zero_cost import read_zero_cost

__all__ = ["TASKS", "read_transnas"]

ACCURACY = ("val_accuracy", Measure("percent", True))
SIMILARITY = ("val_ssim", Measure("", True))
TASKS = {
    "class_scene": ACCURACY,
    "class_object": ACCURACY,
    "jigsaw": ACCURACY,
    "room_layout": ("val_loss_negated", Measure("", True)),
    "segmentsemantic": ACCURACY,
    "autoencoder": SIMILARITY,
    "normal": SIMILARITY,
}
"""Target of each task: its name, and its unit and direction."""


def read_transnas(path: Path, task: str) -> PerformanceTable:
    """Read one task of ``zc_transbench101_micro.json``: the task's validation metric of 711 cells, and 10 or 11 proxies.

    The file calls every metric ``val_accuracy``. By range and by the benchmark's description these are top-1 accuracies
    (``class_scene``, ``class_object``, ``jigsaw``), most likely pixel accuracy (``segmentsemantic``), structural similarities
    (``autoencoder``, ``normal``) and the negative of a loss (``room_layout``). For all of them larger is better: cells
    that do not look at their input are at the lower end of each.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is not NASLib's file.
    """
    if task not in TASKS:
        raise UnknownNameError(f"no task {task!r}; {nearest(task, list(TASKS))}")
    space = get_space("transnas101-micro")
    cells = read_zero_cost(path, space, task)
    target, measure = TASKS[task]
    return PerformanceTable(
        f"transnas101-micro:{task}",
        space.name,
        cells.architectures,
        {target: cells.measured},
        columns=cells.proxies,
        measures={target: measure},
    )
