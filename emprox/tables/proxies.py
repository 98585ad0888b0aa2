"""NAS-Bench-201 with zero-cost proxies: two files, joined by architecture."""

from __future__ import annotations

import csv
from pathlib import Path

from emprox.errors import CorruptFileError, EmproxError, StorageError
from emprox.spaces import get_space
from emprox.tables.base import PerformanceTable
from emprox.tables.formats import read_nasbench201_zen
from emprox.tables.zero_cost import proxy_columns

__all__ = ["read_nasbench201_proxies"]

CELL, TEXT = "net", "net_str"


def read_nasbench201_proxies(proxies: Path, accuracies: Path) -> PerformanceTable:
    """Read ``nb201_zc_proxies.csv`` with the CIFAR-10 validation accuracies (percent, 200 epochs) of ``nb201_zen.zip``.

    The 9,445 cells are those in which every operation lies on a path from input to output, in the order of the first file. The
    13 proxies were computed on batches of CIFAR-10.

    Raises
    ------
    StorageError
        If a file cannot be read.
    CorruptFileError
        If one is not the file that it should be.
    """
    space = get_space("nasbench201")
    known = read_nasbench201_zen(accuracies, "cifar10")
    row_of = {architecture: row for row, architecture in enumerate(known.architectures)}
    try:
        with proxies.open(newline="", encoding="utf-8") as file:
            records = list(csv.DictReader(file, strict=True))
        if any(None in record.values() for record in records):
            raise CorruptFileError("a row has fewer columns than the header")
        rows = [row_of[space.parse(record[CELL])] for record in records]
        columns = proxy_columns(records, leave_out=(CELL, TEXT))
    except OSError as error:
        raise StorageError(f"cannot read {proxies}: {error}") from error
    except (KeyError, TypeError, ValueError, csv.Error, EmproxError) as error:
        raise CorruptFileError(
            f"{proxies} is not the table of NAS-Bench-201 cells and proxies: {error!r}; remove it and get it again"
        ) from error
    if not rows or len(set(rows)) < len(rows):
        raise CorruptFileError(
            f"{proxies} has {len(rows)} rows of {len(set(rows))} cells, expected a row for each of some cells; remove it and get "
            "it again"
        )
    table = known.rows(rows)
    return PerformanceTable("nasbench201-proxies", space.name, table.architectures, table.targets, columns=columns)
