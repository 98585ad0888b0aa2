"""Evaluations on the workers of a cluster, told in the order in which they were asked."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import Any

from emprox.errors import WorkerLostError
from emprox.parallel import Engine
from emprox.search.base import Proposal
from emprox.search.run import Outcome
from emprox.search.workers import WorkerEvaluator
from emprox.spaces import get_space
from emprox.validation import check_at_least

__all__ = ["ClusterEvaluator"]


class ClusterEvaluator:
    """Calls an objective on the workers of an engine, as many evaluations at a time as there are workers.

    On its machine each evaluation has a process of its own (`WorkerEvaluator`): one that crashes or hangs fails, and the
    cluster's worker lives on. An evaluation whose cluster worker is lost is run again on another.

    Outcomes are told in the order of their proposals, whichever ends first. What a search asks next therefore does not depend on
    how fast machines are: the same seed and number of workers give the same search on every engine. A worker
    may wait for the oldest evaluation meanwhile.

    Parameters
    ----------
    objective : str
        As for `WorkerEvaluator`; the machines of the workers must be able to import it.
    engine : Engine
        Where evaluations run.
    time_limit : float, optional
        Seconds after which an evaluation is ended and counts as failed.
    """

    def __init__(self, objective: str, engine: Engine, time_limit: float | None = None) -> None:
        if time_limit is not None:
            check_at_least("time_limit", time_limit, 0.001, float)
        self.objective, self.time_limit = objective, time_limit
        self._workers = engine.connect()
        self.capacity = self._workers.jobs
        self._asked: deque[tuple[Proposal, Future[Any]]] = deque()

    def __enter__(self) -> ClusterEvaluator:
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__(*error)

    def submit(self, proposal: Proposal) -> None:
        """Start an evaluation as soon as a worker is free."""
        architecture = proposal.architecture
        task = (self.objective, self.time_limit, architecture.space, str(architecture))
        self._asked.append((proposal, self._workers.submit(_evaluate, task)))

    def wait(self) -> list[Outcome]:
        """Return the oldest evaluation when it has ended.

        Raises
        ------
        TaskError
            If the objective cannot be imported.
        """
        proposal, future = self._asked.popleft()
        try:
            _, (values, error, seconds) = future.result()
        except WorkerLostError as lost:
            values, error, seconds = None, str(lost), None
        return [Outcome(proposal, values, error, seconds)]


def _evaluate(task: tuple[str, float | None, str, str]) -> tuple[Any, str | None, float | None]:
    """Return values, error and seconds of one evaluation, which has a process of its own."""
    objective, time_limit, space, text = task
    with WorkerEvaluator(objective, 1, time_limit) as evaluator:
        evaluator.submit(Proposal(get_space(space).parse(text), "told"))
        (outcome,) = evaluator.wait()
    return outcome.values, outcome.error, outcome.seconds
