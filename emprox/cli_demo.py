"""What `emprox demo` computes and keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emprox.estimators import EmProx
    from emprox.tables import PerformanceTable

__all__ = ["best_held_out", "fit_split", "write_demo"]


def fit_split(table: PerformanceTable, labels: int, seed: int) -> tuple[EmProx, PerformanceTable]:
    """Return an EmProx that knows so many rows of a split, and the others."""
    from emprox.estimators import EmProx

    held_out, known = (table.rows(rows) for rows in table.split(labels, "rest", seed))
    return EmProx(random_state=seed).fit(known.architectures, known.targets["val_accuracy"]), held_out


def best_held_out(estimator: EmProx, held_out: PerformanceTable, n_shown: int) -> list[dict[str, Any]]:
    """Return the best estimates of rows, with measured accuracy and place, and the heaviest neighbour of each."""
    estimates, std = estimator.predict(held_out.architectures, return_std=True)
    trained = held_out.targets["val_accuracy"]
    rows = []
    for i in (-estimates).argsort(kind="stable")[:n_shown]:
        nearest = estimator.explain(held_out.architectures[i])["neighbors"][0]
        rows.append(
            {
                "architecture": str(held_out.architectures[i]),
                "estimate": float(estimates[i]),
                "std": float(std[i]),
                "trained": float(trained[i]),
                "place": int((trained > trained[i]).sum()) + 1,
                "nearest measured": nearest["architecture"],
                "its accuracy": nearest["value"],
            }
        )
    return rows


def write_demo(run: dict[str, Any], estimator: EmProx, folder: Path) -> Path:
    """Write what `emprox demo` has computed and a report on it, and return the report's file."""
    from emprox.persistence import write_file
    from emprox.report import write_report

    estimator.save(folder / "model")
    write_file(folder / "results.json", (json.dumps(run, indent=1, allow_nan=False) + "\n").encode())
    title = "What emprox demo has computed"
    return write_report([folder / "results.json", folder / "model"], folder / "report.html", title=title)[0]
