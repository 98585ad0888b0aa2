"""NAS-Bench-201 (Dong and Yang, ICLR 2020): four feature maps, an op on each of the six edges between them."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import Architecture, CellBatch, SearchSpace
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph

if TYPE_CHECKING:
    import torch

__all__ = ["NASBench201"]

SKIP, NONE, CONV3X3, CONV1X1, POOL = range(5)
OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
OP_NUMBER = {name: number for number, name in enumerate(OPS)}

EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""(source, target) feature map of each edge, in the order of the six op numbers of a description."""
TEXT_ORDER = (0, 1, 3, 2, 4, 5)
"""Edges in the order of the architecture string, which goes target by target."""
TEXT_POSITIONS = tuple(EDGES[i] for i in TEXT_ORDER)

PARAMETERS_PER_SQUARED_CHANNEL = {CONV3X3: 9, CONV1X1: 1}


def _topology() -> NDArray[np.int8]:
    """Edges become nodes: (8, 8), input, six ops, output; an op feeds those that start at the feature map where it ends."""
    ends = [(-1, 0), *EDGES, (3, 4)]
    return np.array([[int(a[1] == b[0]) for b in ends] for a in ends], dtype=np.int8)


class NASBench201(SearchSpace):
    """The cell search space of NAS-Bench-201, 5^6 = 15,625 descriptions.

    A description is six op numbers, one for each edge in `EDGES` order, numbered as in NASLib: 0 ``skip_connect``,
    1 ``none``, 2 ``nor_conv_3x3``, 3 ``nor_conv_1x1``, 4 ``avg_pool_3x3``. The text form is the benchmark's own,
    ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    References
    ----------
    Dong and Yang, *NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search*, ICLR 2020.

    Examples
    --------
    >>> space = NASBench201()
    >>> arch = space.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    >>> arch.spec
    (2, 1, 0, 2, 1, 1)
    >>> space.to_graph(arch).kinds
    ('input', 'output')
    """

    name = "nasbench201"
    ops = OPS
    max_nodes = 8
    topology = _topology()
    size = 5**6

    def parse(self, description: str | Sequence[int] | NDArray[np.integer]) -> Architecture:
        """Read the benchmark's string, NASLib's tuple of six op numbers, or that tuple as text.

        >>> NASBench201().parse("(2, 1, 0, 2, 1, 1)") == NASBench201().parse((2, 1, 0, 2, 1, 1))
        True
        """
        if isinstance(description, str):
            text = description.strip().removeprefix(f"{self.name}:").strip()
            if text.startswith(("(", "[")):
                return self._from_numbers(_read_tuple(text), description)
            return Architecture(self.name, _read_text(text))
        return self._from_numbers(description, description)

    def _from_numbers(self, numbers: Any, description: object) -> Architecture:
        try:
            spec = tuple(number.__index__() for number in numbers)
        except (TypeError, AttributeError):
            spec = ()
        if len(spec) != len(EDGES) or not all(0 <= number < len(OPS) for number in spec):
            raise InvalidArchitectureError(
                f"expected six op numbers from 0 to 4 ({', '.join(f'{i} {op}' for i, op in enumerate(OPS))}) or an "
                f"architecture string |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, got {description!r}"
            )
        return Architecture(self.name, spec)

    def format(self, architecture: Architecture) -> str:
        """Return the benchmark's string."""
        return _TEXT % tuple(OPS[self._spec(architecture)[i]] for i in TEXT_ORDER)

    def sample(self, rng: np.random.Generator, n: int) -> list[Architecture]:
        """Draw n descriptions uniformly."""
        return [Architecture(self.name, tuple(row)) for row in rng.integers(len(OPS), size=(n, len(EDGES))).tolist()]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change the op of one edge, both drawn uniformly."""
        spec = list(self._spec(architecture))
        edge = int(rng.integers(len(EDGES)))
        spec[edge] = (spec[edge] + int(rng.integers(1, len(OPS)))) % len(OPS)
        return Architecture(self.name, tuple(spec))

    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return the 24 architectures that differ in the op of one edge."""
        spec = self._spec(architecture)
        return [
            Architecture(self.name, (*spec[:edge], op, *spec[edge + 1 :]))
            for edge in range(len(EDGES))
            for op in range(len(OPS))
            if op != spec[edge]
        ]

    def __iter__(self) -> Iterator[Architecture]:
        for spec in itertools.product(range(len(OPS)), repeat=len(EDGES)):
            yield Architecture(self.name, spec)

    def to_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the cell as op nodes: ``none`` removed, ``skip_connect`` contracted, dead ops pruned."""
        kinds = (INPUT, *(OPS[op] for op in self._spec(architecture)), OUTPUT)
        edges = tuple(zip(*(index.tolist() for index in np.nonzero(self.topology)), strict=True))
        return ComputationGraph(kinds, edges).without(OPS[NONE]).contracted(OPS[SKIP]).pruned()

    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return adjacency (B, 8, 8), the same for all, and ops (B, 8)."""
        specs = np.array([self._spec(a) for a in architectures], dtype=np.int8).reshape(-1, len(EDGES))
        ops = np.zeros((len(specs), self.max_nodes), dtype=np.int8)
        ops[:, 1:-1] = specs + 1
        ops[:, -1] = len(OPS) + 1
        return CellBatch(np.broadcast_to(self.topology, (len(specs), *self.topology.shape)), ops)

    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture whose cell has these ops; the adjacency has to be the space's own."""
        ends = (0, len(OPS) + 1)
        if not np.array_equal(adjacency, self.topology) or (ops[0], ops[-1]) != ends:
            raise InvalidArchitectureError(
                f"not a NAS-Bench-201 cell: expected the fixed 8-node topology and ops that start with 0 and end with "
                f"{ends[1]}, got ops {np.asarray(ops).tolist()}"
            )
        return self.parse(np.asarray(ops)[1:-1] - 1)

    def to_module(  # type: ignore[override]
        self,
        architecture: Architecture,
        *,
        in_channels: int = 3,
        num_classes: int = 10,
        channels: int = 16,
        cells_per_stage: int = 5,
        spatial_dims: int = 2,
    ) -> torch.nn.Module:
        """Build the benchmark's network: a stem, three stages of cells with residual reductions between, a linear head.

        Parameters
        ----------
        architecture : Architecture
            The cell that is repeated.
        in_channels, num_classes : int
            Channels of the input and number of classes.
        channels : int
            Channels of the first stage; the second has twice, the third four times as many.
        cells_per_stage : int
            Cells in each of the three stages.
        spatial_dims : {1, 2}
            1 for sequences (B, in_channels, L), 2 for images (B, in_channels, H, W), as published.

        Returns
        -------
        torch.nn.Module
            Maps inputs to logits (B, num_classes).
        """
        from emprox.spaces._modules import nasbench201_network

        edges = [(source, target, OPS[op]) for (source, target), op in zip(EDGES, self._spec(architecture), strict=True)]
        return nasbench201_network(edges, in_channels, num_classes, channels, cells_per_stage, spatial_dims)

    def count_parameters(
        self,
        architecture: Architecture,
        *,
        in_channels: int = 3,
        num_classes: int = 10,
        channels: int = 16,
        cells_per_stage: int = 5,
    ) -> int:
        """Return the number of parameters of the 2-d network that `to_module` builds, by formula.

        >>> NASBench201().count_parameters(NASBench201().parse([2] * 6))
        1531546
        """
        c1, c2, c3 = channels, 2 * channels, 4 * channels
        stem = 9 * in_channels * c1 + 2 * c1
        reductions = sum(9 * a * b + 2 * b + 9 * b * b + 2 * b + a * b for a, b in ((c1, c2), (c2, c3)))
        head = 2 * c3 + c3 * num_classes + num_classes
        factors = [PARAMETERS_PER_SQUARED_CHANNEL[op] for op in self._spec(architecture) if op in PARAMETERS_PER_SQUARED_CHANNEL]
        cells = cells_per_stage * sum(factor * c * c + 2 * c for factor in factors for c in (c1, c2, c3))
        return stem + reductions + head + cells

    @property
    def populations(self) -> Mapping[str, Callable[[Architecture], bool]]:
        """``all``, ``connected`` and ``no-none``, the 4,096 descriptions in which no edge is ``none``."""
        return {**super().populations, "no-none": lambda architecture: NONE not in self._spec(architecture)}

    def _spec(self, architecture: Architecture) -> tuple[int, ...]:
        return self.check(architecture).spec  # type: ignore[return-value]


_TEXT = "|%s~0|+|%s~0|%s~1|+|%s~0|%s~1|%s~2|"


@lru_cache(maxsize=2 * NASBench201.size)
def _read_text(text: str) -> tuple[int, ...]:
    groups = text.split("+")
    if len(groups) != 3:
        raise InvalidArchitectureError(
            f"expected three groups joined by '+', |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, got {len(groups)} in {text!r}"
        )
    spec = [0] * len(EDGES)
    items = iter(zip(TEXT_ORDER, TEXT_POSITIONS, strict=True))
    for target, group in enumerate(groups, start=1):
        words = group.split("|")
        if len(words) != target + 2 or words[0] or words[-1]:
            raise InvalidArchitectureError(f"expected {target} edges between bars in group {target}, got {group!r} in {text!r}")
        for word in words[1:-1]:
            number, (source, _) = next(items)
            op, _, end = word.partition("~")
            if op not in OP_NUMBER or end != str(source):
                raise InvalidArchitectureError(
                    f"edge {source}->{target} reads {word!r}, expected op~{source} with op one of {', '.join(OPS)}; in {text!r}"
                )
            spec[number] = OP_NUMBER[op]
    return tuple(spec)


def _read_tuple(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
