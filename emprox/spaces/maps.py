"""Cells of four feature maps with an op on each of the six edges between them, shared by two benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import Architecture, CellBatch
from emprox.spaces.choices import ChoiceSpace
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph

__all__ = ["FeatureMapSpace", "topology"]


def topology(edges: Sequence[tuple[int, int]]) -> NDArray[np.int8]:
    """Turn edges into nodes: (8, 8), input, six ops, output; an op feeds those that start at the feature map where it ends."""
    ends = [(-1, 0), *edges, (3, 4)]
    return np.array([[int(a[1] == b[0]) for b in ends] for a in ends], dtype=np.int8)


class FeatureMapSpace(ChoiceSpace):
    """A space of such cells; a subclass sets ``ops``, ``removed``, ``contracted``, ``topology`` and ``choices``."""

    max_nodes = 8
    edges: ClassVar[Sequence[tuple[int, int]]]
    """(source, target) feature map of each of the six ops of a description."""
    topology: ClassVar[NDArray[np.int8]]
    """(8, 8), see `topology`."""

    def cell_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the cell as op nodes: zeros removed, identities contracted, dead ops pruned."""
        kinds = (INPUT, *[self.ops[op] for op in self._spec(architecture)], OUTPUT)
        wires = tuple(zip(*(index.tolist() for index in np.nonzero(self.topology)), strict=True))
        (zero,), (identity,) = self.removed, self.contracted
        return ComputationGraph(kinds, wires).simplified(zero=zero, identity=identity)

    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return adjacency (B, 8, 8), the same for all, and ops (B, 8)."""
        specs = self._specs(architectures)
        ops = np.zeros((len(specs), self.max_nodes), dtype=np.int8)
        ops[:, 1:-1] = specs + 1
        ops[:, -1] = len(self.ops) + 1
        return CellBatch(np.broadcast_to(self.topology, (len(specs), *self.topology.shape)), ops)

    def _cell_norms(
        self, specs: NDArray[np.integer], gains: Mapping[int, float], first: Mapping[int, float]
    ) -> NDArray[np.float64]:
        """Return the path-norm of each cell of specs (B, 6): the gain of each op, and of each op that reads feature map 0."""
        maps: list[NDArray[np.float64]] = [np.ones(len(specs)), *(np.zeros(len(specs)) for _ in range(3))]
        for (source, target), ops in sorted(zip(self.edges, specs.T, strict=True), key=lambda item: item[0]):
            table = first if source == 0 else gains
            maps[target] = maps[target] + maps[source] * np.array([table[op] for op in range(len(self.ops))])[ops]
        return maps[3]

    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture whose cell has these ops; the adjacency has to be the space's own."""
        ends = (0, len(self.ops) + 1)
        if not np.array_equal(adjacency, self.topology) or (ops[0], ops[-1]) != ends:
            raise InvalidArchitectureError(
                f"not a cell of {self.name}: expected the fixed 8-node topology and ops that start with 0 and end with "
                f"{ends[1]}, got ops {np.asarray(ops).tolist()}"
            )
        return self.parse(np.asarray(ops)[1:-1] - 1)
