"""Architectures and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.registry import nearest
from emprox.spaces import Architecture, SearchSpace, get_space
from emprox.validation import as_targets, check_at_least

__all__ = ["CLASSES", "PerformanceTable"]

CLASSES = "classes"
"""Population with one row, the first, of each canonical hash."""


@dataclass(frozen=True)
class PerformanceTable:
    """Rows of architectures and columns of measured targets.

    Raises
    ------
    InvalidDataError
        If a column's length differs from the number of rows, or a value is not finite.

    Examples
    --------
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

    def __post_init__(self) -> None:
        space = get_space(self.space)
        for architecture in self.architectures:
            space.check(architecture)
        if not self.targets:
            raise InvalidDataError(f"table {self.name} has no target; pass at least one column of measurements")
        for columns in (self.targets, self.spreads):
            for name, values in columns.items():
                try:
                    as_targets(values, len(self))
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

    def rows(self, rows: Sequence[int] | NDArray[np.integer]) -> PerformanceTable:
        """Return the table of these rows, in this order."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            architectures=tuple(self.architectures[i] for i in chosen),
            targets={name: values[chosen] for name, values in self.targets.items()},
            spreads={name: values[chosen] for name, values in self.spreads.items()},
        )

    @property
    def populations(self) -> list[str]:
        """Names that `population` takes."""
        return [*get_space(self.space).populations, CLASSES]

    def population(self, name: str) -> PerformanceTable:
        """Return the rows of a named population: ``all``, ``connected``, ``classes``, or one that the space defines."""
        space = get_space(self.space)
        if name == CLASSES:
            return self.rows(_first_of_each_class(space, self.architectures))
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
        check_at_least("train_size", train_size, 1)
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


def _first_of_each_class(space: SearchSpace, architectures: Sequence[Architecture]) -> list[int]:
    first: dict[str, int] = {}
    for row, architecture in enumerate(architectures):
        first.setdefault(space.canonical_hash(architecture), row)
    return list(first.values())
