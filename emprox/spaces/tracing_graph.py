"""Writes the graph of a network that was watched while it ran: shapes are known, parameters are counted once.

Letters: B the batch of the example input, by which multiply-accumulates are divided.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emprox.errors import InvalidArchitectureError
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["MAX_NODES", "TraceBuilder", "Value", "Weights", "check_size"]

MAX_NODES = 20_000
"""Operations that a traced network may have."""

GATED = {"sigmoid": "silu", "hsigmoid": "hswish", "relu6": "hswish", "erf": "gelu", "softplus_tanh": "mish"}
"""Activations that some write as a product of the value with a gate of it: gate to the activation's own name."""


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the input of the network."""

    node: int
    """Node that makes it."""
    shape: tuple[int, ...]
    """Its shape, the batch first."""
    axis: int
    """Which of its axes holds the channels."""

    @property
    def positions(self) -> set[int]:
        """The axes beside batch and channels."""
        return set(range(1, len(self.shape))) - {self.axis}


@dataclass(frozen=True)
class Weights:
    """A tensor that does not depend on the input: a parameter, a constant, or what is computed from them."""

    shape: tuple[int, ...]
    """Its shape."""
    parameters: frozenset[Any] = frozenset()
    """Names of the parameters in it."""


class TraceBuilder:
    """A graph under construction; methods add a node and return the `Value` that it makes.

    Parameters
    ----------
    sizes : mapping
        Number of entries of each parameter, by its name.
    batch : int
        B of the example input.
    """

    def __init__(self, sizes: Mapping[Any, int], batch: int = 1, max_nodes: int = MAX_NODES) -> None:
        self._sizes = dict(sizes)
        self.batch = max(batch, 1)
        self._max_nodes = max_nodes
        self._kinds: list[str] = [INPUT]
        self._edges: list[tuple[int, int]] = []
        self._attributes: list[NodeAttributes] = []
        self._sources: list[tuple[int, ...]] = [()]
        self.unknown: set[str] = set()

    def inputs(self, shapes: Sequence[tuple[int, ...]]) -> list[Value]:
        """Return the values of the inputs; where there are several, each is a split of the one input of the graph."""
        axis = min(1, len(shapes[0]) - 1)
        first = Value(0, shapes[0], axis)
        self._attributes.append(_shaped(shapes[0], axis))
        if len(shapes) == 1:
            return [first]
        return [
            self.add("split", [first], shape, min(1, len(shape) - 1), function=f"input {i}") for i, shape in enumerate(shapes)
        ]

    def build(self, outputs: Sequence[Value]) -> ComputationGraph:
        """Return the graph, simplified; several outputs are joined."""
        if not outputs:
            raise InvalidArchitectureError(
                "no output of the network depends on its input; pass the module whose output is computed from the input"
            )
        last = outputs[0]
        if len(outputs) > 1:
            last = self.add("concat", outputs, last.shape, last.axis, function="outputs")
        self.add(OUTPUT, [last], last.shape, last.axis)
        graph = ComputationGraph(tuple(self._kinds), tuple(self._edges), tuple(self._attributes))
        return graph.simplified().contracted("add")

    def add(
        self,
        kind: str,
        values: Sequence[Value],
        shape: tuple[int, ...],
        axis: int | None = None,
        weights: Iterable[Weights] = (),
        macs: int = 0,
        **attributes: Any,
    ) -> Value:
        """Add a node of a kind; the channels stay on their axis where none is given."""
        node = len(self._kinds)
        check_size(node, self._max_nodes)
        if axis is None:
            axis = _axis(values[0], shape)
        found = replace(_shaped(shape, axis), parameters=self._claimed(weights), macs=macs // self.batch, **attributes)
        self._kinds.append(kind)
        self._attributes.append(found)
        self._sources.append(tuple(value.node for value in values))
        self._edges += [(value.node, node) for value in values]
        return Value(node, shape, axis)

    def conv(
        self,
        x: Value,
        shape: tuple[int, ...],
        weights: Sequence[Weights],
        *,
        stride: Sequence[int],
        dilation: Sequence[int],
        groups: int,
        bias: bool,
        transposed: bool = False,
    ) -> Value:
        """Add a convolution; the first weights are its kernel: (out, in / groups, *window), or (in, out / groups, *window)."""
        kernel = weights[0].shape
        positions = x.shape[0] * math.prod(x.shape[2:]) if transposed else shape[0] * math.prod(shape[2:])
        window = tuple(kernel[2:])
        return self.add(
            "conv",
            [x],
            shape,
            1,
            weights,
            positions * math.prod(kernel),
            kernel=window,
            stride=_each(stride, len(window)),
            dilation=_each(dilation, len(window)),
            groups=groups,
            bias=bias,
            function="transposed" if transposed else "",
        )

    def linear(self, x: Value, shape: tuple[int, ...], weights: Sequence[Weights], *, bias: bool, is_left: bool = False) -> Value:
        """Add a matrix product with a weight, over the last axis, or over the last but one where the weight is on the left."""
        inner = x.shape[-2 if is_left and len(x.shape) > 1 else -1]
        return self.add("linear", [x], shape, len(shape) - 1, weights, math.prod(shape) * inner, bias=bias)

    def matmul(self, a: Value, b: Value, shape: tuple[int, ...]) -> Value:
        """Add a matrix product of two values."""
        return self.add("matmul", [a, b], shape, len(shape) - 1, macs=math.prod(shape) * a.shape[-1])

    def upsample(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Add an interpolation."""
        times = [f"{to / of:.3g}" for to, of in zip(shape, x.shape, strict=False) if to != of]
        return self.add("upsample", [x], shape, x.axis, function=f"by {'x'.join(dict.fromkeys(times))}")

    def activation(self, x: Value, function: str, weights: Iterable[Weights] = ()) -> Value:
        """Add a pointwise function."""
        if function == "tanh" and self._made_by(x, "softplus"):
            x, function = replace(x, node=self._sources[x.node][0]), "softplus_tanh"
        return self.add("activation", [x], x.shape, x.axis, weights, function=function)

    def norm(self, x: Value, function: str, weights: Sequence[Weights] = ()) -> Value:
        """Add a normalisation, or a part of one: ``scale`` times weights, ``shift`` by weights."""
        trained = any(w.parameters for w in weights)
        return self.add("norm", [x], x.shape, x.axis, weights, function=function, bias=trained)

    def sum(self, values: Sequence[Value], weights: Sequence[Weights], shape: tuple[int, ...]) -> Value:
        """Add the sum of values and weights; a constant leaves no trace."""
        x = self._largest(values, shape)
        if len(values) > 1:
            x = self.add("add", values, shape, _axis(x, shape))
        return self._scaled(x, "shift", weights, shape)

    def product(self, values: Sequence[Value], weights: Sequence[Weights], shape: tuple[int, ...]) -> Value:
        """Add the product of values and weights; a constant leaves no trace, a value times its own gate is an activation."""
        x = self._largest(values, shape)
        if len(values) > 1:
            if (activation := self._gated(values)) is not None:
                return activation
            x = self.add("mul", values, shape, _axis(x, shape))
        return self._scaled(x, "scale", weights, shape)

    def concat(self, values: Sequence[Value], weights: Sequence[Weights], shape: tuple[int, ...], dim: int) -> Value:
        """Add a concatenation; that of other axes than the channels says so in its function."""
        axis = _axis(values[0], shape)
        function = "" if dim % len(shape) == axis else "positions"
        return self.add("concat", values, shape, axis, weights, function=function)

    def mean(self, x: Value, dims: Iterable[int], *, keep: bool, function: str = "") -> Value:
        """Add the mean over some axes; without `keep` they vanish, as by a flattening after it."""
        dims = {dim % len(x.shape) for dim in dims} or set(range(len(x.shape)))
        kept = tuple(1 if i in dims else n for i, n in enumerate(x.shape))
        long = {i for i in x.positions if x.shape[i] > 1}
        whole = dims - {0} >= long and x.axis not in dims
        if function == "max" and whole:
            window = tuple(x.shape[i] for i in sorted(x.positions))
            y = self.add("pool", [x], kept, x.axis, kernel=window, stride=window, function="max")
        else:
            label = function if whole else f"{function} partial".strip()
            y = self.add("mean", [x], kept, x.axis, function=label)
        if keep:
            return y
        shape = tuple(n for i, n in enumerate(x.shape) if i not in dims)
        axis = x.axis - sum(dim < x.axis for dim in dims) if x.axis not in dims else max(len(shape) - 1, 0)
        return self.add("reshape", [y], shape, axis, function="flatten")

    def pool(self, x: Value, shape: tuple[int, ...], function: str, kernel: Sequence[int], stride: Sequence[int]) -> Value:
        """Add a pooling over windows of the last axes."""
        dims = len(kernel)
        return self.add("pool", [x], shape, x.axis, kernel=tuple(kernel), stride=_each(stride, dims), function=function)

    def adaptive_pool(self, x: Value, shape: tuple[int, ...], function: str, dims: int) -> Value:
        """Add a pooling to a given size: a mean where one position is left, nothing where all are."""
        window = tuple(-(-a // b) for a, b in zip(x.shape[-dims:], shape[-dims:], strict=True))
        if math.prod(shape[-dims:]) == 1 and len(x.shape) == dims + 2:
            return self.mean(x, range(2, dims + 2), keep=True, function="max" if function == "max" else "")
        return x if math.prod(window) == 1 else self.pool(x, shape, function, window, window)

    def reshape(self, x: Value, shape: tuple[int, ...], function: str = "") -> Value:
        """Add the same values in another shape; the channels are followed where they stay one axis."""
        if shape == x.shape and not function:
            return x
        axis = _followed(x, shape)
        return self.add("reshape", [x], shape, axis, function=function or ("flatten" if len(shape) < len(x.shape) else "view"))

    def permute(self, x: Value, order: Sequence[int]) -> Value:
        """Add a change of the order of the axes."""
        order = [i % len(x.shape) for i in order]
        if order == sorted(order):
            return x
        shape = tuple(x.shape[i] for i in order)
        return self.add("reshape", [x], shape, order.index(x.axis), function="permute")

    def part(self, x: Value, shape: tuple[int, ...], dim: int, start: int) -> Value:
        """Add a range of one axis: a split where it holds the channels."""
        if shape == x.shape:
            return x
        if len(shape) == len(x.shape) and dim % len(shape) == x.axis:
            return self.add("split", [x], shape, x.axis, function=f"from {start}" if start else "")
        return self.add("reshape", [x], shape, _axis(x, shape), function="shift" if len(shape) == len(x.shape) else "select")

    def other(
        self, function: str, values: Sequence[Value], weights: Iterable[Weights], shape: tuple[int, ...], macs: int = 0
    ) -> Value:
        """Add what the vocabulary has no word for."""
        return self.add("other", values, shape, _axis(self._largest(values, shape), shape), weights, macs, function=function)

    def _claimed(self, weights: Iterable[Weights]) -> int:
        """Return the entries of parameters that no node counts yet; from now on this one does."""
        return sum(self._sizes.pop(name, 0) for w in weights for name in w.parameters)

    def _scaled(self, x: Value, function: str, weights: Sequence[Weights], shape: tuple[int, ...]) -> Value:
        trained = [w for w in weights if w.parameters]
        x = replace(x, shape=shape, axis=_axis(x, shape))
        return self.norm(x, function, trained) if trained else x

    def _gated(self, values: Sequence[Value]) -> Value | None:
        """Return the activation that a product of a value with a gate of it is, if it is one."""
        for x, gate in (values, values[::-1]):
            function = GATED.get(self._attributes[gate.node].function, "") if self._kinds[gate.node] == "activation" else ""
            if function and self._sources[gate.node] == (x.node,) and gate.shape == x.shape:
                return self.activation(x, function)
        return None

    def _made_by(self, x: Value, function: str) -> bool:
        return self._kinds[x.node] == "activation" and self._attributes[x.node].function == function

    @staticmethod
    def _largest(values: Sequence[Value], shape: tuple[int, ...]) -> Value:
        return next((value for value in values if value.shape == shape), values[0])


def check_size(nodes: int, largest: int) -> None:
    """Raise if a network has too many operations."""
    if nodes > largest:
        raise InvalidArchitectureError(
            f"the network has more than {largest} operations; trace a part of it, or pass a larger max_nodes"
        )


def _shaped(shape: tuple[int, ...], axis: int) -> NodeAttributes:
    """Return channels and size; a shape has the batch first, unless it has one axis only."""
    if len(shape) < 2:
        return NodeAttributes(channels=math.prod(shape))
    return NodeAttributes(channels=shape[axis], size=tuple(n for i, n in enumerate(shape) if i not in (0, axis)))


def _axis(x: Value, shape: tuple[int, ...]) -> int:
    return x.axis if len(shape) == len(x.shape) else max(len(shape) - 1, 0)


def _each(value: Sequence[int] | int, dims: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


def _followed(x: Value, shape: tuple[int, ...]) -> int:
    """Return the axis of a new shape that holds the channels: the one with as many entries behind as many others."""
    before = math.prod(x.shape[: x.axis])
    for axis, n in enumerate(shape):
        if axis and n == x.shape[x.axis] and math.prod(shape[:axis]) == before:
            return axis
    return max(len(shape) - 1, 0)
