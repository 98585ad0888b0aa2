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
from emprox.encodings.features import MOST_KINDS, anchored_edges, edges_at_ends, feature_names, graph_features, operator_sets
from emprox.spaces import Architecture, CellBatch, SearchSpace
from emprox.spaces.graph_batch import GraphBatch

__all__ = ["BLOCKS", "BlockEncoding"]

Floats = NDArray[np.float64]
CHUNK = 4000
"""Architectures at a time; bounds memory."""
TRAITS = ("growth", "weights", "layers")

BLOCKS: dict[str, str] = {
    "work": "sums over all operators of the traits: growth of the receptive field, log(1 + weights), layers",
    "paths": "log(1 + paths), log(1 + paths without a changing operator), mean count of each operator over all paths, "
    "mean, smallest and largest count of changing operators on a path, whether there is a path",
    "spans": "mean, smallest, largest and standard deviation over all paths of the sum of each trait",
    "reach": "for every set of operators, operators on the shortest and longest path that passes those only",
    "ends": "for every set of operators, edges from the input to them and from them to the output, skips contracted",
    "shape": "operators on the longest paths by kind, nodes, edges, log(1 + paths), depth, degrees, edges from each anchor",
    "bigrams": "log(1 + edges) from each operator (or the input) to each operator (or the output), skips contracted",
    "contacts": "as ends, before skips are contracted, skips among the operators",
}
"""Name of each block to its formula. A space with several cells has each block once for each cell."""


def block_sets(count: int) -> NDArray[np.bool_]:
    """Return the sets of operators that blocks look at, (S, K): one, two, all but one and all, two only of few operators."""
    return operator_sets(count, (1, 2, count - 1, count) if count <= MOST_KINDS else (1, count - 1, count))


