"""Features of any network's graph, whatever space it comes from: shares of operators, costs, depths, skips, degrees, stages.

Letters: G graphs, M nodes of all graphs together, E edges, C columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.graph_batch import GraphBatch
from emprox.spaces.primitives import PRIMITIVES, NodeAttributes

__all__ = ["BLOCKS", "KINDS", "NAMES", "kind_of", "network_features"]

Floats = NDArray[np.float64]
CONVOLUTIONS = ("conv", "pointwise", "depthwise", "grouped")
KINDS = (*CONVOLUTIONS, *[kind for kind in PRIMITIVES if kind not in ("conv", "input", "output", "identity", "zero")])
"""Operators that are told apart: those of the universal vocabulary, convolutions by their window and groups."""
COSTLY = (*CONVOLUTIONS, "linear", "matmul")
"""Operators with multiply-accumulates."""
DEPTHS = ("nodes", "layers", "nonlinearities", "attention")
"""What is counted along a path: all operators; those with weights or products; pointwise functions; softmax."""
STAGES = 6
"""Stages by resolution: a quarter of the positions each; the last holds all that have fewer."""
CHUNK = 200
"""Graphs at a time; bounds memory."""

BLOCKS: dict[str, tuple[str, ...]] = {
    "operators": tuple(f"share:{kind}" for kind in KINDS),
    "work": tuple(f"macs_share:{kind}" for kind in COSTLY),
    "costs": tuple(f"log_{name}" for name in ("nodes", "edges", "parameters", "macs", "paths", "input_positions")),
    "depths": tuple(f"{extreme}_depth:{name}" for extreme in ("longest", "shortest") for name in DEPTHS),
    "skips": tuple(f"skip:{name}" for name in ("share", "mean_span", "longest_span", "joins", "joined_by_concat")),
    "degrees": tuple(f"degree:{name}" for name in ("mean_in", "largest_in", "largest_out", "sd_in")),
    "widths": tuple(f"width:{name}" for name in ("mean_log", "largest_log", "last_log")),
    "windows": tuple(f"window:{name}" for name in ("mean", "largest", "strided")),
    "stages": tuple(f"stage{stage}:{name}" for stage in range(STAGES) for name in ("macs", "parameters", "layers")),
}
"""Groups of columns that each describe one side of a network, by name."""
NAMES: tuple[str, ...] = tuple(chain.from_iterable(BLOCKS.values()))
"""Names of the columns of `network_features`."""


def network_features(graphs: Sequence[ComputationGraph]) -> NDArray[np.float32]:
    """Return features of network views, ndarray of shape (G, len(NAMES)).

    The columns mean the same for every network, so that those of different spaces, torch modules and ONNX files can be compared.
    They do not depend on the numbering of the nodes.

    Parameters
    ----------
    graphs : sequence of ComputationGraph
        With attributes, as `emprox.spaces.tracing.from_module` and ``space.to_graph(architecture, "network")`` make them.

    Raises
    ------
    InvalidArchitectureError
        If a graph has no attributes or an operator outside the universal vocabulary.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> space = get_space("nasbench201")
    >>> graph = space.to_graph(space.parse((2, 2, 2, 2, 2, 2)), "network")
    >>> row = dict(zip(NAMES, network_features([graph])[0].tolist()))
    >>> row["longest_depth:layers"], round(row["share:conv"], 2)
    (51.0, 0.32)
    """
    graphs = list(graphs)
    for graph in graphs:
        if not graph.attributes or not PRIMITIVES.keys() >= set(graph.kinds):
            raise InvalidArchitectureError(
                f"expected a network view with attributes, in the operators {', '.join(PRIMITIVES)}; got operators "
                f"{sorted(set(graph.kinds))[:10]} {'with' if graph.attributes else 'without'} attributes; "
                'use space.to_graph(architecture, "network") or emprox.spaces.tracing'
            )
    parts = [_features(graphs[i : i + CHUNK]) for i in range(0, len(graphs), CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, len(NAMES)), dtype=np.float32)


def _features(graphs: Sequence[ComputationGraph]) -> NDArray[np.float32]:
    flat = _Flat(graphs)
    columns = [
        flat.shares(),
        flat.costs(),
        flat.depths(),
        flat.skips(),
        flat.degrees(),
        flat.widths(),
        flat.windows(),
        flat.stages(),
    ]
    return np.column_stack(columns).astype(np.float32)


class _Flat:
    """All nodes and edges of some graphs in flat arrays, graph after graph."""

    def __init__(self, graphs: Sequence[ComputationGraph]) -> None:
        nodes = list(chain.from_iterable(graph.attributes for graph in graphs))
        names = [kind_of(kind, node) for graph in graphs for kind, node in zip(graph.kinds, graph.attributes, strict=True)]
        sizes = np.array([len(graph) for graph in graphs])
        starts = np.cumsum(sizes) - sizes
        number = {name: i for i, name in enumerate(KINDS)}
        self.count = len(graphs)
        self.kinds = np.array([number.get(name, -1) for name in names])
        self.is_op = self.kinds >= 0
        self.owner = np.repeat(np.arange(len(graphs)), sizes)
        edges = [
            np.array(graph.edges, dtype=np.int64).reshape(-1, 2) + start for graph, start in zip(graphs, starts, strict=True)
        ]
        self.sources, self.targets = np.concatenate(edges).T
        self.parameters = np.array([node.parameters for node in nodes], dtype=np.float64)
        self.macs = np.array([node.macs for node in nodes], dtype=np.float64)
        self.channels = np.array([max(node.channels, 1) for node in nodes], dtype=np.float64)
        self.positions = np.array([math.prod(node.size) for node in nodes], dtype=np.float64)
        self.window = np.array([max(node.kernel, default=0) for node in nodes], dtype=np.float64)
        self.stride = np.array([max(node.stride, default=1) for node in nodes])
        self.inputs, self.outputs = starts, starts + sizes - 1
        self.layers = np.isin(self.kinds, [number[name] for name in COSTLY])
        self.graphs, self.sizes = graphs, sizes
        self.batch = GraphBatch.from_graphs(graphs, list(PRIMITIVES))
        self.order = _places(sizes)
        self.lengths = np.column_stack(
            [self.is_op, self.layers, self.kinds == number["activation"], self.kinds == number["softmax"]]
        ).astype(np.float64)
        self.levels = _levels(self)

    def sum(self, values: NDArray[Any], where: NDArray[np.bool_] | None = None) -> Floats:
        """Return the sum of a node quantity (M,) over each graph, (G,)."""
        weights = values if where is None else np.where(where, values, 0)
        return np.bincount(self.owner, weights, minlength=self.count).astype(np.float64)

    def largest(self, values: NDArray[Any], owner: NDArray[np.integer]) -> Floats:
        """Return the largest of some quantities of each graph, at least 0, (G,)."""
        most = np.zeros(self.count)
        np.maximum.at(most, owner, values)
        return most

    def shares(self) -> Floats:
        """Return the share of each kind among the operators, and of each costly kind in the multiply-accumulates."""
        kinds, one = np.maximum(self.kinds, 0), self.is_op.astype(np.float64)
        count = np.bincount(self.owner * len(KINDS) + kinds, one, minlength=self.count * len(KINDS)).reshape(self.count, -1)
        macs = np.bincount(self.owner * len(KINDS) + kinds, self.macs, minlength=self.count * len(KINDS)).reshape(self.count, -1)
        costly = macs[:, [KINDS.index(kind) for kind in COSTLY]]
        return np.column_stack([_ratio(count, self.sum(one)[:, None]), _ratio(costly, self.sum(self.macs)[:, None])])

    def costs(self) -> Floats:
        """Return logarithms of sizes, costs, number of paths and positions of the input."""
        edges = np.bincount(self.owner[self.sources], minlength=self.count)
        logs = [np.log1p(self.sum(x)) for x in (self.is_op.astype(np.float64), self.parameters, self.macs)]
        return np.column_stack(
            [logs[0], np.log1p(edges), logs[1], logs[2], _log_paths(self), np.log1p(self.positions[self.inputs])]
        )

    def depths(self) -> Floats:
        """Return the most and the fewest of each of `DEPTHS` on a path from input to output."""
        lengths = np.empty_like(self.lengths)
        lengths[self.order] = self.lengths
        extremes = [sign * self.batch.longest_paths(sign * lengths)[self.batch.outputs] for sign in (1, -1)]
        return np.column_stack([np.where(np.isfinite(x), x, 0) for x in extremes])

    def skips(self) -> Floats:
        """Return how far edges reach over steps of the longest path, and how many nodes join several values."""
        span = self.levels[self.targets] - self.levels[self.sources]
        owner, far = self.owner[self.sources], span > 1
        edges = np.bincount(owner, minlength=self.count)
        into = np.bincount(self.targets, minlength=len(self.kinds))
        depth = np.maximum(self.levels[self.outputs], 1)
        joins = (into > 1).astype(np.float64)
        return np.column_stack(
            [
                _ratio(np.bincount(owner, far, minlength=self.count), edges),
                np.log1p(_ratio(np.bincount(owner, np.where(far, span, 0), minlength=self.count), edges)),
                self.largest(span, owner) / depth,
                _ratio(self.sum(joins), self.sum(np.ones(len(joins)))),
                _ratio(self.sum(joins, self.kinds == KINDS.index("concat")), self.sum(joins)),
            ]
        )

    def degrees(self) -> Floats:
        """Return mean and largest degrees and the spread of the in-degrees."""
        into = np.bincount(self.targets, minlength=len(self.kinds)).astype(np.float64)
        out = np.bincount(self.sources, minlength=len(self.kinds)).astype(np.float64)
        count = self.sum(np.ones(len(into)))
        mean = self.sum(into) / count
        variance = np.maximum(self.sum(into**2) / count - mean**2, 0)
        return np.column_stack(
            [mean, np.log1p(self.largest(into, self.owner)), np.log1p(self.largest(out, self.owner)), np.sqrt(variance)]
        )

    def widths(self) -> Floats:
        """Return logarithms of channels: mean and largest over layers, and of the input of the last one's step."""
        logs = np.log(self.channels)
        last = np.zeros(self.count)
        final = self.levels == self.largest(np.where(self.layers, self.levels, 0), self.owner)[self.owner]
        np.maximum.at(last, self.owner[self.layers & final], logs[self.layers & final])
        most = self.largest(np.where(self.layers, logs, 0), self.owner)
        return np.column_stack([_ratio(self.sum(logs, self.layers), self.sum(self.layers.astype(np.float64))), most, last])

    def windows(self) -> Floats:
        """Return mean and largest window of convolutions, and the number of strided nodes."""
        convs = np.isin(self.kinds, [KINDS.index(kind) for kind in CONVOLUTIONS])
        mean = _ratio(self.sum(self.window, convs), self.sum(convs.astype(np.float64)))
        return np.column_stack(
            [mean, self.largest(np.where(convs, self.window, 0), self.owner), self.sum((self.stride > 1) * 1.0)]
        )

    def stages(self) -> Floats:
        """Return the share of multiply-accumulates, parameters and layers at each resolution."""
        with np.errstate(divide="ignore"):
            halvings = np.log2(self.positions[self.inputs][self.owner] / self.positions) / 2
        stage = np.clip(np.round(np.nan_to_num(halvings)), 0, STAGES - 1)
        quantities = (self.macs, self.parameters, self.layers.astype(np.float64))
        columns = [self.sum(quantity, stage == number) for number in range(STAGES) for quantity in quantities]
        totals = [self.sum(quantity) for _ in range(STAGES) for quantity in quantities]
        return _ratio(np.column_stack(columns), np.column_stack(totals))


