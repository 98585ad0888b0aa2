"""What each function of torch is in the universal vocabulary; one name stands for its functional, method and ATen form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from emprox.spaces.tracing_graph import TraceBuilder, Value, Weights

__all__ = ["HANDLERS", "Handler", "Op", "handles", "other"]

ACTIVATIONS = {
    **{name: name for name in ("relu", "relu6", "silu", "gelu", "sigmoid", "tanh", "elu", "selu", "celu", "mish", "softplus")},
    **{
        name: name
        for name in ("leaky_relu", "rrelu", "prelu", "softsign", "logsigmoid", "hardshrink", "softshrink", "tanhshrink")
    },
    **{name: name for name in ("exp", "log", "log1p", "sqrt", "rsqrt", "abs", "erf", "square", "pow", "sin", "cos", "neg")},
    **{name: name for name in ("reciprocal", "sign", "round", "floor", "threshold", "clamp_min", "clamp_max", "expm1")},
    "log_sigmoid": "logsigmoid",
    "hardswish": "hswish",
    "hardsigmoid": "hsigmoid",
    "negative": "neg",
}
"""Function of torch to the name of a pointwise function in the vocabulary."""
IDENTITIES = (
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
    *("contiguous", "clone", "to", "type", "type_as", "float", "half", "bfloat16", "double", "int", "long", "bool", "detach"),
    *("alias", "lift_fresh", "lift_fresh_copy", "detach", "to_copy", "requires_grad", "masked_fill", "real", "cpu", "cuda"),
    *("nan_to_num", "resolve_conj", "resolve_neg", "triu", "tril", "fill_diagonal"),
)
"""Functions that change no number at inference, or only hide some (masks)."""
NORMS = {
    "batch_norm": "batch",
    "layer_norm": "layer",
    "native_layer_norm": "layer",
    "group_norm": "group",
    "instance_norm": "instance",
    "rms_norm": "rms",
    "local_response_norm": "local",
    "normalize": "l2",
}
POINTWISE = ("maximum", "minimum", "where", "eq", "ne", "gt", "lt", "ge", "le", "logical_and", "logical_or", "logical_not")
"""Known functions that stay ``other``."""


@dataclass(frozen=True)
class Op:
    """One call of a function."""

    name: str
    """Its name."""
    args: tuple[Any, ...]
    """Positional arguments; tensors are `Value` or `Weights`."""
    kwargs: dict[str, Any]
    """Named arguments."""
    values: list[Value]
    """All tensors among the arguments that depend on the input."""
    weights: list[Weights]
    """All others."""
    result: Any
    """The result without data, a tensor or several."""

    @property
    def x(self) -> Value:
        """The first of the values."""
        return self.values[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the (first) result."""
        result = self.result if isinstance(self.result, Tensor) else next(r for r in self.result if isinstance(r, Tensor))
        return tuple(int(n) for n in result.shape)

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument by position or name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def dims(self, position: int) -> list[int]:
        """Return axes that are given as one number, several, or a sequence."""
        given = self.get(position, "dim", self.kwargs.get("axis"))
        given = self.args[position:] if isinstance(given, int) and self.name == "permute" else given
        return [given] if isinstance(given, int) else [int(dim) for dim in given or ()]


