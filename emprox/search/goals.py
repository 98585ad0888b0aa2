"""What a search is after: one or several objectives, and bounds on what is measured; places, fronts, hypervolume.

Letters: n architectures, m objectives.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox._optional import import_optional
from emprox.errors import InvalidDataError, InvalidOptionError

__all__ = ["Bound", "Goals", "Objective"]

Floats = NDArray[np.float64]
MARGIN = 0.1
"""Share of the range of known values by which the reference point of a hypervolume lies beyond the worst."""
_BOUND = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*([^\s<>=]+)\s*")


@dataclass(frozen=True)
class Objective:
    """A number that a search makes as good as it can."""

    name: str
    """Name of the value; the unit is in it: ``val_accuracy`` is in percent."""
    larger_is_better: bool = True
    """Direction."""


@dataclass(frozen=True)
class Bound:
    """A number that must not be above, or not below, a limit."""

    name: str
    """Name of the value."""
    limit: float
    """The limit, itself allowed."""
    is_upper: bool = True
    """Whether larger values are not allowed; otherwise smaller ones are not."""

    @classmethod
    def parse(cls, text: str) -> Bound:
        """Read ``name<=number`` or ``name>=number``.

        >>> Bound.parse("macs_millions<=300")
        Bound(name='macs_millions', limit=300.0, is_upper=True)
        """
        match = _BOUND.fullmatch(text)
        try:
            limit = float(match[3]) if match else math.nan
        except ValueError:
            limit = math.nan
        if match is None or not math.isfinite(limit):
            raise InvalidOptionError(f"expected a bound such as 'macs_millions<=300', got {text!r}")
        return cls(match[1], limit, match[2] == "<=")

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.name}{'<=' if self.is_upper else '>='}{self.limit:g}"

    def excess(self, values: Floats) -> Floats:
        """Return by how much values break the bound, relative to the limit, 0 where they keep it."""
        over = values - self.limit if self.is_upper else self.limit - values
        return np.maximum(over, 0) / (abs(self.limit) or 1)

    def holds(self, values: Floats) -> NDArray[np.bool_]:
        """Return which values keep the bound."""
        compare = operator.le if self.is_upper else operator.ge
        return np.asarray(compare(values, self.limit))


@dataclass(frozen=True)
class Goals:
    """Objectives and bounds of a search.

    Raises
    ------
    InvalidOptionError
        If there is no objective or one is named twice.

    Examples
    --------
    >>> goals = Goals.of("val_accuracy", "-macs_millions", bounds=["latency_ms<=20"])
    >>> goals.names
    ('val_accuracy', 'macs_millions', 'latency_ms')
    """

    objectives: tuple[Objective, ...]
    """What is made as good as possible."""
    bounds: tuple[Bound, ...] = ()
    """Limits; architectures beyond them come after all others."""

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise InvalidOptionError(f"expected one objective or several of different names, got {names}")

    @classmethod
    def of(cls, *objectives: str, bounds: Iterable[str | Bound] = ()) -> Goals:
        """Return the goals of these names; a name after ``-`` is to be small."""
        parsed = tuple(Objective(name.removeprefix("-"), not name.startswith("-")) for name in objectives)
        return cls(parsed, tuple(Bound.parse(bound) if isinstance(bound, str) else bound for bound in bounds))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all values that an evaluation has to return, objectives first."""
        return tuple(dict.fromkeys([*(o.name for o in self.objectives), *(b.name for b in self.bounds)]))

    @property
    def signs(self) -> Floats:
        """1 for an objective to be large and -1 for one to be small, (m,)."""
        return np.array([1.0 if objective.larger_is_better else -1.0 for objective in self.objectives])

    @property
    def directions(self) -> dict[str, float]:
        """1 for each value that has to be large, as an objective or by a bound, and -1 for one that has to be small, by name."""
        of_bounds = {bound.name: -1.0 if bound.is_upper else 1.0 for bound in self.bounds}
        return of_bounds | {o.name: sign for o, sign in zip(self.objectives, self.signs.tolist(), strict=True)}

    def check(self, values: Any) -> dict[str, float]:
        """Return what an evaluation returned as numbers by name; one number is the first objective.

        Raises
        ------
        InvalidDataError
            If a name is missing or a value is not a finite number.
        """
        first = self.objectives[0].name
        given = values if isinstance(values, Mapping) else {first: values}
        missing = [name for name in self.names if name not in given]
        if missing:
            raise InvalidDataError(
                f"expected values of {', '.join(self.names)}, got {values!r} without {', '.join(missing)}; "
                "what is sought is named by --maximize and --minimize, or by Goals.of"
            )
        return {str(name): _number(name, value) for name, value in given.items()}

    def signed(self, values: Sequence[Mapping[str, float]]) -> Floats:
        """Return the objectives so that larger is better, (n, m)."""
        rows = [[each[objective.name] for objective in self.objectives] for each in values]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.objectives)) * self.signs

    def excess(self, values: Sequence[Mapping[str, float]]) -> Floats:
        """Return by how much all bounds together are broken, relative to their limits, (n,)."""
        total = np.zeros(len(values))
        for bound in self.bounds:
            total += bound.excess(np.array([each[bound.name] for each in values]))
        return total

    def places(self, values: Sequence[Mapping[str, float]]) -> NDArray[np.int64]:
        """Return the place of each, 0 the best, (n,): by bounds, then by objective or non-dominated front and crowding.

        Among equals the earlier comes first.
        """
        signed, excess = self.signed(values), self.excess(values)
        if len(self.objectives) == 1:
            order = np.lexsort((-signed[:, 0], excess))
        else:
            fronts, crowding = _fronts(signed)
            order = np.lexsort((-crowding, fronts, excess))
        places = np.empty(len(values), dtype=np.int64)
        places[order] = np.arange(len(values))
        return places

    def front(self, values: Sequence[Mapping[str, float]]) -> NDArray[np.int64]:
        """Return which keep all bounds and are dominated by none that does; with one objective the best and its equals."""
        allowed = np.flatnonzero(self.excess(values) == 0)
        signed = self.signed(values)[allowed]
        if not len(allowed):
            return allowed
        if len(self.objectives) == 1:
            return allowed[signed[:, 0] == signed.max()]
        return allowed[_fronts(signed)[0] == 0]

    def hypervolume(self, values: Sequence[Mapping[str, float]], reference: Floats | None = None) -> float:
        """Return the volume that those within bounds dominate beyond a reference point.

        Parameters
        ----------
        values : sequence of mapping
            Values by name.
        reference : ndarray of shape (m,), optional
            The point, signed so that larger is better; by default a little worse than the worst of the values.
        """
        signed = self.signed(values)
        if reference is None:
            reference = reference_point(signed)
        return volume(signed[self.excess(values) == 0], reference)


