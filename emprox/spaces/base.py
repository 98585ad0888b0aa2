"""What every search space offers, and the architecture, a value without behaviour of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.registry import Registry
from emprox.spaces.graph import ComputationGraph

if TYPE_CHECKING:
    import torch

__all__ = ["SPACES", "Architecture", "CellBatch", "SearchSpace", "get_space"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture: a search space and a description in it. Hashable; networks are built from it, never stored in it."""

    space: str
    """Registered name of the search space."""
    spec: Hashable
    """The description in the space's own terms (for NAS-Bench-201 six op numbers)."""

    def __str__(self) -> str:
        """Return the text from which ``get_space(self.space).parse`` makes an equal architecture."""
        return get_space(self.space).format(self)


@dataclass(frozen=True)
class CellBatch:
    """A batch of cells as padded directed acyclic graphs, the common input of the encodings.

    Letters: B architectures, N nodes (the space's largest cell), K op kinds.
    """

    adjacency: NDArray[np.int8]
    """(B, N, N), 1 where node i feeds node j, i < j; rows and columns of absent nodes are 0."""
    ops: NDArray[np.int8]
    """(B, N), 0 the input, 1 to K the space's ops, K + 1 the output, -1 an absent node."""


class SearchSpace(ABC):
    """A set of architectures and all that is known about it. Stateless; one instance serves all.

    Subclasses set the class variables and the abstract methods; `emprox.testing.SpaceContract` checks them.
    """

    name: ClassVar[str]
    """Registered name."""
    ops: ClassVar[tuple[str, ...]]
    """The K operators a cell can hold, in the order of their numbers."""
    max_nodes: ClassVar[int]
    """N, nodes of the largest cell, input and output included."""
    topology: ClassVar[NDArray[np.int8] | None] = None
    """(N, N), the adjacency that all cells share, or None where it varies."""
    size: ClassVar[int]
    """Number of descriptions (different descriptions may be the same function)."""

    @abstractmethod
    def parse(self, description: Any) -> Architecture:
        """Return the architecture that a text (or the space's own tuple) describes.

        Raises
        ------
        InvalidArchitectureError
            If the description is malformed or describes something outside the space.
        """

    @abstractmethod
    def format(self, architecture: Architecture) -> str:
        """Return the text that `parse` reads back."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> list[Architecture]:
        """Draw n architectures uniformly and independently (repetitions are possible)."""

    @abstractmethod
    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random neighbour."""

    @abstractmethod
    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return all architectures one change away, without the architecture itself."""

    @abstractmethod
    def __iter__(self) -> Iterator[Architecture]:
        """Go through all architectures in a fixed order; only for spaces small enough to enumerate."""

    @abstractmethod
    def to_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the canonical cell graph: dead ops pruned, skip connections contracted, parallel edges kept."""

    @abstractmethod
    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return a batch of cells as arrays, unpruned, as the sequence and path encodings of the literature see them."""

    @abstractmethod
    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture of one cell given as in `CellBatch`, (N, N) and (N,).

        Raises
        ------
        InvalidArchitectureError
            If no architecture of the space has this cell.
        """

    @abstractmethod
    def to_module(self, architecture: Architecture, **options: Any) -> torch.nn.Module:
        """Build the network with random weights."""

    def canonical_hash(self, architecture: Architecture) -> str:
        """Return the hash that architectures of the same function share (kept for the last 100,000 asked)."""
        return _canonical_hash(self.check(architecture))

    def is_connected(self, architecture: Architecture) -> bool:
        """Whether the output depends on the input."""
        return self.to_graph(architecture).is_connected

    @property
    def populations(self) -> Mapping[str, Callable[[Architecture], bool]]:
        """Named subsets of the space: name to membership test."""
        return {"all": lambda _: True, "connected": self.is_connected}

    def check(self, architecture: Architecture) -> Architecture:
        """Return the architecture if it is of this space, raise otherwise."""
        if not isinstance(architecture, Architecture):
            raise InvalidArchitectureError(
                f"expected an Architecture of {self.name}, got {type(architecture).__name__}: {architecture!r}; "
                f"make one with get_space({self.name!r}).parse(...)"
            )
        if architecture.space != self.name:
            raise InvalidArchitectureError(
                f"{architecture.spec!r} is an architecture of {architecture.space}, expected one of {self.name}"
            )
        return architecture


SPACES: Registry[type[SearchSpace]] = Registry(
    "search space",
    {"nasbench201": "emprox.spaces.nasbench201:NASBench201"},
    group="emprox.spaces",
)


@cache
def _instance(name: str) -> SearchSpace:
    return SPACES.get(name)()


def get_space(space: str | SearchSpace) -> SearchSpace:
    """Return the search space of that name (a space passes through).

    >>> get_space("nasbench201").size
    15625
    """
    if isinstance(space, SearchSpace):
        return space
    if not isinstance(space, str):
        raise InvalidOptionError(f"expected the name of a search space, got {space!r}; known: {', '.join(SPACES)}")
    return _instance(space)


@lru_cache(maxsize=100_000)
def _canonical_hash(architecture: Architecture) -> str:
    return get_space(architecture.space).to_graph(architecture).canonical_hash()
