"""A rank score for any network from a handful of numbers, weighed by what tables of other families say.

Letters: n architectures, C numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
from safetensors.numpy import load_file, save_file

from emprox.errors import InvalidOptionError
from emprox.estimators.base import Floats
from emprox.estimators.label_free import LabelFreeRegressor
from emprox.estimators.signals import log_convolutions, log_poolings
from emprox.estimators.warp import Warp
from emprox.spaces import Architecture, ArchitectureFamily, SearchSpace, get_family
from emprox.tables import PerformanceTable
from emprox.tables.sources import Source, labelled, source_tables
from emprox.validation import check_at_least

__all__ = ["NUMBERS", "SHIPPED", "Knowledge", "Universal"]

NUMBERS = ("log_macs", "log_parameters", "log_path_norm", "log_convolutions", "log_poolings")
"""The C numbers of an architecture; dead operators do not count."""
SIZE = np.array([0.25, 0.25, 0.25, 0.25, 0.0])
"""Their weights in the label-free size score, which learned weights are drawn to."""
SHRINKAGE = 0.5
"""Chosen on TransNAS-Bench-101 micro and NAS-Bench-301."""
REFERENCES = 1000
"""Architectures drawn from a family, over which its numbers are standardised."""
ROWS = 500
"""Most labelled architectures of each table that are learned from."""
FURTHEST = 4.0
"""Standard deviations beyond which a number counts no more."""
DEAD = -10.0
"""Score of a network whose output is constant: below all others."""
SHIPPED = Path(__file__).parent.parent / "knowledge" / "universal.safetensors"
"""What `Universal` knows where no source is given; the file beside it says what was learned from."""

MOST_KEPT = 1000
"""Networks of families that cannot be sampled whose numbers are kept: counting takes as long as writing the graph."""
_MOMENTS: dict[int, tuple[Floats, Floats, Floats]] = {}


@dataclass(frozen=True)
class Knowledge:
    """What was learned from the tables of some families."""

    weights: Floats
    """(C,) of the standardised numbers."""
    centre: Floats
    """(C,) mean of the numbers over all those families, for a family that cannot be sampled."""
    scale: Floats
    """(C,) their standard deviation."""

    @classmethod
    def learn(cls, tables: Sequence[PerformanceTable], shrinkage: float = SHRINKAGE) -> Knowledge:
        """Return weights that minimise the squared error of scores within each table, every family counting alike.

        Ridge regression, drawn to the size score: its own best multiple is where no further weight has to be paid for.
        """
        families: dict[str, list[tuple[Floats, Floats, Floats]]] = {}
        for table in tables:
            families.setdefault(table.space, []).append(_moments(table))
        within = [[np.mean(each, axis=0) for each in list(zip(*moments, strict=True))[:2]] for moments in families.values()]
        squares, products = (np.mean(each, axis=0) for each in zip(*within, strict=True))
        size = SIZE * (SIZE @ products) / (SIZE @ squares @ SIZE)
        weights = np.linalg.solve(squares + shrinkage * np.eye(len(SIZE)), products + shrinkage * size)
        numbers = np.concatenate([numbers for moments in families.values() for *_, numbers in moments])
        return cls(weights, numbers.mean(axis=0), _spread(numbers))

    @classmethod
    @cache
    def shipped(cls) -> Knowledge:
        """Return what comes with emprox."""
        return cls(**{name: array.astype(np.float64) for name, array in load_file(SHIPPED).items()})

    def save(self, file: Path) -> None:
        """Write it as safetensors."""
        save_file(asdict(self), file)


class Universal(LabelFreeRegressor):
    """Rank networks of any family by what is known of other families.

    Five numbers (the logarithms of parameters, multiply-accumulates, path-norm, convolutions, poolings), standardised over
    the family, are added up with weights learned from tables of other families, whose accuracies are standardised too. The
    estimate is in standard deviations of the family until there are measurements, which then only set the scale. A network
    whose output is constant is ranked last. Costs .1 ms for a cell, for a network that is given as long as its graph takes, some
    milliseconds.

    Parameters
    ----------
    space : str, ArchitectureFamily or None
        The family; None takes it from the architectures.
    source : sequence of str or PerformanceTable, optional
        Tables of other families to learn from. None takes the weights that come with emprox.
    shrinkage : float
        How much weights are drawn to those of the label-free size score; with ``1e9`` they are its.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.

    Attributes
    ----------
    knowledge_ : Knowledge
        The weights.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> space = get_space("nasbench201")
    >>> cells = [space.parse(spec) for spec in ((4, 4, 4, 4, 4, 4), (2, 2, 2, 2, 2, 2), (1, 1, 1, 1, 1, 1))]
    >>> ranks = Universal(space=space).fit([], []).predict(cells)
    >>> bool(ranks[1] > ranks[0] > ranks[2])  # convolutions, poolings, nothing
    True
    """

    kind = "universal"

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        source: Source = None,
        shrinkage: float = SHRINKAGE,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.source = source
        self.shrinkage = shrinkage
        self.random_state = random_state

    def _check_options(self) -> None:
        check_at_least("shrinkage", self.shrinkage, 0, float)
        if self.source is None and self.shrinkage != SHRINKAGE:
            raise InvalidOptionError(f"shrinkage={self.shrinkage!r} is for weights that are learned; give a source, or leave it")

    def _prepare(self) -> None:
        if self.source is None:
            self.knowledge_ = Knowledge.shipped()
        else:
            tables = source_tables(self.source, self.space_)
            self.knowledge_ = Knowledge.learn(tables, self.shrinkage)

    def _numbers(self, architectures: list[Architecture]) -> Floats:
        if not architectures:
            return np.empty(0)
        numbers = _numbers(self.space_, architectures)
        centre, scale = _over(self.space_) or (self.knowledge_.centre, self.knowledge_.scale)
        return _standardised(numbers, centre, scale) @ self.knowledge_.weights

    def _least(self, numbers: Floats) -> float:
        return DEAD

    def _options(self) -> dict[str, Any]:
        """Return constructor options that JSON can hold; what came from the source is in the weights."""
        return super()._options() | {"source": None, "shrinkage": SHRINKAGE}

    def _write(self, folder: Path) -> dict[str, Any]:
        knowledge = {name: array.tolist() for name, array in asdict(self.knowledge_).items()}
        return super()._write(folder) | {"knowledge": knowledge}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        super()._read_state(folder, state)
        self.knowledge_ = Knowledge(**{name: np.array(values, np.float64) for name, values in state["knowledge"].items()})


def _numbers(family: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the `NUMBERS`, (n, C), NaN throughout where the output is constant; those of given graphs are kept."""
    if family.references(1):
        return _counted(family, architectures)
    rows = [_of_network(family, architecture) for architecture in architectures]
    return np.array(rows).reshape(-1, len(NUMBERS))


