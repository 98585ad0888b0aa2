"""Run a function in a forked process: one that may be limited, see another disk, or be killed."""

import ctypes
import multiprocessing
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NEW_MOUNTS, PRIVATE, BIND, REMOUNT, READ_ONLY = 0x00020000, 0x44000, 0x1000, 0x20, 1


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a forked process; what it raises is raised here."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    kind, value = ours.recv()
    process.join()
    if kind == "error":
        raise value
    return value


def limited(function: Callable[..., Any], *arguments: Any, largest_file: int) -> Any:
    """Run in a process whose files cannot grow beyond some bytes."""

    def run() -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
        return function(*arguments)

    return in_child(run)


def on_small_disk(folder: Path, size: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a process that sees an empty disk of some bytes at the folder; skip the test where that is not allowed."""

    def run() -> Any:
        _mount(b"tmpfs", folder, b"tmpfs", 0, f"size={size}".encode())
        return function(*arguments)

    return in_child(run)


def on_read_only_disk(folder: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a process that sees the folder on a read-only disk; skip the test where that is not allowed."""

    def run() -> Any:
        _mount(os.fsencode(folder), folder, b"", BIND, b"")
        _mount(b"", folder, b"", BIND | REMOUNT | READ_ONLY, b"", new=False)
        return function(*arguments)

    return in_child(run)


def _mount(source: bytes, folder: Path, kind: bytes, flags: int, data: bytes, new: bool = True) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if new and (libc.unshare(NEW_MOUNTS) or libc.mount(b"", b"/", b"", PRIVATE, b"")):
        pytest.skip(f"a process of its own view of disks is not allowed here: {os.strerror(ctypes.get_errno())}")
    if libc.mount(source, os.fsencode(folder), kind, flags, data):
        pytest.skip(f"mounting is not allowed here: {os.strerror(ctypes.get_errno())}")


def _run(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send(("value", function(*arguments)))
    except BaseException as error:  # also pytest's skip
        pipe.send(("error", error))
