"""Functions of torch that move, join, cut, pool or reduce values; see `emprox.spaces.tracing_ops`."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from emprox.spaces.tracing_graph import TraceBuilder, Value, Weights
from emprox.spaces.tracing_ops import HANDLERS, Op, handles, other

__all__ = ["REDUCTIONS", "RESHAPES"]

RESHAPES = {
    **{name: "" for name in ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")},
    **{name: "" for name in ("_unsafe_view", "unsafe_view", "ravel")},
    **{name: "expand" for name in ("expand", "expand_as", "repeat", "tile", "repeat_interleave", "broadcast_to")},
    **{
        name: name for name in ("roll", "flip", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold", "fold", "im2col")
    },
}
"""Functions that keep all values; their function in the vocabulary, '' where the shapes tell."""
REDUCTIONS = {
    **{"mean": "", "sum": "sum", "max": "max", "amax": "max", "min": "min", "amin": "min", "var": "var", "std": "var"},
    **{"norm": "norm", "linalg_vector_norm": "norm", "vector_norm": "norm", "logsumexp": "logsumexp", "var_mean": "var"},
    **{"prod": "prod", "std_mean": "var"},
}


@handles("cat", "concat", "concatenate", "stack")
def _cat(t: TraceBuilder, op: Op) -> Value:
    dim = op.get(1, "dim", op.kwargs.get("axis", 0))
    return t.concat(op.values, op.weights, op.shape, dim)


@handles("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "unsafe_chunk", "unsafe_split")
def _split(t: TraceBuilder, op: Op) -> list[Value]:
    dim = (op.get(1, "dim", 0) if op.name == "unbind" else op.get(2, "dim", 0)) % len(op.x.shape)
    pieces, start = [], 0
    for piece in op.result:
        shape = tuple(int(n) for n in piece.shape)
        pieces.append(t.part(op.x, shape, dim, start))
        start += shape[dim] if len(shape) == len(op.x.shape) else 1
    return pieces


@handles("getitem", "narrow", "select", "slice", "index")
def _getitem(t: TraceBuilder, op: Op) -> Value:
    if not isinstance(op.args[0], Value):
        return other(t, op)
    if op.name in ("narrow", "select", "slice"):
        start = op.get(2, "start", op.kwargs.get("index")) or 0
        step = op.get(4, "step", 1) if op.name == "slice" else 1
        made = t.part(op.x, op.shape, op.get(1, "dim", 0), start % max(op.x.shape[op.get(1, "dim", 0)], 1))
        return made if step == 1 else t.reshape(op.x, op.shape, "slice")
    if op.name == "index":
        return t.reshape(op.x, op.shape, "index")
    return _indexed(t, op)


def _indexed(t: TraceBuilder, op: Op) -> Value:
    """Write ``x[index]``: a range of one axis, ranges of several, single positions, new axes, or rows chosen by a tensor."""
    index = op.args[1] if isinstance(op.args[1], tuple) else (op.args[1],)
    if any(isinstance(part, (Value, Weights, list)) for part in index):
        return t.reshape(op.x, op.shape, "index")
    if any(isinstance(part, slice) and part.step not in (None, 1) for part in index):
        return t.reshape(op.x, op.shape, "slice")
    if None in index and math.prod(op.shape) == math.prod(op.x.shape):
        return t.reshape(op.x, op.shape)
    place = next((i for i, part in enumerate(index) if part is Ellipsis), len(index))
    missing = len(op.x.shape) - sum(part is not None and part is not Ellipsis for part in index)
    full = [part for part in (*index[:place], *[slice(None)] * missing, *index[place + 1 :]) if part is not None]
    changed = [i for i, part in enumerate(full) if isinstance(part, int) or op.x.shape[i] != len(range(op.x.shape[i])[part])]
    if not changed:
        return t.reshape(op.x, op.shape)
    dim, part = changed[0], full[changed[0]]
    start = part if isinstance(part, int) else range(op.x.shape[dim])[part].start
    if len(changed) > 1 and op.x.axis in changed:
        return t.reshape(op.x, op.shape, "slice")
    return t.part(op.x, op.shape, dim, start)


@handles("setitem", "copy")
def _setitem(t: TraceBuilder, op: Op) -> Value:
    return t.other("setitem", op.values, op.weights, op.shape)


@handles("permute", "movedim", "moveaxis")
def _permute(t: TraceBuilder, op: Op) -> Value:
    if op.name != "permute":
        return t.reshape(op.x, op.shape, "permute")
    order = op.kwargs.get("dims") or (op.args[1:] if isinstance(op.args[1], int) else op.args[1])
    return t.permute(op.x, list(order))


@handles("transpose", "t", "T", "mT", "swapaxes", "swapdims", "numpy_T", "getattr")
def _transpose(t: TraceBuilder, op: Op) -> Value:
    if op.name == "getattr" and op.args[1] not in ("T", "mT"):
        return op.x
    order = list(range(len(op.x.shape)))
    a = op.get(1, "dim0", op.kwargs.get("axis0")) if len(op.args) > 2 or op.kwargs else -1
    b = op.get(2, "dim1", op.kwargs.get("axis1")) if len(op.args) > 2 or op.kwargs else -2
    order[a], order[b] = order[b], order[a]
    return t.permute(op.x, order)


@handles("pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def _pad(t: TraceBuilder, op: Op) -> Value:
    """Record padding of the channels; that of positions is not recorded, as that of windows is not."""
    if op.shape[op.x.axis] == op.x.shape[op.x.axis]:
        return Value(op.x.node, op.shape, op.x.axis)
    return t.reshape(op.x, op.shape, "pad")


def _reshape(t: TraceBuilder, op: Op) -> Value:
    return t.reshape(op.x, op.shape, RESHAPES[op.name] if op.shape != op.x.shape or op.name in ("roll", "flip") else "")


def _reduce(t: TraceBuilder, op: Op) -> Any:
    if len(op.values) > 1:
        return other(t, op)
    position = 2 if op.name in ("norm", "linalg_vector_norm", "vector_norm") else 1
    dims = op.dims(position) if not isinstance(op.get(position, "dim"), (bool, float)) else []
    keep = len(op.shape) == len(op.x.shape)
    made = t.mean(op.x, dims, keep=keep, function=REDUCTIONS[op.name])
    return made if isinstance(op.result, Tensor) else [made for _ in op.result]


@handles(
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool2d"
)
def _pool(t: TraceBuilder, op: Op) -> Any:
    dims = int(op.name.partition("d")[0][-1])
    kernel = op.get(1, "kernel_size")
    kernel = (kernel,) * dims if isinstance(kernel, int) else tuple(kernel) * (dims if len(kernel) == 1 else 1)
    stride = op.get(2, "stride") or kernel
    made = t.pool(op.x, op.shape, op.name.partition("_")[0], kernel, stride)
    return made if isinstance(op.result, Tensor) else [made for _ in op.result]


@handles(*[f"adaptive_{kind}_pool{dims}d" for kind in ("avg", "max") for dims in (1, 2, 3)])
def _adaptive(t: TraceBuilder, op: Op) -> Any:
    made = t.adaptive_pool(op.x, op.shape, op.name.split("_")[1], int(op.name[-2]))
    return made if isinstance(op.result, Tensor) else [made for _ in op.result]


@handles("interpolate", "upsample", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "grid_sample")
def _upsample(t: TraceBuilder, op: Op) -> Value:
    return op.x if op.shape == op.x.shape else t.upsample(op.x, op.shape)


HANDLERS.update({name: _reshape for name in RESHAPES})
HANDLERS.update({name: _reduce for name in REDUCTIONS})
