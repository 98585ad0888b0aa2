"""The two copies of a store's records, kept in step: SQLite, which answers, and the journal, from which it can be restored.

One addition is: the write lock of SQLite; the rows; the line in the journal, flushed; the commit, flushed. Whenever the process
or the power ends, SQLite has the addition whole or not at all, and the journal is at most this one addition ahead.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from emprox.errors import CorruptFileError, EmproxError, InvalidDataError, StorageError
from emprox.index import database
from emprox.index.database import REPAIR, Database
from emprox.index.journal import Journal, Line, Tail
from emprox.index.records import Record
from emprox.persistence import flush
from emprox.validation import check_at_least

__all__ = ["JOURNAL", "RECORDS", "TIMEOUT_S", "Added", "Ledger", "insert"]

RECORDS = "records.sqlite"
JOURNAL = "records.journal"
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Added:
    """What an addition did."""

    numbers: tuple[int, ...]
    """Number of each record that was given."""
    count: int
    """How many of them were new."""


class Ledger:
    """Numbered records in a folder; see `emprox.index.Store`.

    Parameters
    ----------
    path : Path
        The folder.
    create : bool
        Whether to make an empty one where there is none.
    timeout_s : float
        Seconds to wait while another process writes.
    """

    def __init__(self, path: Path, *, create: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        check_at_least("timeout_s", timeout_s, 0, float)
        if path.is_file():
            raise StorageError(f"{path} is a file; a store is a folder")
        self.path = path
        self.journal = Journal(path / JOURNAL)
        if create:
            _create(path, timeout_s)
        has_lines = self.journal.tail().size > 0  # asked first: the journal of a new store is empty until the database is there
        if not (path / RECORDS).is_file():
            if has_lines:
                raise CorruptFileError(f"{path / RECORDS} is missing, {JOURNAL} beside it is there; {REPAIR}")
            raise StorageError(f"there is no store at {path}; `emprox store add` and Store(path, create=True) make one")
        files = [path, path / RECORDS, path / JOURNAL]
        read_only = not all(os.access(file, os.W_OK) for file in files if file.exists())
        self.database = Database(path / RECORDS, timeout_s, read_only)
        self._settle()

    @property
    def identity(self) -> tuple[int, int]:
        """What changes when a repair has replaced the files."""
        return self.database.identity

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        self.database.close()

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """Yield the records whose number is larger, in order.

        Raises
        ------
        CorruptFileError
            If one is damaged.
        """
        with self.database.reading() as connection:
            rows = connection.execute(database.SELECT, (after,)).fetchall()
        for number, *row in rows:
            try:
                yield number, Record.from_row(row)
            except CorruptFileError as error:
                raise CorruptFileError(f"record {number} of {self.path} is damaged: {error}; {REPAIR}") from error

    def append(self, records: Sequence[Record]) -> Added:
        """Add the records that are not there yet, all or none, and return when they will survive whatever happens."""
        with self.database.writing() as connection:
            tail = self._completed(connection)
            known = _numbers(connection, records)
            new = _distinct(record for record in records if record.key not in known)
            if new:
                self._check_measures(connection, new)
                line = Line.of(_last(connection) + 1, new)
                insert(connection, line.first, new)
                self._commit(connection, line, tail)
                known |= {record.key: line.first + place for place, record in enumerate(new)}
        return Added(tuple(known[record.key] for record in records), len(new))

    def check(self, records: Sequence[Record]) -> None:
        """Raise what `append` would raise of these records together, whether they are one addition or several."""
        with self.database.reading() as connection:
            known = _numbers(connection, records)
            self._check_measures(connection, _distinct(record for record in records if record.key not in known))

    def versions(self) -> dict[tuple[str, str], str]:
        """Return the current version of the embedding of each space and target that has one."""
        with self.database.reading() as connection:
            rows = connection.execute("SELECT space, target, version FROM embeddings ORDER BY id").fetchall()
        return {(space, target): version for space, target, version in rows}

    def switch(self, space: str, target: str, version: str) -> None:
        """Make a version the current one of a space and target; others see the old one or the new one."""
        with self.database.writing() as connection:
            connection.execute(database.INSERT_VERSION, (space, target, version))
            connection.execute("COMMIT")

    def _settle(self) -> None:
        """Complete an addition that a crash has interrupted; raise if the copies differ by more than that."""
        with self.database.reading() as connection:
            before, tail, after = _last(connection), self.journal.tail(), _last(connection)
            self._compare(before, tail, after)
        if tail.last > after:
            if self.database.read_only:
                raise StorageError(f"the last addition to {self.path} was interrupted; open it once where it can be written")
            with self.database.writing() as connection:
                self._completed(connection)

    def _completed(self, connection: sqlite3.Connection) -> Tail:
        """Return the end of the journal, under the write lock, after committing what SQLite lacks of it."""
        tail, last = self.journal.tail(), _last(connection)
        self._compare(last, tail, last)
        if tail.line is not None and tail.last > last:
            insert(connection, tail.line.first, tail.line.records)
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            return self._completed(connection)
        return tail

    def _compare(self, before: int, tail: Tail, after: int) -> None:
        """Raise if one copy lacks what the other has; SQLite was asked before and after the journal."""
        if tail.last < before:
            raise CorruptFileError(f"{self.journal.path} ends with record {tail.last}, {RECORDS} with {before}; {REPAIR}")
        if tail.line is not None and tail.line.first > after + 1:
            raise CorruptFileError(f"{self.path / RECORDS} ends with record {after}, {JOURNAL} with {tail.last}; {REPAIR}")

    def _commit(self, connection: sqlite3.Connection, line: Line, tail: Tail) -> None:
        """Write the line to the journal and commit; if that fails, take the line back while nobody else can write."""
        end = self.journal.append(line, tail)
        try:
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")  # another writer in between has completed the addition, or it was committed
            if _last(connection) < line.first and self.journal.tail().end == end:
                self.journal.cut(tail.end)
            raise

    def _check_measures(self, connection: sqlite3.Connection, records: Sequence[Record]) -> None:
        """Raise if a target comes with another unit or direction than before."""
        known = {name: (unit, better) for name, unit, better in connection.execute("SELECT * FROM targets")}
        for record in records:
            for name, measure in record.measures.items():
                came = (measure.unit, None if measure.larger_is_better is None else int(measure.larger_is_better))
                if known.setdefault(name, came) != came:
                    raise InvalidDataError(
                        f"{name} came with unit and direction {came}, {self.path} has it with {known[name]}; convert the values, "
                        "or give the target another name. Nothing was added"
                    )


def _create(path: Path, timeout_s: float) -> None:
    """Make an empty store unless there is one; of several processes that try, one does."""
    if (path / RECORDS).exists() or Journal(path / JOURNAL).tail().size:
        return
    staging = path / f".{RECORDS}-{uuid4().hex}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / JOURNAL).touch()
        database.create(staging, timeout_s)
        flush(staging)
        with suppress(FileExistsError):
            os.link(staging, path / RECORDS)
        flush(path)
        flush(path.parent)
    except OSError as error:
        if isinstance(error, EmproxError):
            raise
        raise StorageError(f"could not make a store at {path}: {error}") from error
    finally:
        with suppress(OSError):
            staging.unlink(missing_ok=True)


def insert(connection: sqlite3.Connection, first: int, records: Sequence[Record]) -> None:
    """Write the rows of records with consecutive numbers, and the measures of their targets."""
    connection.executemany(database.INSERT, [(first + place, *record.row) for place, record in enumerate(records)])
    measures = {name: measure for record in records for name, measure in record.measures.items()}
    rows = [(name, measure.unit, measure.larger_is_better) for name, measure in measures.items()]
    connection.executemany("INSERT OR IGNORE INTO targets VALUES (?, ?, ?)", rows)


def _last(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM records").fetchone()[0])


def _numbers(connection: sqlite3.Connection, records: Sequence[Record]) -> dict[str, int]:
    """Return the numbers of those records that are there, by key; raise if a key is another record's."""
    numbers = {}
    for record in records:
        found = connection.execute(database.BY_KEY, (record.key,)).fetchone()
        if found is not None:
            _check_same(Record.from_row(found[1:]), record)
            numbers[record.key] = int(found[0])
    return numbers


def _distinct(records: Iterable[Record]) -> list[Record]:
    found: dict[str, Record] = {}
    for record in records:
        _check_same(found.setdefault(record.key, record), record)
    return list(found.values())


def _check_same(known: Record, record: Record) -> None:
    same = ("space", "architecture", "values", "seed")
    if any(getattr(known, name) != getattr(record, name) for name in same):
        raise InvalidDataError(
            f"the key {record.key!r} is that of another record: {known.values}, seed {known.seed}, of {known.architecture:.80}; "
            f"now it came with {record.values}, seed {record.seed}, of {record.architecture:.80}. Give each training its own "
            "key; rows of a file have it of source and architecture: import the same columns, or give another source. "
            "Nothing was added"
        )
