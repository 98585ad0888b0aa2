"""Searches that use no estimator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from emprox.errors import InvalidOptionError
from emprox.search.base import Proposal, Search
from emprox.search.history import Trial
from emprox.spaces import Architecture
from emprox.validation import check_at_least

__all__ = ["LocalSearch", "RandomSearch", "RegularizedEvolution"]

TRIES = 100
"""Mutations that are tried before an architecture is drawn instead: all around may be known."""


class RandomSearch(Search):
    """Draws uniformly, without repetition.

    Examples
    --------
    >>> search = RandomSearch("nasbench201")
    >>> for proposal in search.ask(20):
    ...     trial = search.tell(proposal, 90.0 - proposal.architecture.spec.count(1))
    >>> search.best.values["val_accuracy"]
    90.0
    """

    kind = "random"

    def _propose(self, n: int, taken: Collection[str], pending: Sequence[Architecture]) -> list[Proposal]:
        return self._samples(n, taken)


class LocalSearch(Search):
    """Goes through an architecture's neighbours in random order, moves to the first that is better, starts anew at an optimum.

    References
    ----------
    White, Nolen, Savani, *Exploring the Loss Landscape in Neural Architecture Search*, UAI 2021.
    """

    kind = "local"

    def __init__(self, space: Any, **options: Any) -> None:
        self._current: Trial | None = None
        self._left: dict[str, Architecture] = {}
        super().__init__(space, **options)

    def _learn(self, trial: Trial) -> None:
        self._left.pop(trial.key, None)
        if trial.values is not None and (self._current is None or self._is_better(trial, self._current)):
            self._current = trial
            around = {self.pool.key(each): each for each in self.pool.neighbors(trial.architecture)}
            told = {each.key for each in self.history}
            self._left = {key: each for key, each in around.items() if key not in told}
        if not self._left:
            self._current = None

    def _is_better(self, trial: Trial, other: Trial) -> bool:
        if trial.values is None or other.values is None:
            return other.values is None
        values = [other.values, trial.values]
        if len(self.goals.objectives) == 1 or self.goals.excess(values).any():
            return bool(self.goals.places(values)[1] == 0)
        old, new = self.goals.signed(values)
        return bool((new >= old).all() and (new > old).any())

    def _propose(self, n: int, taken: Collection[str], pending: Sequence[Architecture]) -> list[Proposal]:
        left = [architecture for key, architecture in self._left.items() if key not in taken]
        chosen = [Proposal(left[i], "neighbor") for i in self.rng.permutation(len(left))[:n]]
        if len(chosen) < n:
            chosen += self._samples(n - len(chosen), {*taken, *self._keys(chosen)})
        return chosen


class RegularizedEvolution(Search):
    """Evolution in which the oldest die: each child is a mutation of the best of a few drawn from the youngest.

    Parameters
    ----------
    space : str, SearchSpace, PerformanceTable or Pool
        What may be asked.
    population_size : int
        How many of the youngest may have children; the first so many are drawn uniformly.
    sample_size : int
        How many are drawn of them for each child; the best is its parent.
    **options
        Those of `Search`.

    References
    ----------
    Real, Aggarwal, Huang, Le, *Regularized Evolution for Image Classifier Architecture Search*, AAAI 2019.
    """

    kind = "evolution"

    def __init__(self, space: Any, *, population_size: int = 20, sample_size: int = 5, **options: Any) -> None:
        check_at_least("population_size", population_size, 2)
        check_at_least("sample_size", sample_size, 1)
        if sample_size > population_size:
            raise InvalidOptionError(f"sample_size {sample_size} exceeds population_size {population_size}")
        self.population_size, self.sample_size = population_size, sample_size
        super().__init__(space, **options)

    def _propose(self, n: int, taken: Collection[str], pending: Sequence[Architecture]) -> list[Proposal]:
        population = self.history.valid[-self.population_size :]
        if len(population) < self.population_size:
            return self._samples(n, taken)
        places = self.goals.places([trial.values for trial in population if trial.values is not None])
        chosen: list[Proposal] = []
        while len(chosen) < n:
            avoided = {*taken, *self._keys(chosen)}
            child = self._child(population, places, avoided)
            new = self._samples(1, avoided) if child is None else [Proposal(child, "mutation")]
            if not new:
                break
            chosen += new
        return chosen

    def _child(self, population: Sequence[Trial], places: Any, taken: Collection[str]) -> Architecture | None:
        for _ in range(TRIES):
            drawn = self.rng.choice(len(population), size=self.sample_size, replace=False)
            parent = population[drawn[places[drawn].argmin()]]
            child = self.pool.mutate(parent.architecture, self.rng)
            if self.pool.key(child) not in taken and self.pool.allows(child):
                return child
        return None
