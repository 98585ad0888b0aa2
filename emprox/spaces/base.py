"""What every search space offers beyond other families of architectures: cells, samples and neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError
from emprox.spaces.family import SPACES, Architecture, ArchitectureFamily, get_family
from emprox.spaces.graph import ComputationGraph

if TYPE_CHECKING:
    import torch

__all__ = ["SPACES", "Architecture", "CellBatch", "SearchSpace", "Traits", "get_space"]


@dataclass(frozen=True)
class CellBatch:
    """A batch of cells as padded directed acyclic graphs, the common input of the encodings.

    Letters: B architectures, N nodes (the space's largest cell), K op kinds.
    """

    adjacency: NDArray[np.int8]
    """(B, N, N), 1 where node i feeds node j, i < j; rows and columns of absent nodes are 0."""
    ops: NDArray[np.int8]
    """(B, N), 0 the input, 1 to K the space's ops, K + 1 the output, -1 an absent node."""


@dataclass(frozen=True)
class Traits:
    """What an operator does to a feature map, in numbers that different operators and spaces share."""

    growth: int = 0
    """Pixels by which it widens the receptive field: kernel size less one, times the dilation, for each of its layers."""
    weights: float = 0.0
    """Its weights, in those of a pointwise convolution between the same channels."""
    layers: int = 0
    """Convolutions, one after the other."""


class SearchSpace(ArchitectureFamily):
    """A family of architectures that can be sampled and searched. Stateless; one instance serves all.

    Subclasses set the class variables and the abstract methods; `emprox.testing.SpaceContract` checks them.
    """

    default_encoding = "blocks"
    ops: ClassVar[tuple[str, ...]]
    """The K operators a cell can hold, in the order of their numbers."""
    wiring: ClassVar[frozenset[str]] = frozenset()
    """Those of the ops that are never chosen: inputs of a cell, sums. Every path may pass them."""
    anchors: ClassVar[tuple[str, ...]] = ()
    """Those of the wiring whose direct successors features tell apart: inputs of a cell, sums, starts of a stage."""
    removed: ClassVar[frozenset[str]] = frozenset()
    """Those of the ops that pass nothing on."""
    contracted: ClassVar[frozenset[str]] = frozenset()
    """Those of the ops that change nothing and become wires."""
    traits: ClassVar[Mapping[str, Traits]] = {}
    """Traits of the ops; those without an entry have none."""
    max_nodes: ClassVar[int]
    """N, nodes of the largest cell, input and output included."""
    topology: ClassVar[NDArray[np.int8] | None] = None
    """(N, N), the adjacency that all cells share, or None where it varies."""
    parts: ClassVar[Mapping[str, tuple[int, ...]] | None] = None
    """Where an architecture has several cells: name to the nodes of each in a `CellBatch`, None for one cell."""
    choices: ClassVar[Mapping[str, tuple[str, ...]] | None] = None
    """Where an architecture is one option for each of several choices: name to options, None where it is not."""
    sequence_by: ClassVar[str] = "cell"
    """Name of the token sequence that suits the space, one of `emprox.spaces.sequences.FORMATS`."""
    size: ClassVar[int]
    """Number of descriptions (different descriptions may be the same function)."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> list[Architecture]:
        """Draw n architectures uniformly and independently (repetitions are possible)."""

    @abstractmethod
    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random neighbour."""

    @abstractmethod
    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a random architecture made of pieces of two."""

    @abstractmethod
    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return all architectures one change away, without the architecture itself."""

    @abstractmethod
    def __iter__(self) -> Iterator[Architecture]:
        """Go through all architectures in a fixed order; only for spaces small enough to enumerate."""

    @abstractmethod
    def cell_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the canonical cell graph: dead ops pruned, skip connections contracted, parallel edges kept."""

    def to_graph(self, architecture: Architecture, view: str = "cell", **options: Any) -> ComputationGraph:
        """Return what the architecture computes, as a graph without dead nodes.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.
        view : {"cell", "network"}
            The searched part in the operators of the space (microseconds), or the whole network in the universal
            vocabulary of `emprox.spaces.primitives`, with attributes (milliseconds).
        **options
            For the network view, those of `network`.
        """
        if view == "network":
            return super().to_graph(architecture, **options)
        if view != "cell" or options:
            raise InvalidOptionError(f"expected view 'cell' without options or 'network', got {view!r} and {options}")
        return self.cell_graph(architecture)

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

    def to_module(self, architecture: Architecture, **options: Any) -> torch.nn.Module:
        """Build the published network with random weights; the options are those of `network`."""
        from emprox.spaces._modules import GraphModule

        return GraphModule(self.network(architecture, **options))

    def canonical_hash(self, architecture: Architecture) -> str:
        """Return the hash that architectures of the same function share (kept for the last 100,000 asked)."""
        return _canonical_hash(self.check(architecture))

    def is_connected(self, architecture: Architecture) -> bool:
        """Whether the output depends on the input."""
        return self.cell_graph(architecture).is_connected

    def references(self, n: int) -> list[Architecture]:
        """Return n architectures drawn with a fixed seed."""
        return self.sample(np.random.default_rng(0), n)


def get_space(space: str | ArchitectureFamily) -> SearchSpace:
    """Return the search space of that name (a space passes through).

    Raises
    ------
    InvalidOptionError
        If it is another family of architectures, without samples, cells and choices.

    >>> get_space("nasbench201").size
    15625
    """
    family = get_family(space)
    if not isinstance(family, SearchSpace):
        raise InvalidOptionError(
            f"{family.name} is an open family of architectures, no search space: what is asked for needs samples, cells or "
            f"choices. Use the encoding {family.default_encoding!r} and an estimator over it, or one of the spaces "
            f"{', '.join(SPACES)}"
        )
    return family


@lru_cache(maxsize=100_000)
def _canonical_hash(architecture: Architecture) -> str:
    return get_space(architecture.space).cell_graph(architecture).canonical_hash()
