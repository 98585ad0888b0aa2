"""Tables as files and data frames: one flat column per array, and a header that says what each column is.

Target ``t`` becomes the column ``t``, its spread ``t_std``, its count ``t_count``; the curve ``c`` becomes ``c@1``,
``c@2``, ... by epoch; the mark ``m`` becomes ``m?``, 0 or 1. The header is JSON: in the first line of a csv file after
``# emprox-table``, in the metadata of a parquet file, in the ``attrs`` of a data frame. Nothing is rounded: what is written
reads back bit for bit.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emprox._optional import import_optional
from emprox.errors import CorruptFileError, EmproxError, InvalidDataError, InvalidOptionError, StorageError
from emprox.persistence import write_file
from emprox.spaces import get_family
from emprox.tables.base import PerformanceTable
from emprox.tables.measures import Measure

if TYPE_CHECKING:
    import pandas

__all__ = ["read_table", "to_pandas", "write_table"]

FORMAT = 1
EXTRA = "tables"
MARK = "# emprox-table "
METADATA = b"emprox-table"
ARCHITECTURE = "architecture"

Flat = dict[str, NDArray[Any]]
"""Columns by name, each ndarray of shape (n_rows,)."""


def write_table(table: PerformanceTable, path: str | Path) -> None:
    """Write a table as ``.csv`` or ``.parquet`` (extra ``tables``), as a whole or not at all.

    Raises
    ------
    InvalidOptionError
        If the file name ends otherwise.
    InvalidDataError
        If two arrays would have the same column name.
    StorageError
        If the file cannot be written.
    """
    encode, _ = _format(path)
    write_file(path, encode(_header(table), _flat(table)))


def read_table(path: str | Path) -> PerformanceTable:
    """Read a table that `write_table` wrote; one's own csv files are for `read_csv`.

    Raises
    ------
    InvalidOptionError
        If the file name ends neither in ``.csv`` nor in ``.parquet``.
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is not what `write_table` wrote.
    """
    _, decode = _format(path)
    try:
        header, flat = decode(Path(path).read_bytes())
        return _table(header, flat)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error, EmproxError) as error:
        if isinstance(error, ImportError):
            raise
        raise CorruptFileError(f"{path} is not a table that emprox wrote: {error}; use read_csv for your own files") from error


def to_pandas(table: PerformanceTable) -> pandas.DataFrame:
    """Return a data frame of all columns, with the header in its ``attrs``."""
    frame = import_optional("pandas", EXTRA).DataFrame(_flat(table))
    frame.attrs.update(_header(table))
    return frame


def _header(table: PerformanceTable) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": table.name,
        "space": table.space,
        "citation": table.citation,
        "targets": {name: [measure.unit, measure.larger_is_better] for name, measure in table.measures.items()},
        "spreads": list(table.spreads),
        "counts": list(table.counts),
        "curves": {name: values.shape[1] for name, values in table.curves.items()},
        "columns": {name: "text" if values.dtype.kind == "U" else "number" for name, values in table.columns.items()},
        "marks": list(table.marks),
        "epochs": table.epochs,
    }


def _flat(table: PerformanceTable) -> Flat:
    pairs: list[tuple[str, NDArray[Any]]] = [(ARCHITECTURE, np.array([str(a) for a in table.architectures], dtype=np.str_))]
    pairs += table.targets.items()
    pairs += [(f"{name}_std", values) for name, values in table.spreads.items()]
    pairs += [(f"{name}_count", values) for name, values in table.counts.items()]
    pairs += table.columns.items()
    pairs += [(f"{name}@{i + 1}", values[:, i]) for name, values in table.curves.items() for i in range(values.shape[1])]
    pairs += [(f"{name}?", values.astype(np.int64)) for name, values in table.marks.items()]
    flat = dict(pairs)
    if len(flat) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidDataError(f"table {table.name} has two columns called {', '.join(twice)}; rename one")
    return flat


def _table(header: Mapping[str, Any], flat: Mapping[str, Any]) -> PerformanceTable:
    if header["format"] != FORMAT:
        raise CorruptFileError(f"its format is {header['format']!r}, this emprox reads {FORMAT}")
    space = get_family(header["space"])
    curves = {
        name: np.stack([_numbers(flat[f"{name}@{i + 1}"]) for i in range(epochs)], axis=1)
        for name, epochs in header["curves"].items()
    }
    return PerformanceTable(
        header["name"],
        space.name,
        tuple(space.restore(str(text)) for text in flat[ARCHITECTURE]),
        {name: _numbers(flat[name]) for name in header["targets"]},
        {name: _numbers(flat[f"{name}_std"]) for name in header["spreads"]},
        header["citation"],
        counts={name: _numbers(flat[f"{name}_count"]) for name in header["counts"]},  # type: ignore[misc]
        curves=curves,
        columns={
            name: _numbers(flat[name]) if kind == "number" else np.asarray(flat[name], dtype=np.str_)
            for name, kind in header["columns"].items()
        },
        marks={name: _numbers(flat[f"{name}?"]) for name in header.get("marks", ())},  # type: ignore[misc]
        measures={name: Measure(*measure) for name, measure in header["targets"].items()},
        epochs=header.get("epochs"),
    )


def _numbers(values: Any) -> NDArray[np.float64]:
    """Return numbers; an empty text is a missing one."""
    array = np.asarray(values)
    return (np.where(array == "", "nan", array) if array.dtype.kind == "U" else array).astype(np.float64)


def _csv_bytes(header: dict[str, Any], flat: Flat) -> bytes:
    file = io.StringIO(newline="")
    file.write(MARK + json.dumps(header) + "\n")
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(flat)
    writer.writerows(
        zip(*(["" if value != value else value for value in values.tolist()] for values in flat.values()), strict=True)
    )
    return file.getvalue().encode()


def _from_csv(data: bytes) -> tuple[dict[str, Any], Flat]:
    first, _, rest = data.decode("utf-8").partition("\n")
    if not first.startswith(MARK):
        raise CorruptFileError(f"its first line does not start with {MARK!r}")
    names, *rows = csv.reader(io.StringIO(rest, newline=""), strict=True)
    if any(len(row) != len(names) for row in rows):
        raise CorruptFileError("its rows have different numbers of columns")
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    return json.loads(first.removeprefix(MARK)), {n: np.array(c, dtype=np.str_) for n, c in zip(names, cells, strict=True)}


def _parquet_bytes(header: dict[str, Any], flat: Flat) -> bytes:
    arrow, parquet = import_optional("pyarrow", EXTRA), import_optional("pyarrow.parquet", EXTRA)
    columns = {name: arrow.array(values.tolist() if values.dtype.kind == "U" else values) for name, values in flat.items()}
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata({METADATA: json.dumps(header).encode()}), sink)
    return sink.getvalue()


def _from_parquet(data: bytes) -> tuple[dict[str, Any], Flat]:
    parquet = import_optional("pyarrow.parquet", EXTRA)
    table = parquet.read_table(io.BytesIO(data))
    header = json.loads((table.schema.metadata or {})[METADATA])
    return header, {name: np.array(table.column(name).to_pylist()) for name in table.column_names}


def _format(path: str | Path) -> tuple[Callable[[dict[str, Any], Flat], bytes], Callable[[bytes], tuple[dict[str, Any], Flat]]]:
    formats = {".csv": (_csv_bytes, _from_csv), ".parquet": (_parquet_bytes, _from_parquet)}
    if Path(path).suffix not in formats:
        raise InvalidOptionError(f"a table's file ends in {' or '.join(formats)}, got {path}")
    return formats[Path(path).suffix]
