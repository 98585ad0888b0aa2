"""Every error that emprox raises on purpose: one base class, and each is also the builtin that it is.

An error says what came, what was expected, and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "ClusterError",
    "CorruptFileError",
    "DownloadError",
    "EmproxError",
    "InvalidArchitectureError",
    "InvalidDataError",
    "InvalidOptionError",
    "MissingDependencyError",
    "StorageError",
    "StoreBusyError",
    "TableNotFoundError",
    "TaskError",
    "UndefinedProxyError",
    "UnknownNameError",
    "WorkerLostError",
]


class EmproxError(Exception):
    """Base class of all errors raised on purpose by emprox."""


class InvalidArchitectureError(EmproxError, ValueError):
    """An architecture that cannot be read, or that belongs to another search space."""


class InvalidDataError(EmproxError, ValueError):
    """Measurements that cannot be used: NaN, infinite, missing, of another length."""


class InvalidOptionError(EmproxError, ValueError):
    """An option outside its range, or options that contradict each other."""


class UndefinedProxyError(EmproxError, ArithmeticError):
    """A zero-cost proxy that has no finite value for a network; the message says why."""


class UnknownNameError(EmproxError, LookupError):
    """A name that is not registered; the message suggests the nearest."""


class MissingDependencyError(EmproxError, ImportError):
    """An optional package is needed and not installed."""


class TableNotFoundError(EmproxError, FileNotFoundError):
    """The file of a known performance table is in none of the places where it is looked for."""


class CorruptFileError(EmproxError, ValueError):
    """A file that is there but is not what it should be."""


class StorageError(EmproxError, OSError):
    """Writing or reading a file failed: permission, space, or a path of the wrong kind."""


class StoreBusyError(EmproxError, TimeoutError):
    """Another process has been writing to a store for longer than the time limit."""


class ClusterError(EmproxError, ConnectionError):
    """A cluster cannot be reached, or has no workers that tasks could run on."""


class TaskError(EmproxError, RuntimeError):
    """A function failed on one of many tasks; the message names the task, the cause has the worker's traceback."""


class WorkerLostError(EmproxError, RuntimeError):
    """The workers that had a task ended in the middle of it, as often as it was tried."""


class DownloadError(EmproxError, ConnectionError):
    """A download failed: the server does not answer, refuses, or sends something else."""

    is_final: bool
    """Whether another attempt would change nothing."""

    def __init__(self, message: str, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final
