"""Architectures that a model does not know: how sure it is of them, and which it would measure next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from emprox.estimators import ArchitectureRegressor, EmProx
from emprox.report.charts import Axis, Chart, Panel, Series, Table
from emprox.report.metrics import LEVEL
from emprox.report.numbers import count, value
from emprox.spaces import Architecture, SearchSpace, as_architectures

__all__ = ["Candidates", "candidate_items", "find_candidates", "quantity"]

Floats = NDArray[np.float64]
DRAWN = 1000
"""Architectures drawn from the space where none are given."""
CHOSEN = 10
"""Candidates worth measuring that are listed."""
SAME = 1e-4
"""Distance in the embedding below which two architectures are one; length scales are about 1."""


@dataclass(frozen=True)
class Candidates:
    """Unmeasured architectures with estimates, those worth measuring first."""

    architectures: list[Architecture]
    """The candidates, the most promising first."""
    labels: list[str]
    """Their names."""
    estimates: Floats
    """Their estimates, (n,)."""
    interval: tuple[Floats, Floats] | None
    """Ends of 90 % intervals, (n,) each."""
    nearest: tuple[list[str], Floats, Floats] | None
    """Name, distance and measured value of the nearest known architecture, where the model has distances."""
    origin: str
    """Where they come from."""
    better: str
    """``highest`` or ``lowest``."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What they say in plain words."""
        first = f"The candidate to measure next is {self.labels[0]}, among {self.origin}: estimated {value(self.estimates[0])}"
        if self.interval is None:
            return (f"{first}, the {self.better} estimate. This estimator gives no intervals.",)
        lower, upper = self.interval
        width = upper - lower
        if len(width) < 3:  # too few for thirds
            few = f"90 % intervals of the candidates are from {value(width.min())} to {value(width.max())} wide."
            return (f"{first}, between {value(lower[0])} and {value(upper[0])} with 90 % probability.", few)
        parts = [width[part] for part in np.array_split(np.argsort(self.estimates, kind="stable"), 3)]
        low, high = (value(float(np.median(part))) for part in (parts[0], parts[-1]))
        surest, middle, widest = (value(end) for end in np.quantile(width, [0.1, 0.5, 0.9]).tolist())
        return (
            f"{first}, between {value(lower[0])} and {value(upper[0])} with 90 % probability; its interval reaches the "
            f"{self.better} of all, so that it may be the best.",
            f"90 % intervals of the candidates are {middle} wide at the median, {low} in the lowest third of the estimates and "
            f"{high} in "
            f"the highest; the surest tenth have at most {surest}, the least sure at least {widest}.",
        )


def quantity(model: ArchitectureRegressor) -> str:
    """Return what axes call the target of a model: its name, and its unit where the name does not end with that."""
    if model.target_ is None:
        return "performance"
    name, unit = model.target_.name, model.target_.unit
    return f"{name}, {unit}" if unit and not name.endswith(f"_{unit}") else name


def find_candidates(model: ArchitectureRegressor, given: Sequence[Any] | None, larger_is_better: bool) -> Candidates | None:
    """Return candidates given, or drawn from the model's space, without those it knows; None if there are none.

    They are ordered by the better end of their 90 % interval, by the estimate where the model has no intervals.
    """
    asked, origin = _asked(model, given)
    if not asked:
        return None
    first = model.y_.reshape(len(model.y_), -1)[:, 0]
    estimates, interval = _estimated(model, asked)
    promise = estimates if interval is None else interval[1] if larger_is_better else interval[0]
    order = np.argsort(-promise if larger_is_better else promise, kind="stable")
    nearest = None
    if isinstance(model, EmProx):
        distances, positions = (found[:, 0] for found in model.kneighbors([asked[i] for i in order], 1))
        names = [model.space_.label(model.architectures_[i]) for i in positions]
        nearest = (names, distances.astype(np.float64), first[positions])
    return Candidates(
        [asked[i] for i in order],
        [model.space_.label(asked[i]) for i in order],
        estimates[order],
        None if interval is None else (interval[0][order], interval[1][order]),
        nearest,
        origin.format(count(len(asked), "unmeasured architecture")),
        "highest" if larger_is_better else "lowest",
    )