Handler = Callable[[TraceBuilder, Op], Any]
HANDLERS: dict[str, Handler] = {}
"""Name of a function to what writes its nodes."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register what writes the nodes of functions with these names."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


@handles("unknown")
def _unknown(t: TraceBuilder, op: Op) -> Any:
    t.unknown.add(op.name)
    return other(t, op)


@handles(*POINTWISE, "argmax", "topk", "sort", "argsort", "gather", "index_select", "cumsum", "einsum", "scatter", "index_put")
def other(t: TraceBuilder, op: Op) -> Any:
    """Add a node for what the vocabulary has no word for."""
    made = t.other(op.name, op.values, op.weights, op.shape)
    return made if isinstance(op.result, Tensor) else [made for _ in op.result]


@handles(*IDENTITIES)
def _identity(t: TraceBuilder, op: Op) -> Value:
    return op.x


@handles("new_zeros", "zeros_like")
def _zero(t: TraceBuilder, op: Op) -> Value:
    return t.add("zero", [op.x], op.shape)


@handles("where")
def _where(t: TraceBuilder, op: Op) -> Value:
    choices = [part for part in op.args[1:] if isinstance(part, Value)]
    return choices[0] if len(choices) == 1 and choices[0].shape == op.shape else other(t, op)


@handles("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv(t: TraceBuilder, op: Op) -> Value:
    transposed = "transpose" in op.name
    kernel, bias = op.get(1, "weight"), op.get(2, "bias")
    if not isinstance(kernel, Weights):
        return _dynamic_conv(t, op)
    stride = op.get(3, "stride", 1)
    dilation = op.get(7, "dilation", 1) if transposed else op.get(5, "dilation", 1)
    groups = op.get(6, "groups", 1)
    weights = [kernel, *[w for w in op.weights if w is not kernel]]
    x, shape = op.x, op.shape
    return t.conv(
        x, shape, weights, stride=stride, dilation=dilation, groups=groups, bias=bias is not None, transposed=transposed
    )


def _dynamic_conv(t: TraceBuilder, op: Op) -> Value:
    """Write a convolution whose kernel depends on the input, as a matrix product of both."""
    kernel = op.get(1, "weight")
    macs = math.prod(op.shape[:1]) * math.prod(op.shape[2:]) * math.prod(kernel.shape)
    return t.add("matmul", op.values[:2], op.shape, 1, op.weights, macs)


@handles("linear")
def _linear(t: TraceBuilder, op: Op) -> Value:
    if not isinstance(op.get(1, "weight"), Weights):
        return t.matmul(op.values[0], op.values[1], op.shape)
    return t.linear(op.x, op.shape, op.weights, bias=op.get(2, "bias") is not None)


@handles("addmm", "baddbmm")
def _addmm(t: TraceBuilder, op: Op) -> Value:
    a, b = op.args[1], op.args[2]
    if isinstance(a, Value) and isinstance(b, Value):
        made = t.matmul(a, b, op.shape)
        return t.sum([made, *[v for v in op.values if v is not a and v is not b]], op.weights, op.shape)
    return t.linear(a if isinstance(a, Value) else b, op.shape, op.weights, bias=True, is_left=not isinstance(a, Value))


@handles("matmul", "bmm", "mm", "mv", "dot")
def _matmul(t: TraceBuilder, op: Op) -> Value:
    if len(op.values) > 1:
        return t.matmul(op.values[0], op.values[1], op.shape)
    return t.linear(op.x, op.shape, op.weights, bias=False, is_left=not isinstance(op.args[0], Value))


@handles("einsum")
def _einsum(t: TraceBuilder, op: Op) -> Value:
    equation: str = op.args[0]
    operands: Any = op.args[1:]
    operands = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        names = term.replace("...", "")
        extra = math.prod(operand.shape[: len(operand.shape) - len(names)]) if "..." in term else 1
        sizes["..."] = max(sizes.get("...", 1), extra)
        sizes.update(zip(names, operand.shape[len(operand.shape) - len(names) :], strict=True))
    kind = "matmul" if len(op.values) > 1 else "linear"
    return t.add(kind, op.values, op.shape, len(op.shape) - 1, op.weights, math.prod(sizes.values()))


@handles("scaled_dot_product_attention")
def _attention(t: TraceBuilder, op: Op) -> Value:
    query, key, value = (op.get(i, name) for i, name in enumerate(("query", "key", "value")))
    mask = op.get(3, "attn_mask")
    parts = [part for part in (query, key) if isinstance(part, Value)]
    scores = (*query.shape[:-1], key.shape[-2])
    if len(parts) == 2:
        made = t.matmul(query, key, scores)
    else:
        weights = [part for part in (query, key) if isinstance(part, Weights)]
        made = t.add("linear", parts, scores, len(scores) - 1, weights, math.prod(scores) * query.shape[-1])
    masks = [mask] if isinstance(mask, Value) else []
    made = t.sum([made, *masks], [mask] if isinstance(mask, Weights) else [], scores)
    made = t.add("softmax", [made], scores, len(scores) - 1)
    return t.matmul(made, value, op.shape)


@handles("multi_head_attention_forward")
def _multi_head(t: TraceBuilder, op: Op) -> list[Any]:
    """Write nn.MultiheadAttention: its projections, and attention of all heads at once."""
    query, key, value = op.args[:3]
    shape, weights = query.shape if isinstance(query, Value) else op.shape, [w for w in op.weights if w.parameters]
    inputs = [part if isinstance(part, Value) else op.x for part in (query, key, value)]
    bias = len(weights) > 2
    q = t.linear(inputs[0], shape, weights[:-2] if bias else weights[:-1], bias=bias)
    k, v = (t.linear(part, (*part.shape[:-1], shape[-1]), [], bias=bias) for part in inputs[1:])
    scores, last = (*shape[:-1], k.shape[0]), len(shape) - 1  # queries, then the batch if there is one, and keys
    made = t.add("matmul", [q, k], scores, last, macs=math.prod(scores) * shape[-1])
    made = t.add("softmax", [made], scores, last)
    made = t.add("matmul", [made, v], shape, last, macs=math.prod(scores) * shape[-1])
    return [t.linear(made, shape, weights[-2:] if bias else weights[-1:], bias=bias), None]


@handles("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(t: TraceBuilder, op: Op) -> list[Value]:
    steps = math.prod(op.shape[:-1])
    matrices = sum(math.prod(w.shape) for w in op.weights if len(w.shape) == 2)
    made = t.other(op.name, [op.x], op.weights, op.shape, steps * matrices)
    return [made for _ in op.result]


def _norm(t: TraceBuilder, op: Op) -> Any:
    made = t.norm(op.x, NORMS[op.name], op.weights)
    return made if isinstance(op.result, Tensor) else [made, *[None for _ in op.result[1:]]]


def _activation(t: TraceBuilder, op: Op) -> Value:
    return t.activation(op.x, ACTIVATIONS[op.name], op.weights)


@handles("clamp", "clip", "hardtanh")
def _clamp(t: TraceBuilder, op: Op) -> Value:
    low = op.get(1, "min", op.kwargs.get("min_val"))
    high = op.get(2, "max", op.kwargs.get("max_val"))
    function = {(0, 6): "relu6", (0, None): "relu"}.get((low, high), "clamp")
    return t.activation(op.x, function)


@handles("glu")
def _glu(t: TraceBuilder, op: Op) -> Value:
    dim = op.get(1, "dim", -1)
    half = op.shape[dim]
    gate = t.activation(t.part(op.x, op.shape, dim, half), "sigmoid")
    return t.product([t.part(op.x, op.shape, dim, 0), gate], [], op.shape)


@handles("softmax", "log_softmax", "_softmax", "safe_softmax")
def _softmax(t: TraceBuilder, op: Op) -> Value:
    return t.add("softmax", [op.x], op.shape)


@handles("add", "radd")
def _add(t: TraceBuilder, op: Op) -> Value:
    return t.sum(op.values, op.weights, op.shape)


@handles("sub", "rsub", "subtract")
def _sub(t: TraceBuilder, op: Op) -> Value:
    second = op.args[0] if op.name == "rsub" else op.args[1]
    values = list(op.values)
    if isinstance(second, Value):
        place = next(i for i in range(len(values) - 1, -1, -1) if values[i] == second)
        values[place] = t.activation(second, "neg")
    return t.sum(values, op.weights, op.shape)


@handles("mul", "multiply", "rmul")
def _mul(t: TraceBuilder, op: Op) -> Value:
    return t.product(op.values, op.weights, op.shape)


@handles("div", "true_divide", "truediv", "divide", "floor_divide")
def _div(t: TraceBuilder, op: Op) -> Value:
    values = list(op.values)
    if isinstance(op.args[1], Value):
        values[-1] = t.activation(values[-1], "reciprocal")
    return t.product(values, op.weights, op.shape)


@handles("addcmul", "lerp")
def _addcmul(t: TraceBuilder, op: Op) -> Value:
    factors = [part for part in op.args[1:3] if isinstance(part, Value)]
    scales = [part for part in op.args[1:3] if isinstance(part, Weights)]
    first = op.args[0]
    product = [t.product(factors, scales, op.shape)] if factors else []
    terms = [*([first] if isinstance(first, Value) else []), *product]
    return t.sum(terms, [first] if isinstance(first, Weights) else [] if factors else scales, op.shape)


@handles("embedding")
def _embedding(t: TraceBuilder, op: Op) -> Value:
    return t.add("embedding", op.values, op.shape, len(op.shape) - 1, op.weights)


HANDLERS.update({name: _activation for name in ACTIVATIONS})
HANDLERS.update({name: _norm for name in NORMS})
