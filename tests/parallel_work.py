"""What the tests of `emprox.parallel` run in workers."""

import os
import signal
import time
from pathlib import Path


class Counted:
    """Data that writes down where it was pickled and unpickled."""

    def __init__(self, log: Path, factor: int) -> None:
        self.log, self.factor = log, factor

    def __getstate__(self) -> dict:
        note(self.log, "pickled")
        return self.__dict__

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        note(self.log, "unpickled")


def note(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


def scaled(task: int, shared: Counted) -> tuple[int, int]:
    time.sleep(0.02)
    return task * shared.factor, os.getpid()


def square(task: int) -> int:
    return task * task


def careless(task: int) -> int:
    if task == 3:
        raise ValueError("three is too many")
    return task


def kills_its_worker_once(task: int, log: Path) -> int:
    """Number 7 ends its process the first time."""
    note(log, str(task))
    time.sleep(0.02)
    if task == 7 and log.read_text().split().count("7") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task


def always_kills_its_worker(task: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