def reference_point(signed: Floats) -> Floats:
    """Return the point a little worse than the worst of signed objectives (n, m), (m,)."""
    if not len(signed):
        return np.zeros(signed.shape[1])
    worst, best = signed.min(axis=0), signed.max(axis=0)
    point: Floats = worst - MARGIN * np.where(best > worst, best - worst, 1.0)
    return point


def volume(signed: Floats, reference: Floats) -> float:
    """Return the hypervolume of signed objectives (n, m) beyond a reference point (m,), 0 where none is beyond it."""
    beyond = signed[(signed > reference).all(axis=1)]
    if not len(beyond):
        return 0.0
    if signed.shape[1] == 1:
        return float(beyond.max() - reference[0])
    return float(import_optional("pymoo.indicators.hv", "search").HV(ref_point=-reference)(-beyond))


def _fronts(signed: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return the number of the non-dominated front of each, 0 the best, and its crowding distance within it, (n,) each."""
    sorting = import_optional("pymoo.util.nds.non_dominated_sorting", "search").NonDominatedSorting()
    crowding_of = import_optional("pymoo.operators.survival.rank_and_crowding.metrics", "search").calc_crowding_distance
    numbers, crowding = np.zeros(len(signed), dtype=np.int64), np.zeros(len(signed))
    for number, members in enumerate(sorting.do(-signed) if len(signed) else []):
        numbers[members] = number
        crowding[members] = crowding_of(-signed[members])
    return numbers, crowding


def _number(name: Any, value: Any) -> float:
    if isinstance(value, bool | str | bytes) or value is None:
        raise InvalidDataError(f"expected a number as {name}, got {type(value).__name__} {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"expected a number as {name}, got {type(value).__name__} {value!r}") from error
    if not math.isfinite(number):
        raise InvalidDataError(f"expected a finite number as {name}, got {number}")
    return number
