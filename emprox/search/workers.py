"""Evaluations in processes of their own: one that crashes or hangs costs its own evaluation and nothing else."""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from emprox.errors import InvalidOptionError
from emprox.search.base import Proposal
from emprox.search.run import Outcome
from emprox.validation import check_at_least

__all__ = ["WorkerEvaluator"]

SCRIPT = Path(__file__).with_name("worker.py")
"""Run as a file: as a module it would load all estimators before it starts."""
READ = 1 << 16
PATIENCE = 60.0
"""Seconds after which a wait looks around in any case."""
START_LIMIT = 300.0
"""Seconds in which a worker has to import the objective."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    answers: IO[bytes]
    proposal: Proposal | None = None
    started: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    received: bytes = b""


class WorkerEvaluator:
    """Calls an objective in several processes at a time.

    Parameters
    ----------
    objective : str
        ``package.module:function`` or ``path/to/file.py:function``. The function is called with an `Architecture` and returns a
        number, or a mapping of names to numbers.
    workers : int
        Processes.
    time_limit : float, optional
        Seconds after which an evaluation is ended and counts as failed.

    Notes
    -----
    A worker serves many evaluations; one that ends by itself, or is ended, is replaced. What evaluations start (data loaders)
    ends with them. Used as a context manager it ends its workers.
    """

    def __init__(self, objective: str, workers: int = 1, time_limit: float | None = None) -> None:
        check_at_least("workers", workers, 1)
        if time_limit is not None:
            check_at_least("time_limit", time_limit, 0.001, float)
        self.objective, self.capacity, self.time_limit = objective, workers, time_limit
        self._waiting: deque[Proposal] = deque()
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []

    def __enter__(self) -> WorkerEvaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, with whatever they are doing."""
        for worker in list(self._workers):
            self._end(worker)

    def submit(self, proposal: Proposal) -> None:
        """Start an evaluation as soon as a worker is free."""
        self._waiting.append(proposal)
        self._assign()

    def wait(self) -> list[Outcome]:
        """Return evaluations that have ended, at least one.

        Raises
        ------
        InvalidOptionError
            If the objective cannot be imported.
        """
        ended: list[Outcome] = []
        while not ended:
            events = self._selector.select(self._patience())
            for key, _ in events:
                ended += self._receive(key.data)
            ended += self._overdue()
            self._assign()
        return ended

    def _start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), self.objective],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert process.stdout is not None
        worker = _Worker(process, process.stdout)
        self._workers.append(worker)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.answers)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        for stream in (worker.process.stdin, worker.answers):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        worker.process.wait()

    def _assign(self) -> None:
        """Give what waits to workers that are free; start new ones for those that ended."""
        while len(self._workers) < self.capacity and len(self._waiting) > sum(w.proposal is None for w in self._workers):
            self._start()
        for worker in self._workers:
            if self._waiting and worker.is_ready and worker.proposal is None:
                worker.proposal, worker.started = self._waiting.popleft(), time.monotonic()
                architecture = worker.proposal.architecture
                line = json.dumps({"space": architecture.space, "architecture": str(architecture)}).encode() + b"\n"
                assert worker.process.stdin is not None
                with suppress(BrokenPipeError):  # it has ended, which is seen as the end of its answers
                    worker.process.stdin.write(line)
                    worker.process.stdin.flush()

    def _patience(self) -> float:
        """Return the seconds until the next evaluation is overdue, at most `PATIENCE`."""
        ends = [w.started + self._limit(w) for w in self._workers if not w.is_ready or w.proposal is not None]
        return max(0.0, min(PATIENCE, min(ends, default=math.inf) - time.monotonic()))

    def _limit(self, worker: _Worker) -> float:
        if not worker.is_ready:
            return START_LIMIT
        return math.inf if self.time_limit is None else self.time_limit

    def _receive(self, worker: _Worker) -> list[Outcome]:
        read = os.read(worker.answers.fileno(), READ)
        if not read:
            return self._lost(worker)
        worker.received += read
        *lines, worker.received = worker.received.split(b"\n")
        return [outcome for line in lines if (outcome := self._read(worker, json.loads(line))) is not None]

    def _read(self, worker: _Worker, answer: dict[str, Any]) -> Outcome | None:
        if "fatal" in answer:
            self.close()
            raise InvalidOptionError(answer["fatal"])
        if "ready" in answer:
            worker.is_ready = True
            return None
        proposal, worker.proposal = worker.proposal, None
        assert proposal is not None
        return Outcome(proposal, answer.get("values"), answer.get("error"), answer["seconds"])

    def _lost(self, worker: _Worker) -> list[Outcome]:
        """Return the failure of the evaluation that a worker ended with."""
        seconds = time.monotonic() - worker.started
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(1)
        code = worker.process.returncode
        self._end(worker)
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        if not worker.is_ready:
            self.close()
            raise InvalidOptionError(f"the worker of {self.objective!r} ended with {how} while it imported the objective")
        if worker.proposal is None:
            return []
        return [Outcome(worker.proposal, error=f"the worker ended with {how}", seconds=seconds)]

    def _overdue(self) -> list[Outcome]:
        """End the evaluations whose time is up and return their failures."""
        now, ended = time.monotonic(), []
        for worker in list(self._workers):
            if now - worker.started < self._limit(worker) or (worker.is_ready and worker.proposal is None):
                continue
            self._end(worker)
            if worker.proposal is None:
                self.close()
                raise InvalidOptionError(f"the worker of {self.objective!r} was not ready after {START_LIMIT:.0f} seconds")
            error = f"time limit of {self.time_limit:g} seconds"
            ended.append(Outcome(worker.proposal, error=error, seconds=now - worker.started))
        return ended
