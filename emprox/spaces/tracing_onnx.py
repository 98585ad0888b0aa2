"""ONNX files as computation graphs: shapes by inference, weights by their shapes, nothing is run.

Only the `onnx` package is needed. Large weights are dropped before shapes are inferred; their data is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emprox._optional import import_optional
from emprox.errors import CorruptFileError, EmproxError, InvalidArchitectureError, StorageError
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.tracing_graph import TraceBuilder, Value, Weights, check_size

__all__ = ["MAX_BYTES", "read_onnx"]

MAX_BYTES = 2**31 - 1
"""Size of a file, weights in other files not counted; the format allows no more."""
SMALL = 256
"""Entries of a constant whose numbers may matter (axes, sizes); larger ones are weights."""

ACTIVATIONS = {
    **{name: name.lower() for name in ("Relu", "Sigmoid", "Tanh", "Elu", "Selu", "Celu", "Gelu", "Mish", "Softplus", "Softsign")},
    **{
        name: name.lower()
        for name in ("Erf", "Exp", "Log", "Sqrt", "Abs", "Pow", "Sin", "Cos", "Neg", "Reciprocal", "Sign", "Round")
    },
    "LeakyRelu": "leaky_relu",
    "PRelu": "prelu",
    "HardSigmoid": "hsigmoid",
    "HardSwish": "hswish",
    "Swish": "silu",
}
NORMS = {
    "BatchNormalization": "batch",
    "LayerNormalization": "layer",
    "GroupNormalization": "group",
    "InstanceNormalization": "instance",
    "RMSNormalization": "rms",
    "LpNormalization": "l2",
    "LRN": "local",
}
REDUCTIONS = {
    "ReduceMean": "",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceL2": "norm",
    "ReduceLogSumExp": "logsumexp",
}
IDENTITIES = {"Identity", "Dropout", "Cast", "CastLike", "Trilu"}
WITHOUT_DATA = {"Shape", "Size"}
SAME_NUMBERS = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators after which a constant still holds the same numbers."""
RESHAPES = {
    **{name: "" for name in ("Reshape", "Flatten", "Squeeze", "Unsqueeze")},
    **{"Expand": "expand", "Tile": "expand", "DepthToSpace": "pixel_shuffle", "SpaceToDepth": "pixel_unshuffle"},
}


def read_onnx(path: Path, input_shape: Sequence[int] | None, max_nodes: int) -> tuple[ComputationGraph, set[str]]:
    """Return the graph of a file, and the operators that the vocabulary has no word for."""
    model = _loaded(path)
    check_size(len(model.graph.node), 10 * max_nodes)
    shaped = _with_shapes(model, input_shape, path)
    try:
        return _Reader(shaped, max_nodes).read()
    except EmproxError:
        raise
    except Exception as error:  # a file of others may lack whatever the operators' definitions ask for
        raise CorruptFileError(f"{path} has an operator that is not as ONNX defines it: {error!r}; export it again") from error


def _loaded(path: Path) -> Any:
    onnx = import_optional("onnx", "onnx")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CorruptFileError(f"{path} is larger than {MAX_BYTES} bytes; save it with its weights as external data")
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except CorruptFileError:
        raise
    except Exception as error:  # protobuf's own error types
        raise CorruptFileError(f"{path} is no ONNX file, or not all of it ({error}); export or copy it again") from error
    if not model.graph.node or not model.graph.output:
        raise CorruptFileError(f"{path} holds no network; export or copy it again")
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _with_shapes(model: Any, input_shape: Sequence[int] | None, path: Path) -> Any:
    """Return the model with the shapes of all its tensors, without large weights."""
    onnx = import_optional("onnx", "onnx")
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > SMALL:
            for field in ("raw_data", "float_data", "external_data", "data_location"):
                tensor.ClearField(field)
    names = {tensor.name for tensor in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in names]
    for number, tensor in enumerate(inputs):
        dims = tensor.type.tensor_type.shape.dim
        given = [d.dim_value for d in dims]
        if number == 0 and input_shape is not None and not all(given[1:]):
            if len(input_shape) != len(dims):
                raise InvalidArchitectureError(
                    f"{path}: the input {tensor.name!r} has {len(dims)} axes, input_shape has {len(input_shape)}"
                )
            given = [known or told for known, told in zip(given, input_shape, strict=True)]
        given[:1] = [given[0] or 1] if given else []
        if not all(given):
            raise InvalidArchitectureError(
                f"{path} leaves the shape of its input {tensor.name!r} open, {given}; pass input_shape"
            )
        for dim, size in zip(dims, given, strict=True):
            dim.dim_value = int(size)
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # the checker's own error types
        raise CorruptFileError(f"the shapes of {path} do not fit together: {error}") from error


