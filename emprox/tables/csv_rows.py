"""Rows of a csv file that was published, each read by a function that knows its columns."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from emprox.errors import CorruptFileError, StorageError

__all__ = ["read_rows"]

Row = TypeVar("Row")


def read_rows(path: Path, read: Callable[[Path, int, dict[str, str]], Row], expected: str) -> list[Row]:
    """Return what a function makes of each row, given the path, the line and the values by column.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is no csv file, or has no rows of what is expected; also what `read` raises.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [read(path, reader.line_num, record) for record in reader]
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError(f"{path} is no csv file: {error}; remove it and get it again") from error
    if not rows:
        raise CorruptFileError(f"{path} has no rows, expected {expected}; remove it and get it again")
    return rows
