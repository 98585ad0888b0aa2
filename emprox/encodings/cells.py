"""What encodings of the pruned cell share: its graphs, part by part and chunk by chunk, and the edges from its anchors.

Letters: G graphs, K operators.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import SpaceEncoding
from emprox.spaces import Architecture, ArchitectureFamily, CellBatch
from emprox.spaces.graph_batch import GraphBatch

__all__ = ["CellEncoding"]

Floats = NDArray[np.float64]
CHUNK = 4000
"""Architectures at a time; bounds memory."""


class CellEncoding(SpaceEncoding):
    """An encoding by the graph of the cell, in which dead operators are gone and those that change nothing are wires."""

    def __init__(self, space: str | ArchitectureFamily) -> None:
        super().__init__(space)
        passive = self.space.contracted | self.space.wiring | self.space.removed
        self._numbers = [number for number, op in enumerate(self.space.ops) if op not in passive]
        self._kinds = [self.space.ops[number] for number in self._numbers]

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return the columns, ndarray of shape (n_archs, len(names))."""
        if not architectures:
            return np.empty((0, len(self.names)), dtype=np.float32)
        chunks = [self._transform(architectures[i : i + CHUNK]) for i in range(0, len(architectures), CHUNK)]
        return np.concatenate(chunks).astype(np.float32)

    @abstractmethod
    def _transform(self, architectures: Sequence[Architecture]) -> Floats:
        """Return the columns of a chunk that is not empty."""

    def _graphs(self, architectures: Sequence[Architecture]) -> Iterator[tuple[CellBatch, GraphBatch]]:
        """Go through the parts of the architectures: their cells, and their graphs with operators numbered as `_kinds`."""
        cells = self.space.cells(architectures)
        number = np.full(len(self.space.ops), -1)
        number[self._numbers] = np.arange(len(self._numbers))
        for nodes in (self.space.parts or {"": tuple(range(self.space.max_nodes))}).values():
            chosen = list(nodes)
            part = CellBatch(cells.adjacency[:, chosen][:, :, chosen], cells.ops[:, chosen])
            yield part, GraphBatch.from_cells(part, self.space).renamed(number)

    @property
    def _anchored_names(self) -> list[str]:
        """Names of the columns of `_anchored`."""
        return [f"{anchor}>{kind}" for anchor in self.space.anchors for kind in self._kinds]

    def _anchored(self, part: CellBatch) -> Floats:
        """Return the edges from each anchor to each operator before wires are contracted, (G, anchors * K)."""
        graphs, anchors, kinds = len(part.ops), len(self.space.anchors), len(self._kinds)
        place = np.full((2, len(self.space.ops) + 3), -1)  # the last column is that of absent nodes, -1
        place[0, [self.space.ops.index(op) + 1 for op in self.space.anchors]] = np.arange(anchors)
        place[1, np.array(self._numbers) + 1] = np.arange(kinds)
        owner, source, target = np.nonzero(part.adjacency)
        row, column = place[0, part.ops[owner, source]], place[1, part.ops[owner, target]]
        found = (row >= 0) & (column >= 0)
        cell = (owner[found] * anchors + row[found]) * kinds + column[found]
        return np.bincount(cell, minlength=graphs * anchors * kinds).reshape(graphs, anchors * kinds).astype(np.float64)
