"""Structural blocks: groups of columns that each describe one side of a cell, for embeddings that weigh the sides.

Letters: G graphs, M nodes of all graphs together, K operators, S sets of operators.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import Encoding
from emprox.encodings.features import MOST_KINDS, anchored_edges, feature_names, graph_features, operator_sets
from emprox.spaces import Architecture, CellBatch, SearchSpace, Traits
from emprox.spaces.graph_batch import GraphBatch

__all__ = ["BLOCKS", "BlockEncoding"]

Floats = NDArray[np.float64]
CHUNK = 4000
"""Architectures at a time; bounds memory."""
TRAITS = ("growth", "weights", "layers")

BLOCKS: dict[str, str] = {
    "work": "sums over all operators of the traits: growth of the receptive field, weights, layers",
    "paths": "paths, paths without an operator, mean count of each operator over all paths, mean, smallest and largest count "
    "of operators on a path, whether there is a path",
    "spans": "mean, smallest, largest and standard deviation over all paths of the sum of each trait",
    "reach": "for every set of operators, operators on the shortest and longest path that passes those only",
    "ends": "for every set of operators, edges from the input to them and from them to the output",
    "shape": "operators on the longest paths by kind, nodes, edges, depth, degrees, edges from each anchor to each operator",
}
"""Name of each block to its formula, before logarithms. A space with several cells has each block once for each cell."""


class BlockEncoding(Encoding):
    """Structural blocks of the pruned cell, skip connections contracted: operators, traits, paths, ends.

    Architectures of the same function have the same blocks. A column is sign(x) log(1 + |x|) of the x that `BLOCKS` describes.

    Columns are named ``block:column``; `blocks` says which columns belong together. Encoding 10,000 architectures takes
    .2 to 2 s, by space, on one core.

    References
    ----------
    Kadlecova et al., *Surprisingly Strong Performance Prediction with Neural Graph Features*, ICML 2024, for the ideas behind
    ``reach``, ``ends`` and ``shape``.

    Examples
    --------
    >>> encoding = BlockEncoding("nasbench201")
    >>> encoding.blocks["work"]
    slice(0, 3, None)
    >>> encoding.names[:3]
    ('work:growth', 'work:weights', 'work:layers')
    >>> encoding.transform([encoding.space.parse((2, 1, 1, 1, 1, 2))])[0, :3].round(3).tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(self, space: str | SearchSpace) -> None:
        super().__init__(space)
        passive = self.space.contracted | self.space.wiring | self.space.removed
        self._numbers = [number for number, op in enumerate(self.space.ops) if op not in passive]
        self._kinds = [self.space.ops[number] for number in self._numbers]
        self._anchors = [self.space.ops.index(op) + 1 for op in self.space.anchors]

    @cached_property
    def blocks(self) -> Mapping[str, slice]:
        """Name of each block to its columns."""
        blocks, start = {}, 0
        for name, columns in self._columns.items():
            blocks[name] = slice(start, start + len(columns))
            start += len(columns)
        return blocks

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(f"{block}:{column}" for block, columns in self._columns.items() for column in columns)

    @cached_property
    def _columns(self) -> dict[str, list[str]]:
        """Names of the columns of each block."""
        features = feature_names(self._kinds, self._sets)
        counted = ("mean", "shortest", "longest")
        cell = {
            "work": list(TRAITS),
            "paths": ["paths", "plain_paths", *self._kinds, *counted, "connected"],
            "spans": [f"{what}_{trait}" for what in (*counted, "std") for trait in TRAITS],
            "reach": [name for name in features if name.startswith(("shortest:", "longest:"))],
            "ends": [name for name in features if name.startswith(("from_input:", "to_output:"))],
            "shape": [
                *(name for name in features if name.startswith("on_longest") or ":" not in name),
                *(f"{anchor}>{kind}" for anchor in self.space.anchors for kind in self._kinds),
            ],
        }
        parts = self.space.parts
        return {f"{part}:{block}": cell[block] for part in parts for block in cell} if parts else cell

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return the blocks side by side, ndarray of shape (n_archs, len(names))."""
        if not architectures:
            return np.empty((0, len(self.names)), dtype=np.float32)
        chunks = [self._transform(architectures[i : i + CHUNK]) for i in range(0, len(architectures), CHUNK)]
        return np.concatenate(chunks)

    def _transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        cells = self.space.cells(architectures)
        parts = self.space.parts or {"": tuple(range(self.space.max_nodes))}
        columns = np.column_stack([self._of_part(cells, list(nodes)) for nodes in parts.values()])
        return (np.sign(columns) * np.log1p(np.abs(columns))).astype(np.float32)

    def _of_part(self, cells: CellBatch, nodes: list[int]) -> Floats:
        part = CellBatch(cells.adjacency[:, nodes][:, :, nodes], cells.ops[:, nodes])
        number = np.full(len(self.space.ops), -1)
        number[self._numbers] = np.arange(len(self._numbers))
        batch = GraphBatch.from_cells(part, self.space).renamed(number)
        return np.column_stack(
            [
                *self._along_paths(batch),
                graph_features(batch, self._kinds, self._sets)[:, self._taken],
                anchored_edges(part, self._anchors, [number + 1 for number in self._numbers]),
            ]
        )

    @cached_property
    def _sets(self) -> NDArray[np.bool_]:
        """Sets of operators that reach and ends look at: one, two, all but one and all; two only of few operators."""
        count = len(self._kinds)
        return operator_sets(count, (1, 2, count - 1, count) if count <= MOST_KINDS else (1, count - 1, count))

    @cached_property
    def _taken(self) -> NDArray[np.int64]:
        """Columns of `graph_features` in the order of the blocks reach, ends and shape."""
        names = feature_names(self._kinds, self._sets)
        groups = ("shortest:", "longest:"), ("from_input:", "to_output:")
        taken = [[i for i, name in enumerate(names) if name.startswith(group)] for group in groups]
        shape = [i for i, name in enumerate(names) if name.startswith("on_longest") or ":" not in name]
        return np.array([*itertools.chain(*taken), *shape])

    def _along_paths(self, batch: GraphBatch) -> tuple[Floats, Floats, Floats]:
        """Return the blocks work, paths and spans."""
        kinds = len(self._kinds)
        table = np.zeros((kinds + 1, 1 + len(TRAITS) + kinds))  # the last row is that of input and output, kind -1
        table[:kinds, 0] = 1
        for row, kind in zip(table, self._kinds, strict=False):
            traits = self.space.traits.get(kind, Traits())
            row[1 : 1 + len(TRAITS)] = [getattr(traits, name) for name in TRAITS]
        table[:kinds, -kinds:] = np.eye(kinds)
        quantity = table[batch.kinds]  # (M, 1 + traits + K)
        last = 1 + len(TRAITS)
        mean, variance = batch.moments_over_paths(quantity)
        shortest, longest = (batch.best_path(quantity[:, :last], extreme)[batch.outputs] for extreme in (np.minimum, np.maximum))
        connected = np.isfinite(shortest[:, :1])
        shortest, longest = np.where(connected, shortest, 0), np.where(connected, longest, -1)
        plain = (batch.kinds < 0).astype(np.float64)
        ways = batch.sum_over_paths(np.column_stack([np.ones(len(plain)), plain]))[batch.outputs]
        paths = [ways, mean[:, last:], mean[:, :1], shortest[:, :1], longest[:, :1], connected]
        spans = [mean[:, 1:last], shortest[:, 1:], longest[:, 1:], np.sqrt(variance[:, 1:last])]
        return batch.count_nodes(quantity[:, 1:last]), np.column_stack(paths), np.column_stack(spans)
