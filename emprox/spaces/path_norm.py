"""The path-norm of a network by its graph alone: what synflow measures on an untrained network, without building it."""

from __future__ import annotations

import math

from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["log_path_norm"]

BOUNDED = frozenset({"sigmoid", "hsigmoid", "tanh", "softmax"})
"""Functions that pass no scale on: a gate multiplies by about a constant."""


def log_path_norm(graph: ComputationGraph) -> float:
    """Return the logarithm of the sum, over all paths from input to output, of the product of expected gains.

    A convolution or linear node of fan-in f has gain sqrt(f): f inputs, weights of standard deviation 1 / sqrt(f). A
    concatenation is the mean of its inputs by channels; gates and zeros have gain 0; all else, weights of another node's among
    it, has gain 1.
    Costs about as much as writing the graph; search spaces have it in closed form, `SearchSpace.path_norms`.

    Parameters
    ----------
    graph : ComputationGraph
        A network view, with attributes.

    Returns
    -------
    float
        Minus infinity if no path with a gain leads to the output.

    References
    ----------
    Tanaka et al., *Pruning neural networks without any data by iteratively conserving synaptic flow*, NeurIPS 2020.
    """
    sources, _ = graph.neighbours
    total = [0.0]
    for node in range(1, len(graph)):
        attributes = graph.attributes[node]
        arriving = [total[s] for s in sources[node]]
        if graph.kinds[node] == "concat":
            shares = [graph.attributes[s].channels / attributes.channels for s in sources[node]]
            arriving = [value + math.log(share) for value, share in zip(arriving, shares, strict=True)]
        total.append(_log_sum(arriving) + _log_gain(graph.kinds[node], attributes))
    return total[-1]


def _log_gain(kind: str, attributes: NodeAttributes) -> float:
    if kind in ("conv", "linear"):
        weights = attributes.parameters - attributes.bias * attributes.channels
        return 0.5 * math.log(weights / attributes.channels) if weights > 0 else 0.0
    dead = kind == "zero" or (kind == "activation" and attributes.function in BOUNDED)
    return -math.inf if dead else 0.0


def _log_sum(values: list[float]) -> float:
    largest = max(values, default=-math.inf)
    if largest == -math.inf:
        return largest
    return largest + math.log(sum(math.exp(value - largest) for value in values))
