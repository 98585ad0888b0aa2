"""Records as csv and parquet files: all of a store, to be read back as they were, or one's own results.

A file that `export_records` wrote has one row for each record, with the record's key, so that it can be imported any number of
times. Targets are columns, with unit and direction in the header: the first line of a csv file after ``# emprox-records``, the
metadata of a parquet file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emprox._optional import import_optional
from emprox.errors import CorruptFileError, EmproxError, InvalidDataError, InvalidOptionError, StorageError
from emprox.index.records import Record
from emprox.persistence import write_file
from emprox.registry import nearest
from emprox.spaces import ArchitectureFamily, infer_space
from emprox.tables import Measure

__all__ = ["FACTS", "export_records", "import_records"]

FORMAT = 1
MARK = "# emprox-records "
METADATA = b"emprox-records"
EXTRA = "tables"
FACTS = ("key", "space", "architecture", "seed", "source", "time", "embedding")
"""Columns besides the targets."""

Row = dict[str, Any]


def export_records(records: Sequence[Record], path: str | Path) -> None:
    """Write records to a ``.csv`` or ``.parquet`` file (extra ``tables``), as a whole or not at all.

    Raises
    ------
    InvalidOptionError
        If the file name ends otherwise.
    InvalidDataError
        If a target is called as one of the other columns.
    StorageError
        If the file cannot be written.
    """
    measures = {name: measure for record in records for name, measure in record.measures.items()}
    if taken := set(measures) & set(FACTS):
        raise InvalidDataError(f"targets called {', '.join(sorted(taken))} cannot be exported: that is another column")
    header = {"format": FORMAT, "targets": {name: [m.unit, m.larger_is_better] for name, m in measures.items()}}
    rows = [{**{fact: getattr(r, fact) for fact in FACTS}, **{name: r.values.get(name) for name in measures}} for r in records]
    write = {".csv": _csv_bytes, ".parquet": _parquet_bytes}
    write_file(path, _of_suffix(write, path)(header, [*FACTS, *measures], rows))


def import_records(
    path: str | Path,
    targets: Sequence[str] = (),
    *,
    space: str | ArchitectureFamily | None = None,
    architecture: str = "architecture",
    seed: str | None = None,
    source: str | None = None,
    default_space: str | None = None,
) -> list[Record]:
    """Read records from a file that `export_records` wrote, or from one's own csv or parquet file.

    The records of an exported file are as they were. Of one's own file every row is a training, and its key is made of its
    architecture, of `source`, and of how many rows of this architecture came before, whatever columns are asked for: importing
    the file again, also when rows were added behind, adds what is new. Adding a row that now says something else, or is read
    with other targets or seeds, is an error; give further measurements another `source`.

    Parameters
    ----------
    path : str or Path
        The file. Lines of a csv file before the header that start with ``#`` are left out.
    targets : sequence of str
        Columns of measurements of one's own file; an empty cell is a target that was not measured.
    space : str, ArchitectureFamily or None
        Of the architectures; None tells it from the column.
    architecture, seed : str
        Columns of architectures and of seeds.
    source : str, optional
        Where the values are from; by default the file's name.
    default_space : str, optional
        Space of architectures that do not tell theirs, where ``space`` is None.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is an exported file that was damaged or changed, or no csv or parquet file.
    InvalidDataError
        If a row of one's own file cannot be used; the message has its number.
    """
    path = Path(path)
    try:
        header, columns, rows = _of_suffix({".csv": _from_csv, ".parquet": _from_parquet}, path)(path.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (ValueError, TypeError, KeyError, csv.Error, RecursionError) as error:
        if isinstance(error, InvalidOptionError):
            raise
        raise CorruptFileError(f"{path} is no {path.suffix} file that can be read: {error}") from error
    if header is not None:
        if targets:
            raise InvalidOptionError(f"{path} was exported from a store and says itself what its targets are; leave them out")
        return _exported(path, header, rows)
    for column in (architecture, *targets, *([seed] if seed else [])):
        if column not in columns:
            raise InvalidDataError(f"{path} has no column {column!r}; {nearest(column, columns)}")
    if not targets:
        raise InvalidOptionError(
            f"{path} was not exported from a store: name its columns of measurements, of {', '.join(columns)}"
        )
    if not rows:
        raise InvalidDataError(f"{path} has a header and no rows; expected one training per row")
    family = infer_space([str(row[architecture] or "") for row in rows], space, default_space)
    seen: Counter[str] = Counter()
    return [_own(path, i, row, family, architecture, targets, seed, source or path.name, seen) for i, row in enumerate(rows, 1)]


def _exported(path: Path, header: Mapping[str, Any], rows: list[Row]) -> list[Record]:
    try:
        if header["format"] != FORMAT:
            raise CorruptFileError(f"its format is {header['format']!r}, this emprox reads {FORMAT}")
        measures = {name: Measure(unit, better) for name, (unit, better) in header["targets"].items()}
        records = []
        for row in rows:
            values = {name: float(row[name]) for name in measures if row[name] not in ("", None)}
            facts = {fact: row[fact] for fact in FACTS if fact != "seed"}
            if not facts["key"] or not facts["time"]:
                raise CorruptFileError("a record has no key or no time")
            seed = None if row["seed"] in ("", None) else int(row["seed"])
            records.append(Record(values=values, measures={name: measures[name] for name in values}, seed=seed, **facts))
        return records
    except (ValueError, TypeError, KeyError, AttributeError, EmproxError) as error:
        raise CorruptFileError(f"{path} is not what was exported: {error}") from error


def _own(
    path: Path,
    number: int,
    row: Row,
    family: ArchitectureFamily,
    architecture: str,
    targets: Sequence[str],
    seed: str | None,
    source: str,
    seen: Counter[str],
) -> Record:
    """Return the record of a row of someone's own file."""
    try:
        read = family.read(str(row[architecture] or ""))
        values = {name: _number(name, row[name]) for name in targets if row[name] not in ("", None)}
        given = None if seed is None or row[seed] in ("", None) else _seed(row[seed])
        content = json.dumps([read.space, str(read), source])
        seen[content] += 1
        key = hashlib.sha256(f"{content} {seen[content]}".encode()).hexdigest()
        return Record.of(read, values, seed=given, source=source, key=key)
    except (ValueError, TypeError) as error:
        raise InvalidDataError(f"{path}, row {number}: {error}") from None


