"""The second copy of a store's records: a text file that only grows, one line for each addition, each line with a checksum.

A line is written and flushed before the addition is committed to SQLite, and cut off again if that fails. So at most the last
line is ahead of SQLite, and only after a crash; it is a whole addition, and the next writer completes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emprox.errors import CorruptFileError, StorageError
from emprox.index.records import Record

__all__ = ["Journal", "Line", "Tail"]

FORMAT = 1
BLOCK = 1 << 16
NEWLINE = b"\n"


@dataclass(frozen=True)
class Line:
    """One addition, records with consecutive numbers: ``checksum format first count [rows]``."""

    first: int
    """Number of the first record, from 1."""
    count: int
    """How many there are, at least 1."""
    text: bytes
    """Their rows as JSON."""

    @classmethod
    def of(cls, first: int, records: Sequence[Record]) -> Line:
        """Return the line of some records."""
        return cls(first, len(records), json.dumps([record.row for record in records]).encode())

    @property
    def last(self) -> int:
        """Number of the last record."""
        return self.first + self.count - 1

    @property
    def records(self) -> list[Record]:
        """The records.

        Raises
        ------
        CorruptFileError
            If they are not what `of` wrote.
        """
        try:
            records = [Record.from_row(row) for row in json.loads(self.text)]
        except (ValueError, TypeError, RecursionError) as error:
            raise CorruptFileError(f"an addition to a store is none that emprox wrote: {error}") from error
        if len(records) != self.count:
            raise CorruptFileError(f"an addition to a store has {len(records)} records, its head says {self.count}")
        return records

    def encode(self) -> bytes:
        """Return the line as bytes, its checksum first."""
        content = b"%d %d %d %b" % (FORMAT, self.first, self.count, self.text)
        return _digest(content) + b" " + content + NEWLINE

    @classmethod
    def decode(cls, line: bytes) -> Line | None:
        """Return what a line holds, or None if it is damaged; its records are read when asked for.

        Raises
        ------
        CorruptFileError
            If it is whole and of another format.
        """
        digest, _, content = line.removesuffix(NEWLINE).partition(b" ")
        if digest != _digest(content):
            return None
        form, *parts = content.split(b" ", 3)
        if form != b"%d" % FORMAT:
            raise CorruptFileError(
                f"the store has format {form[:20]!r}, this emprox reads {FORMAT}; use the emprox that wrote it"
            )
        if len(parts) != 3 or not all(number.isdigit() and len(number) < 16 for number in parts[:2]):
            return None
        first, count = map(int, parts[:2])
        return cls(first, count, parts[2]) if first and count else None


@dataclass(frozen=True)
class Tail:
    """The end of a journal."""

    line: Line | None
    """The last whole line; None in an empty journal."""
    end: int
    """Where that line ends."""
    size: int
    """Length of the file; what lies between is half of an addition that was never acknowledged."""

    @property
    def last(self) -> int:
        """Number of the last record, 0 in an empty journal."""
        return 0 if self.line is None else self.line.last


class Journal:
    """The file. Only one process may write at a time: the caller holds the lock of the store.

    Parameters
    ----------
    path : Path
        The file; a missing one is empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def tail(self) -> Tail:
        """Return the end of the file; reads as much as the last two lines are long.

        Raises
        ------
        CorruptFileError
            If more than the last line is damaged.
        """
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                line, end = _line_before(file, size)
                if end == size and line and Line.decode(line) is None:  # a last line may be half of what was being written
                    line, end = _line_before(file, size - len(line))
                if not line:
                    return Tail(None, 0, size)
                if (found := Line.decode(line)) is not None:
                    return Tail(found, end, size)
        except FileNotFoundError:
            return Tail(None, 0, 0)
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error}") from error
        raise CorruptFileError(f"{self.path} is damaged at its end; `emprox store repair` saves what can be saved")

    def append(self, line: Line, after: Tail) -> int:
        """Write a line behind the tail and flush it to disk; return where it ends. What does not succeed leaves no trace."""
        data = line.encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                try:
                    os.ftruncate(descriptor, after.end)
                    os.lseek(descriptor, after.end, os.SEEK_SET)
                    _write(descriptor, data)
                    os.fsync(descriptor)
                except BaseException:
                    os.ftruncate(descriptor, after.end)
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"could not write {self.path}: {error}; nothing was added") from error
        return after.end + len(data)

    def cut(self, size: int) -> None:
        """Take back what was written beyond a length."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY)
            try:
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"could not write {self.path}: {error}") from error

    def lines(self) -> Iterator[Line | None]:
        """Yield every line, None for a damaged one; an unfinished last one is left out."""
        try:
            with self.path.open("rb") as file:
                for line in file:
                    if line.endswith(NEWLINE):
                        yield _decoded(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error}") from error


def write_lines(path: Path, batches: Sequence[Line]) -> None:
    """Write a journal anew and flush it."""
    with path.open("wb") as file:
        for line in batches:
            file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def _decoded(line: bytes) -> Line | None:
    try:
        return Line.decode(line)
    except CorruptFileError:
        return None


def _line_before(file: Any, end: int) -> tuple[bytes, int]:
    """Return the last line that ends with a newline at or before a position, and its end; nothing where there is none."""
    data, start = b"", end
    while start > 0:
        step = min(max(BLOCK, len(data)), start)
        start -= step
        file.seek(start)
        data = file.read(step) + data
        if (stop := data.rfind(NEWLINE)) >= 0 and (before := data.rfind(NEWLINE, 0, stop)) >= 0:
            return data[before + 1 : stop + 1], start + stop + 1
    stop = data.rfind(NEWLINE)
    return data[: stop + 1], stop + 1


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
