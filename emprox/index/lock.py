"""A lock beside a store: those who open and write its files share it, a repair that replaces them has it alone.

SQLite's own lock lives in a file that a repair removes. This one does not move, and ends with the process that holds it.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emprox.errors import StorageError, StoreBusyError

__all__ = ["LOCK", "PAUSE_S", "alone", "pause", "shared"]

LOCK = "records.lock"
PAUSE_S = (0.0005, 0.003)
"""Shortest and longest pause between two attempts to get a lock."""
_PAUSES = random.SystemRandom()


@contextmanager
def shared(folder: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock together with others.

    Raises
    ------
    StoreBusyError
        If a repair has it for longer than the time limit.
    """
    with _held(folder, fcntl.LOCK_SH, timeout_s):
        yield


@contextmanager
def alone(folder: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock while nobody else does.

    Raises
    ------
    StoreBusyError
        If others have it for longer than the time limit.
    """
    with _held(folder, fcntl.LOCK_EX, timeout_s):
        yield


def pause() -> None:
    """Wait for a few milliseconds at most."""
    time.sleep(_PAUSES.uniform(*PAUSE_S))


@contextmanager
def _held(folder: Path, kind: int, timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    descriptor = _opened(folder / LOCK)
    try:
        while not _taken(descriptor, kind):
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"another process has been repairing or writing to {folder} for more than {timeout_s:g} s; try again, or "
                    "give a longer timeout"
                )
            pause()
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone would leave it to a child that was forked meanwhile
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(f"cannot open the lock {path}: {error}; nothing was changed") from error


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
