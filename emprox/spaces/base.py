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
from emprox.spaces.path_norm import log_path_norm

if TYPE_CHECKING:
    import torch

__all__ = ["SPACES", "Architecture", "CellBatch", "SearchSpace", "Traits", "get_space"]


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


@dataclass(frozen=True)
class Traits:
    """What an operator does to a feature map, in numbers that different operators and spaces share."""

    growth: int = 0
    """Pixels by which it widens the receptive field: kernel size less one, times the dilation, for each of its layers."""
    weights: float = 0.0
    """Its weights, in those of a pointwise convolution between the same channels."""
    layers: int = 0
    """Convolutions, one after the other."""


class SearchSpace(ABC):
    """A set of architectures and all that is known about it. Stateless; one instance serves all.

    Subclasses set the class variables and the abstract methods; `emprox.testing.SpaceContract` checks them.
    """

    name: ClassVar[str]
    """Registered name."""
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

    @abstractmethod
    def network(self, architecture: Architecture, **options: Any) -> ComputationGraph:
        """Return the graph of the published network, dead ops included, with shapes, parameters and multiply-accumulates."""

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
            return self.network(architecture, **options).simplified().contracted("add")
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

    def count_parameters(self, architecture: Architecture, **options: Any) -> int:
        """Return the trainable parameters of the network that `to_module` builds, without building it.

        By the formula of `costs` for the default options, on the graph of the network otherwise.
        """
        if options:
            return self.network(architecture, **options).parameters
        return int(self.costs([architecture])[0, 0])

    def count_macs(self, architecture: Architecture, **options: Any) -> int:
        """Return the multiply-accumulates of the network for one input (convolutions and linear layers)."""
        return self.network(architecture, **options).macs if options else int(self.costs([architecture])[0, 1])

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates of the networks with default options, ndarray of shape (n_archs, 2).

        The same numbers as `count_parameters` and `count_macs`; spaces override it by a formula over the batch.
        """
        networks = [self.network(architecture) for architecture in architectures]
        return np.array([(graph.parameters, graph.macs) for graph in networks], dtype=np.int64).reshape(-1, 2)

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the networks' analytic path-norm, ndarray of shape (n_archs,); see `log_path_norm`.

        Minus infinity where the output does not depend on the input. Spaces override it by a formula over the batch.
        """
        return np.array([log_path_norm(self.network(architecture)) for architecture in architectures])

    def canonical_hash(self, architecture: Architecture) -> str:
        """Return the hash that architectures of the same function share (kept for the last 100,000 asked)."""
        return _canonical_hash(self.check(architecture))

    def is_connected(self, architecture: Architecture) -> bool:
        """Whether the output depends on the input."""
        return self.cell_graph(architecture).is_connected

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
    {
        "darts": "emprox.spaces.darts:DARTS",
        "nasbench101": "emprox.spaces.nasbench101:NASBench101",
        "nasbench201": "emprox.spaces.nasbench201:NASBench201",
        "ofa-mobilenetv3": "emprox.spaces.mobilenetv3:OFAMobileNetV3",
        "transnas101-micro": "emprox.spaces.transnas:TransNASBench101Micro",
    },
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
    return get_space(architecture.space).cell_graph(architecture).canonical_hash()
