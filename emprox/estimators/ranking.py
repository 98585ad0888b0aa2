"""Estimates of many candidates: workers share them in chunks, and where only the best are asked for only those are kept."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from emprox.estimators.explaining import Explaining
from emprox.estimators.scorer import check_one_target
from emprox.parallel import Engine, run
from emprox.spaces import get_space
from emprox.validation import check_at_least

if TYPE_CHECKING:
    from emprox.estimators.base import ArchitectureRegressor

__all__ = ["Estimate", "best", "estimate_many", "estimate_samples"]

CHUNK = 2_000
"""Candidates of a task, the same wherever it runs: last digits may depend on what is computed beside a candidate."""

TASKS, LONGEST = 256, 50
"""Samples are shared in so many tasks, of at most so many chunks: some seconds of work each, and few results to send."""


@dataclass(frozen=True)
class Estimate:
    """What is estimated of one candidate."""

    position: int
    """Its place among all candidates."""
    architecture: str
    estimate: float
    std: float | None = None
    """None where the estimator gives none."""
    unlike: tuple[str, float] | None = None
    """The nearest known architecture and its distance where all known ones are far (`EmProx.unlike_known`)."""


def estimate_many(
    estimator: ArchitectureRegressor,
    candidates: Iterable[str],
    *,
    top: int | None = None,
    engine: Engine | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Estimate]:
    """Return the estimates of candidates, in their order or only the best.

    The estimator is sent to each worker once, and candidates are drawn as workers have room: with `top` a file of any length
    needs the memory of the chunks under way.

    Parameters
    ----------
    estimator : ArchitectureRegressor
        Fitted on one target.
    candidates : iterable of str
        Descriptions, as `predict` reads them.
    top : int, optional
        So many, the best first: the highest, or the lowest where `target_` says that smaller is better; of equals the earlier.
    engine : Engine, optional
        Where the work is done; by default here.
    progress : callable, optional
        Called with the number of candidates that have been estimated since the last call.

    Examples
    --------
    >>> from emprox.estimators import EmProx
    >>> from emprox.spaces import get_space
    >>> known = get_space("nasbench201").sample(np.random.default_rng(0), 30)
    >>> model = EmProx().fit(known, [90 - a.spec.count(1) for a in known])
    >>> [each.position for each in estimate_many(model, map(str, known[:3]))]
    [0, 1, 2]
    """
    check_one_target(estimator)
    parts = run(_estimate_chunk, _chunks(candidates), shared=(estimator, top), engine=engine)
    return _merged((part for _, part in parts), top, estimator._direction, progress)


def estimate_samples(
    estimator: ArchitectureRegressor,
    n: int,
    *,
    top: int,
    seed: int = 0,
    engine: Engine | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Estimate]:
    """Return the best estimates of architectures drawn at random from the estimator's space, each listed once.

    Nothing is sent but the estimator, numbers of chunks, and the best of each task: chunk i is drawn by
    ``numpy.random.default_rng([seed, i])`` where it is estimated.

    Parameters
    ----------
    estimator : ArchitectureRegressor
        Fitted on one target, in a space that can be sampled.
    n : int
        Architectures to draw.
    top : int
        How many to return.
    seed : int
        Seed of the draws.
    engine, progress
        As in `estimate_many`.
    """
    for name, value, least in (("n", n, 1), ("top", top, 1), ("seed", seed, 0)):
        check_at_least(name, value, least)
    check_one_target(estimator)
    get_space(estimator.space_)  # a family that cannot be sampled is an error here
    chunks = -(-n // CHUNK)
    step = min(LONGEST, -(-chunks // TASKS))
    tasks = (range(first, min(first + step, chunks)) for first in range(0, chunks, step))
    parts = run(_estimate_sample, tasks, shared=(estimator, top, seed, n, CHUNK), engine=engine)
    return _merged((part for _, part in parts), top, estimator._direction, progress, is_sample=True)


def best(estimates: Iterable[Estimate], top: int, direction: float = 1.0) -> list[Estimate]:
    """Return the highest estimates, or with a direction of -1 the lowest, of equal ones the earlier.

    The best of the best of parts are the best of all, whatever the parts are.
    """
    return heapq.nsmallest(top, estimates, key=lambda each: (-direction * each.estimate, each.position))


def _distinct(estimates: Iterable[Estimate]) -> list[Estimate]:
    """Return estimates with each architecture once, its earliest."""
    first: dict[str, Estimate] = {}
    for each in sorted(estimates, key=lambda each: each.position):
        first.setdefault(each.architecture, each)
    return list(first.values())


@dataclass(frozen=True)
class _Chunk:
    """Candidates of a task."""

    start: int
    """Place of the first."""
    texts: list[str]

    def __repr__(self) -> str:
        return f"candidates {self.start} to {self.start + len(self.texts) - 1}"


Part = tuple[int, list[Estimate]]
"""How many candidates a task had, and the estimates that are kept of them."""


def _merged(
    parts: Iterator[Part],
    top: int | None,
    direction: float,
    progress: Callable[[int], None] | None,
    *,
    is_sample: bool = False,
) -> list[Estimate]:
    kept: list[Estimate] = []
    for count, part in parts:
        kept += part
        if top is not None:
            kept = best(_distinct(kept) if is_sample else kept, top, direction)
        if progress is not None:
            progress(count)
    return kept if top is not None else sorted(kept, key=lambda each: each.position)


def _chunks(candidates: Iterable[str]) -> Iterator[_Chunk]:
    left, start = iter(candidates), 0
    while texts := list(islice(left, CHUNK)):
        yield _Chunk(start, texts)
        start += len(texts)


def _estimate_chunk(task: _Chunk, shared: tuple[ArchitectureRegressor, int | None]) -> Part:
    start, texts, (estimator, top) = task.start, task.texts, shared
    architectures = estimator._read(texts, start)
    found = _estimated(estimator, start, texts, architectures)
    kept = found if top is None else best(found, top, estimator._direction)
    return len(texts), _compared(estimator, kept, [architectures[each.position - start] for each in kept])


def _estimate_sample(chunks: range, shared: tuple[ArchitectureRegressor, int, int, int, int]) -> Part:
    (estimator, top, seed, n, size), kept, count = shared, list[Estimate](), 0
    for number in chunks:
        start = number * size
        drawn = get_space(estimator.space_).sample(np.random.default_rng([seed, number]), min(size, n - start))
        kept += _estimated(estimator, start, [str(each) for each in drawn], drawn)
        kept, count = best(_distinct(kept), top, estimator._direction), count + len(drawn)
    return count, _compared(estimator, kept, [each.architecture for each in kept])


def _compared(estimator: ArchitectureRegressor, estimates: list[Estimate], architectures: list[Any]) -> list[Estimate]:
    """Return estimates that say what is nearest where all that is known is far, if the estimator can say."""
    if not isinstance(estimator, Explaining):
        return estimates
    unlike = estimator.unlike_known(architectures)
    named = {i: (estimator.space_.label(nearest), distance) for i, (nearest, distance) in unlike.items()}
    return [replace(each, unlike=named.get(i)) for i, each in enumerate(estimates)]


def _estimated(estimator: ArchitectureRegressor, start: int, texts: list[str], architectures: list[Any]) -> list[Estimate]:
    places = range(start, start + len(texts))
    if estimator.has_std:
        values, stds = estimator.predict(architectures, return_std=True)
        return [Estimate(p, t, float(v), float(s)) for p, t, v, s in zip(places, texts, values, stds, strict=True)]
    return [Estimate(p, t, float(v)) for p, t, v in zip(places, texts, estimator.predict(architectures), strict=True)]
