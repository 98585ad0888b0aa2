"""The records of a store in SQLite: opened with full sync, never changed, its errors told apart."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import quote

from emprox.errors import CorruptFileError, StorageError, StoreBusyError
from emprox.index import lock
from emprox.index.records import COLUMNS

__all__ = ["FORMAT", "REPAIR", "Database", "connect", "create", "explained"]

FORMAT = 1
APPLICATION = 0x456D5072
"""SQLite's mark of what program a file is of."""
SCHEMA = (
    "CREATE TABLE records (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, space TEXT NOT NULL, architecture TEXT NOT NULL, "
    "targets TEXT NOT NULL, seed INTEGER, source TEXT NOT NULL, time TEXT NOT NULL, embedding TEXT NOT NULL, "
    "sha256 TEXT NOT NULL)",
    "CREATE TABLE targets (name TEXT PRIMARY KEY, unit TEXT NOT NULL, larger_is_better INTEGER)",
    "CREATE TABLE embeddings (id INTEGER PRIMARY KEY, space TEXT NOT NULL, target TEXT NOT NULL, version TEXT NOT NULL)",
    "CREATE TRIGGER no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are never changed'); END",
    "CREATE TRIGGER no_delete BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are never removed'); END",
)
REPAIR = "`emprox store check` says what can be saved, `emprox store repair` saves it"
SETTINGS = ("synchronous = FULL", "fullfsync = 1", "checkpoint_fullfsync = 1", "trusted_schema = 0", "cell_size_check = 1")
INSERT = f"INSERT INTO records (id, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"
SELECT = f"SELECT id, {', '.join(COLUMNS)} FROM records WHERE id > ? ORDER BY id"
BY_NUMBER = f"SELECT id, {', '.join(COLUMNS)} FROM records WHERE id = ?"
INSERT_VERSION = "INSERT INTO embeddings (space, target, version) VALUES (?, ?, ?)"
BY_KEY = f"SELECT id, {', '.join(COLUMNS)} FROM records WHERE key = ?"


def create(path: Path, timeout_s: float) -> None:
    """Write an empty database to a new file and flush it; the file does not appear under this name half-written."""
    with explained(path, timeout_s):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute("BEGIN")
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
        finally:
            connection.close()


def connect(path: Path, timeout_s: float, read_only: bool) -> sqlite3.Connection:
    """Open a database that `create` wrote.

    In a folder that cannot be written and without a log beside it, SQLite is told that nobody else writes either.

    Raises
    ------
    StorageError
        If it cannot be opened.
    CorruptFileError
        If it is no store, one of another format, or damaged.
    """
    immutable = read_only and not path.with_name(path.name + "-wal").exists() and not _writable(path.parent)
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if immutable else ''}"
    with explained(path, timeout_s):
        connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        try:
            for setting in SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            _check_schema(path, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Raise unless the database is exactly of `SCHEMA`: one that others made could hold views and triggers of theirs."""
    application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if application != APPLICATION:
        raise CorruptFileError(f"{path} is not the record store of emprox; run `emprox store check`")
    if version != FORMAT:
        raise CorruptFileError(f"{path} has format {version}, this emprox reads {FORMAT}; use the emprox that wrote it")
    found = [text for (text,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    if sorted(found) != sorted(SCHEMA):
        raise CorruptFileError(f"{path} has other tables than a record store; it is damaged or was changed by another program")


class Database:
    """Connections to one file, one for each thread of each process.

    Parameters
    ----------
    path : Path
        The file, which `create` wrote.
    timeout_s : float
        Seconds to wait for other writers.
    read_only : bool
        Whether to open it for reading.
    """

    def __init__(self, path: Path, timeout_s: float, read_only: bool) -> None:
        self.path = path
        self.timeout_s = timeout_s
        self.read_only = read_only
        self._local = threading.local()
        self._is_fleeting = read_only and not _writable(path.parent)

    @property
    def identity(self) -> tuple[int, int]:
        """Device and number of the file under the name; another one after a repair."""
        try:
            facts = self.path.stat()
        except OSError as error:
            raise StorageError(f"cannot read the record store {self.path}: {error}") from error
        return facts.st_dev, facts.st_ino

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection; errors of SQLite become errors of emprox."""
        with explained(self.path, self.timeout_s):
            try:
                yield self._connection()
            finally:
                if self._is_fleeting:
                    self.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection with the write lock; what is not committed inside is rolled back.

        Raises
        ------
        StoreBusyError
            If another process holds the lock for longer than the time limit.
        """
        if self.read_only:
            raise StorageError(f"{self.path} is read-only here; nothing was added")
        with self.reading() as connection:
            self._begin(connection)
            try:
                with lock.shared(self.path.parent, self.timeout_s):  # a repair waits, or has ended
                    if self.identity != self._local.identity:  # it has replaced the file
                        connection.execute("ROLLBACK")
                        connection = self._connection()
                        self._begin(connection)
                    yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Take the write lock; asks every few milliseconds, because SQLite sleeps so long that busy writers starve others."""
        deadline = time.monotonic() + self.timeout_s
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > deadline:
                        raise
                lock.pause()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.timeout_s)}")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None and self._local.process == os.getpid():
            with suppress(sqlite3.Error):
                connection.close()
        self._local.connection = None

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection, a new one in a new process: SQLite must not be carried across a fork."""
        local, identity = self._local, self.identity
        if getattr(local, "connection", None) is None or local.process != os.getpid() or local.identity != identity:
            if getattr(local, "connection", None) is not None and local.process != os.getpid():
                _INHERITED.append(local.connection)
            with nullcontext() if self.read_only else lock.shared(self.path.parent, self.timeout_s):
                identity = self.identity
                local.connection = connect(self.path, self.timeout_s, self.read_only)
            local.process, local.identity = os.getpid(), identity
        return local.connection


def _is_busy(error: sqlite3.Error) -> bool:
    return any(word in str(error) for word in ("locked", "busy", "locking protocol"))


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


_INHERITED: list[sqlite3.Connection] = []
"""Connections of a parent process: closing them here could remove files that the parent uses."""


@contextmanager
def explained(path: Path, timeout_s: float) -> Iterator[None]:
    """Turn errors of SQLite into those of emprox."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if _is_busy(error):
            raise StoreBusyError(
                f"another process has been writing to {path} for more than {timeout_s:g} s; try again, or give a longer timeout"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and not any(word in text for word in ("malformed", "no such")):
            raise StorageError(f"cannot use the record store {path}: {text}") from error
        raise CorruptFileError(f"the record store {path} is damaged: {text}; {REPAIR}") from error
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"the record store {path} is damaged: {error}; run `emprox store check`") from error