class _Reader:
    """Goes through the operators of one model in order."""

    def __init__(self, model: Any, max_nodes: int) -> None:
        self.onnx = import_optional("onnx", "onnx")
        self.graph = model.graph
        self.shapes = {
            tensor.name: tuple(dim.dim_value for dim in tensor.type.tensor_type.shape.dim)
            for tensor in (*self.graph.input, *self.graph.value_info, *self.graph.output)
            if tensor.type.tensor_type.HasField("shape")
        }
        self.made: dict[str, Any] = {}
        self.numbers: dict[str, list[Any]] = {}
        sizes = {tensor.name: math.prod(tensor.dims) for tensor in self.graph.initializer}
        inputs = [tensor.name for tensor in self.graph.input if tensor.name not in sizes]
        shapes = [self.shapes[name] for name in inputs]
        self.t = TraceBuilder(sizes, shapes[0][0] if shapes and shapes[0] else 1, max_nodes)
        self.made |= dict(zip(inputs, self.t.inputs(shapes), strict=True)) if inputs else {}
        for tensor in self.graph.initializer:
            self._constant(tensor.name, tensor)

    def read(self) -> tuple[ComputationGraph, set[str]]:
        """Return the graph and the unknown operators."""
        for node in self.graph.node:
            made = self._node(node)
            results = made if isinstance(made, list) else [made]
            for name, value in zip(node.output, results, strict=False):
                if name:
                    self.made[name] = value
        outputs = [self.made.get(tensor.name) for tensor in self.graph.output]
        return self.t.build([value for value in outputs if isinstance(value, Value)]), self.t.unknown

    def _constant(self, name: str, tensor: Any) -> Weights:
        size, is_float = math.prod(tensor.dims), tensor.data_type in (1, 10, 11, 16)
        if size <= SMALL and tensor.data_location == 0:
            self.numbers[name] = np.atleast_1d(self.onnx.numpy_helper.to_array(tensor)).ravel().tolist()
        self.made[name] = Weights(tuple(tensor.dims), frozenset([name]) if is_float and size > 1 else frozenset())
        return self.made[name]

    def _node(self, node: Any) -> Any:
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            return (
                self._constant(node.output[0], attributes["value"]) if "value" in attributes else self._listed(node, attributes)
            )
        arguments = [self.made.get(name) for name in node.input]
        values = [item for item in arguments if isinstance(item, Value)]
        weights = [item for item in arguments if isinstance(item, Weights)]
        without_data = node.op_type in WITHOUT_DATA or (node.op_type == "CastLike" and isinstance(arguments[0], Weights))
        if not values or without_data:
            trained = [] if node.op_type in WITHOUT_DATA else weights
            names = frozenset[Any]().union(*(w.parameters for w in trained))
            if node.op_type in SAME_NUMBERS and node.input[0] in self.numbers:
                self.numbers[node.output[0]] = self.numbers[node.input[0]]
            return [Weights(self.shapes.get(name, ()), names) for name in node.output]
        return self._called(node, attributes, arguments, values, weights)

    def _listed(self, node: Any, attributes: dict[str, Any]) -> Weights:
        value = next(iter(attributes.values()))
        self.numbers[node.output[0]] = list(value) if isinstance(value, Sequence) else [value]
        return Weights(())

    def _called(
        self, node: Any, attributes: dict[str, Any], arguments: list[Any], values: list[Value], weights: list[Weights]
    ) -> Any:
        kind, x, shape = node.op_type, values[0], self._shape(node)
        if kind in IDENTITIES:
            return x
        if kind in ACTIVATIONS:
            return self.t.activation(x, ACTIVATIONS[kind], weights if kind == "PRelu" else ())
        if kind in NORMS:
            return self.t.norm(x, NORMS[kind], weights[:2])
        if kind in REDUCTIONS:
            axes = attributes.get("axes") or self._numbers(node, 1) or ()
            return self.t.mean(x, axes, keep=bool(attributes.get("keepdims", 1)), function=REDUCTIONS[kind])
        if kind in RESHAPES:
            return self.t.reshape(x, shape, RESHAPES[kind] if shape != x.shape else "")
        if kind in HANDLERS:
            return HANDLERS[kind](self, node, attributes, arguments, values, weights, shape)
        self.t.unknown.add(kind)
        return [self.t.other(kind, values, weights, self.shapes.get(name, shape)) for name in node.output]

    def _shape(self, node: Any, output: int = 0) -> tuple[int, ...]:
        shape = self.shapes.get(node.output[output])
        if shape is None or 0 in shape:
            raise InvalidArchitectureError(
                f"the shape of {node.output[output]!r}, made by {node.op_type}, cannot be inferred; "
                "pass input_shape, or export with fixed sizes"
            )
        return shape

    def _numbers(self, node: Any, position: int) -> list[Any] | None:
        return self.numbers.get(node.input[position]) if len(node.input) > position else None


Handler = Callable[[_Reader, Any, dict[str, Any], list[Any], list[Value], list[Weights], tuple[int, ...]], Any]
HANDLERS: dict[str, Handler] = {}


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


