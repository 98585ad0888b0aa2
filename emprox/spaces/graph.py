"""The one representation that every search space shares: a computation graph of operators.

A graph is a directed acyclic multigraph. A node is an operator applied to the *sum* of what its edges bring (`SEPARATE`
names the kinds that take their inputs one by one); two edges between the same nodes bring the value twice, so ``x + x``
keeps two edges and is not ``x``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from emprox._optional import import_optional
from emprox.errors import InvalidArchitectureError
from emprox.spaces.hashing import digest
from emprox.spaces.primitives import SEPARATE, WEIGHED, NodeAttributes

if TYPE_CHECKING:
    import networkx

__all__ = ["INPUT", "OUTPUT", "ComputationGraph"]

INPUT = "input"
OUTPUT = "output"
FEW = 16
"""Neighbours that are counted faster one by one."""
MOST_WIRES = 1 << 20
"""Edges that contraction may make: wires multiply, and a chain of doubled edges would fill any memory."""


@dataclass(frozen=True)
class ComputationGraph:
    """A directed acyclic multigraph of operators with one input and one output.

    Raises
    ------
    InvalidArchitectureError
        If an edge names a node that is not there or points backwards (so that no cycle can be written), if input and
        output are not the first and last node, or if there are attributes for some nodes only.

    Examples
    --------
    >>> twice = ComputationGraph(("input", "output"), ((0, 1), (0, 1)))
    >>> once = ComputationGraph(("input", "output"), ((0, 1),))
    >>> twice.canonical_hash() == once.canonical_hash()
    False
    """

    kinds: tuple[str, ...]
    """Operator of each node in topological order; the first is ``input``, the last is ``output``.

    A cell view has the operator names of its space, a network view the names in `emprox.spaces.primitives.PRIMITIVES`."""
    edges: tuple[tuple[int, int], ...]
    """Pairs (source, target), source < target, sorted; a pair that stands twice is a parallel edge."""
    attributes: tuple[NodeAttributes, ...] = ()
    """Numbers of each node, or () where the graph carries none, as cell views do."""

    def __post_init__(self) -> None:
        if len(self.kinds) < 2 or self.kinds[0] != INPUT or self.kinds[-1] != OUTPUT:
            raise InvalidArchitectureError(
                f"a computation graph starts with an {INPUT!r} node and ends with an {OUTPUT!r} node; got kinds {self.kinds[:20]}"
            )
        if len(self.attributes) not in (0, len(self.kinds)):
            raise InvalidArchitectureError(
                f"expected attributes for all {len(self.kinds)} nodes or for none, got {len(self.attributes)}"
            )
        last = len(self.kinds) - 1
        for source, target in self.edges:
            if not 0 <= source < target <= last:
                raise InvalidArchitectureError(
                    f"edge ({source}, {target}) is no forward edge among nodes 0 to {last}; number the nodes in topological order"
                )
        object.__setattr__(self, "edges", tuple(sorted(self.edges)))

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def is_connected(self) -> bool:
        """Whether a path leads from input to output; without one the network's output is constant."""
        return bool(self._alive)

    @property
    def parameters(self) -> int:
        """Trainable parameters of all nodes, 0 where the graph carries no attributes."""
        return sum(node.parameters for node in self.attributes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all nodes for one input, 0 where the graph carries no attributes."""
        return sum(node.macs for node in self.attributes)

    def without(self, kind: str) -> ComputationGraph:
        """Return the graph without the nodes of a kind that passes nothing on (``none``, ``zero``).

        A node stays where a target takes its inputs one by one: zeros in a concatenation still take up channels.
        """
        if kind not in self.kinds:
            return self
        _, out = self.neighbours
        return self._keep([node for node, k in enumerate(self.kinds) if k != kind or not self._all_sum(out[node])])

    def contracted(self, kind: str, most: int | None = None) -> ComputationGraph:
        """Return the graph with the nodes of a kind that changes nothing (``skip_connect``) replaced by wires.

        Wires multiply: a contracted node with m edges from a and n edges to b leaves m * n edges from a to b. A node that
        sums several inputs for a target that takes its inputs one by one is no wire and stays, and so does one that would
        leave more than `most` wires, if that is given.
        """
        if kind not in self.kinds:
            return self
        into, out = (self._counted(rows) for rows in self.neighbours)
        dropped = set()
        made = 0
        for node in [node for node, k in enumerate(self.kinds) if k == kind]:
            summed = sum(into[node].values())
            if summed != 1 and not self._all_sum(out[node]):
                continue
            if most is not None and summed * sum(out[node].values()) > most:
                continue
            dropped.add(node)
            made += len(into[node]) * len(out[node])
            if made > MOST_WIRES:
                raise InvalidArchitectureError(f"contracting {kind!r} makes more than {MOST_WIRES:,} wires; this is no network")
            for source, m in into[node].items():
                del out[source][node]
                for target, n in out[node].items():
                    out[source][target] = into[target][source] = out[source].get(target, 0) + m * n
            for target in out[node]:
                del into[target][node]
            out[node] = {}
        if sum(count for row in out for count in row.values()) > MOST_WIRES:
            raise InvalidArchitectureError(f"contracting {kind!r} makes more than {MOST_WIRES:,} wires; this is no network")
        edges = [(s, t) for s, row in enumerate(out) for t in sorted(row) for _ in range(row[t])]
        return self._keep([node for node in range(len(self)) if node not in dropped], edges)

    def pruned(self) -> ComputationGraph:
        """Return the graph without nodes that lie on no path from input to output (input and output always stay)."""
        return self._keep(self._alive | {0, len(self) - 1})

    def simplified(self, *, zero: str = "zero", identity: str = "identity") -> ComputationGraph:
        """Return the graph without zeros, identities and dead nodes: what is left is what the output depends on."""
        return self.without(zero).contracted(identity).pruned()

    def canonical_hash(self) -> str:
        """Return 32 hexadecimal digits that do not depend on the numbering of the nodes.

        Covers kinds, edges and the attributes that change the function. See `emprox.spaces.hashing` for what
        it decides exactly and for its bound on large graphs.
        """
        return self._hash

    def to_networkx(self) -> networkx.MultiDiGraph:
        """Return a networkx multigraph; nodes carry ``kind`` and, where there are any, the attributes (extra ``graphs``)."""
        graph: networkx.MultiDiGraph = import_optional("networkx", "graphs").MultiDiGraph()
        for node, kind in enumerate(self.kinds):
            numbers = {name: getattr(self.attributes[node], name) for name in NodeAttributes.__slots__} if self.attributes else {}
            graph.add_node(node, kind=kind, **numbers)
        graph.add_edges_from(self.edges)
        return graph

    @cached_property
    def neighbours(self) -> tuple[list[list[int]], list[list[int]]]:
        """Sources and targets of each node in ascending order, repeated for parallel edges."""
        sources: list[list[int]] = [[] for _ in self.kinds]
        targets: list[list[int]] = [[] for _ in self.kinds]
        for source, target in self.edges:
            targets[source].append(target)
            sources[target].append(source)
        return sources, targets

    @cached_property
    def _hash(self) -> str:
        nodes = zip(self.kinds, self.attributes, strict=True) if self.attributes else ()
        labels = [repr((kind, (*node.signature, *([node.parameters] if kind in WEIGHED else [])))) for kind, node in nodes]
        return digest(labels or self.kinds, *self.neighbours)

    @cached_property
    def _alive(self) -> set[int]:
        """Nodes on a path from input to output."""
        sources, targets = self.neighbours
        return _reachable(0, targets) & _reachable(len(self) - 1, sources)

    def _all_sum(self, targets: Iterable[int]) -> bool:
        """Whether all of some nodes take the sum of their inputs."""
        return SEPARATE.isdisjoint([self.kinds[target] for target in targets])

    @staticmethod
    def _counted(rows: list[list[int]]) -> list[dict[int, int]]:
        return [dict(Counter(row)) if len(row) > FEW else {node: row.count(node) for node in row} for row in rows]

    def _keep(self, nodes: Iterable[int], edges: Sequence[tuple[int, int]] | None = None) -> ComputationGraph:
        """Return the graph on some of the nodes; its edges are valid and sorted because ours are."""
        kept = sorted(nodes)
        if len(kept) == len(self) and edges is None:
            return self
        new = {node: i for i, node in enumerate(kept)}
        edges = self.edges if edges is None else edges
        graph = object.__new__(ComputationGraph)
        object.__setattr__(graph, "kinds", tuple([self.kinds[node] for node in kept]))
        object.__setattr__(graph, "edges", tuple([(new[s], new[t]) for s, t in edges if s in new and t in new]))
        object.__setattr__(graph, "attributes", tuple([self.attributes[node] for node in kept]) if self.attributes else ())
        return graph


def _reachable(start: int, steps: list[list[int]]) -> set[int]:
    seen, stack = set(), [start]
    end = len(steps) - 1 - start
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(steps[node])
    return seen if end in seen else set()
