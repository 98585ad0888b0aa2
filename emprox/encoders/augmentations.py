"""Other graphs of the same function: what an embedding should not tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import SEPARATE, NodeAttributes

__all__ = ["respelled"]

IDENTITIES = 0.1
"""Share of the edges that get an identity."""
SUMS = 0.5
"""Share of the sums that are written out as a node."""
SPLITS = 0.2
"""Share of the convolutions and linear nodes that become two of half the channels, side by side."""


def respelled(
    graph: ComputationGraph,
    rng: np.random.Generator,
    *,
    identities: float = IDENTITIES,
    sums: float = SUMS,
    splits: float = SPLITS,
) -> ComputationGraph:
    """Return another network view that computes the same: identities inserted, sums written out, layers split in parallel.

    A split layer is two layers of half the channels whose outputs are concatenated, with as many parameters and
    multiply-accumulates in all. Costs about as much as folding the graph.

    Parameters
    ----------
    graph : ComputationGraph
        With attributes.
    rng : numpy.random.Generator
        Chooses where.
    identities, sums, splits : float
        Share of the edges, of the nodes with several inputs, and of the layers without groups to which that happens.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> space = get_space("nasbench201")
    >>> graph = space.to_graph(space.parse((2, 2, 3, 1, 0, 4)), "network")
    >>> other = respelled(graph, np.random.default_rng(0))
    >>> len(other) > len(graph), other.parameters == graph.parameters, other.macs == graph.macs
    (True, True, True)
    """
    new = _Writer()
    sources, _ = graph.neighbours
    place: list[int] = []
    for node, kind in enumerate(graph.kinds):
        attributes = graph.attributes[node]
        inputs = [place[source] for source in sources[node]]
        inputs = [new.add("identity", [i], _as_output_of(new, i)) if rng.random() < identities else i for i in inputs]
        if len(inputs) > 1 and kind not in SEPARATE and rng.random() < sums:
            inputs = [new.add("add", inputs, _as_output_of(new, inputs[0]))]
        if _can_split(kind, attributes) and rng.random() < splits:
            place.append(new.add_halves(kind, inputs, attributes))
        else:
            place.append(new.add(kind, inputs, attributes))
    return ComputationGraph(tuple(new.kinds), tuple(new.edges), tuple(new.attributes))


class _Writer:
    """A graph that is being written, node after node."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.edges: list[tuple[int, int]] = []
        self.attributes: list[NodeAttributes] = []

    def add(self, kind: str, inputs: list[int], attributes: NodeAttributes) -> int:
        node = len(self.kinds)
        self.kinds.append(kind)
        self.attributes.append(attributes)
        self.edges += [(source, node) for source in inputs]
        return node

    def add_halves(self, kind: str, inputs: list[int], whole: NodeAttributes) -> int:
        half = replace(whole, channels=whole.channels // 2, parameters=whole.parameters // 2, macs=whole.macs // 2)
        halves = [self.add(kind, inputs, half), self.add(kind, inputs, half)]
        return self.add("concat", halves, NodeAttributes(whole.channels, whole.size))


def _as_output_of(new: _Writer, node: int) -> NodeAttributes:
    return NodeAttributes(new.attributes[node].channels, new.attributes[node].size)


def _can_split(kind: str, node: NodeAttributes) -> bool:
    even = not any(number % 2 for number in (node.channels, node.parameters, node.macs))
    return kind in ("conv", "linear") and node.groups == 1 and node.channels > 1 and even
