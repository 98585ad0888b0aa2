"""Readers of the files in which tables come."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError, EmproxError, InvalidDataError, StorageError
from emprox.registry import nearest
from emprox.spaces import Architecture, ArchitectureFamily, get_space, infer_space
from emprox.tables.archives import read_members
from emprox.tables.base import PerformanceTable

__all__ = ["read_csv", "read_nasbench201_zen"]

ARCHITECTURE = "architecture"


def read_nasbench201_zen(path: Path, dataset: str) -> PerformanceTable:
    """Read one data set of NASLib's ``nb201_zen.zip``: validation accuracy (percent) after 200 epochs, rows by index.

    Members are ``zen/benchmark--nasbench201--<dataset>--<start>.json``, lists of records with ``idx``, ``arch`` (six op
    numbers) and ``val_accuracy``.
    """
    space = get_space("nasbench201")
    prefix = f"zen/benchmark--nasbench201--{dataset}--"
    rows: dict[int, tuple[Architecture, float]] = {}
    for member, data in read_members(path, lambda name: name.startswith(prefix) and name.endswith(".json")):
        try:
            for record in json.loads(data):
                rows[int(record["idx"])] = (space.parse(record["arch"]), float(record["val_accuracy"]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CorruptFileError(f"{path}, {member} is not NASLib's list of NAS-Bench-201 cells: {error!r}") from error
    if sorted(rows) != list(range(space.size)):
        raise CorruptFileError(f"{path} holds {len(rows)} cells of {dataset}, expected indices 0 to {space.size - 1}")
    ordered = [rows[i] for i in range(space.size)]
    accuracies = np.array([accuracy for _, accuracy in ordered])
    return PerformanceTable("nasbench201", space.name, tuple(a for a, _ in ordered), {"val_accuracy": accuracies})


def read_csv(
    path: str | Path,
    space: str | ArchitectureFamily | None,
    target: str,
    *,
    architecture: str = ARCHITECTURE,
    std: str | None = None,
    default_space: str | None = None,
) -> PerformanceTable:
    """Read one's own results: a csv file with a header, a column of architectures, and a column of measurements.

    Lines before the header that start with ``#`` are left out, so that files of `write_table` can be read too.

    Parameters
    ----------
    path : str or Path
        The file, UTF-8.
    space : str, ArchitectureFamily or None
        Search space, or other family, of the architectures; None tells it from the column, see `infer_space`.
    target : str
        Column of measurements.
    architecture : str
        Column of architectures in any form that the space parses.
    std : str, optional
        Column of standard deviations of the measurements.
    default_space : str, optional
        The space where the column tells none.

    Raises
    ------
    StorageError
        If the file cannot be read.
    InvalidDataError
        If a column is missing, or a row cannot be used; the message has its line.
    """
    path = Path(path)
    columns = [target, std] if std else [target]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            before, lines = _without_comments(file)
            reader = csv.DictReader(lines, strict=True)
            header = list(reader.fieldnames or [])
            if not header:
                raise InvalidDataError(f"{path} has no header; its first line has to name columns, {architecture!r} among them")
            for column in (architecture, *columns):
                if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
                    raise InvalidDataError(f"{path}: expected commas between columns and decimal points, got {header[0]!r}")
                if header.count(column) > 1:
                    raise InvalidDataError(f"{path} has {header.count(column)} columns {column!r}; rename all but one")
                if column not in header:
                    raise InvalidDataError(f"{path} has no column {column!r}; {nearest(column, header)}")
            records = [(before + reader.line_num, record) for record in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except csv.Error as error:
        raise InvalidDataError(f"{path} is not a csv file: {error}") from error
    if not records:
        raise InvalidDataError(f"{path} has a header and no rows; expected one architecture with its {target} per row")
    family = infer_space([record[architecture] or "" for _, record in records], space, default_space)
    rows = [_read_row(path, line, record, family, architecture, columns) for line, record in records]
    numbers = np.array([values for _, values in rows])
    spreads = {target: numbers[:, 1]} if std else {}
    return PerformanceTable(path.stem, family.setting, tuple(a for a, _ in rows), {target: numbers[:, 0]}, spreads)


def _without_comments(file: Iterable[str]) -> tuple[int, Iterator[str]]:
    """Return the number of leading lines that start with ``#``, and the lines after them."""
    lines = iter(file)
    for before, line in enumerate(lines):
        if not line.startswith("#"):
            return before, chain([line], lines)
    return 0, iter(())


def _read_row(
    path: Path, line: int, record: dict[str, str], space: ArchitectureFamily, architecture: str, columns: list[str]
) -> tuple[Architecture, NDArray[np.float64]]:
    try:
        if any(column is None for column in record):
            raise InvalidDataError("more cells than the header has; quote texts that hold commas, and write 91.5, not 91,5")
        parsed = space.parse(record[architecture] or "")
        values = np.array([_read_number(column, record[column]) for column in columns])
    except EmproxError as error:
        raise InvalidDataError(f"{path}, line {line}: {error}") from None
    return parsed, values


def _read_number(column: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InvalidDataError(f"{column} is {text!r}, expected a finite number; leave out architectures whose training failed")
    return value
