"""Evolution guided by an estimator: many candidates are bred, estimated in milliseconds, and the most promising are asked.

Letters: s draws, c candidates, m objectives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.encodings import get_encoding
from emprox.errors import InvalidOptionError
from emprox.estimators import ArchitectureRegressor, make_estimator
from emprox.search.acquisitions import check_acquisition, expected_improvement, optimistic, spread
from emprox.search.base import Proposal, Search
from emprox.search.breeding import breed
from emprox.search.goals import Goals, reference_point, volume
from emprox.search.surrogate import Estimate, Surrogate
from emprox.spaces import Architecture
from emprox.validation import check_at_least

__all__ = ["GuidedEvolution"]

Floats = NDArray[np.float64]
SHORTLIST = 8
"""Candidates for each place of a batch, among which those are preferred that differ from each other."""
FRONT_SHORTLIST = 40
"""Candidates whose gain of hypervolume is computed, the best by non-dominated fronts."""


class GuidedEvolution(Search):
    """Breeds candidates from the best and asks for those of which an estimator expects most.

    The first `n_initial` are drawn uniformly. Then, for each question, `n_candidates` are bred by mutation of the best, by
    crossing two of them, and by drawing; all are estimated, and the most promising by the acquisition are asked. The
    estimator is fitted anew when the labels have grown by `growth`, and takes in labels between if it has `partial_fit`. A
    failure counts as the worst value before it, so that what is near it is avoided.

    Parameters
    ----------
    space : str, SearchSpace, PerformanceTable or Pool
        What may be asked.
    estimator : str or ArchitectureRegressor
        Spec or unfitted estimator.
    acquisition : {"mean", "ucb", "ei", "thompson"}, optional
        How promising a candidate is: its estimate, the estimate plus `beta` standard deviations, the improvement to be expected,
        or a draw from what it may be. By default `DEFAULT_ACQUISITION`, and ``mean`` where there are no standard deviations.
    beta : float
        Of ``ucb``.
    n_initial : int
        Architectures drawn before the first fit.
    n_candidates : int
        Candidates estimated for each question. A table with fewer left is estimated as a whole.
    n_parents : int
        So many of the best are bred from.
    shares : tuple of float
        Shares of the candidates from mutation, crossing and drawing.
    growth : float
        The factor by which labels grow until the estimator is fitted anew.
    diversity : float
        What distance from the others of a batch counts: with 1 as much as the whole range of the acquisition on the shortlist.
    **options
        Those of `Search`.

    Notes
    -----
    With several objectives candidates are taken in turn by the hypervolume that their optimistic values add to what is known and
    chosen; costs that are known without training enter as they are.

    References
    ----------
    White, Neiswanger, Savani, *BANANAS: Bayesian Optimization with Neural Architectures for NAS*, AAAI 2021.
    Wei et al., *NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search*, TNNLS 2022.
    Han, Mills et al., *A General-Purpose Transferable Predictor for Neural Architecture Search*, SDM 2023, arXiv 2302.10835.

    Examples
    --------
    >>> search = GuidedEvolution("nasbench201", estimator="gp", n_initial=5)
    >>> for _ in range(8):
    ...     for proposal in search.ask():
    ...         trial = search.tell(proposal, 90.0 - proposal.architecture.spec.count(1))
    >>> sorted(trial.belief["val_accuracy"])
    ['estimate', 'std']
    """

    kind = "guided"

    def __init__(
        self,
        space: Any,
        *,
        estimator: str | ArchitectureRegressor = "emprox",
        acquisition: str | None = None,
        beta: float = 1.0,
        n_initial: int = 10,
        n_candidates: int = 200,
        n_parents: int = 10,
        shares: Sequence[float] = (0.6, 0.2, 0.2),
        growth: float = 1.2,
        diversity: float = 0.5,
        **options: Any,
    ) -> None:
        for name, value, least in (("n_initial", n_initial, 2), ("n_candidates", n_candidates, 1), ("n_parents", n_parents, 1)):
            check_at_least(name, value, least)
        for name, number, lowest in (("beta", beta, 0.0), ("growth", growth, 1.0), ("diversity", diversity, 0.0)):
            check_at_least(name, number, lowest, float)
        if len(shares) != 3 or min(shares) < 0 or not sum(shares) > 0:
            raise InvalidOptionError(
                f"shares are three numbers of at least 0, for mutation, crossing and drawing, got {shares!r}"
            )
        self.estimator = make_estimator(estimator) if isinstance(estimator, str) else estimator
        self.acquisition = acquisition or (DEFAULT_ACQUISITION if self.estimator.has_std else "mean")
        check_acquisition(self.acquisition, self.estimator.has_std, type(self.estimator).__name__)
        self.beta, self.n_initial, self.n_candidates, self.n_parents = beta, n_initial, n_candidates, n_parents
        self.shares, self.growth, self.diversity = tuple(shares), growth, diversity
        super().__init__(space, **options)
        if self.acquisition == "ei" and len(self.goals.objectives) > 1:
            raise InvalidOptionError("acquisition 'ei' is for one objective; use 'ucb', 'mean' or 'thompson' with several")
        learned = {name: sign for name, sign in self.goals.directions.items() if name not in self.pool.known_names}
        self.surrogate = Surrogate(self.estimator, learned, self.pool, n_initial, growth, self.random_state)

    def _propose(self, n: int, taken: Collection[str], pending: Sequence[Architecture]) -> list[Proposal]:
        valid = self.history.valid
        if len(self.history) < self.n_initial or len(valid) < 2:
            return self._samples(n, taken)
        self.surrogate.update(self.history[:])
        places = self.goals.places([trial.values for trial in valid if trial.values is not None])
        parents = [valid[i].architecture for i in places.argsort()[: self.n_parents]]
        told = {trial.architecture for trial in self.history}
        count = max(self.n_candidates, SHORTLIST * n)
        bred = breed(self.pool, parents, count, self.shares, taken, told, self.rng)
        candidates = list(bred)
        if not candidates:
            return []
        believed = self._believed(candidates)
        choose = self._by_gain if len(self.goals.objectives) > 1 else self._by_score
        chosen = choose(candidates, believed, n, taken, pending)
        learned = [name for name in believed if name in self.surrogate.signs]
        return [
            Proposal(candidates[i], bred[candidates[i]], {name: _entry(believed[name], i) for name in learned}) for i in chosen
        ]

    def _believed(self, candidates: Sequence[Architecture]) -> dict[str, Estimate]:
        """Return what is expected of each value of the goals; what is known without training is certain."""
        believed = self.surrogate.estimate(candidates)
        for name in self.goals.names:
            if name not in believed:
                known = self.pool.known(name, candidates)
                believed[name] = Estimate(known, np.zeros(len(known)))
        return believed

    def _excess(self, believed: dict[str, Estimate]) -> Floats:
        """Return by how much candidates are expected to break the bounds, (c,)."""
        total = np.zeros(len(next(iter(believed.values())).mean))
        for bound in self.goals.bounds:
            total += bound.excess(believed[bound.name].mean)
        return total

    def _drawn(self, candidates: Sequence[Architecture], believed: dict[str, Estimate], draws: int) -> Floats:
        """Return values that the candidates may well have, larger is better, (draws, c, m)."""
        columns = []
        for objective, sign in zip(self.goals.objectives, self.goals.signs, strict=True):
            estimate = believed[objective.name]
            estimator = self.surrogate.fitted.get(objective.name)
            values = (self.acquisition, estimator, candidates, sign * estimate.mean, estimate.std, self.beta, draws, self.rng)
            columns.append(optimistic(*values))
        return np.stack(columns, axis=-1)

    def _by_score(
        self,
        candidates: list[Architecture],
        believed: dict[str, Estimate],
        n: int,
        taken: Collection[str],
        pending: Sequence[Any],
    ) -> list[int]:
        """Return whom to ask for one objective: the most promising, different from each other and from those pending."""
        estimate, sign = believed[self.goals.objectives[0].name], self.goals.signs[0]
        if self.acquisition == "ei" and estimate.std is not None:
            known = [trial.values for trial in self.history.valid if trial.values is not None]
            within = [values for values, excess in zip(known, self.goals.excess(known), strict=True) if excess == 0]
            best = self.goals.signed(within or known).max()
            scores = expected_improvement(sign * estimate.mean, estimate.std, float(best))[None]
        else:
            scores = self._drawn(candidates, believed, n if self.acquisition == "thompson" else 1)[..., 0]
        scores = np.where(self._excess(believed) > 0, scores.min() - 1 - self._excess(believed), scores)
        alone = n == 1 and not pending
        shortlist = self._new(candidates, np.argsort(-scores.max(axis=0), kind="stable"), 1 if alone else SHORTLIST * n, taken)
        if alone:
            return shortlist
        among = self._distances([candidates[i] for i in shortlist], pending)
        nearest = among[len(shortlist) :].min(axis=0) if pending else np.ones(len(shortlist))
        chosen = spread(scores[:, shortlist], among[: len(shortlist)], n, self.diversity, nearest)
        return [shortlist[i] for i in chosen]

    def _by_gain(
        self,
        candidates: list[Architecture],
        believed: dict[str, Estimate],
        n: int,
        taken: Collection[str],
        pending: Sequence[Any],
    ) -> list[int]:
        """Return whom to ask for several objectives: in turn those that add the largest hypervolume."""
        drawn, excess = self._drawn(candidates, believed, n), self._excess(believed)
        known = [trial.values for trial in self.history.valid if trial.values is not None]
        reference = reference_point(self.goals.signed(known))
        front = self.goals.signed([known[i] for i in self.goals.front(known)])
        names = [objective.name for objective in self.goals.objectives]
        unbounded = Goals(self.goals.objectives)
        chosen: list[int] = []
        for turn in range(n):
            values = [dict(zip(names, row, strict=True)) for row in (self.goals.signs * drawn[turn]).tolist()]
            places = np.lexsort((unbounded.places(values), excess))
            left = [i for i in places if i not in chosen]
            shortlist = self._new(candidates, left, FRONT_SHORTLIST, {*taken, *(self.pool.key(candidates[i]) for i in chosen)})
            if not shortlist:
                break
            before = volume(front, reference)
            gains = [volume(np.vstack([front, drawn[turn][i]]), reference) - before for i in shortlist]
            allowed = [gain if excess[i] == 0 else -excess[i] for gain, i in zip(gains, shortlist, strict=True)]
            best = shortlist[int(np.argmax(allowed))]
            chosen.append(best)
            front = np.vstack([front, drawn[turn][best]])
        return chosen

    def _new(self, candidates: Sequence[Architecture], order: Iterable[Any], n: int, taken: Collection[str]) -> list[int]:
        """Return the first n in an order whose hash is not taken, one of each hash."""
        found: dict[str, int] = {}
        for i in order:
            key = self.pool.key(candidates[i])
            if key not in taken:
                found.setdefault(key, int(i))
            if len(found) == n:
                break
        return list(found.values())

    def _distances(self, shortlist: Sequence[Architecture], pending: Sequence[Architecture]) -> Floats:
        """Return distances of the shortlist, and after it of those pending, to the shortlist, in units of their median."""
        columns = get_encoding(self.pool.space.default_encoding, self.pool.space).transform([*shortlist, *pending])
        std = columns.std(axis=0)
        scaled = columns[:, std > 0] / std[std > 0]
        squared = np.square(scaled).sum(axis=1)
        distances = np.sqrt(np.maximum(squared[:, None] + squared - 2 * scaled @ scaled.T, 0))[:, : len(shortlist)]
        median = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
        return distances / median


DEFAULT_ACQUISITION = "ucb"


def _entry(estimate: Estimate, i: int) -> dict[str, float]:
    entry = {"estimate": float(estimate.mean[i])}
    return entry if estimate.std is None else entry | {"std": float(estimate.std[i])}