@_handles("Conv", "ConvTranspose")
def _conv(
    r: _Reader, node: Any, a: dict[str, Any], arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    if not isinstance(arguments[1], Weights):
        macs = math.prod(shape[2:]) * math.prod(arguments[1].shape)
        return r.t.add("matmul", values, shape, 1, weights, macs)
    stride, dilation = a.get("strides", [1]), a.get("dilations", [1])
    transposed, bias = node.op_type == "ConvTranspose", _has_bias(weights)
    return r.t.conv(
        values[0], shape, weights, stride=stride, dilation=dilation, groups=a.get("group", 1), bias=bias, transposed=transposed
    )


@_handles("Gemm")
def _gemm(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    if isinstance(arguments[1], Value):
        return r.t.sum([r.t.matmul(values[0], values[1], shape), *values[2:]], weights, shape)
    return r.t.linear(values[0], shape, weights, bias=_has_bias(weights))


@_handles("MatMul")
def _matmul(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    if len(values) > 1:
        return r.t.matmul(values[0], values[1], shape)
    return r.t.linear(values[0], shape, weights, bias=False, is_left=isinstance(arguments[0], Weights))


@_handles("Add", "Sum", "Sub")
def _add(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    if node.op_type == "Sub" and isinstance(arguments[1], Value):
        values = [*values[:-1], r.t.activation(arguments[1], "neg")]
    return r.t.sum(values, weights, shape)


@_handles("Mul", "Div")
def _mul(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    if node.op_type == "Div" and isinstance(arguments[1], Value):
        values = [*values[:-1], r.t.activation(arguments[1], "reciprocal")]
    return r.t.product(values, weights, shape)


@_handles("Clip")
def _clip(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    low = a.get("min", (r._numbers(node, 1) or [None])[0])
    high = a.get("max", (r._numbers(node, 2) or [None])[0])
    function = {(0, 6): "relu6", (0, None): "relu"}.get((low, high), "clamp")
    return r.t.activation(values[0], function)


@_handles("Concat")
def _concat(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    return r.t.concat(values, weights, shape, a["axis"])


@_handles("Split")
def _split(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> list[Value]:
    dim, start, pieces = a.get("axis", 0), 0, []
    for number in range(len(node.output)):
        piece = r._shape(node, number)
        pieces.append(r.t.part(values[0], piece, dim, start))
        start += piece[dim]
    return pieces


@_handles("Slice")
def _slice(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    starts, steps = a.get("starts") or r._numbers(node, 1), r._numbers(node, 4) or [1]
    x = values[0]
    changed = [i for i, (before, after) in enumerate(zip(x.shape, shape, strict=True)) if before != after]
    if any(step != 1 for step in steps) or starts is None or (len(changed) > 1 and x.axis in changed):
        return r.t.reshape(x, shape, "slice")
    return r.t.part(x, shape, changed[0], starts[0] % x.shape[changed[0]]) if changed else x


@_handles("Gather")
def _gather(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    if isinstance(arguments[0], Weights):
        return r.t.add("embedding", values, shape, len(shape) - 1, weights)
    picked = r._numbers(node, 1)
    if picked is not None and len(picked) == 1 and len(shape) < len(values[0].shape):
        return r.t.part(values[0], shape, a.get("axis", 0), picked[0])
    return r.t.reshape(values[0], shape, "index")


@_handles("Transpose")
def _transpose(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    return r.t.permute(values[0], a.get("perm") or range(len(shape) - 1, -1, -1))


@_handles("MaxPool", "AveragePool")
def _pool(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    function = "max" if node.op_type == "MaxPool" else "avg"
    return r.t.pool(values[0], shape, function, a["kernel_shape"], a.get("strides", [1]))


@_handles("GlobalAveragePool", "GlobalMaxPool")
def _global(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    function = "max" if node.op_type == "GlobalMaxPool" else ""
    return r.t.mean(values[0], range(2, len(shape)), keep=True, function=function)


@_handles("Softmax", "LogSoftmax")
def _softmax(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    return r.t.add("softmax", values, shape)


@_handles("Resize", "Upsample")
def _resize(
    r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any
) -> Value:
    return r.t.upsample(values[0], shape)


@_handles("Pad")
def _pad(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    x = values[0]
    return Value(x.node, shape, x.axis) if shape[x.axis] == x.shape[x.axis] else r.t.reshape(x, shape, "pad")


@_handles("Where")
def _where(r: _Reader, node: Any, a: Any, arguments: list[Any], values: list[Value], weights: list[Weights], shape: Any) -> Value:
    choices: Iterable[Any] = [item for item in arguments[1:] if isinstance(item, Value) and item.shape == shape]
    return next(iter(choices), None) or r.t.other("where", values, weights, shape)


def _has_bias(weights: Sequence[Weights]) -> bool:
    """Whether the second of the weights is trained; some exporters write zeros."""
    return len(weights) > 1 and bool(weights[1].parameters)
