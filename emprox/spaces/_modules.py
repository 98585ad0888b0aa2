"""Networks as torch modules, built from their computation graphs; imported only when one is built."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from emprox.errors import InvalidArchitectureError
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import SEPARATE, NodeAttributes

__all__ = ["GraphModule"]

CONV: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
MAX_POOL: dict[int, Callable[..., nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
AVG_POOL: dict[int, Callable[..., nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
MEAN = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "hswish": nn.Hardswish, "hsigmoid": nn.Hardsigmoid}


class Shift(nn.Module):
    """Move the values by one position along every spatial axis; zeros come in at the end."""

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, 1) * (x.dim() - 2))
        return x[:, :, 1:, 1:] if x.dim() == 4 else x[:, :, 1:]


class Zeros(nn.Module):
    """Zeros with other channels and a size divided by the stride."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.channels, *(-(-n // self.stride) for n in x.shape[2:]))


class First(nn.Module):
    """The first channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.channels]


def _conv(before: NodeAttributes, node: NodeAttributes) -> nn.Module:
    padding = [d * (k - 1) // 2 for d, k in zip(node.dilation, node.kernel, strict=True)]
    conv = CONV[len(node.kernel)]
    return conv(
        before.channels, node.channels, node.kernel, node.stride, padding, node.dilation, groups=node.groups, bias=node.bias
    )


def _pool(before: NodeAttributes, node: NodeAttributes) -> nn.Module:
    dims = len(node.kernel)
    padding, odd = [(k - 1) // 2 for k in node.kernel], node.kernel[0] % 2
    if node.function == "max":
        return MAX_POOL[dims](node.kernel, node.stride, padding, ceil_mode=not odd)
    return AVG_POOL[dims](node.kernel, node.stride, padding, ceil_mode=not odd, count_include_pad=False)


def _zeros(before: NodeAttributes, node: NodeAttributes) -> nn.Module:
    return Zeros(node.channels, math.ceil(before.size[0] / node.size[0]) if node.size else 1)


LAYERS: dict[str, Callable[[NodeAttributes, NodeAttributes], nn.Module]] = {
    "output": lambda before, node: nn.Identity(),
    "identity": lambda before, node: nn.Identity(),
    "add": lambda before, node: nn.Identity(),
    "conv": _conv,
    "linear": lambda before, node: nn.Linear(before.channels, node.channels, bias=node.bias),
    "norm": lambda before, node: NORM[len(node.size)](node.channels, affine=node.bias),
    "activation": lambda before, node: ACTIVATIONS[node.function](),
    "pool": _pool,
    "mean": lambda before, node: MEAN[len(before.size)](1),
    "reshape": lambda before, node: {"flatten": nn.Flatten, "shift": Shift}[node.function](),
    "split": lambda before, node: First(node.channels),
    "zero": _zeros,
}


FUNCTIONS = {
    "norm": ("batch",),
    "activation": tuple(ACTIVATIONS),
    "pool": ("max", "avg"),
    "reshape": ("flatten", "shift"),
}
"""Functions of a kind that can be built; other kinds have none."""


class GraphModule(nn.Module):
    """A network that computes what its graph says, node by node; weights are random.

    Graphs do not record the padding of a window; it is that of `NetworkBuilder`, which keeps the size before the stride.

    Nodes that the output does not depend on keep their weights but are not run.

    Parameters
    ----------
    graph : ComputationGraph
        A network view, with attributes.
    """

    def __init__(self, graph: ComputationGraph) -> None:
        super().__init__()
        self.kinds = graph.kinds
        self.sources, targets = graph.neighbours
        self.layers = nn.ModuleDict()
        for node, kind in enumerate(graph.kinds):
            if node and kind not in SEPARATE:
                self.layers[str(node)] = self._layer(graph, node)
        needed = {len(graph) - 1}
        for node in range(len(graph) - 1, 0, -1):
            if node in needed:
                needed.update(self.sources[node])
        self.order = [node for node in range(1, len(graph)) if node in needed]
        self.last_use = {node: max(t for t in targets[node] if t in needed) for node in needed - {len(graph) - 1}}

    def _layer(self, graph: ComputationGraph, node: int) -> nn.Module:
        kind, source, function = graph.kinds[node], self.sources[node], graph.attributes[node].function
        if kind not in LAYERS or not source or function not in FUNCTIONS.get(kind, ("",)):
            raise InvalidArchitectureError(
                f"cannot build node {node}, {kind!r} with function {function!r} and {len(source)} inputs; "
                f"known kinds: {', '.join(LAYERS)}, with functions {FUNCTIONS}"
            )
        return LAYERS[kind](graph.attributes[source[0]], graph.attributes[node])

    def forward(self, x: Tensor) -> Tensor:
        values = {0: x}
        for node in self.order:
            arriving = [values[source] for source in self.sources[node]]
            values[node] = self._combined(node, arriving)
            for source in set(self.sources[node]):
                if self.last_use[source] == node:
                    del values[source]
        return values[self.order[-1]]

    def _combined(self, node: int, arriving: list[Tensor]) -> Tensor:
        kind = self.kinds[node]
        if kind == "concat":
            return torch.cat(arriving, dim=1)
        combine = torch.mul if kind == "mul" else torch.add
        value = arriving[0]
        for other in arriving[1:]:
            value = combine(value, other)
        return value if kind == "mul" else self.layers[str(node)](value)
