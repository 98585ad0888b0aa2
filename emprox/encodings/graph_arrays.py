"""Computation graphs as arrays that a graph neural network reads.

Letters: M nodes, E edges, A attributes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.graphs import KINDS, kind_of
from emprox.errors import InvalidArchitectureError
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["ATTRIBUTES", "FOLDED", "NODE_KINDS", "GraphArrays"]

NODE_KINDS = ("input", "output", "identity", "zero", *KINDS)
"""Kinds of nodes, by number."""
ATTRIBUTES = (
    "log_channels",
    "log_positions",
    "window",
    "stride",
    "dilation",
    "log_groups",
    "takes_maximum",
    "log_parameters",
    "log_macs",
)
"""Numbers of each node, scaled to about 1."""
FOLDED = ("norm", "activation")
"""Kinds that follow their layer almost everywhere; without them graphs have half the nodes."""
MOST_WIRES = 4096
"""A node stays if folding it leaves more wires: where a block adds to a sum what it takes from it twice, as in PoolFormer, they
double with every block."""


@dataclass(frozen=True)
class GraphArrays:
    """The nodes and edges of one network, normalisations and pointwise functions folded into their neighbours.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> space = get_space("nasbench201")
    >>> arrays = GraphArrays.from_graph(space.to_graph(space.parse((2, 2, 2, 2, 2, 2)), "network"))
    >>> arrays.kinds.shape, arrays.attributes.shape, arrays.edges.shape
    ((104,), (104, 9), (2, 206))
    """

    kinds: NDArray[np.int64]
    """(M,) number of each node's kind in `NODE_KINDS`."""
    attributes: NDArray[np.float32]
    """(M, A) numbers of each node, `ATTRIBUTES`."""
    edges: NDArray[np.int64]
    """(2, E) source and target of each edge; parallel edges stand several times."""

    @classmethod
    def from_graph(cls, graph: ComputationGraph) -> GraphArrays:
        """Return the arrays of a network view.

        Raises
        ------
        InvalidArchitectureError
            If the graph has no attributes or a kind outside the universal vocabulary.
        """
        number = {kind: i for i, kind in enumerate(NODE_KINDS)}
        if not graph.attributes or not {"norm", "activation", "conv", *number} >= set(graph.kinds):
            raise InvalidArchitectureError(
                f"expected a network view with attributes, got operators {sorted(set(graph.kinds))[:10]} "
                f"{'with' if graph.attributes else 'without'} attributes; use space.to_graph(architecture, 'network')"
            )
        for kind in FOLDED:
            graph = graph.contracted(kind, MOST_WIRES)
        kinds = [number[kind_of(kind, node)] for kind, node in zip(graph.kinds, graph.attributes, strict=True)]
        numbers = [_numbers(node) for node in graph.attributes]
        edges = np.array(graph.edges, dtype=np.int64).reshape(-1, 2).T
        return cls(np.array(kinds), np.array(numbers, dtype=np.float32), np.ascontiguousarray(edges))


def _numbers(node: NodeAttributes) -> tuple[float, ...]:
    """Return the `ATTRIBUTES` of a node."""
    return (
        math.log1p(node.channels) / 8,
        math.log1p(math.prod(node.size)) / 10,
        max(node.kernel, default=0) / 7,
        max(node.stride, default=1) - 1.0,
        max(node.dilation, default=1) - 1.0,
        math.log(max(node.groups, 1)) / 8,
        float(node.function == "max"),
        math.log1p(node.parameters) / 16,
        math.log1p(node.macs) / 24,
    )
