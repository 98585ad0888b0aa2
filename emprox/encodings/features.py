"""Structural features of computation graphs: what a cell is made of, how its paths run, what the network costs.

Letters: G graphs, M nodes of all graphs together, K operators, S sets of operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import Encoding
from emprox.spaces import Architecture, CellBatch, SearchSpace
from emprox.spaces.graph_batch import GraphBatch

__all__ = ["FeatureEncoding", "anchored_edges", "edges_at_ends", "feature_names", "graph_features", "operator_sets"]

Floats = NDArray[np.float64]
MOST_KINDS = 7
"""Up to this many operators all sets of them are looked at; beyond, single ones and all but one."""
CHUNK = 4000
"""Architectures at a time; bounds memory."""


def operator_sets(count: int, sizes: Iterable[int] | None = None) -> NDArray[np.bool_]:
    """Return all sets of operators of these sizes, ndarray of shape (S, K); by default those that features look at."""
    if sizes is None:
        sizes = range(1, count + 1) if count <= MOST_KINDS else (1, count - 1, count)
    sizes = sorted(set(sizes) & set(range(1, count + 1)))
    chosen = [members for size in sizes for members in combinations(range(count), size)]
    sets = np.zeros((len(chosen), count), dtype=bool)
    for row, members in zip(sets, chosen, strict=True):
        row[list(members)] = True
    return sets


def feature_names(kinds: Sequence[str], sets: NDArray[np.bool_] | None = None) -> tuple[str, ...]:
    """Return the names of the columns of `graph_features`."""
    members = operator_sets(len(kinds)) if sets is None else sets
    sets_by_name = ["+".join(np.array(kinds)[row]) for row in members]
    each = [f"{block}:{name}" for block in ("shortest", "longest", "from_input", "to_output") for name in sets_by_name]
    along = [f"{block}:{kind}" for block in ("count", "on_longest_path") for kind in kinds]
    return (*along, *each, "nodes", "edges", "log_paths", "depth", "max_in", "max_out", "mean_degree")


def graph_features(batch: GraphBatch, kinds: Sequence[str], sets: NDArray[np.bool_] | None = None) -> Floats:
    """Return structural features, ndarray of shape (G, len(feature_names(kinds, sets))).

    The sets of operators, (S, K), are those of `operator_sets` by default.

    ``count`` and ``on_longest_path``
        Nodes of each operator; the same along the longest path (the mean over all longest ones).
    ``shortest`` and ``longest``
        For every set of operators, operators on the shortest and longest path from input to output through those only; where
        there is no such path, the number of all steps, and -1.
    ``from_input`` and ``to_output``
        For every set, edges from the input to its operators, and from them to the output.
    The rest
        Operators, edges, log(1 + number of paths), operators on the longest path, largest in- and out-degree, mean degree.

    References
    ----------
    Kadlecova et al., *Surprisingly Strong Performance Prediction with Neural Graph Features*, ICML 2024, whose features these
    follow; here graphs are pruned first.
    """
    sets = operator_sets(len(kinds)) if sets is None else sets
    one_hot = batch.kinds[:, None] == np.arange(len(kinds))
    is_op = batch.kinds >= 0
    inside = (one_hot @ sets.T.astype(np.float32)) > 0
    length = is_op[:, None].astype(np.float64)
    depth = batch.best_path(length, np.maximum)[batch.outputs]
    none = float(batch.longest_possible)
    shortest = batch.best_path(np.where(is_op[:, None] & ~inside, np.inf, length).astype(np.float32), np.minimum)[batch.outputs]
    longest = batch.best_path(np.where(is_op[:, None] & ~inside, -np.inf, length).astype(np.float32), np.maximum)[batch.outputs]
    counts = batch.count_nodes(one_hot.astype(np.float64))
    ends = [edges_at_ends(batch, one_hot, at_input=first) @ sets.T for first in (True, False)]
    return np.column_stack(
        [
            counts,
            batch.on_longest_paths(length, one_hot.astype(np.float64)),
            np.where(np.isfinite(shortest), shortest, none),
            np.where(np.isfinite(longest), longest, -1),
            *ends,
            counts.sum(axis=1),
            *_degrees(batch, depth[:, 0], is_op),
        ]
    )


def edges_at_ends(batch: GraphBatch, one_hot: NDArray[np.bool_], *, at_input: bool) -> Floats:
    """Return edges between the input (or the output) and operators of each kind, (G, K)."""
    near, far = (batch.sources, batch.targets) if at_input else (batch.targets, batch.sources)
    is_end = near < len(batch) if at_input else near == batch.outputs[batch.graph[near]]
    weight = (is_end * batch.multiplicity)[:, None] * one_hot[far]
    return np.column_stack([np.bincount(batch.graph[near], column, minlength=len(batch)) for column in weight.T])


def _degrees(batch: GraphBatch, depth: Floats, is_op: NDArray[np.bool_]) -> list[Floats]:
    graphs, nodes = len(batch), len(batch.kinds)
    edges = np.bincount(batch.graph[batch.sources], batch.multiplicity, minlength=graphs)
    paths = batch.sum_over_paths(np.ones((nodes, 1)))[batch.outputs, 0]
    into = np.bincount(batch.targets, batch.multiplicity, minlength=nodes)
    out = np.bincount(batch.sources, batch.multiplicity, minlength=nodes)
    largest = []
    for degree in (into, out):
        most = np.zeros(graphs)
        np.maximum.at(most, batch.graph, degree)
        largest.append(most)
    mean = edges / np.bincount(batch.graph, minlength=graphs)
    return [edges, np.log1p(paths), np.maximum(depth, -1), *largest, mean]


def anchored_edges(cells: CellBatch, anchors: Sequence[int], operators: Sequence[int]) -> Floats:
    """Return the edges from each anchor to each operator before wires are contracted, (G, len(anchors) * len(operators)).

    Both are numbers as in `CellBatch.ops`.
    """
    graphs, width = len(cells.ops), len(operators)
    highest = max([*anchors, *operators, int(cells.ops.max(initial=0))])
    place = np.full((2, highest + 2), -1)  # the last column is that of absent nodes, -1
    place[0, list(anchors)], place[1, list(operators)] = np.arange(len(anchors)), np.arange(width)
    owner, source, target = np.nonzero(cells.adjacency)
    first, second = place[0, cells.ops[owner, source]], place[1, cells.ops[owner, target]]
    found = (first >= 0) & (second >= 0)
    column = (owner[found] * len(anchors) + first[found]) * width + second[found]
    return np.bincount(column, minlength=graphs * len(anchors) * width).reshape(graphs, -1).astype(np.float64)


class FeatureEncoding(Encoding):
    """Structural features of the pruned cell, and logarithms of parameters, multiply-accumulates and path-norm of the network.

    Where an architecture has several cells, every cell has its own columns. Encoding 10,000 architectures takes between a
    tenth of a second and two, by space, on one core.

    References
    ----------
    Kadlecova et al., *Surprisingly Strong Performance Prediction with Neural Graph Features*, ICML 2024.

    Examples
    --------
    >>> encoding = FeatureEncoding("nasbench201")
    >>> arch = encoding.space.parse((2, 1, 0, 2, 1, 1))
    >>> round(dict(zip(encoding.names, encoding.transform([arch])[0].tolist()))["log_paths"], 3)
    0.693
    """

    def __init__(self, space: str | SearchSpace) -> None:
        super().__init__(space)
        passive = self.space.contracted | self.space.wiring | self.space.removed
        self._kinds = [number for number, op in enumerate(self.space.ops) if op not in passive]
        self._anchors = [self.space.ops.index(op) + 1 for op in self.space.anchors]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; those of one of several cells begin with its name."""
        kinds = [self.space.ops[number] for number in self._kinds]
        anchored = [f"{self.space.ops[anchor - 1]}>{kind}" for anchor in self._anchors for kind in kinds]
        cell = (*feature_names(kinds), *anchored)
        parts = self.space.parts or {}
        structural = [f"{part}:{name}" for part in parts for name in cell] if parts else list(cell)
        return (*structural, "log_parameters", "log_macs", "log_path_norm")

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return features, ndarray of shape (n_archs, len(names))."""
        if not architectures:
            return np.empty((0, len(self.names)), dtype=np.float32)
        chunks = [self._transform(architectures[i : i + CHUNK]) for i in range(0, len(architectures), CHUNK)]
        return np.concatenate(chunks)

    def _transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        cells = self.space.cells(architectures)
        parts = self.space.parts or {"": tuple(range(self.space.max_nodes))}
        blocks = [self._of_part(cells, list(nodes)) for nodes in parts.values()]
        norms = self.space.path_norms(architectures)
        costs = np.log1p(self.space.costs(architectures).astype(np.float64))
        return np.column_stack([*blocks, costs, np.where(np.isfinite(norms), norms, 0)]).astype(np.float32)

    def _of_part(self, cells: CellBatch, nodes: list[int]) -> Floats:
        part = CellBatch(cells.adjacency[:, nodes][:, :, nodes], cells.ops[:, nodes])
        batch = GraphBatch.from_cells(part, self.space)
        number = np.full(len(self.space.ops), -1)
        number[self._kinds] = np.arange(len(self._kinds))
        batch = batch.renamed(number)
        kinds = [self.space.ops[kind] for kind in self._kinds]
        operators = [number + 1 for number in self._kinds]
        return np.column_stack([graph_features(batch, kinds), anchored_edges(part, self._anchors, operators)])
