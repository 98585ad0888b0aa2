"""Structural features of computation graphs: what a cell is made of, how its paths run, what the network costs.

Letters: G graphs, M nodes of all graphs together, K operators, S sets of operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.cells import CellEncoding
from emprox.spaces import Architecture
from emprox.spaces.graph_batch import GraphBatch

__all__ = ["FeatureEncoding", "feature_names", "graph_features", "operator_sets"]

Floats = NDArray[np.float64]
MOST_KINDS = 7
"""Up to this many operators all sets of them are looked at; beyond, single ones and all but one."""


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
    length = is_op.astype(np.float32)
    barred = is_op[:, None] & ~inside
    lengths = [np.where(barred, -np.inf, sign * length[:, None]) for sign in (1, -1)]
    best = batch.longest_paths(np.column_stack([length, *lengths]).astype(np.float32))
    depth, longest, shortest = np.split(best[batch.outputs], [1, 1 + len(sets)], axis=1)
    none = float(batch.longest_possible)
    counts = batch.count_nodes(one_hot.astype(np.float64))
    ends = [_edges_at(batch, one_hot, at_input=first) @ sets.T for first in (True, False)]
    return np.column_stack(
        [
            counts,
            batch.on_longest_paths(length, best[:, 0], one_hot.astype(np.float64)),
            np.where(np.isfinite(shortest), -shortest, none),
            np.where(np.isfinite(longest), longest, -1),
            *ends,
            counts.sum(axis=1),
            *_degrees(batch, depth[:, 0], is_op),
        ]
    )


def _edges_at(batch: GraphBatch, one_hot: NDArray[np.bool_], *, at_input: bool) -> Floats:
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


class FeatureEncoding(CellEncoding):
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

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; those of one of several cells begin with its name."""
        cell = [*feature_names(self._kinds), *self._anchored_names]
        parts = self.space.parts or {}
        structural = [f"{part}:{name}" for part in parts for name in cell] if parts else cell
        return (*structural, "log_parameters", "log_macs", "log_path_norm")

    def _transform(self, architectures: Sequence[Architecture]) -> Floats:
        blocks: list[Floats] = []
        for part, batch in self._graphs(architectures):
            blocks += [graph_features(batch, self._kinds), self._anchored(part)]
        norms = self.space.path_norms(architectures)
        costs = np.log1p(self.space.costs(architectures).astype(np.float64))
        return np.column_stack([*blocks, costs, np.where(np.isfinite(norms), norms, 0)])
