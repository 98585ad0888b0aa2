"""The command line of pretraining: what estimators learn from other families, saved for later."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from emprox.errors import InvalidOptionError

__all__ = ["train"]

out = Console(highlight=False, soft_wrap=True)


def train(
    space: Annotated[str, typer.Option(help="Search space whose architectures will be estimated.")],
    source: Annotated[list[str], typer.Option(help="Table of another family to learn from; may be repeated.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the trained model.")],
    estimator: Annotated[str, typer.Option(help="Estimator that transfers, name:key=value,...")] = "cl-paper",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    losses: Annotated[Path | None, typer.Option(help="csv file for the loss of each epoch.")] = None,
    tables_root: Annotated[Path | None, typer.Option(help="Folder of downloaded tables.")] = None,
) -> None:
    """Learn from tables of other families, before anything is measured in this one; interrupted, it goes on where it was.

    The model ranks architectures of the space without labels (`emprox estimate`), and `pretrained=FOLDER` among the options of
    the same estimator fine-tunes it.
    """
    from emprox.estimators import make_estimator
    from emprox.estimators.base import takes_option
    from emprox.persistence import write_file
    from emprox.tables import load_table

    if not takes_option(estimator, "pretrained"):
        raise InvalidOptionError(f"{estimator} learns nothing from other tables; train one that does, such as cl-paper or gnn")
    tables = [load_table(name, tables_root) for name in source]
    checkpoint = output.with_name(f".{output.name}.checkpoint")
    options = {"checkpoint": checkpoint} if takes_option(estimator, "checkpoint") else {}
    if options and checkpoint.exists():
        out.print(f"going on from {checkpoint}")
    start = time.perf_counter()
    model = make_estimator(estimator, space=space, source=tables, random_state=seed, **options)
    model.fit([], [])
    model.save(output)
    checkpoint.unlink(missing_ok=True)
    curve: list[float] = getattr(model, "losses_", [])
    if losses is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("epoch", "loss"), *enumerate(curve, start=1)])
        write_file(losses, text.getvalue().encode())
    fall = f", loss {curve[0]:.3f} to {curve[-1]:.3f} in {len(curve)} epochs" if curve else ""
    seconds = time.perf_counter() - start
    out.print(f"{estimator} learned from {', '.join(source)} for {space} in {seconds:.0f} s{fall}; saved in {output}")
