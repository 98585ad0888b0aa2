"""What a search may ask: all of a space, or the architectures whose performance a table knows.

All methods move through a pool in the same way, so that they can be compared on a table that holds only part of a space.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emprox.encodings import get_encoding
from emprox.encodings.remembered import Memory
from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.search.goals import Bound
from emprox.spaces import Architecture, SearchSpace, get_space
from emprox.tables import PerformanceTable

__all__ = ["COSTS", "Pool", "SpacePool", "TablePool", "as_pool"]

Floats = NDArray[np.float64]
COSTS = ("params_millions", "macs_millions")
"""Values that every space knows of an architecture without training it, in the order of `SearchSpace.costs`."""
ENUMERABLE = 20_000
"""A space of at most so many descriptions is gone through when drawing finds nothing new."""
TRIES = 200
"""Draws for each architecture that is wanted, before it is given up."""
NEIGHBORS = 10
"""The least number of neighbours of an architecture in a table; the nearest rows stand in for changes that the table lacks."""
COMPONENTS = 32
"""Dimensions in which rows of a table are near."""
LOOKED_UP = 100_000
"""In a larger space a table is not searched for the changes of an architecture: it would know next to none."""


class Pool(ABC):
    """Architectures that may be asked, with the moves between them.

    Parameters
    ----------
    space : SearchSpace
        The space they are of.
    bounds : sequence of Bound
        Limits on what is known without an evaluation.
    """

    def __init__(self, space: SearchSpace, bounds: Sequence[Bound] = ()) -> None:
        self.space, self.bounds = space, tuple(bounds)
        self.memory = Memory()
        for bound in self.bounds:
            if bound.name not in self.known_names:
                raise InvalidOptionError(f"{bound.name!r} is not known before an evaluation; known: {self.known_names}")

    @property
    def known_names(self) -> tuple[str, ...]:
        """Names of values that are known without an evaluation."""
        return COSTS

    def known(self, name: str, architectures: Sequence[Architecture]) -> Floats:
        """Return a value that is known without an evaluation, (n_archs,)."""
        costs: Floats = self.space.costs(architectures)[:, COSTS.index(name)] / 1e6
        return costs

    def allows(self, architecture: Architecture) -> bool:
        """Whether an architecture keeps the bounds."""
        return all(bool(bound.holds(self.known(bound.name, [architecture]))[0]) for bound in self.bounds)

    def key(self, architecture: Architecture) -> str:
        """Return the canonical hash."""
        return self.space.canonical_hash(architecture)

    def read(self, description: object) -> Architecture:
        """Return the architecture of a description."""
        return self.space.read(description)

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int, taken: Collection[str]) -> list[Architecture]:
        """Draw up to n architectures of different function; fewer where no more can be found outside `taken`."""

    @abstractmethod
    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random neighbour; it may break the bounds or be known already."""

    @abstractmethod
    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random architecture between two; it may break the bounds or be known already."""

    @abstractmethod
    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return the neighbours that keep the bounds."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of architectures, twins counted in a space and not in a table."""


class SpacePool(Pool):
    """All architectures of a space."""

    @property
    def size(self) -> int:
        """Number of descriptions in the space."""
        return self.space.size

    def sample(self, rng: np.random.Generator, n: int, taken: Collection[str]) -> list[Architecture]:
        """Draw from the space; one that is small is gone through where drawing finds too few."""
        found = self._new((self.space.sample(rng, 1)[0] for _ in range(TRIES * n)), n, taken)
        if len(found) < n and self.space.size <= ENUMERABLE:
            everything = list(self.space)
            order = rng.permutation(len(everything))
            found += self._new((everything[i] for i in order), n - len(found), {*taken, *map(self.key, found)})
        return found

    def _new(self, drawn: Iterable[Architecture], n: int, taken: Collection[str]) -> list[Architecture]:
        found: dict[str, Architecture] = {}
        for architecture in drawn:
            if self.allows(architecture) and (key := self.key(architecture)) not in taken:
                found.setdefault(key, architecture)
            if len(found) == n:
                break
        return list(found.values())

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random neighbour in the space."""
        return self.space.mutate(architecture, rng)

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return what the space makes of pieces of two."""
        return self.space.crossover(a, b, rng)

    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return the space's neighbours that keep the bounds."""
        return [neighbor for neighbor in self.space.neighbors(architecture) if self.allows(neighbor)]