class BlockEncoding(Encoding):
    """Structural blocks of the pruned cell: operators, traits, paths and contacts with its input and output.

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
    ('work:growth', 'work:log_weights', 'work:layers')
    >>> encoding.transform([encoding.space.parse((2, 1, 1, 1, 1, 2))])[0, :3].round(3).tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(self, space: str | SearchSpace) -> None:
        super().__init__(space)
        passive = self.space.wiring | self.space.removed
        self._kinds = [number for number, op in enumerate(self.space.ops) if op not in passive]
        self._changing = [number for number in self._kinds if self.space.ops[number] not in self.space.contracted]
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
        kinds = [self.space.ops[number] for number in self._kinds]
        changing = [self.space.ops[number] for number in self._changing]
        sets = ["+".join(np.array(kinds)[row]) for row in block_sets(len(kinds))]
        features = feature_names(changing, block_sets(len(changing)))
        counted = ("mean", "shortest", "longest")
        cell = {
            "work": ["growth", "log_weights", "layers"],
            "paths": ["log_paths", "log_plain_paths", *kinds, *counted, "connected"],
            "spans": [f"{what}_{trait}" for what in (*counted, "std") for trait in TRAITS],
            "reach": [name for name in features if name.startswith(("shortest:", "longest:"))],
            "ends": [name for name in features if name.startswith(("from_input:", "to_output:"))],
            "shape": [
                *(name for name in features if name.startswith("on_longest") or ":" not in name),
                *(f"{self.space.ops[anchor - 1]}>{kind}" for anchor in self._anchors for kind in changing),
            ],
            "bigrams": [f"{a}>{b}" for a in ("input", *changing) for b in (*changing, "output")],
            "contacts": [f"{end}:{name}" for end in ("from_input", "to_output") for name in sets],
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
        return np.column_stack([self._of_part(cells, list(nodes)) for nodes in parts.values()]).astype(np.float32)

    def _of_part(self, cells: CellBatch, nodes: list[int]) -> Floats:
        part = CellBatch(cells.adjacency[:, nodes][:, :, nodes], cells.ops[:, nodes])
        batch = GraphBatch.from_cells(part, self.space, contract=False).renamed(self._numbering(self._kinds))
        simple = GraphBatch.from_cells(part, self.space).renamed(self._numbering(self._changing))
        features = graph_features(simple, [self.space.ops[number] for number in self._changing], self._sets)
        anchored = anchored_edges(part, self._anchors, [number + 1 for number in self._changing])
        return np.column_stack(
            [
                *self._along_paths(batch),
                features[:, self._taken],
                anchored,
                _bigrams(simple, len(self._changing)),
                _contacts(batch, block_sets(len(self._kinds))),
            ]
        )

    @cached_property
    def _sets(self) -> NDArray[np.bool_]:
        return block_sets(len(self._changing))

    @cached_property
    def _taken(self) -> NDArray[np.int64]:
        """Columns of `graph_features` in the order of the blocks reach, ends and shape."""
        names = feature_names([self.space.ops[number] for number in self._changing], self._sets)
        groups = ("shortest:", "longest:"), ("from_input:", "to_output:")
        taken = [[i for i, name in enumerate(names) if name.startswith(group)] for group in groups]
        shape = [i for i, name in enumerate(names) if name.startswith("on_longest") or ":" not in name]
        return np.array([*itertools.chain(*taken), *shape])

    def _numbering(self, kinds: list[int]) -> NDArray[np.int64]:
        number = np.full(len(self.space.ops), -1)
        number[kinds] = np.arange(len(kinds))
        return number

    def _along_paths(self, batch: GraphBatch) -> tuple[Floats, Floats, Floats]:
        """Return the blocks work, paths and spans."""
        traits = [self.space.traits.get(self.space.ops[number]) for number in self._kinds]
        table = np.array([[getattr(t, name, 0) for name in TRAITS] for t in traits] + [[0] * len(TRAITS)], dtype=np.float64)
        changes = np.array([number in self._changing for number in self._kinds] + [False], dtype=np.float64)
        each = np.eye(len(self._kinds) + 1)[:, :-1]
        quantity = np.column_stack([changes, table, each])[batch.kinds]  # (M, 1 + traits + K)
        mean, variance = batch.moments_over_paths(quantity)
        shortest, longest = (
            batch.best_path(quantity[:, : 1 + len(TRAITS)], extreme)[batch.outputs] for extreme in (np.minimum, np.maximum)
        )
        connected = np.isfinite(shortest[:, :1])
        shortest, longest = np.where(connected, shortest, 0), np.where(connected, longest, -1)
        ways = batch.sum_over_paths(np.column_stack([np.ones(len(batch.kinds)), 1 - changes[batch.kinds]]))[batch.outputs]
        last = 1 + len(TRAITS)
        work = batch.count_nodes(quantity[:, 1:last])
        work[:, 1] = np.log1p(work[:, 1])
        paths = [np.log1p(ways), mean[:, last:], mean[:, :1], shortest[:, :1], longest[:, :1], connected]
        spans = [mean[:, 1:last], shortest[:, 1:], longest[:, 1:], np.sqrt(variance[:, 1:last])]
        return work, np.column_stack(paths), np.column_stack(spans)


def _bigrams(batch: GraphBatch, kinds: int) -> Floats:
    """Return log(1 + edges) from each operator or the input to each operator or the output, (G, (K + 1)^2)."""
    source = np.where(batch.sources < len(batch), 0, batch.kinds[batch.sources] + 1)
    is_output = batch.targets == batch.outputs[batch.graph[batch.targets]]
    target = np.where(is_output, kinds, batch.kinds[batch.targets])
    cell = (batch.graph[batch.sources] * (kinds + 1) + source) * (kinds + 1) + target
    counts = np.bincount(cell, batch.multiplicity, minlength=len(batch) * (kinds + 1) ** 2)
    return np.log1p(counts.reshape(len(batch), -1))


def _contacts(batch: GraphBatch, sets: NDArray[np.bool_]) -> Floats:
    """Return for every set of operators (S, K) the edges from the input to them and from them to the output, (G, 2 S)."""
    one_hot = batch.kinds[:, None] == np.arange(sets.shape[1])
    return np.column_stack([edges_at_ends(batch, one_hot, at_input=first) @ sets.T for first in (True, False)])
