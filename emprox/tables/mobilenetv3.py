"""Once-for-all MobileNetV3 sub-networks with measured ImageNet accuracy, from the logs of three searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from emprox.errors import CorruptFileError, EmproxError
from emprox.spaces import Architecture, get_space
from emprox.tables.base import PerformanceTable
from emprox.tables.csv_rows import read_rows
from emprox.tables.runs import table_of_runs

__all__ = ["INITIAL", "read_mobilenetv3"]

INITIAL = "initial"
"""Mark of the networks that a search started with, before it had learned anything."""
N_INITIAL = 50
"""Rows at the start of each log that are such networks."""
NETWORK, ACCURACY, MACS, PARAMETERS = "Sub-network", "Top-1 Acc (%)", "MACs", "Model Parameters"

Row = tuple[Architecture, float, float, float]
"""Network, ImageNet top-1 (percent), multiply-accumulates and parameters (millions)."""


def read_mobilenetv3(*paths: Path) -> PerformanceTable:
    """Read search logs ``mbnv3w10_*.csv``: ImageNet top-1 (percent), multiply-accumulates and parameters (millions).

    Networks that differ only beyond the depth of a stage are one network. Those that were measured several times are averaged.
    Searches look at good networks more often than at others; ``population("initial")`` are the random ones that they
    started with, the first 50 rows of each log.

    Raises
    ------
    StorageError
        If a file cannot be read.
    CorruptFileError
        If one is not such a log.
    """
    logs = [read_rows(path, _row, "a log of sub-networks") for path in paths]
    rows = [row for log in logs for row in log]
    initial = {row[0] for log in logs for row in log[:N_INITIAL]}
    table = table_of_runs(
        "ofa-mobilenetv3",
        "ofa-mobilenetv3",
        [row[0] for row in rows],
        {"val_accuracy": [row[1] for row in rows]},
        columns={"macs_millions": [row[2] for row in rows], "params_millions": [row[3] for row in rows]},
    )
    return replace(table, marks={INITIAL: np.array([network in initial for network in table.architectures])})


def _row(path: Path, line: int, record: Mapping[str, str]) -> Row:
    try:
        network = get_space("ofa-mobilenetv3").parse(record[NETWORK])
        if not 0 <= (accuracy := float(record[ACCURACY])) <= 100:
            raise ValueError(f"an accuracy in percent is 0 to 100, got {accuracy}")
        return network, accuracy, int(record[MACS]) / 1e6, int(record[PARAMETERS]) / 1e6
    except (KeyError, TypeError, ValueError, OverflowError, EmproxError) as error:
        raise CorruptFileError(
            f"{path}, line {line} is not a sub-network with {ACCURACY}, {MACS} and {PARAMETERS}: {error!r}; remove the file and "
            "get it again"
        ) from error