class TablePool(Pool):
    """The rows of a table, one for each canonical hash.

    Neighbours are the rows one change away; where the table knows fewer than `NEIGHBORS` of them, the nearest rows by the space's
    default encoding, standardised and in its principal components, make up for it. For a crossing that the table lacks stands the
    row nearest to a point between the two.

    Parameters
    ----------
    table : PerformanceTable
        Only the first row of each canonical hash counts.
    bounds : sequence of Bound
        Rows beyond them are left out.
    """

    def __init__(self, table: PerformanceTable, bounds: Sequence[Bound] = ()) -> None:
        table = table.population("classes")
        self._columns = {name for name, values in table.columns.items() if values.dtype.kind == "f"}
        self.table = table
        super().__init__(get_space(table.space), bounds)
        kept = np.ones(len(table), dtype=bool)
        for bound in self.bounds:
            kept &= bound.holds(self._values(bound.name))
        self.table = table if kept.all() else table.rows(np.flatnonzero(kept))
        if not len(self.table):
            raise InvalidOptionError(f"no row of table {table.name} keeps {', '.join(map(str, self.bounds))}; widen the bounds")
        self.keys = [self.space.canonical_hash(architecture) for architecture in self.table.architectures]
        self.row = {key: row for row, key in enumerate(self.keys)}
        self._near: dict[int, list[int]] = {}

    def _values(self, name: str) -> Floats:
        if name in self._columns:
            return np.asarray(self.table.columns[name], dtype=np.float64)
        return super().known(name, self.table.architectures)

    @property
    def known_names(self) -> tuple[str, ...]:
        """Costs of the space and the table's columns of numbers."""
        return (*COSTS, *sorted(self._columns - set(COSTS)))

    def known(self, name: str, architectures: Sequence[Architecture]) -> Floats:
        """Return the table's column, or the costs of the space, (n_archs,)."""
        if name not in self._columns:
            return super().known(name, architectures)
        return np.asarray(self.table.columns[name], dtype=np.float64)[[self.row_of(a) for a in architectures]]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.table)

    def row_of(self, architecture: Architecture) -> int:
        """Return the row of an architecture or of a twin."""
        key = self.key(architecture)
        if key not in self.row:
            raise InvalidArchitectureError(f"table {self.table.name} does not know {architecture}; ask for one that it knows")
        return self.row[key]

    def read(self, description: object) -> Architecture:
        """Return the table's architecture of the function that is described."""
        return self.table.architectures[self.row_of(super().read(description))]

    def sample(self, rng: np.random.Generator, n: int, taken: Collection[str]) -> list[Architecture]:
        """Draw rows that are not taken, without repetition."""
        free = [row for row, key in enumerate(self.keys) if key not in taken]
        drawn = rng.permutation(len(free))[:n]
        return [self.table.architectures[free[i]] for i in drawn]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random neighbour among the rows."""
        near = self._nearby(self.row_of(architecture))
        return self.table.architectures[near[int(rng.integers(len(near)))]] if near else architecture

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return the row of a crossing; where there is none, the row nearest to a random point between the two."""
        if self.space.size <= LOOKED_UP:
            row = self.row.get(self.key(self.space.crossover(a, b, rng)))
            if row is not None:
                return self.table.architectures[row]
        first, second, share = self.row_of(a), self.row_of(b), rng.random()
        near = self._nearest(share * self._encoded[first] + (1 - share) * self._encoded[second], 3)
        others = [row for row in near if row not in (first, second)]
        return self.table.architectures[others[0] if others else first]

    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return the neighbours among the rows."""
        return [self.table.architectures[row] for row in self._nearby(self.row_of(architecture))]

    def _nearby(self, row: int) -> list[int]:
        if row not in self._near:
            found: dict[int, None] = {}
            if self.space.size <= LOOKED_UP:
                keys = (self.key(neighbor) for neighbor in self.space.neighbors(self.table.architectures[row]))
                found = dict.fromkeys(self.row[key] for key in keys if key in self.row and self.row[key] != row)
            if len(found) < NEIGHBORS:
                nearest = self._nearest(self._encoded[row], 2 * NEIGHBORS)
                others = [other for other in nearest if other != row and other not in found]
                found |= dict.fromkeys(others[: NEIGHBORS - len(found)])
            self._near[row] = list(found)
        return self._near[row]

    def _nearest(self, point: Floats, n: int) -> list[int]:
        distances = self._squares - 2 * self._encoded @ point  # less the point's own square
        nearest = np.argpartition(distances, n - 1)[:n] if n < len(distances) else np.arange(len(distances))
        return nearest[np.lexsort((nearest, distances[nearest]))].tolist()

    @cached_property
    def _encoded(self) -> Floats:
        """Rows in the principal components of their standardised encoding, (n_rows, at most `COMPONENTS`)."""
        columns = get_encoding(self.space.default_encoding, self.space).transform(self.table.architectures).astype(np.float64)
        std = columns.std(axis=0)
        standardised = (columns[:, std > 0] - columns[:, std > 0].mean(axis=0)) / std[std > 0]
        axes = np.linalg.eigh(standardised.T @ standardised)[1][:, ::-1][:, :COMPONENTS]
        places: Floats = standardised @ axes
        return places

    @cached_property
    def _squares(self) -> Floats:
        squares: Floats = np.square(self._encoded).sum(axis=1)
        return squares


def as_pool(space: str | SearchSpace | PerformanceTable | Pool, bounds: Sequence[Bound] = ()) -> Pool:
    """Return the pool of a space, by name or itself, or of a table (a pool passes through)."""
    if isinstance(space, Pool):
        if bounds:
            raise InvalidOptionError("bounds on what is known go to the pool when it is made")
        return space
    if isinstance(space, PerformanceTable):
        return TablePool(space, bounds)
    return SpacePool(get_space(space), bounds)
