"""Ask and tell: what every search does, whatever way it chooses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from emprox.errors import EmproxError, InvalidDataError
from emprox.registry import Registry
from emprox.search.goals import Bound, Goals
from emprox.search.history import History, Trial
from emprox.search.pools import Pool, as_pool
from emprox.spaces import Architecture, SearchSpace
from emprox.tables import PerformanceTable
from emprox.validation import check_at_least

__all__ = ["SEARCHES", "Proposal", "Search"]


@dataclass(frozen=True)
class Proposal:
    """An architecture that a search asks for, and why."""

    architecture: Architecture
    origin: str
    """``sample``, ``neighbor``, ``mutation`` or ``crossover``."""
    belief: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What an estimator said of it: for each value its ``estimate`` and, if it has one, ``std``."""


class Search(ABC):
    """Chooses which architectures to train next.

    `ask` and `tell` may alternate in any way: several can be asked at once and told in any order, and what was never asked can be
    told. Everything a search knows is its history, so that a new one over the same history goes on where the old one stopped.

    Parameters
    ----------
    space : str, SearchSpace, PerformanceTable or Pool
        What may be asked.
    goals : str or Goals
        What it is after; a name is one objective to be large, after ``-`` to be small.
    bounds : sequence of str or Bound
        Limits on values that are known without training, such as ``macs_millions<=300``; nothing beyond them is asked.
    history : History or None
        Where it is kept; None keeps it in memory.
    random_state : int
        Seed of the generator.
    """

    kind: ClassVar[str]
    """Registered name."""

    def __init__(
        self,
        space: str | SearchSpace | PerformanceTable | Pool,
        *,
        goals: str | Goals = "val_accuracy",
        bounds: Iterable[str | Bound] = (),
        history: History | None = None,
        random_state: int = 0,
    ) -> None:
        check_at_least("random_state", random_state, 0)
        limits = [Bound.parse(bound) if isinstance(bound, str) else bound for bound in bounds]
        self.pool = as_pool(space, limits)
        self.goals = Goals.of(goals) if isinstance(goals, str) else goals
        self.random_state = random_state
        self.rng = np.random.default_rng(random_state)
        self.history = History() if history is None else history
        if self.history.state is not None:
            self.rng.bit_generator.state = self.history.state
        for trial in self.history:
            self._learn(trial)

    def ask(self, n: int = 1, pending: Iterable[Any] = ()) -> list[Proposal]:
        """Return up to n architectures of different function that have not been told; fewer if no more are left.

        Changes nothing but the generator: what was asked and not told may be asked again.

        Parameters
        ----------
        n : int
            Number of architectures.
        pending : iterable of Proposal, Architecture or description
            Those being evaluated; neither they nor their twins are asked.
        """
        check_at_least("n", n, 1)
        running = [self.pool.read(_architecture(each)) for each in pending]
        taken = {trial.key for trial in self.history} | {self.pool.key(each) for each in running}
        return self._propose(n, taken, running)

    def tell(
        self,
        proposal: Any,
        values: float | Mapping[str, float] | None = None,
        *,
        error: object = None,
        seconds: float | None = None,
        at: float | None = None,
    ) -> Trial:
        """Take in what an evaluation returned; when this returns it is in the history.

        Parameters
        ----------
        proposal : Proposal, Architecture or description
            What was evaluated, asked or not.
        values : float or mapping
            The objective, or all values of the goals by name (and others, which are kept); what is known without training may be
            left out. What is no finite number is a failure.
        error : object, optional
            Why the evaluation failed.
        seconds, at : float, optional
            Duration of the evaluation, and seconds since the search began.

        Raises
        ------
        InvalidDataError
            If this architecture, or a twin, was told before, or neither values nor an error is given.
        InvalidArchitectureError
            If it is not of the pool.
        """
        if values is None and error is None:
            raise InvalidDataError("expected values or an error, got neither; tell(architecture, error=...) after a failure")
        if values is not None and error is not None:
            raise InvalidDataError(f"expected values or an error, got both: {values!r} and {error!r}")
        architecture = self.pool.read(_architecture(proposal))
        key = self.pool.key(architecture)
        if (told := self.history.of(key)) is not None:
            twin = "" if told.architecture == architecture else f", in the form of {told.architecture}, which computes the same"
            raise InvalidDataError(f"{architecture} was told before as trial {told.number}{twin}: {told.values or told.error}")
        checked: dict[str, float] | None = None
        if error is None:
            try:
                checked = self._checked(architecture, values)
            except InvalidDataError as wrong:
                error = wrong
        trial = Trial(
            number=len(self.history),
            architecture=architecture,
            key=key,
            values=checked,
            error=None if error is None else _reason(error),
            origin=proposal.origin if isinstance(proposal, Proposal) else "told",
            belief=proposal.belief if isinstance(proposal, Proposal) else {},
            seconds=seconds,
            at=at,
        )
        self.history.append(trial, self.rng.bit_generator.state)
        self._learn(trial)
        return trial

    @property
    def best(self) -> Trial | None:
        """The best trial so far; None before one has succeeded."""
        valid = self.history.valid
        return valid[int(np.argmin(self.goals.places([_values(trial) for trial in valid])))] if valid else None

    @property
    def front(self) -> list[Trial]:
        """Trials within all bounds that no other such trial dominates."""
        valid = self.history.valid
        return [valid[i] for i in self.goals.front([_values(trial) for trial in valid])]

    @abstractmethod
    def _propose(self, n: int, taken: Collection[str], pending: Sequence[Architecture]) -> list[Proposal]:
        """Return up to n proposals whose keys are not taken; change nothing but the generator."""

    def _learn(self, trial: Trial) -> None:  # noqa: B027
        """Take in a trial that is in the history; called for those of an earlier history as well."""

    def _checked(self, architecture: Architecture, values: Any) -> dict[str, float]:
        known = [name for name in self.goals.names if name in self.pool.known_names]
        if known:
            given = dict(values) if isinstance(values, Mapping) else {self.goals.objectives[0].name: values}
            values = {name: float(self.pool.known(name, [architecture])[0]) for name in known} | given
        return self.goals.check(values)

    def _samples(self, n: int, taken: Collection[str]) -> list[Proposal]:
        return [Proposal(architecture, "sample") for architecture in self.pool.sample(self.rng, n, taken)]

    def _keys(self, proposals: Iterable[Proposal]) -> set[str]:
        return {self.pool.key(proposal.architecture) for proposal in proposals}


SEARCHES: Registry[Callable[..., Search]] = Registry(
    "search",
    {
        "evolution": "emprox.search.baselines:RegularizedEvolution",
        "guided": "emprox.search.guided:GuidedEvolution",
        "local": "emprox.search.baselines:LocalSearch",
        "random": "emprox.search.baselines:RandomSearch",
    },
    group="emprox.searches",
)


def _architecture(proposal: Any) -> Any:
    return proposal.architecture if isinstance(proposal, Proposal | Trial) else proposal


def _values(trial: Trial) -> Mapping[str, float]:
    assert trial.values is not None
    return trial.values


def _reason(error: object) -> str:
    if isinstance(error, BaseException) and not isinstance(error, EmproxError):
        return f"{type(error).__name__}: {error}"
    return str(error) or "failed without a reason"
