"""NAS-Bench-NLP on WikiText-2: learning curves of recurrent cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emprox.errors import CorruptFileError, InvalidArchitectureError
from emprox.spaces import get_family
from emprox.tables.archives import read_members
from emprox.tables.base import PerformanceTable
from emprox.tables.runs import table_of_runs

__all__ = ["read_wikitext2"]

EPOCHS = 50
CURVES = {"train_loss": "train_losses", "val_loss": "val_losses", "test_loss": "test_losses"}
MOST_BYTES = 16 << 20


def read_wikitext2(path: Path) -> PerformanceTable:
    """Read ``wikitext2_logs.zip``: validation and test loss (nats per word) after 50 epochs, and the losses after each epoch.

    Trainings that stopped because the loss was no number are left out (4 of 345). Trainings of one recipe are averaged, curves
    as well. The column ``train_seconds`` is the wall time of all epochs, ``parameters`` the number that the log gives.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is not the benchmark's file.
    """
    family = get_family("nasbench-nlp")
    logs = [_log(path, name, data) for name, data in read_members(path, lambda name: name.endswith(".json"), MOST_BYTES)]
    runs = [log for log in logs if len(log["train_losses"]) == EPOCHS]
    try:
        cells = [family.parse(log["recepie"]) for log in runs]
        losses = {name: np.array([log[key] for log in runs], dtype=np.float64) for name, key in CURVES.items()}
        parameters = np.array([log["num_params"] for log in runs], dtype=np.float64)
        seconds = np.array([sum(log["wall_times"]) for log in runs])
    except (KeyError, TypeError, ValueError, InvalidArchitectureError) as error:
        raise CorruptFileError(f"{path} is not the file of NAS-Bench-NLP: {error!r}") from error
    return table_of_runs(
        "nasbench-nlp",
        family.name,
        cells,
        {name: losses[name][:, -1] for name in ("val_loss", "test_loss")},
        columns={"parameters": parameters, "train_seconds": seconds},
        curves=losses,
    )


def _log(path: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        log = json.loads(data)
        if isinstance(log["train_losses"], list):
            return log
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"{path}, member {name}: expected the log of a training, got {error!r}") from error
    raise CorruptFileError(f"{path}, member {name}: expected train_losses to be a list")
