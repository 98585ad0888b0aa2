"""The same work in one process, in several, or on a Dask or Ray cluster; and the threads of the libraries that compute.

`run` calls a function for each of many tasks. What it returns does not depend on where it ran: a task has its seed in it,
results come with the position of their task, and a result counts once however often its worker was lost.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from emprox.errors import CorruptFileError, EmproxError, InvalidOptionError, TaskError, UnknownNameError
from emprox.registry import nearest
from emprox.validation import check_at_least

if TYPE_CHECKING:
    from emprox._workers import Workers

__all__ = ["ENGINES", "Engine", "limit_threads", "run"]

ENGINES = {"loky": "processes of this machine", "dask": "workers of a Dask cluster", "ray": "workers of a Ray cluster"}
"""Names of engines, and what tasks run on."""
SHOWN = 200
"""Characters of a task that an error shows."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Engine:
    """Where tasks run.

    Raises
    ------
    UnknownNameError
        If there is no such engine.
    InvalidOptionError
        If a number is out of range, or options contradict each other.
    """

    name: str = "loky"
    """One of `ENGINES`; ``dask`` and ``ray`` need the extra of the same name."""
    jobs: int = 1
    """Processes of this machine; 1 with ``loky`` is the calling process itself. A cluster at an address has its own workers."""
    address: str | None = None
    """Scheduler of a Dask cluster (``tcp://host:8786``) or head of a Ray cluster (``host:6379``, ``auto``). Without, the Dask
    client or Ray connection that this process has is used, and if it has none, a cluster of `jobs` local workers is started."""
    retries: int = 2
    """How often a task is run again if the worker that has it is lost. An error that the function raises is not tried again."""

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise UnknownNameError(f"no engine is called {self.name!r}; {nearest(str(self.name), list(ENGINES))}")
        check_at_least("jobs", self.jobs, 1)
        check_at_least("retries", self.retries, 0)
        if self.address is not None and self.name == "loky":
            raise InvalidOptionError(f"the engine loky is this machine, got the address {self.address!r}; choose dask or ray")
        if self.address is not None and self.jobs != 1:
            raise InvalidOptionError(
                f"the cluster at {self.address} has workers of its own, got jobs={self.jobs}; leave jobs out"
            )

    @property
    def is_this_process(self) -> bool:
        """Whether tasks run one after the other where they are asked for."""
        return self.name == "loky" and self.jobs == 1

    def connect(self) -> Workers:
        """Return the workers, as a context manager; meant for tasks that come one by one, `run` takes many.

        Raises
        ------
        MissingDependencyError
            If the extra of the engine is not installed.
        ClusterError
            If the cluster cannot be reached or has no workers.
        """
        from emprox._workers import connect

        return connect(self)


def run(
    function: Callable[..., R], tasks: Iterable[T], *, shared: Any = None, engine: Engine | None = None
) -> Iterator[tuple[int, R]]:
    """Call a function for each task and give positions and results as they come.

    Parameters
    ----------
    function : callable
        Called with a task, and with `shared` as second argument unless that is None. Workers import it by name.
    tasks : iterable
        Drawn when there is room for them, so it may be long or endless.
    shared : object, optional
        What all tasks need (a table, a fitted model). It is pickled once, reaches each worker once and is unpickled there once.
    engine : Engine, optional
        By default the calling process.

    Yields
    ------
    (int, result)
        The task's place, from 0, and what the function returned; in one process in the order of tasks, else as they are done.

    Raises
    ------
    TaskError
        If the function raised for a task. Tasks that run are abandoned.
    WorkerLostError
        If a task's workers were lost more than `Engine.retries` times.

    Examples
    --------
    >>> sorted(run(pow, [2, 3], shared=10))
    [(0, 1024), (1, 59049)]
    """
    engine = engine or Engine()
    if engine.is_this_process:
        for position, task in enumerate(tasks):
            yield position, _called(function, position, task, shared)
        return
    with engine.connect() as workers:
        if shared is not None:
            workers.share(shared)
        yield from workers.results(function, tasks)


def _called(function: Callable[..., R], position: int, task: Any, shared: Any) -> R:
    try:
        return function(task) if shared is None else function(task, shared)
    except Exception as error:
        raise TaskError(f"{described(error)}; in {named(position, task)}") from error


def named(position: int, task: Any) -> str:
    """Return how errors call a task."""
    text = repr(task)
    return f"task {position}: {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"


def described(error: BaseException) -> str:
    """Return an error's message, with its type unless emprox raised it on purpose."""
    return str(error) if isinstance(error, EmproxError) else f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Failure:
    """An error of the function, as workers send it: exceptions themselves may not survive the way."""

    error: str
    """Its type and message."""
    trace: str
    """Where it was raised."""


_one_at_a_time = RLock()
"""Global random states and numbers of threads belong to one task at a time, also where a Dask worker has several threads."""
_held: dict[str, Any] = {}
"""In a worker: the shared object that came last, by its hash."""


def work(function: Callable[..., Any], task: Any, key: str | None, content: Any) -> Any:
    """Do a task in a worker; an error is returned as a `Failure`.

    Parameters
    ----------
    function, task
        What to call with what.
    key : str, optional
        Hash of the shared object, or None where there is none.
    content : bytes-like or Path
        The shared object, pickled by `run` of the same user; it is unpickled where the worker does not hold it yet.
    """
    with _one_at_a_time:
        try:
            if key is None:
                return function(task)
            if key not in _held:
                _held.clear()
                pickled = content.read_bytes() if isinstance(content, Path) else content
                if sha256(pickled).hexdigest() != key:
                    raise CorruptFileError("the shared object is not the one that was sent; run it again")
                _held[key] = pickle.loads(pickled)
            return function(task, _held[key])
        except Exception as error:
            return Failure(described(error), traceback.format_exc())


@contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Hold torch, FAISS and the BLAS and OpenMP pools of this process to a number of threads."""
    import faiss
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before[0])
        faiss.omp_set_num_threads(before[1])
