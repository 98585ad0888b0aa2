"""Workers of each engine behind one face, which joblib drives: start a task, hear of its end, start it again if need be.

joblib 1.6 has backends too: that for Dask never reports a task whose workers were killed too often, that for Ray
gives no result before all are there. Therefore this one, over futures, for all three engines.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import ParallelBackendBase

from emprox._optional import import_optional
from emprox.errors import ClusterError, InvalidOptionError, TaskError, WorkerLostError
from emprox.parallel import Engine, Failure, described, named, work

__all__ = ["Workers", "connect"]

IDLE = 300
"""Seconds after which a process of this machine that has nothing to do ends."""
PATIENCE = 60
"""Seconds to wait for a cluster's first worker."""
AHEAD = 256
"""Tasks that a cluster is handed at least, so that workers which join it later find some."""

CANCELLED = (CancelledError, asyncio.CancelledError)
"""What futures raise that were given up: by a scheduler that lost their data, or by us, when nobody waits any more."""


@dataclass(eq=False)
class _Job:
    """A task on its way."""

    function: Callable[..., Any]
    position: int
    task: Any
    outcome: Future[Any] = field(default_factory=Future)
    """Ends once, however often the task was started."""
    losses: int = 0


class Workers(ABC):
    """Runs tasks in other processes; as a context manager it ends what it has started.

    Everything that happens to a job happens in one thread: an engine's own threads may neither wait for it nor for joblib's lock.
    """

    lost: tuple[type[BaseException], ...]
    """Errors of a worker that ended, not of the function."""
    ahead: int
    """Tasks that are handed over at a time."""

    def __init__(self, engine: Engine, jobs: int) -> None:
        self.jobs, self.retries = jobs, engine.retries
        self.ahead = 2 * jobs
        self._key: str | None = None
        self._content: Any = None
        self._running: set[Any] = set()
        self._is_open = True
        self._thread = ThreadPoolExecutor(1, "emprox-parallel")

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self.abandon()
        self._thread.shutdown()
        self.close()

    def share(self, value: Any) -> None:
        """Hand over what all tasks of this connection are called with as well."""
        pickled = cloudpickle.dumps(value)
        self._key, self._content = sha256(pickled).hexdigest(), self._put(pickled)

    def submit(self, function: Callable[..., Any], task: Any, position: int = 0) -> Future[Any]:
        """Start one task; the future has its result, or raises `TaskError` or `WorkerLostError`."""
        job = _Job(function, position, task)
        self._soon(self._begin, job)
        return job.outcome

    def results(self, function: Callable[..., Any], tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give position and result of each task as they come."""
        errors: list[Exception] = []

        def calls() -> Iterator[Any]:
            try:
                for position, task in enumerate(tasks):
                    yield delayed(function)(position, task)
            except Exception as error:  # tasks are drawn in another thread, where nobody would hear of it
                errors.append(error)

        options = {"return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": self.ahead}
        yield from Parallel(n_jobs=self.jobs, backend=_Backend(self), **options)(calls())
        if errors:
            raise errors[0]

    def abandon(self) -> None:
        """Give up the tasks that were started."""
        for future in list(self._running):
            self._running.discard(future)
            self._cancel(future)

    @abstractmethod
    def close(self) -> None:
        """End what was started for these workers."""

    @abstractmethod
    def _put(self, pickled: bytes) -> Any:
        """Return what becomes the shared content when it is an argument of `work`."""

    @abstractmethod
    def _start(self, *arguments: Any) -> Any:
        """Start `work` with these arguments; return a future, of this engine's kind."""

    def _cancel(self, future: Any) -> None:
        future.cancel()

    def _soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the thread has ended with the connection, and nobody waits for the outcome
            self._thread.submit(function, *arguments)

    def _begin(self, job: _Job) -> None:
        try:
            future = self._start(job.function, job.task, self._key, self._content)
        except Exception as error:
            self._fail(job, error)
        else:
            self._running.add(future)
            future.add_done_callback(partial(self._soon, self._end, job))

    def _end(self, job: _Job, future: Any) -> None:
        self._running.discard(future)
        try:
            result = future.result()
        except (Exception, *CANCELLED) as error:
            self._fail(job, error)
        else:
            if isinstance(result, Failure):
                job.outcome.set_exception(_failure(job, result.error, RuntimeError(result.trace)))
            else:
                job.outcome.set_result((job.position, result))

    def _fail(self, job: _Job, error: BaseException) -> None:
        """Start a job again whose worker was lost; what else went wrong is its outcome."""
        if not isinstance(error, (*self.lost, *CANCELLED)):
            job.outcome.set_exception(_failure(job, described(error), error))
            return
        job.losses += 1
        if self._is_open and job.losses <= self.retries:
            self._begin(job)
            return
        lost = WorkerLostError(
            f"the worker was lost {job.losses} times ({type(error).__name__}), expected at most {self.retries}; is there memory "
            f"enough? In {named(job.position, job.task)}"
        )
        lost.__cause__ = error
        job.outcome.set_exception(lost)


def _failure(job: _Job, error: str, cause: BaseException) -> TaskError:
    failure = TaskError(f"{error}; in {named(job.position, job.task)}")
    failure.__cause__ = cause
    return failure


class _Backend(ParallelBackendBase):
    """What joblib asks of a backend; batches have one task each."""

    supports_retrieve_callback = True
    supports_return_generator = True

    def __init__(self, workers: Workers) -> None:
        super().__init__(nesting_level=0)
        self.workers = workers

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return the number of workers, or 2 if it is 1: joblib would do the work of one by itself, here."""
        return max(2, self.workers.jobs)

    def submit(self, func: Any, callback: Callable[[Future[Any]], None]) -> Future[Any]:
        """Start a batch of one."""
        ((function, (position, task), _),) = func.items
        future = self.workers.submit(function, task, position)
        future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> list[Any]:
        """Return the results of a batch."""
        return [out.result()]

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Give up what runs."""
        self.workers.abandon()


class _Loky(Workers):
    """Processes of this machine; the shared content is a file that each of them reads once."""

    lost = (BrokenProcessPool,)

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, engine.jobs)
        self._folder: Path | None = None
        self._executor: Any = None

    def _put(self, pickled: bytes) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="emprox-"))
        file = self._folder / "shared.pickle"
        file.write_bytes(pickled)
        return file

    def _start(self, *arguments: Any) -> Future[Any]:
        self._executor = get_reusable_executor(self.jobs, timeout=IDLE)
        return self._executor.submit(work, *arguments)

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def abandon(self) -> None:
        if self._running and self._executor is not None:
            self._executor.shutdown(kill_workers=True)
        super().abandon()


