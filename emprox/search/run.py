"""Ask, evaluate, tell, until the budget is used; what evaluates is a table or workers that train."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emprox.errors import InvalidOptionError
from emprox.search.base import Proposal, Search
from emprox.search.history import Trial
from emprox.search.pools import TablePool
from emprox.tables import PerformanceTable
from emprox.validation import check_at_least

__all__ = ["Budget", "Evaluator", "Outcome", "TableEvaluator", "run_search"]


@dataclass(frozen=True)
class Outcome:
    """What came of one evaluation."""

    proposal: Proposal
    values: Any = None
    """What the objective returned."""
    error: str | None = None
    """Why there are no values."""
    seconds: float | None = None
    """How long it took."""


class Evaluator(Protocol):
    """Evaluates proposals, several at a time."""

    capacity: int
    """How many at a time."""

    def submit(self, proposal: Proposal) -> None:
        """Start an evaluation."""

    def wait(self) -> Sequence[Outcome]:
        """Return evaluations that have ended, at least one if any runs."""


@dataclass(frozen=True)
class Budget:
    """When a search ends; at least one limit.

    Raises
    ------
    InvalidOptionError
        If there is no limit, or one is not positive.
    """

    evaluations: int | None = None
    """Evaluations in the history, failed ones included."""
    seconds: float | None = None
    """Seconds of searching, those before an interruption included; what runs then is waited for."""

    def __post_init__(self) -> None:
        if self.evaluations is None and self.seconds is None:
            raise InvalidOptionError("expected a budget: a number of evaluations or of seconds")
        if self.evaluations is not None:
            check_at_least("evaluations", self.evaluations, 1)
        if self.seconds is not None:
            check_at_least("seconds", self.seconds, 0.001, float)

    def room(self, started: int, elapsed: float) -> int:
        """Return how many more evaluations may be started."""
        if self.seconds is not None and elapsed >= self.seconds:
            return 0
        return started + 1 if self.evaluations is None else max(0, self.evaluations - started)


class TableEvaluator:
    """Looks the values up: a simulated search.

    Parameters
    ----------
    pool : TablePool
        Rows whose targets are the values.
    batch : int
        How many are asked at a time.
    """

    def __init__(self, pool: TablePool, batch: int = 1) -> None:
        check_at_least("batch", batch, 1)
        self.pool, self.capacity = pool, batch
        self._ended: list[Outcome] = []

    def submit(self, proposal: Proposal) -> None:
        """Look up the row."""
        values = values_of(self.pool.table, self.pool.row_of(proposal.architecture))
        self._ended.append(Outcome(proposal, values))

    def wait(self) -> list[Outcome]:
        """Return all that were submitted."""
        ended, self._ended = self._ended, []
        return ended


def values_of(table: PerformanceTable, row: int) -> dict[str, float]:
    """Return the targets of a row by name."""
    return {name: float(column[row]) for name, column in table.targets.items()}


def run_search(
    search: Search, evaluator: Evaluator, budget: Budget, on_trial: Callable[[Trial], bool | None] | None = None
) -> float:
    """Ask and tell until the budget is used or nothing is left to ask; return the seconds spent on choosing.

    Parameters
    ----------
    search : Search
        One with a history is continued.
    evaluator : Evaluator
    budget : Budget
    on_trial : callable, optional
        Called with each trial after it is in the history; the search ends early where it returns True.
    """
    spent = max((trial.at or 0.0 for trial in search.history), default=0.0)
    start = time.monotonic() - spent
    running: list[Proposal] = []
    choosing, stopped = 0.0, False
    while True:
        room = budget.room(len(search.history) + len(running), time.monotonic() - start)
        free = min(evaluator.capacity - len(running), room)
        if free > 0 and not stopped:
            before = time.perf_counter()
            proposals = search.ask(free, pending=running)
            choosing += time.perf_counter() - before
            for proposal in proposals:
                evaluator.submit(proposal)
            running += proposals
        if not running:
            return choosing
        for outcome in evaluator.wait():
            running.remove(outcome.proposal)
            error = outcome.error or (None if outcome.values is not None else "expected a number, the objective returned None")
            at = time.monotonic() - start
            before = time.perf_counter()
            trial = search.tell(outcome.proposal, None if error else outcome.values, error=error, seconds=outcome.seconds, at=at)
            choosing += time.perf_counter() - before
            stopped = bool(on_trial is not None and on_trial(trial)) or stopped
