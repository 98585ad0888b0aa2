"""What came of searches, as JSON: every trial, the best so far, regret, fronts, and their means over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.search.base import Search
from emprox.search.goals import Floats, Goals, reference_point, volume
from emprox.search.pools import TablePool
from emprox.search.run import values_of

__all__ = ["FORMAT", "interval_of_mean", "record", "result"]

FORMAT = 1
LEVEL = 0.9
"""Coverage of the intervals of means."""
RESAMPLES = 2000


def record(search: Search, choosing_seconds: float, reference: Floats | None = None) -> dict[str, Any]:
    """Return one run: its trials and what was reached after each.

    With one objective ``best_so_far`` has its value, and in a table ``regret`` and ``rank`` (1 the best row); with several,
    ``hypervolume`` has the volume beyond the reference point.
    """
    trials = [trial.to_json() for trial in search.history]
    content: dict[str, Any] = {
        "seed": search.random_state,
        "evaluations": len(trials),
        "failures": sum(trial["values"] is None for trial in trials),
        "choosing_seconds": choosing_seconds,
        "best": None if search.best is None else search.best.number,
        "front": [trial.number for trial in search.front],
    }
    if len(search.goals.objectives) == 1:
        content |= _reached(search)
    else:
        content["hypervolume"] = _volumes(search.goals, trials, reference)
    return content | {"trials": trials}


def result(searches: Sequence[tuple[Search, float]], *, about: Mapping[str, Any], budget: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of several runs of one search, as `emprox search` writes it.

    Parameters
    ----------
    searches : sequence of pair
        Each run, and its seconds spent on choosing.
    about : mapping
        Table or objective, method and its options, machine, commit.
    budget : mapping
        Evaluations and seconds.
    """
    search = searches[0][0]
    goals, pool = search.goals, search.pool
    reference = _reference(searches) if len(goals.objectives) > 1 else None
    runs = [record(each, seconds, reference) for each, seconds in searches]
    return {
        "format": FORMAT,
        "kind": "search",
        "space": pool.space.name,
        "population": pool.size,
        **about,
        "goals": {
            "objectives": [{"name": o.name, "larger_is_better": o.larger_is_better} for o in goals.objectives],
            "bounds": [str(bound) for bound in (*pool.bounds, *goals.bounds)],
            "reference_point": None if reference is None else (goals.signs * reference).tolist(),
        },
        "best_known": _best_known(goals, pool),
        "budget": dict(budget),
        "runs": runs,
        "summary": summary(runs),
    }


def summary(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return mean with bootstrap interval, median and quartiles over runs after each evaluation that all have reached."""
    rows = []
    for number in range(min((run["evaluations"] for run in runs), default=0)):
        row: dict[str, Any] = {"evaluations": number + 1}
        for name in ("best_so_far", "regret", "rank", "hypervolume"):
            values = [run[name][number] for run in runs if name in run]
            if values and all(value is not None for value in values):
                row[name] = spread_of(values)
        rows.append(row)
    return rows


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """Return mean, median, quartiles and the ends of the bootstrap interval of the mean."""
    lower, upper = interval_of_mean(values)
    quarter, median, three = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    mean = float(np.mean(values))
    return {"mean": mean, "lower": lower, "upper": upper, "median": median, "quartile1": quarter, "quartile3": three}


def interval_of_mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of the mean with coverage `LEVEL`, drawn with a fixed seed.

    >>> interval_of_mean([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    column = np.asarray(values, dtype=np.float64)
    means = column[_resampled(len(column))].mean(axis=1)
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return lower, upper


def _resampled(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n))


def _reached(search: Search) -> dict[str, Any]:
    """Return the best value after each trial, None before the first within bounds, with regret and rank in a table."""
    objective, sign = search.goals.objectives[0], search.goals.signs[0]
    best: list[float | None] = []
    for trial in search.history:
        value = None
        if trial.values is not None and search.goals.excess([trial.values])[0] == 0:
            value = sign * trial.values[objective.name]
        before = best[-1] if best else None
        best.append(before if value is None else value if before is None else max(before, value))
    content: dict[str, Any] = {"best_so_far": [None if value is None else sign * value for value in best]}
    if isinstance(search.pool, TablePool):
        known = np.sort(_within(search.goals, search.pool)[:, 0])
        content["regret"] = [None if value is None else float(known[-1] - value) for value in best]
        content["rank"] = [None if v is None else int(len(known) - np.searchsorted(known, v, "right")) + 1 for v in best]
    return content


def _within(goals: Goals, pool: TablePool) -> Floats:
    """Return the signed objectives of a table's rows that keep the bounds, (n, m)."""
    values = _table_values(goals, pool)
    return goals.signed(values)[goals.excess(values) == 0]


def _table_values(goals: Goals, pool: TablePool) -> list[dict[str, float]]:
    known = {name: pool.known(name, pool.table.architectures) for name in goals.names if name in pool.known_names}
    return [
        {**{name: float(column[row]) for name, column in known.items()}, **values_of(pool.table, row)} for row in range(pool.size)
    ]


def _best_known(goals: Goals, pool: Any) -> float | None:
    if len(goals.objectives) > 1 or not isinstance(pool, TablePool):
        return None
    within = _within(goals, pool)
    return float(goals.signs[0] * within.max()) if len(within) else None


def _reference(searches: Sequence[tuple[Search, float]]) -> Floats:
    """Return a point that all runs share: beyond the worst row of a table, or of all trials."""
    goals, pool = searches[0][0].goals, searches[0][0].pool
    if isinstance(pool, TablePool):
        return reference_point(goals.signed(_table_values(goals, pool)))
    return reference_point(goals.signed([trial.values for each, _ in searches for trial in each.history.valid if trial.values]))


def _volumes(goals: Goals, trials: Sequence[Mapping[str, Any]], reference: Floats | None) -> list[float]:
    volumes: list[float] = []
    front = np.empty((0, len(goals.objectives)))
    point = np.zeros(len(goals.objectives)) if reference is None else reference
    for trial in trials:
        if trial["values"] is not None and goals.excess([trial["values"]])[0] == 0:
            new = goals.signed([trial["values"]])
            if not (front >= new).all(axis=1).any():
                front = np.vstack([front[~(front <= new).all(axis=1)], new])
                volumes.append(volume(front, point))
                continue
        volumes.append(volumes[-1] if volumes else 0.0)
    return volumes