class _Dask(Workers):
    """Workers of a Dask cluster; the shared content is scattered to all of them."""

    def __init__(self, engine: Engine) -> None:
        distributed = import_optional("distributed", "dask")
        self.lost = (distributed.KilledWorker, distributed.client.FutureCancelledError)
        self._owned: list[Any] = []
        try:
            self._client = self._connected(distributed, engine)
            threads = self._workers(distributed)
        except BaseException:
            self.close()
            raise
        super().__init__(engine, len(threads))
        self.ahead = max(AHEAD, 2 * len(threads))
        self._pickled = b""

    def _connected(self, distributed: Any, engine: Engine) -> Any:
        if engine.address is None:
            with suppress(ValueError):
                return distributed.default_client()
        place = engine.address
        if place is None:
            place = distributed.LocalCluster(n_workers=engine.jobs, threads_per_worker=1, processes=True, dashboard_address=":0")
            self._owned.append(place)
        try:
            client = distributed.Client(place, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {engine.address}: {error}; `dask scheduler` starts one and says its address"
            ) from error
        self._owned.append(client)
        return client

    def _workers(self, distributed: Any) -> dict[str, int]:
        """Return the threads of each worker by its address."""
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except (TimeoutError, distributed.TimeoutError) as error:
            scheduler = self._client.scheduler.address
            raise ClusterError(
                f"the Dask cluster at {scheduler} has had no worker for {PATIENCE} seconds; "
                f"start some: dask worker {scheduler} --nworkers 4 --nthreads 1"
            ) from error
        threads: dict[str, int] = self._client.nthreads()
        several = {worker: n for worker, n in threads.items() if n > 1}
        if several:
            worker, n = next(iter(several.items()))
            raise InvalidOptionError(
                f"the Dask worker {worker} has {n} threads, expected one: libraries' random states and threads belong to a "
                "process; start workers with --nthreads 1, and as many as there are cores with --nworkers"
            )
        return threads

    def _put(self, pickled: bytes) -> Any:
        self._pickled = pickled
        return self._client.scatter(pickled, broadcast=True, hash=False)

    def _start(self, *arguments: Any) -> Any:
        if self._key is not None and self._content.status != "finished":  # all workers that had it are gone
            self._content = self._put(self._pickled)
            arguments = (*arguments[:-1], self._content)
        return self._client.submit(work, *arguments, pure=False)

    def close(self) -> None:
        for owned in reversed(self._owned):
            owned.close()


class _Ray(Workers):
    """Workers of a Ray cluster; the shared content is in its object store, once on each machine."""

    def __init__(self, engine: Engine) -> None:
        self._ray = ray = import_optional("ray", "ray")
        errors = ray.exceptions
        self.lost = (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
            errors.LocalRayletDiedError,
        )
        self._is_own = not ray.is_initialized()
        if self._is_own:
            self._connect(engine)
        jobs = int(ray.cluster_resources().get("CPU", 0))
        if not jobs:
            self.close()
            raise ClusterError("the Ray cluster has no CPUs; `ray start --address HOST:6379` on a machine adds its own")
        super().__init__(engine, jobs)
        self.ahead = max(AHEAD, 2 * jobs)
        self._work = ray.remote(num_cpus=1, max_retries=0)(work)
        self._references: dict[Future[Any], Any] = {}

    def _connect(self, engine: Engine) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if engine.address is None:
            self._ray.init("local", num_cpus=engine.jobs, include_dashboard=False, **quiet)
            return
        try:
            self._ray.init(engine.address, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            raise ClusterError(
                f"no Ray cluster answers at {engine.address}: {error}; `ray start --head` starts one and says its address"
            ) from error

    def _put(self, pickled: bytes) -> Any:
        return self._ray.put(np.frombuffer(pickled, np.uint8))

    def _start(self, *arguments: Any) -> Future[Any]:
        reference = self._work.remote(*arguments)
        future: Future[Any] = reference.future()
        self._references[future] = reference
        future.add_done_callback(lambda ended: self._references.pop(ended, None))
        return future

    def _cancel(self, future: Future[Any]) -> None:
        if (reference := self._references.get(future)) is not None:
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        if self._is_own:
            self._ray.shutdown()


_ENGINES: dict[str, type[Workers]] = {"loky": _Loky, "dask": _Dask, "ray": _Ray}


def connect(engine: Engine) -> Workers:
    """Return the workers of an engine."""
    return _ENGINES[engine.name](engine)  # type: ignore[call-arg]
