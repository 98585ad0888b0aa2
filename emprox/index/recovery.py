"""What is in the two copies of a store, and one whole store made of what is left of them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from emprox.errors import CorruptFileError, EmproxError, StorageError
from emprox.index import database, lock
from emprox.index.embeddings import check_embeddings, encoders
from emprox.index.journal import Journal, Line, write_lines
from emprox.index.ledger import JOURNAL, RECORDS, TIMEOUT_S, insert
from emprox.index.records import Record
from emprox.persistence import flush

__all__ = ["Condition", "check_store", "repair_store"]

SIDES = ("", "-wal", "-shm")
BATCH = 1000
SMALLEST = 100
"""Bytes that a record takes at least: a number beyond the size of the files over this is none that was given."""


@dataclass(frozen=True)
class Condition:
    """What is left of a store."""

    path: Path
    """The folder."""
    in_database: dict[int, Record]
    """Whole records in SQLite, by number."""
    in_journal: dict[int, Record]
    """Whole records in the journal, by number."""
    problems: tuple[str, ...]
    """What is wrong, in sentences; nothing if the store is whole."""
    lost: tuple[int, ...]
    """Numbers of records that were there and are whole in neither copy; those behind the last saved one cannot be known."""
    in_embeddings: tuple[str, ...] = ()
    """What is wrong with the embeddings beside the records, which a repair leaves as they are."""

    @property
    def saved(self) -> tuple[Record, ...]:
        """Records that are whole in either copy, each key once, in order.

        After a repair that was interrupted the copies number the same records differently, so their keys tell what is the same.
        """
        copies = (self.in_journal, self.in_database)
        records = {record.key: record for copy in copies for record in copy.values()}
        places: dict[str, int] = {}
        for number, key in sorted((number, record.key) for copy in copies for number, record in copy.items()):
            places.setdefault(key, number)
        return tuple(sorted(records.values(), key=lambda record: places[record.key]))


def check_store(path: str | Path) -> Condition:
    """Read everything in a store and say what is wrong with it; no record is changed.

    Every record of both copies is compared with its checksum, and SQLite checks its own pages. What others add at this moment
    is not called wrong.

    Raises
    ------
    StorageError
        If there is no store, or its files cannot be read.
    """
    path = Path(path)
    _check_there(path)
    before = _last(path / RECORDS)
    journal, in_flight, damage = _in_journal(Journal(path / JOURNAL))
    found, wrong = _in_database(path / RECORDS, min(max(journal, default=0), _size(path) // SMALLEST))
    lacking = sorted(number for number in found if number <= before and number not in journal)
    behind = sorted(number for number in journal if number not in found and (wrong or number not in in_flight))
    other = sorted(number for number in found if number in journal and found[number] != journal[number])
    differences = {f"{JOURNAL} lacks": lacking, f"{RECORDS} lacks": behind, "the copies differ in": other}
    end = min(max([*found, *journal], default=0), _size(path) // SMALLEST)
    places = {record.key: number for number, record in found.items()}
    held = {*found, *(number for number, record in journal.items() if places.get(record.key, number) == number)}
    lost = [number for number in range(1, end + 1) if number not in held]  # a record of another number does not stand for it
    differences["neither copy has"] = lost
    wrong += _without_version(path)
    wrong += damage + [f"{what} {_ranges(numbers)}" for what, numbers in differences.items() if numbers]
    return Condition(path, found, journal, tuple(wrong), tuple(lost), _in_embeddings(path))


def repair_store(path: str | Path, timeout_s: float = TIMEOUT_S) -> Condition:
    """Make a whole store of what is left, and return what was found.

    Files that were there are kept in a folder ``damaged-...`` beside the new ones. The journal is replaced first; if the power
    fails in between, another repair finishes. Records keep their order, and are numbered anew if some are lost. A whole store
    stays as it is.

    Raises
    ------
    StorageError
        If there is no store, or the new files cannot be written.
    StoreBusyError
        If a process is writing for longer than the time limit.
    """
    path = Path(path)
    _check_there(path)
    with lock.alone(path, timeout_s):
        condition = check_store(path)
        if condition.problems:
            try:
                _replace(condition, timeout_s)
            except (OSError, sqlite3.Error) as error:
                if isinstance(error, EmproxError):
                    raise
                raise StorageError(f"could not repair {path}: {error}; try again, nothing is lost by that") from error
    return condition


def _in_journal(journal: Journal) -> tuple[dict[int, Record], range, list[str]]:
    """Return the records in whole lines, the numbers in the last of those, and what is wrong with other lines."""
    found: dict[int, Record] = {}
    damaged, last, in_flight = [], 0, range(0)
    for last, line in enumerate(journal.lines(), start=1):
        try:
            records = [] if line is None else line.records
        except CorruptFileError:
            records = []
        if line is None or not records:
            damaged.append(last)
            continue
        found.update(enumerate(records, start=line.first))
        in_flight = range(line.first, line.last + 1)
    if damaged == [last]:  # half of an addition that was never acknowledged
        damaged = []
    return found, in_flight, [f"{journal.path.name} has damaged lines: {_ranges(damaged)} of {last}"] if damaged else []


def _in_database(path: Path, most: int) -> tuple[dict[int, Record], list[str]]:
    """Return the whole records in SQLite, and what is wrong with it."""
    if not path.is_file():
        return {}, [f"{path.name} is missing"]
    wrong = []
    try:
        with closing(_opened(path)) as connection, database.explained(path, TIMEOUT_S):
            wrong += [f"{path.name}: {text}" for (text,) in connection.execute("PRAGMA integrity_check(20)") if text != "ok"]
            rows = connection.execute(database.SELECT, (0,)).fetchall()
    except (CorruptFileError, StorageError) as error:
        wrong.append(str(error))
        rows = list(_salvaged(path, most))
    found, damaged = {}, []
    for number, *row in rows:
        try:
            found[number] = Record.from_row(row)
        except CorruptFileError:
            damaged.append(number)
    return found, wrong + ([f"{path.name} has damaged records: {_ranges(damaged)}"] if damaged else [])


def _in_embeddings(path: Path) -> tuple[str, ...]:
    """Return what is wrong with the encoders, the current ones first of all, and their indexes."""
    current = {version for _, _, version in _versions(path / RECORDS) or []}
    return tuple(problem for version in sorted({*current, *encoders(path)}) for problem in check_embeddings(path, version))


def _salvaged(path: Path, most: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a damaged database that can still be read, one by one."""
    with suppress(sqlite3.Error), closing(_reader(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")  # with it, SQLite reads a file that is shorter than it should be
        number = misses = 0
        while number < most or misses < BATCH:
            number, misses = number + 1, misses + 1
            with suppress(sqlite3.Error, UnicodeDecodeError):
                for row in connection.execute(database.BY_NUMBER, (number,)):
                    misses = 0
                    yield row


def _replace(condition: Condition, timeout_s: float) -> None:
    """Write both copies anew and put them in place of the old ones, which are kept aside."""
    path, records = condition.path, condition.saved
    starts = range(0, len(records), BATCH)
    lines = [Line.of(start + 1, records[start : start + BATCH]) for start in starts]
    aside = path / f"damaged-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    new = {name: path / f".{name}-{aside.name}" for name in (JOURNAL, RECORDS)}
    try:
        write_lines(new[JOURNAL], lines)
        database.create(new[RECORDS], timeout_s)
        with closing(database.connect(new[RECORDS], timeout_s, read_only=False)) as connection:
            connection.execute("BEGIN")
            for start in starts:
                insert(connection, start + 1, records[start : start + BATCH])
            connection.executemany(database.INSERT_VERSION, _versions(path / RECORDS) or [])
            connection.execute("COMMIT")
        flush(new[RECORDS])
        aside.mkdir()
        for name in (JOURNAL, *(RECORDS + side for side in SIDES)):
            with suppress(FileNotFoundError):
                os.link(path / name, aside / name)
        flush(aside)
        new[JOURNAL].replace(path / JOURNAL)
        flush(path)
        for side in SIDES[1:]:  # the log of the old database must not be taken for that of the new one
            (path / (RECORDS + side)).unlink(missing_ok=True)
        flush(path)
        new[RECORDS].replace(path / RECORDS)
        flush(path)
    finally:
        for file in new.values():
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _check_there(path: Path) -> None:
    if not any((path / name).is_file() for name in (RECORDS, JOURNAL)):
        raise StorageError(f"there is no store at {path}")


def _size(path: Path) -> int:
    """Return the bytes of both copies."""
    files = [path / JOURNAL, *(path / (RECORDS + side) for side in SIDES)]
    return sum(file.stat().st_size for file in files if file.is_file())


def _opened(path: Path) -> sqlite3.Connection:
    return database.connect(path, TIMEOUT_S, read_only=True)


def _reader(path: Path) -> sqlite3.Connection:
    """Open a database without any check."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None)


def _last(path: Path) -> int:
    """Return the number of the last record in SQLite, 0 where it cannot be asked."""
    with suppress(EmproxError, sqlite3.Error), closing(_opened(path)) as connection:
        return int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM records").fetchone()[0])
    return 0


def _versions(path: Path) -> list[tuple[str, str, str]] | None:
    """Return what a damaged database still has of the versions of embeddings, None if it cannot be asked."""
    with suppress(sqlite3.Error, UnicodeDecodeError), closing(_reader(path)) as connection:
        rows = connection.execute("SELECT space, target, version FROM embeddings ORDER BY id").fetchall()
        return [row for row in rows if all(isinstance(text, str) for text in row)]
    return None


def _without_version(path: Path) -> list[str]:
    """Say that there are embeddings and that the database does not tell any more which is current."""
    kept = [] if _versions(path / RECORDS) is not None else encoders(path)
    made_again = "`emprox store reembed` makes one current again; until then the store has none"
    return [f"{RECORDS} does not tell which embedding is current of {', '.join(kept)}; {made_again}"] if kept else []


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as text, runs shortened.

    >>> _ranges([1, 2, 3, 7])
    '1-3, 7'
    """
    known = set(numbers)
    starts = [n for n in numbers if n - 1 not in known]
    ends = [n for n in numbers if n + 1 not in known]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
