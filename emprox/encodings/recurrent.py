"""Structural features of recurrent cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import Encoding
from emprox.encodings.features import feature_names, graph_features, operator_sets
from emprox.spaces import Architecture
from emprox.spaces.graph_batch import GraphBatch
from emprox.spaces.nasbench_nlp import KINDS

__all__ = ["RecurrentEncoding"]

EDGES = tuple(f"{source}>{target}" for source in KINDS for target in KINDS)
SETS = operator_sets(len(KINDS), (1, len(KINDS)))
COSTS = ("log_parameters", "log_macs")


class RecurrentEncoding(Encoding):
    """Counts of operators and states and of edges between them, longest and shortest paths, degrees, depth and costs of a cell.

    The columns are those of `emprox.encodings.features.graph_features` over the graph of the cell for one word, for each kind of
    node and for all together; edges between each two kinds; logarithms of parameters and multiply-accumulates. Takes about a
    millisecond for a cell.

    Examples
    --------
    >>> encoding = RecurrentEncoding("nasbench-nlp")
    >>> cell = encoding.space.parse("f=linear(x,h_prev_0); h_new_0=activation_tanh(f)")
    >>> dict(zip(encoding.names, encoding.transform([cell])[0].tolist()))["count:linear"]
    1.0
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return (*feature_names(KINDS, SETS), *COSTS, *EDGES)

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Counts of the kinds, paths through them, the shape of the whole, and edges between kinds."""
        kinds, paths, edges = len(KINDS), 2 * len(KINDS) + 4 * len(SETS), len(self.names) - len(EDGES)
        parts = {"counts": (0, kinds), "paths": (kinds, paths), "shape": (paths, edges), "edges": (edges, len(self.names))}
        return {name: slice(*ends) for name, ends in parts.items()}

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return the columns, ndarray of shape (n_archs, len(names))."""
        if not architectures:
            return np.empty((0, len(self.names)), dtype=np.float32)
        batch = GraphBatch.from_graphs([self.space.to_graph(a, "cell") for a in architectures], KINDS)
        costs = np.log1p(self.space.costs(architectures).astype(np.float64))
        return np.column_stack([graph_features(batch, KINDS, SETS), costs, _edges(batch)]).astype(np.float32)


def _edges(batch: GraphBatch) -> NDArray[np.float64]:
    """Return how many edges lead from each kind to each, ndarray of shape (n_archs, len(EDGES))."""
    source, target = batch.kinds[batch.sources], batch.kinds[batch.targets]
    inner = (source >= 0) & (target >= 0)
    column = (batch.graph[batch.sources] * len(KINDS) + source) * len(KINDS) + target
    counts = np.bincount(column[inner], batch.multiplicity[inner], minlength=len(batch) * len(EDGES))
    return counts.reshape(len(batch), len(EDGES)).astype(np.float64)
