"""What an estimate has cost in training: labels, and the beginning of each candidate's training where curves are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.estimators import ArchitectureRegressor
from emprox.tables import PerformanceTable

__all__ = ["COSTS", "training_cost"]

COSTS = ("training_epochs_per_candidate", "label_epochs", "training_epochs", "training_seconds")
"""Names of the numbers that `training_cost` returns."""
SECONDS = "train_seconds"
"""Target or column of a table that holds the seconds of one full training."""


def training_cost(
    estimator: ArchitectureRegressor,
    table: PerformanceTable,
    labelled: NDArray[np.int64],
    candidates: NDArray[np.int64],
) -> dict[str, Any]:
    """Return the training that went into ranking candidates of a table, so that all kinds of estimators stand on one axis.

    ``training_epochs_per_candidate``
        Epochs for which each candidate has to be trained before it can be estimated: 0, unless learning curves are read.
    ``label_epochs``
        Labels times the epochs of a full training; 0 for estimators whose ranking needs no label, which use labels for the
        scale only. None where the table does not know its epochs.
    ``training_epochs``
        Both together: ``label_epochs`` plus the epochs per candidate times the candidates. The first part does not grow with the
        number of candidates, the second does.
    ``training_seconds``
        The same in seconds of training, from the architectures' own: left out where the table has no `SECONDS`.

    Parameters
    ----------
    estimator : ArchitectureRegressor
        Fitted.
    table : PerformanceTable
        The table drawn from.
    labelled, candidates : ndarray of shape (n_known,) and (n_archs,)
        Row numbers.
    """
    each = estimator.training_epochs
    paid = labelled[:0] if estimator.ranks_without_labels else labelled
    labels = 0 if not len(paid) else None if table.epochs is None else len(paid) * table.epochs
    cost = {
        "training_epochs_per_candidate": each,
        "label_epochs": labels,
        "training_epochs": None if labels is None else labels + each * len(candidates),
    }
    seconds = {**table.columns, **table.targets}.get(SECONDS)
    if seconds is None or (each and table.epochs is None):
        return cost
    part = each / table.epochs if table.epochs else 0
    return {**cost, "training_seconds": float(seconds[paid].sum() + part * seconds[candidates].sum())}
