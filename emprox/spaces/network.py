"""Writes the computation graph of a network node by node, with shapes, parameters and multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emprox.errors import InvalidOptionError
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["NetworkBuilder", "check_positive"]

Nodes = int | Sequence[int]
"""A node, or several whose sum is meant."""


def check_positive(**sizes: int) -> None:
    """Raise if one of the sizes is less than one."""
    for name, value in sizes.items():
        if value < 1:
            raise InvalidOptionError(f"{name} must be at least 1, got {value!r}")


class NetworkBuilder:
    """A network under construction. Every method adds a node (some add a few) and returns its number.

    Parameters
    ----------
    channels : int
        Channels of the input, which is node 0.
    size : tuple of int
        Spatial size of the input, () for none.

    Examples
    --------
    >>> net = NetworkBuilder(3, (32, 32))
    >>> x = net.conv(0, 16, 3)
    >>> graph = net.build(net.linear(net.mean(net.relu(net.norm(x))), 10))
    >>> graph.parameters, graph.macs
    (634, 442528)
    """

    def __init__(self, channels: int, size: tuple[int, ...]) -> None:
        self._kinds = [INPUT]
        self._edges: list[tuple[int, int]] = []
        self._attributes = [NodeAttributes(channels=channels, size=size)]

    def __getitem__(self, node: int) -> NodeAttributes:
        return self._attributes[node]

    def build(self, last: Nodes) -> ComputationGraph:
        """Return the graph whose output is the given node."""
        self._add(OUTPUT, last, _same(self._like(last)))
        return ComputationGraph(tuple(self._kinds), tuple(self._edges), tuple(self._attributes))

    def add(self, x: Nodes) -> int:
        """Add the sum of some nodes, or return the node if it is one."""
        if isinstance(x, int):
            return x
        return x[0] if len(x) == 1 else self._add("add", x, _same(self._like(x)))

    def conv(
        self, x: Nodes, channels: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1, bias: bool = False
    ) -> int:
        """Add a convolution; the padding keeps the size, the stride divides it, rounding up."""
        before = self._like(x)
        dims, size = len(before.size), tuple([-(-n // stride) for n in before.size])
        weights = before.channels // groups * channels * kernel**dims
        attributes = NodeAttributes(
            channels=channels,
            size=size,
            kernel=(kernel,) * dims,
            stride=(stride,) * dims,
            dilation=(dilation,) * dims,
            groups=groups,
            bias=bias,
            parameters=weights + bias * channels,
            macs=weights * math.prod(size),
        )
        return self._add("conv", x, attributes)

    def norm(self, x: Nodes, *, affine: bool = True) -> int:
        """Add a batch normalisation, with or without scale and shift."""
        before = self._like(x)
        parameters = 2 * before.channels if affine else 0
        return self._add("norm", x, _same(before, function="batch", bias=affine, parameters=parameters))

    def activation(self, x: Nodes, function: str) -> int:
        """Add a pointwise function."""
        return self._add("activation", x, _same(self._like(x), function=function))

    def relu(self, x: Nodes) -> int:
        """Add a rectifier."""
        return self.activation(x, "relu")

    def pool(self, x: Nodes, function: str, kernel: int, stride: int = 1) -> int:
        """Add a pooling, ``max`` or ``avg``, that never counts the padding; the size is divided by the stride, rounding up."""
        before = self._like(x)
        dims, size = len(before.size), tuple([-(-n // stride) for n in before.size])
        return self._add("pool", x, NodeAttributes(before.channels, size, (kernel,) * dims, (stride,) * dims, function=function))

    def mean(self, x: Nodes) -> int:
        """Add the mean over all positions; the spatial axes stay, with size one."""
        before = self._like(x)
        return self._add("mean", x, NodeAttributes(before.channels, (1,) * len(before.size)))

    def linear(self, x: Nodes, channels: int) -> int:
        """Add a matrix product with bias, after a flattening where the input has positions."""
        before = self._like(x)
        if before.size:
            features = before.channels * math.prod(before.size)
            x = self._add("reshape", x, NodeAttributes(features, function="flatten"))
            before = self[x]
        weights = before.channels * channels
        attributes = NodeAttributes(channels=channels, bias=True, parameters=weights + channels, macs=weights)
        return self._add("linear", x, attributes)

    def concat(self, nodes: Sequence[int]) -> int:
        """Add the concatenation along the channels; nodes are taken in ascending order. One node alone is returned as it is."""
        if len(nodes) == 1:
            return nodes[0]
        channels = sum([self[node].channels for node in nodes])
        return self._add("concat", nodes, NodeAttributes(channels, self[nodes[0]].size))

    def mul(self, x: int, gate: int) -> int:
        """Add a product in which the second factor is broadcast over the positions."""
        return self._add("mul", (x, gate), _same(self[x]))

    def split(self, x: int, channels: int) -> int:
        """Add the first channels of a node, or return the node if it has no more."""
        if self[x].channels == channels:
            return x
        return self._add("split", x, NodeAttributes(channels, self[x].size))

    def shift(self, x: Nodes) -> int:
        """Add a move by one position along every spatial axis, zeros coming in at the end."""
        return self._add("reshape", x, _same(self._like(x), function="shift"))

    def zero(self, x: Nodes, channels: int | None = None, stride: int = 1) -> int:
        """Add zeros in the shape that a convolution with this stride would give."""
        before = self._like(x)
        size = tuple([-(-n // stride) for n in before.size])
        return self._add("zero", x, NodeAttributes(before.channels if channels is None else channels, size))

    def relu_conv_norm(self, x: Nodes, channels: int, kernel: int, stride: int = 1, *, affine: bool = True) -> int:
        """Add a rectifier, a convolution and a batch normalisation."""
        return self.norm(self.conv(self.relu(x), channels, kernel, stride=stride), affine=affine)

    def factorized_reduce(self, x: Nodes, channels: int, *, affine: bool = True) -> int:
        """Add a rectifier and two 1x1 convolutions with stride 2, one of them shifted by one position, normalised together."""
        x = self.relu(x)
        halves = (x, channels // 2), (self.shift(x), channels - channels // 2)
        return self.norm(self.concat([self.conv(node, half, 1, stride=2) for node, half in halves]), affine=affine)

    def _like(self, x: Nodes) -> NodeAttributes:
        return self._attributes[x if isinstance(x, int) else x[0]]

    def _add(self, kind: str, x: Nodes, attributes: NodeAttributes) -> int:
        node = len(self._kinds)
        self._kinds.append(kind)
        self._attributes.append(attributes)
        self._edges += [(x, node)] if isinstance(x, int) else [(source, node) for source in x]
        return node


def _same(before: NodeAttributes, *, function: str = "", bias: bool = False, parameters: int = 0) -> NodeAttributes:
    return NodeAttributes(before.channels, before.size, function=function, bias=bias, parameters=parameters)