def _asked(model: ArchitectureRegressor, given: Sequence[Any] | None) -> tuple[list[Architecture], str]:
    """Return the architectures to ask about, each function once where the model has an embedding, and where they come from."""
    if given is not None:
        drawn, origin = as_architectures(list(given), model.space_), "{} that were given"
    elif isinstance(model.space_, SearchSpace):
        drawn = model.space_.sample(np.random.default_rng(0), DRAWN)
        origin = f"{{}} of {count(DRAWN, 'random draw')} from {model.space_.name}"
    else:
        return [], ""
    known = set(model.architectures_)
    fresh = [architecture for architecture in dict.fromkeys(drawn) if architecture not in known]
    if not fresh or not isinstance(model, EmProx):
        return fresh, origin
    cells = np.round(model.encoder_.transform(fresh) / SAME).astype(np.int64)
    distinct = np.sort(np.unique(cells, axis=0, return_index=True)[1])
    fresh = [fresh[i] for i in distinct]
    distances = model.kneighbors(fresh, 1)[0][:, 0]
    return [a for a, distance in zip(fresh, distances, strict=True) if distance > SAME], origin


def _estimated(model: ArchitectureRegressor, asked: list[Architecture]) -> tuple[Floats, tuple[Floats, Floats] | None]:
    estimates = _first(model.predict(asked))
    if isinstance(model, EmProx):
        lower, upper = model.predict_interval(asked, LEVEL)
        return estimates, (_first(lower), _first(upper))
    if model.has_std:
        reach = float(stats.norm.ppf((1 + LEVEL) / 2)) * model.predict(asked, return_std=True)[1]
        return estimates, (estimates - reach, estimates + reach)
    return estimates, None


def _first(columns: Floats) -> Floats:
    return columns.reshape(len(columns), -1)[:, 0]


def candidate_items(found: Candidates, key: str, what: str) -> tuple[Chart | Table, ...]:
    """Return how sure the model is of the candidates, and the first of them as a table."""
    table = _table(found, key)
    if found.interval is None:
        return (table,)
    width = found.interval[1] - found.interval[0]
    distances = None if found.nearest is None else found.nearest[1].tolist()
    series = Series(
        "candidates",
        found.estimates.tolist(),
        width.tolist(),
        "cloud",
        notes=found.labels,
        values=distances,
        value_name="" if distances is None else "distance to nearest measured",
    )
    chart = Chart(
        f"{key}-sure",
        "Where it is sure",
        f"Width of 90 % intervals of {found.origin}: lower is surer."
        + ("" if distances is None else " Darker points lie nearer to a measured architecture."),
        found.sentences[-1],
        Axis(f"estimated {what}"),
        Axis("width of 90 % interval"),
        (Panel("all", (series,)),),
    )
    first = slice(0, CHOSEN)
    lower, upper = (end[first].tolist() for end in found.interval)
    names = tuple(f"{place + 1}" for place in range(len(lower)))
    ranked = Series("interval", found.estimates[first].tolist(), list(names), "points", lower, upper, found.labels[first])
    text = "; ".join(
        f"{place}: {value(e)}, {value(a)} to {value(b)}" for place, e, a, b in zip(names, ranked.x, lower, upper, strict=True)
    )
    best = Chart(
        f"{key}-promising",
        "The most promising",
        f"Estimates and 90 % intervals of the first {len(names)}, numbered as in the table: those that reach the {found.better}.",
        text + ".",
        Axis(what),
        Axis("", names=names[::-1]),
        (Panel("all", (ranked,)),),
    )
    return chart, best, table


def _table(found: Candidates, key: str) -> Table:
    columns = ["place", "architecture", "estimate"]
    rows: list[list[Any]] = [[i + 1, found.labels[i], float(found.estimates[i])] for i in range(min(CHOSEN, len(found.labels)))]
    if found.interval is not None:
        columns += ["low", "high"]
        rows = [[*row, *(float(end[i]) for end in found.interval)] for i, row in enumerate(rows)]
    if found.nearest is not None:
        columns += ["nearest measured", "distance", "measured there"]
        names, distances, measured = found.nearest
        rows = [[*row, names[i], float(distances[i]), float(measured[i])] for i, row in enumerate(rows)]
    return Table(f"{key}-candidates", "Candidates to measure next", tuple(columns), rows, f"The first of {found.origin}.")
