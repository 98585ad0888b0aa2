"""Architectures and what was measured of them, by name: targets, their spreads over seeds, curves, further columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.registry import nearest
from emprox.spaces import Architecture, ArchitectureFamily, get_family
from emprox.tables.columns import CHECKS
from emprox.tables.measures import Measure, measure_of
from emprox.validation import check_at_least

if TYPE_CHECKING:
    import pandas

__all__ = ["CLASSES", "PerformanceTable"]

CLASSES = "classes"
"""Population with one row, the first, of each canonical hash."""


@dataclass(frozen=True)
class PerformanceTable:
    """Rows of architectures and columns of measured targets.

    A value: `rows`, `where`, `population` and `join` make new tables.

    Raises
    ------
    InvalidDataError
        If a column's length differs from the number of rows, a target or spread is not finite, a count is below 1, a
        spread, count or measure names a target that is not there, or a mark has the name of another population.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> table = PerformanceTable("mine", "nasbench201", tuple(get_space("nasbench201").neighbors(
    ...     get_space("nasbench201").parse((0, 0, 0, 0, 0, 0)))), {"val_accuracy": np.linspace(80, 90, 24)})
    >>> test, train = table.split(train_size=10, test_size=5, seed=0)
    >>> len(test), len(train), len(set(test) & set(train))
    (5, 10, 0)
    """

    name: str
    """Name under which `load_table` finds it, with its variant."""
    space: str
    """Name of the search space of all rows."""
    architectures: tuple[Architecture, ...]
    """One architecture per row."""
    targets: Mapping[str, NDArray[np.float64]]
    """Measured values by name, each ndarray of shape (n_rows,); the unit is in the name: ``val_accuracy`` is in percent."""
    spreads: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Standard deviations of targets, where known, by the target's name."""
    citation: str = ""
    """Whom to cite."""
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """Number of trainings (seeds) that a target is the mean of, where known, by the target's name; 1 or more."""
    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Values after each epoch by name, each ndarray of shape (n_rows, n_epochs); NaN after a training that stopped early."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Further facts by name, numbers (NaN where missing) or texts, each ndarray of shape (n_rows,): parameters, proxies."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """Unit and direction by the target's name; what is left out is read from the name's ending where it tells."""
    marks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Named populations of this table: which rows belong to each, ndarray of shape (n_rows,); see `population`."""
    epochs: int | None = None
    """Epochs of the training behind a target; by default those of the longest curve, None where nothing tells."""

    def __post_init__(self) -> None:
        space = get_family(self.space)
        for architecture in self.architectures:
            space.check(architecture)
        if not self.targets:
            raise InvalidDataError(f"table {self.name} has no target; pass at least one column of measurements")
        for kind, check in CHECKS.items():
            checked = {name: self._checked(check, name, values) for name, values in getattr(self, kind).items()}
            object.__setattr__(self, kind, checked)
        for kind in ("spreads", "counts", "measures"):
            for name in set(getattr(self, kind)) - set(self.targets):
                raise InvalidDataError(f"table {self.name}: {kind} has {name!r}, which is no target ({', '.join(self.targets)})")
        for name in set(self.columns) & set(self.targets):
            raise InvalidDataError(f"table {self.name}: {name!r} is a target and a further column; rename one")
        for name in {*space.populations, CLASSES} & set(self.marks):
            raise InvalidDataError(f"table {self.name}: the mark {name!r} is a population of every {space.name} table; rename it")
        if self.epochs is not None:
            check_at_least("epochs", self.epochs, 1)
        elif self.curves:
            object.__setattr__(self, "epochs", max(values.shape[1] for values in self.curves.values()))
        measures = {name: self.measures.get(name, measure_of(name)) for name in self.targets}
        object.__setattr__(self, "measures", measures)

    def _checked(self, check: Callable[[Any, int], Any], name: str, values: Any) -> Any:
        try:
            return check(values, len(self))
        except InvalidDataError as error:
            raise InvalidDataError(f"table {self.name}, column {name!r}: {error}") from None

    def __len__(self) -> int:
        return len(self.architectures)

    def target(self, name: str | None = None) -> tuple[str, NDArray[np.float64]]:
        """Return the name and values of a target, by default the first."""
        if name is None:
            name = next(iter(self.targets))
        if name not in self.targets:
            raise UnknownNameError(f"table {self.name} has no target {name!r}; {nearest(name, list(self.targets))}")
        return name, self.targets[name]

    def column(self, name: str) -> NDArray[Any]:
        """Return the values of a target or of a further column, ndarray of shape (n_rows,)."""
        known = {**self.columns, **self.targets}
        if name not in known:
            raise UnknownNameError(f"table {self.name} has no column {name!r}; {nearest(name, list(known))}")
        return known[name]

    def rows(self, rows: Sequence[int] | NDArray[np.integer]) -> PerformanceTable:
        """Return the table of these rows, in this order."""
        if np.asarray(rows).dtype == bool:
            raise InvalidDataError("expected numbers of rows, got true and false; numpy.flatnonzero turns a mask into numbers")
        chosen = np.asarray(rows, dtype=np.int64)
        parts = {kind: {name: values[chosen] for name, values in getattr(self, kind).items()} for kind in CHECKS}
        return replace(self, architectures=tuple(self.architectures[i] for i in chosen), **parts)  # type: ignore[arg-type]

    def where(
        self, column: str, *, at_least: float | None = None, at_most: float | None = None, equals: Any = None
    ) -> PerformanceTable:
        """Return the rows whose value in a column lies within bounds, both included, or equals a value.

        A missing number (NaN) lies within no bounds. Any other choice is ``table.rows(numpy.flatnonzero(mask))``.

        >>> from emprox.spaces import get_space
        >>> cells = get_space("nasbench201").sample(np.random.default_rng(0), 4)
        >>> table = PerformanceTable("mine", "nasbench201", tuple(cells), {"val_accuracy": [90, 85, 80, 75]})
        >>> table.where("val_accuracy", at_least=80, at_most=88).targets["val_accuracy"]
        array([85., 80.])
        """
        values = self.column(column)
        if at_least is None and at_most is None and equals is None:
            raise InvalidOptionError(f"expected at_least, at_most or equals for column {column!r}, got none of them")
        if values.dtype.kind == "U" and (at_least is not None or at_most is not None):
            raise InvalidOptionError(f"column {column!r} of table {self.name} holds texts; use equals")
        mask = np.ones(len(self), dtype=bool)
        if at_least is not None:
            mask &= values >= at_least
        if at_most is not None:
            mask &= values <= at_most
        if equals is not None:
            mask &= values == equals
        return self.rows(np.flatnonzero(mask))

    def best(self, n: int = 1, target: str | None = None) -> PerformanceTable:
        """Return the n best rows by a target, the best first; which way is better is the target's measure."""
        name, values = self.target(target)
        check_at_least("n", n, 1)
        larger = self.measures[name].larger_is_better
        if larger is None:
            raise InvalidDataError(
                f"whether a larger {name!r} is better is not known; pass measures={{{name!r}: Measure(unit, larger_is_better)}}"
            )
        return self.rows(np.argsort(-values if larger else values, kind="stable")[:n])

    def join(self, other: PerformanceTable) -> PerformanceTable:
        """Return the rows whose function `other` knows too, with its targets and columns as further columns.

        Rows are matched by canonical hash; see `emprox.tables.joins.join`.
        """
        from emprox.tables.joins import join

        return join(self, other)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame of all columns (extra ``tables``); what the columns are stands in its ``attrs``."""
        from emprox.tables.storage import to_pandas

        return to_pandas(self)

    def info(self) -> dict[str, Any]:
        """Return the datasheet: rows, distinct functions, each target's unit, direction, range and seeds, whom to cite."""
        from emprox.tables.datasheet import datasheet

        return datasheet(self)

    @property
    def populations(self) -> list[str]:
        """Names that `population` takes."""
        return [*get_family(self.space).populations, CLASSES, *self.marks]

    def population(self, name: str) -> PerformanceTable:
        """Return the rows of a named population: ``all``, ``connected``, ``classes``, one of the space or of the `marks`."""
        space = get_family(self.space)
        if name == CLASSES:
            return self.rows(_first_of_each_class(space, self.architectures))
        if name in self.marks:
            return self.rows(np.flatnonzero(self.marks[name]))
        if name not in space.populations:
            raise UnknownNameError(f"{self.space} has no population {name!r}; {nearest(name, self.populations)}")
        belongs = space.populations[name]
        return self.rows([i for i, architecture in enumerate(self.architectures) if belongs(architecture)])

    def split(
        self,
        train_size: int,
        test_size: int | Literal["rest"],
        seed: int,
        trial: int = 0,
        largest_train_size: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return test rows and training rows of a random split.

        The permutation is ``numpy.random.default_rng([seed, trial]).permutation(n)``: first the test rows, then the training
        rows, so that training sets of different sizes are nested and the test rows are the same for all of them.

        Parameters
        ----------
        train_size, test_size : int
            Rows of each part; a test size of ``"rest"`` takes all rows that the largest training set leaves.
        seed, trial : int
            Identify the permutation.
        largest_train_size : int, optional
            Of the training sizes that share the test rows, with ``"rest"``; by default `train_size`.

        Returns
        -------
        test, train : ndarray of shape (test_size,) and (train_size,)
            Disjoint row numbers.
        """
        check_at_least("train_size", train_size, 0)
        largest = max(train_size, largest_train_size or 0)
        if test_size == "rest":
            test_size = len(self) - largest
        check_at_least("test_size", test_size, 1)
        if test_size + largest > len(self):
            raise InvalidOptionError(
                f"{test_size} test rows and {largest} training rows were asked of table {self.name}, which has {len(self)}"
            )
        order = np.random.default_rng([seed, trial]).permutation(len(self))
        return order[:test_size], order[test_size : test_size + train_size]


def _first_of_each_class(space: ArchitectureFamily, architectures: Sequence[Architecture]) -> list[int]:
    first: dict[str, int] = {}
    for row, architecture in enumerate(architectures):
        first.setdefault(space.canonical_hash(architecture), row)
    return list(first.values())