@lru_cache(maxsize=MOST_KEPT)
def _of_network(family: ArchitectureFamily, architecture: Architecture) -> Floats:
    return _counted(family, [architecture])[0]


def _counted(family: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    costs = np.log1p(family.costs(_without_dead(family, architectures)))
    norms = family.path_norms(architectures)
    counted = [count(family, architectures) for count in (log_convolutions, log_poolings)]
    columns = np.column_stack([costs[:, 1], costs[:, 0], norms, *counted])
    columns[~np.isfinite(norms)] = np.nan
    return columns


def _without_dead(family: ArchitectureFamily, architectures: list[Architecture]) -> list[Architecture]:
    """Return architectures whose dead operators are replaced by one that passes nothing on, where a space has such."""
    if not isinstance(family, SearchSpace) or not family.removed:
        return architectures
    batch = family.cells(architectures)
    nothing = family.ops.index(min(family.removed)) + 1
    passes = (batch.ops >= 0) & ~np.isin(batch.ops, [family.ops.index(op) + 1 for op in family.removed])
    edges = (batch.adjacency > 0) & passes[:, :, None] & passes[:, None, :]
    begun, ends = batch.ops == 0, batch.ops == len(family.ops) + 1
    for node in range(edges.shape[1]):
        begun[:, node] |= (edges[:, :, node] & begun).any(axis=1)
    for node in reversed(range(edges.shape[1])):
        ends[:, node] |= (edges[:, node] & ends).any(axis=1)
    is_op = (batch.ops > 0) & (batch.ops <= len(family.ops))
    ops = np.where(is_op & ~(begun & ends), nothing, batch.ops)
    return [family.from_cell(adjacency, row) for adjacency, row in zip(batch.adjacency, ops, strict=True)]


@cache
def _over(family: ArchitectureFamily) -> tuple[Floats, Floats] | None:
    """Return mean and standard deviation of the numbers over a family, or None where it cannot be sampled."""
    references = family.references(REFERENCES)
    if not references:
        return None
    numbers = _numbers(family, references)
    numbers = numbers[~np.isnan(numbers[:, 0])]
    return numbers.mean(axis=0), _spread(numbers)


def _moments(table: PerformanceTable) -> tuple[Floats, Floats, Floats]:
    """Return mean squares (C, C) of standardised numbers, their mean products with scores (C,), and the numbers (n, C).

    Kept as long as the table lives: every fit of a benchmark asks for the same.
    """
    if id(table) not in _MOMENTS:
        _MOMENTS[id(table)] = _moments_of(table)
        finalize(table, _MOMENTS.pop, id(table), None)
    return _MOMENTS[id(table)]


def _moments_of(table: PerformanceTable) -> tuple[Floats, Floats, Floats]:
    family = get_family(table.space)
    architectures, values = labelled(table, ROWS, seed=0)
    numbers = _numbers(family, architectures)
    told = ~np.isnan(numbers[:, 0])
    numbers, values = numbers[told], values[told]
    over = _over(family) or (numbers.mean(axis=0), _spread(numbers))
    columns, scores = _standardised(numbers, *over), Warp.fit(values).forward(values)
    return columns.T @ columns / len(columns), columns.T @ scores / len(columns), numbers


def _standardised(numbers: Floats, centre: Floats, scale: Floats) -> Floats:
    return np.clip((numbers - centre) / scale, -FURTHEST, FURTHEST)


def _spread(numbers: Floats) -> Floats:
    """Return standard deviations (C,), infinite where a number does not vary, so that it does not count."""
    spread = numbers.std(axis=0)
    return np.where(spread > 1e-9, spread, np.inf)
