"""One number that needs no training and no label: parameters, multiply-accumulates, path-norm, and their mean rank."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError
from emprox.estimators.base import Floats
from emprox.estimators.label_free import LabelFreeRegressor
from emprox.registry import nearest
from emprox.spaces import Architecture, ArchitectureFamily, SearchSpace, Traits, get_space
from emprox.spaces.graph_batch import GraphBatch

__all__ = ["SIGNALS", "OneNumber"]

REFERENCE_SIZE = 1000
"""Architectures drawn from the space whose numbers ranks are taken among."""
WEIGHTED, POOLING = ("conv", "linear"), ("pool",)
"""Kinds of operators in the network view."""


def log_parameters(space: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the logarithm of the network's parameters."""
    return np.log1p(space.costs(architectures)[:, 0])


def log_macs(space: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the logarithm of the network's multiply-accumulates."""
    return np.log1p(space.costs(architectures)[:, 1])


def log_path_norm(space: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the logarithm of the network's analytic path-norm; a network whose output is constant gets 0, the least."""
    norms = space.path_norms(architectures)
    return np.where(np.isfinite(norms), norms, 0)


def log_convolutions(space: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the logarithm of one plus the number of live operators with weights; of all where the space tells no traits."""
    return np.log1p(_live(space, architectures)[:, 0])


def log_poolings(space: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the logarithm of one plus the number of live poolings."""
    return np.log1p(_live(space, architectures)[:, 1])


def _live(space: ArchitectureFamily, architectures: list[Architecture]) -> NDArray[np.int64]:
    """Return the numbers of live operators with weights and of live poolings, (n, 2): of the cell, or of the whole network."""
    if not isinstance(space, SearchSpace):
        networks = [space.to_graph(architecture, "network").kinds for architecture in architectures]
        counts = [[sum(kind in kinds for kind in network) for kinds in (WEIGHTED, POOLING)] for network in networks]
        return np.array(counts, dtype=np.int64).reshape(-1, 2)
    batch = GraphBatch.from_cells(space.cells(architectures), space)
    traits = [space.traits.get(op, Traits()) for op in space.ops]
    weighted = np.array([not space.traits or each.layers > 0 for each in traits])
    pooling = np.array([each.layers == 0 and each.growth > 0 for each in traits])
    chosen = batch.kinds >= 0
    found = [np.bincount(batch.graph, chosen & those[batch.kinds], minlength=len(batch)) for those in (weighted, pooling)]
    return np.column_stack(found).astype(np.int64)


PARTS = (log_macs, log_parameters, log_path_norm, log_convolutions)


def size(space: ArchitectureFamily, architectures: list[Architecture]) -> Floats:
    """Return the mean rank of the four numbers above among fixed random architectures of the space, between 0 and 1."""
    ranks = [
        np.interp(part(space, architectures), reference, np.linspace(0, 1, len(reference)))
        for part, reference in zip(PARTS, _reference(space.name), strict=True)
    ]
    return np.mean(ranks, axis=0)


@cache
def _reference(space: str) -> list[NDArray[np.float64]]:
    drawn = get_space(space).sample(np.random.default_rng(0), REFERENCE_SIZE)
    return [np.sort(part(get_space(space), drawn)) for part in PARTS]


SIGNALS: dict[str, Callable[[ArchitectureFamily, list[Architecture]], Floats]] = {
    "macs": log_macs,
    "params": log_parameters,
    "pathnorm": log_path_norm,
    "size": size,
}


class OneNumber(LabelFreeRegressor):
    """Rank architectures by one number; labels only set the scale, so that the ranking is that of no label at all.

    The estimate is the number, shifted and stretched to the mean and spread of the measurements: larger is always better.
    Print it beside anything that was trained: on many tables it is hard to beat.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space; None takes it from the architectures.
    signal : {"macs", "params", "pathnorm", "size"}
        Logarithm of multiply-accumulates, of parameters, of the analytic path-norm, or the mean rank of these and of
        the number of convolutions.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.
    """

    kind = "one-number"

    def __init__(
        self, *, space: str | ArchitectureFamily | None = None, signal: str = "size", random_state: int | None = None
    ) -> None:
        self.space = space
        self.signal = signal
        self.random_state = random_state

    @classmethod
    def params(cls, *, space: str | ArchitectureFamily | None = None, random_state: int | None = None) -> OneNumber:
        """Return the ranking by parameters."""
        return cls(space=space, signal="params", random_state=random_state)

    @classmethod
    def macs(cls, *, space: str | ArchitectureFamily | None = None, random_state: int | None = None) -> OneNumber:
        """Return the ranking by multiply-accumulates."""
        return cls(space=space, signal="macs", random_state=random_state)

    @classmethod
    def pathnorm(cls, *, space: str | ArchitectureFamily | None = None, random_state: int | None = None) -> OneNumber:
        """Return the ranking by the analytic path-norm."""
        return cls(space=space, signal="pathnorm", random_state=random_state)

    @classmethod
    def size(cls, *, space: str | ArchitectureFamily | None = None, random_state: int | None = None) -> OneNumber:
        """Return the ranking by the mean rank of all four numbers."""
        return cls(space=space, signal="size", random_state=random_state)

    def _check_options(self) -> None:
        if self.signal not in SIGNALS:
            raise InvalidOptionError(f"no signal is called {self.signal!r}; {nearest(str(self.signal), list(SIGNALS))}")

    def _numbers(self, architectures: list[Architecture]) -> Floats:
        return SIGNALS[self.signal](self.space_, architectures)