def kind_of(kind: str, node: NodeAttributes) -> str:
    """Return which convolution a convolution is, other kinds as they are."""
    if kind != "conv":
        return kind
    if node.groups > 1:
        return "depthwise" if node.groups == node.channels else "grouped"
    return "pointwise" if max(node.kernel, default=1) == 1 else "conv"


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Return part over whole, 0 where the whole is."""
    return part / np.where(whole == 0, 1, whole)


def _places(sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the number that each node, graph after graph, has in a `GraphBatch`, where nodes go step by step."""
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = np.empty(len(step), dtype=np.int64)
    places[np.argsort(step, kind="stable")] = np.arange(len(step))
    return places


def _levels(flat: _Flat) -> Floats:
    """Return the steps of the longest path from the input to each node, (M,)."""
    return flat.batch.longest_paths(np.ones((len(flat.kinds), 1)))[flat.order, 0] - 1


def _log_paths(flat: _Flat) -> Floats:
    """Return the logarithm of the number of paths from input to output, (G,); the number itself may be beyond any float."""
    outputs = []
    for graph in flat.graphs:
        logs = [0.0]
        for sources in graph.neighbours[0][1:]:
            arriving = [logs[source] for source in sources]
            largest = max(arriving, default=0.0)
            logs.append(largest + math.log(max(sum(math.exp(log - largest) for log in arriving), 1)))
        outputs.append(logs[-1])
    return np.array(outputs)
