"""Many computation graphs as flat arrays, so that one pass of dynamic programming serves them all.

Letters: G graphs, M nodes of all graphs together, E edges, C columns of a quantity that is passed along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import CellBatch, SearchSpace
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph

__all__ = ["GraphBatch"]

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GraphBatch:
    """Graphs side by side. Nodes are numbered step by step: first the inputs of all graphs, then the second nodes, and so on."""

    kinds: Ints
    """(M,) number of each node's operator; -1 for inputs and outputs."""
    graph: Ints
    """(M,) graph of each node."""
    outputs: Ints
    """(G,) output node of each graph; its input is the node with the graph's own number."""
    sources: Ints
    """(E,) source of each edge, ordered by target."""
    targets: Ints
    """(E,) target of each edge."""
    multiplicity: Ints
    """(E,) how many parallel edges it stands for."""
    steps: Ints
    """(E,) position of each edge's target in its graph, never decreasing."""
    capacity: int
    """Nodes that a graph of this kind can have; stands in where there is no path, so that it must not depend on the batch."""

    def __len__(self) -> int:
        return len(self.outputs)

    @classmethod
    def from_graphs(cls, graphs: Sequence[ComputationGraph], names: Sequence[str], capacity: int = 64) -> GraphBatch:
        """Return the batch of graphs whose operators have these names.

        Raises
        ------
        InvalidArchitectureError
            If an operator has none of the names.
        """
        number = {name: i for i, name in enumerate(names)} | {INPUT: -1, OUTPUT: -1}
        if unknown := sorted({kind for graph in graphs for kind in graph.kinds} - number.keys()):
            raise InvalidArchitectureError(f"operators {unknown} are not among those looked at: {', '.join(names)}")
        sizes = np.array([len(graph) for graph in graphs], dtype=np.int64)
        kinds = np.array([number[kind] for graph in graphs for kind in graph.kinds], dtype=np.int64)
        pairs = np.array([edge for graph in graphs for edge in graph.edges], dtype=np.int64).reshape(-1, 2)
        owner = np.repeat(np.arange(len(graphs)), [len(graph.edges) for graph in graphs])
        unique, multiplicity = np.unique(np.column_stack([owner, pairs]), axis=0, return_counts=True)
        return cls._from_lists(sizes, kinds, unique[:, 0], unique[:, 1], unique[:, 2], multiplicity, capacity)

    @classmethod
    def from_cells(cls, cells: CellBatch, space: SearchSpace) -> GraphBatch:
        """Return the pruned graphs of a batch of cells, without building one by one.

        Parameters
        ----------
        cells : CellBatch
            Adjacency (B, N, N) and op numbers (B, N); kinds of the result are op numbers less one.
        space : SearchSpace
            Says which ops pass nothing on; those that change nothing, and the wiring, become wires.
        """
        wires = space.contracted | space.wiring
        is_wire = np.zeros(len(space.ops) + 3, dtype=bool)  # the last is that of absent nodes, -1
        is_kept = np.ones_like(is_wire)
        is_wire[1 : len(space.ops) + 1] = [op in wires for op in space.ops]
        is_kept[1 : len(space.ops) + 1] = [op not in space.removed for op in space.ops]
        ops = cells.ops.astype(np.int64)
        kept, wired = is_kept[ops], is_wire[ops]
        counts = cells.adjacency.astype(np.int32) * kept[:, :, None] * kept[:, None, :]
        n = ops.shape[1]
        for node in range(1, n - 1):
            wire = wired[:, node]
            if wire.any():
                into, out = counts[:, :node, node] * wire[:, None], counts[:, node, node + 1 :]
                counts[:, :node, node + 1 :] += into[:, :, None] * out[:, None, :]
                counts[wire, :, node] = counts[wire, node, :] = 0
        output = np.where(ops == ops.max(initial=0), np.arange(n), 0).max(axis=1)
        alive = (
            _reached(counts, np.zeros(len(ops), dtype=np.int64))
            & _reached(counts[:, ::-1, ::-1].transpose(0, 2, 1), n - 1 - output)[:, ::-1]
        )
        alive[:, 0] = True
        alive[np.arange(len(ops)), output] = True
        place = np.cumsum(alive, axis=1) - 1
        kinds = ops - 1
        kinds[np.arange(len(ops)), output] = -1
        owner, source, target = np.nonzero(counts * alive[:, :, None] * alive[:, None, :])
        places = place[owner, source], place[owner, target]
        return cls._from_lists(alive.sum(axis=1), kinds[alive], owner, *places, counts[owner, source, target], n)

    @classmethod
    def _from_lists(
        cls, sizes: Ints, kinds: Ints, owner: Ints, source: Ints, target: Ints, multiplicity: Ints, capacity: int
    ) -> GraphBatch:
        """Return the batch of graphs listed one after the other: sizes (G,), kinds (M,), edges between places in a graph."""
        starts = np.cumsum(sizes) - sizes
        graph = np.repeat(np.arange(len(sizes)), sizes)
        step = np.arange(len(kinds)) - starts[graph]
        order = np.argsort(step, kind="stable")
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        targets = number[starts[owner] + target]
        by_target = np.argsort(targets, kind="stable")
        return cls(
            kinds[order],
            graph[order],
            number[starts + sizes - 1],
            number[starts[owner] + source][by_target],
            targets[by_target],
            multiplicity[by_target],
            target[by_target],
            capacity,
        )

    def renamed(self, number: Ints) -> GraphBatch:
        """Return the batch with other operator numbers: ``number[k]`` in place of k; inputs and outputs stay -1."""
        return replace(self, kinds=np.where(self.kinds < 0, -1, number[self.kinds]))

    @property
    def longest_possible(self) -> int:
        """Steps from input to output of the largest graph there can be: one less than ``capacity``."""
        return self.capacity - 1

    @cached_property
    def _passes(self) -> list[list[tuple[Ints, Ints, Ints]]]:
        """For each step its nodes in rounds, one edge of each at a time: targets, sources, multiplicities."""
        first = np.searchsorted(self.targets, self.targets)
        round_ = np.arange(len(self.targets)) - first
        order = np.lexsort((self.targets, round_, self.steps))
        bounds = np.flatnonzero(np.diff(self.steps[order], prepend=-1) | np.diff(round_[order], prepend=-1))
        passes: list[list[tuple[Ints, Ints, Ints]]] = []
        for edges in np.split(order, bounds[1:]) if len(order) else []:
            if round_[edges[0]] == 0:
                passes.append([])
            passes[-1].append((self.targets[edges], self.sources[edges], self.multiplicity[edges]))
        return passes

    def sum_over_paths(self, weights: Floats) -> Floats:
        """Return, for each node, the sum over all paths from the input of the product of node weights (M, C), itself included.

        Parallel edges are different paths. Nodes that no path reaches get 0.
        """
        total = np.zeros_like(weights)
        total[: len(self)] = weights[: len(self)]
        for rounds in self._passes:
            for targets, sources, multiplicity in rounds:
                total[targets] += total[sources] * multiplicity[:, None]
            total[rounds[0][0]] *= weights[rounds[0][0]]
        return total

    def longest_paths(self, lengths: Floats) -> Floats:
        """Return the largest sum of node lengths (M, C) over paths to each node; the smallest is that of negative lengths.

        Minus infinity where no path leads, and as the length of a node that no path may pass.
        """
        best = np.full_like(lengths, -np.inf)
        best[: len(self)] = lengths[: len(self)]
        for rounds in self._passes:
            for targets, sources, _ in rounds:
                best[targets] = np.maximum(best[targets], best[sources])
            best[rounds[0][0]] += lengths[rounds[0][0]]
        return best

    def moments_over_paths(self, quantity: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance, over all paths from input to output, of the sum of a node quantity (M, C) along them.

        Returns
        -------
        two of ndarray of shape (G, C), 0 where there is no path.
        """
        paths = np.zeros((len(quantity), 1))
        paths[: len(self)] = 1
        first, second = quantity * paths, quantity**2 * paths
        for rounds in self._passes:
            for targets, sources, multiplicity in rounds:
                weight = multiplicity[:, None]
                paths[targets] += paths[sources] * weight
                first[targets] += first[sources] * weight
                second[targets] += second[sources] * weight
            nodes = rounds[0][0]
            added, count = quantity[nodes], paths[nodes]
            second[nodes] += (2 * first[nodes] + added * count) * added
            first[nodes] += added * count
        count = np.maximum(paths[self.outputs], 1)
        mean = first[self.outputs] / count
        return mean, np.maximum(second[self.outputs] / count - mean**2, 0)

    def on_longest_paths(self, lengths: NDArray[np.floating], best: NDArray[np.floating], quantity: Floats) -> Floats:
        """Return the mean, over the longest paths from input to output, of the sum of a node quantity (M, C) along them.

        Parameters
        ----------
        lengths, best : ndarray of shape (M,)
            Node lengths and their `longest_paths`; all longest paths count, so that ties do not depend on numbering.
        quantity : ndarray of shape (M, C)

        Returns
        -------
        ndarray of shape (G, C), 0 where there is no path.
        """
        paths = np.zeros((len(best), 1))
        paths[: len(self)] = 1
        total = quantity * paths
        for rounds in self._passes:
            for targets, sources, multiplicity in rounds:
                tight = best[sources] + lengths[targets] == best[targets]
                weight = (tight * multiplicity)[:, None]
                paths[targets] += paths[sources] * weight
                total[targets] += total[sources] * weight
            nodes = rounds[0][0]
            total[nodes] += quantity[nodes] * paths[nodes]
        return total[self.outputs] / np.maximum(paths[self.outputs], 1)

    def count_nodes(self, quantity: Floats) -> Floats:
        """Return the sum of a node quantity (M, C) over the nodes of each graph, (G, C)."""
        return np.column_stack([np.bincount(self.graph, column, minlength=len(self)) for column in quantity.T])


def _reached(counts: Ints, start: Ints) -> NDArray[np.bool_]:
    """Return which nodes (B, N) forward edges lead to from one start in each graph (B,)."""
    reached = np.zeros(counts.shape[:2], dtype=bool)
    reached[np.arange(len(start)), start] = True
    for node in range(1, counts.shape[1]):
        reached[:, node] |= (reached[:, :node] & (counts[:, :node, node] > 0)).any(axis=1)
    return reached
