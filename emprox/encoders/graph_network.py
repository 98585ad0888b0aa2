"""A graph neural network over computation graphs of any family, and what its embedding can be decoded into.

Letters: B graphs in a batch, M nodes of them together, E edges, H hidden units, D dimensions of an embedding, T targets.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from emprox._optional import import_optional
from emprox.encodings.graph_arrays import ATTRIBUTES, NODE_KINDS, GraphArrays

__all__ = ["GraphDecoder", "GraphNetwork", "as_data", "batches", "bounded", "collated"]

MASKED = len(NODE_KINDS)
"""Kind of a node whose kind is hidden."""
HIDDEN_SHARE = 0.15
"""Share of the nodes, and of the edges, that are hidden for reconstruction."""
NODES = 20_000
"""Nodes of a batch when graphs are only embedded; bounds memory."""
TRAINED_NODES = 80_000
"""Nodes of a step of training at most, about 1 GB."""
SUMMED = 100
"""Nodes whose sum of states counts as much as their mean."""


def _geometric(module: str) -> ModuleType:
    """Return a module of PyTorch Geometric, whose import warns of torch features that only other parts of it use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_optional(f"torch_geometric.{module}", "gnn")


def collated(graphs: Sequence[Any]) -> Any:
    """Return PyTorch Geometric's batch of some ``Data``."""
    return _geometric("data").Batch.from_data_list(list(graphs))


def as_data(arrays: GraphArrays) -> Any:
    """Return a graph as PyTorch Geometric's ``Data``: ``x`` kinds (M,), ``attributes`` (M, A), ``edge_index`` (2, E)."""
    return _geometric("data").Data(
        x=torch.from_numpy(arrays.kinds),
        attributes=torch.from_numpy(arrays.attributes),
        edge_index=torch.from_numpy(arrays.edges),
    )


def batches(graphs: Sequence[Any]) -> Iterator[Any]:
    """Return PyTorch Geometric batches of ``Data``, in order, of at most `NODES` nodes unless one graph has more."""
    taken: list[Any] = []
    nodes = 0
    for graph in graphs:
        if taken and nodes + graph.num_nodes > NODES:
            yield collated(taken)
            taken, nodes = [], 0
        taken.append(graph)
        nodes += graph.num_nodes
    if taken:
        yield collated(taken)


def bounded(batch_size: int, graphs: Sequence[Any]) -> int:
    """Return the batch size, or a smaller one, at least 2, with which no step of training has more than `TRAINED_NODES` nodes."""
    largest = max(graph.num_nodes for graph in graphs)
    return min(batch_size, max(2, TRAINED_NODES // largest))


class GraphNetwork(nn.Module):
    """Isomorphism convolutions along and against the edges; mean, maximum and sum over the nodes.

    Does not depend on the numbering of the nodes; a parallel edge counts twice.

    Parameters
    ----------
    hidden_size : int
        H.
    layers : int
        Rounds of message passing.
    dim : int
        D.

    References
    ----------
    Xu et al., *How Powerful are Graph Neural Networks?*, ICLR 2019.
    """

    def __init__(self, hidden_size: int, layers: int, dim: int) -> None:
        super().__init__()
        convolution = _geometric("nn").GINConv
        self.kind = nn.Embedding(len(NODE_KINDS) + 1, hidden_size)
        self.attributes = nn.Linear(len(ATTRIBUTES), hidden_size)
        self.along = nn.ModuleList(convolution(_feed_forward(hidden_size)) for _ in range(layers))
        self.against = nn.ModuleList(convolution(_feed_forward(hidden_size)) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(layers))
        self.project = nn.Linear(3 * hidden_size, dim)

    def nodes(self, kinds: Tensor, attributes: Tensor, edges: Tensor) -> Tensor:
        """Return the state of every node, (M, H), from kinds (M,), attributes (M, A) and edges (2, E)."""
        states = self.kind(kinds) + self.attributes(attributes)
        back = edges.flip(0)
        for along, against, norm in zip(self.along, self.against, self.norms, strict=True):
            states = norm(states + torch.relu(along(states, edges) + against(states, back)))
        return states

    def pool(self, states: Tensor, graph: Tensor, count: int) -> Tensor:
        """Return embeddings (B, D) from states (M, H) and the graph of each node (M,)."""
        pooling = _geometric("nn")
        pools = (pooling.global_mean_pool, pooling.global_max_pool, pooling.global_add_pool)
        mean, most, total = (pool(states, graph, count) for pool in pools)
        return self.project(torch.cat([mean, most, total / SUMMED], dim=1))

    def forward(self, batch: Any) -> Tensor:
        """Return the embeddings of a batch, (B, D)."""
        return self.pool(self.nodes(batch.x, batch.attributes, batch.edge_index), batch.batch, batch.num_graphs)


class GraphDecoder(nn.Module):
    """What was hidden of a graph from the states of its nodes, and cheap targets from its embedding.

    Parameters
    ----------
    hidden_size, dim : int
        H and D of the network.
    targets : int
        T; without any the head is there and not trained.
    """

    def __init__(self, hidden_size: int, dim: int, targets: int) -> None:
        super().__init__()
        self.kinds = nn.Linear(hidden_size, len(NODE_KINDS))
        self.edges = nn.Bilinear(hidden_size, hidden_size, 1)
        self.targets = nn.Sequential(nn.Linear(dim, hidden_size), nn.ReLU(), nn.Linear(hidden_size, max(targets, 1)))

    def hide(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return which nodes (M,) and edges (E,) of a batch are hidden, and its kinds with the hidden ones masked, (M,)."""
        nodes = torch.rand(len(batch.x)) < HIDDEN_SHARE
        edges = torch.rand(batch.edge_index.shape[1]) < HIDDEN_SHARE
        return nodes, edges, batch.x.masked_fill(nodes, MASKED)

    def reconstruction_loss(self, states: Tensor, batch: Any, nodes: Tensor, edges: Tensor) -> Tensor:
        """Return the cross-entropy of hidden kinds, plus that of hidden edges against pairs of nodes of the same graphs."""
        sources, targets = batch.edge_index[:, edges]
        sizes = batch.ptr.diff()[batch.batch[sources]]
        others = batch.ptr[batch.batch[sources]] + (torch.rand(len(sources)) * sizes).long()
        logits = torch.cat([self.edges(states[sources], states[ends]) for ends in (targets, others)])[:, 0]
        there = torch.cat([torch.ones(len(sources)), torch.zeros(len(sources))])
        of_kinds = cross_entropy(self.kinds(states[nodes]), batch.x[nodes])
        return of_kinds + binary_cross_entropy_with_logits(logits, there)

    def target_loss(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of standardised targets (B, T), those that are not known (NaN) left out."""
        known = ~targets.isnan()
        return torch.square(self.targets(embeddings)[known] - targets[known]).mean()


def _feed_forward(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size))