def _seed(value: Any) -> int:
    """Return a seed; pandas writes 1.0 where a column has empty cells."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value if is_whole else str(value).removesuffix(".0"))


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidDataError(f"{name} is {value!r:.80}, expected a finite number") from None


def _of_suffix(formats: Mapping[str, Any], path: str | Path) -> Any:
    if Path(path).suffix not in formats:
        raise InvalidOptionError(f"a file of records ends in {' or '.join(formats)}, got {path}")
    return formats[Path(path).suffix]


def _csv_bytes(header: Row, names: list[str], rows: list[Row]) -> bytes:
    file = io.StringIO(newline="")
    file.write(MARK + json.dumps(header) + "\n")
    writer = csv.DictWriter(file, names, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _from_csv(data: bytes) -> tuple[Row | None, list[str], list[Row]]:
    """Return the header of an exported file or None, the names of the columns, and the rows."""
    text = data.decode("utf-8-sig")
    header = json.loads(text.partition("\n")[0].removeprefix(MARK)) if text.startswith(MARK) else None
    while text.startswith("#"):
        text = text.partition("\n")[2]
    with _long_fields(len(text)):
        names, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    if len(set(names)) < len(names) or any(len(line) not in (0, len(names)) for line in lines):
        raise ValueError("two columns have one name, or a row has not one cell for each column")
    return header, names, [dict(zip(names, line, strict=True)) for line in lines if line]


@contextmanager
def _long_fields(longest: int) -> Iterator[None]:
    """Let the csv module read fields as long as the text of a large network."""
    before = csv.field_size_limit(max(longest, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parquet_bytes(header: Row, names: list[str], rows: list[Row]) -> bytes:
    arrow, parquet = import_optional("pyarrow", EXTRA), import_optional("pyarrow.parquet", EXTRA)
    texts = [name for name in FACTS if name != "seed"]
    kinds = {**dict.fromkeys(names, arrow.float64()), **dict.fromkeys(texts, arrow.large_string()), "seed": arrow.int64()}
    columns = {name: arrow.array([row[name] for row in rows], kinds[name]) for name in names}
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata({METADATA: json.dumps(header).encode()}), sink)
    return sink.getvalue()


def _from_parquet(data: bytes) -> tuple[Row | None, list[str], list[Row]]:
    arrow, parquet = import_optional("pyarrow", EXTRA), import_optional("pyarrow.parquet", EXTRA)
    try:
        table = parquet.read_table(io.BytesIO(data))
        told = (table.schema.metadata or {}).get(METADATA)
        return None if told is None else json.loads(told), list(table.column_names), table.to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
