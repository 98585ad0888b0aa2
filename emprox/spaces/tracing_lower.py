"""From a graph of torch functions to the universal vocabulary: goes through the nodes in order and names each."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate

import emprox.spaces.tracing_shapes  # noqa: F401 - it registers its functions
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.tracing_graph import TraceBuilder, Value, Weights
from emprox.spaces.tracing_ops import HANDLERS, Op

__all__ = ["lower"]

CONSTANTS = frozenset(
    f"{prefix}{name}{suffix}"
    for name in ("ones", "full", "empty", "rand", "randn")
    for prefix, suffix in (("", ""), ("new_", ""), ("", "_like"))
)
"""Functions whose result depends on no number of their arguments."""
LIKE = frozenset({"type_as", "to", "expand_as", "view_as", "reshape_as"})
"""Functions of which only the first argument's numbers matter."""
IN_PLACE = frozenset({"iadd", "isub", "imul", "itruediv", "setitem", "copy"})


def lower(graph: fx.Graph, tensors: Mapping[str, Tensor], max_nodes: int) -> tuple[ComputationGraph, set[str]]:
    """Return the computation graph and the names of the functions that the vocabulary has no word for.

    Parameters
    ----------
    graph : torch.fx.Graph
        Nodes with their value, without data, as ``meta["val"]``.
    tensors : mapping
        Parameters, buffers and constants by the name of their node.
    max_nodes : int
        Operations that are too many.
    """
    inputs = [node for node in graph.nodes if node.op == "placeholder" and node.name not in tensors and _is_tensor(node)]
    shapes = [_shape(node.meta["val"]) for node in inputs]
    parameters = {id(t): t.numel() for t in tensors.values() if isinstance(t, torch.nn.Parameter)}
    builder = TraceBuilder(parameters, shapes[0][0] if shapes and shapes[0] else 1, max_nodes)
    made: dict[fx.Node, Any] = dict(zip(inputs, builder.inputs(shapes), strict=True)) if shapes else {}
    for node in graph.nodes:
        if node.op == "output":
            return builder.build(_values(_mapped(node.args, made))), builder.unknown
        if node not in made:
            made[node] = _tensor(tensors, node) if node.op in ("placeholder", "get_attr") else _called(builder, node, made)
            if _in_place(node):
                made[node.args[0]] = made[node]
    raise AssertionError("a graph ends with its output")


def _called(builder: TraceBuilder, node: fx.Node, made: Mapping[fx.Node, Any]) -> Any:
    args, kwargs = _mapped(node.args, made), _mapped(node.kwargs, made)
    if node.target is operator.getitem and isinstance(args[0], (list, tuple)):
        return args[0][args[1]]
    values, weights = _values((args, kwargs)), _of(Weights, (args, kwargs))
    result = node.meta.get("val")
    name = function_name(node)
    if not values or name in CONSTANTS or (name in LIKE and isinstance(args[0], Weights)):
        return _constant(result, frozenset().union(*(w.parameters for w in weights)))
    if isinstance(node.target, type):
        return values
    op = Op(name, args, kwargs, values, weights, result)
    if not _of_tensor(result):
        return None
    return HANDLERS.get(name, HANDLERS["unknown"])(builder, op)


def function_name(node: fx.Node) -> str:
    """Return one name for all forms: ``add`` for ``torch.add``, ``x.add_(y)``, ``x + y`` and ``aten.add.Tensor``."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        name = target._schema.name.partition("::")[2]
    else:
        name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    name = name.strip("_")
    return {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}.get(name, name)


def _in_place(node: fx.Node) -> bool:
    """Whether the first argument stands for the result from now on."""
    if node.op not in ("call_function", "call_method") or not node.args or not isinstance(node.args[0], fx.Node):
        return False
    target: Any = node.target
    name = target._schema.name if isinstance(target, torch._ops.OpOverload) else str(getattr(target, "__name__", target))
    inner = name.endswith("_") and not name.endswith("__")
    return inner or name in IN_PLACE or node.kwargs.get("inplace") is True


def _mapped(arguments: Any, made: Mapping[fx.Node, Any]) -> Any:
    return map_aggregate(arguments, lambda item: made.get(item) if isinstance(item, fx.Node) else item)


def _of(kind: type, item: Any) -> list[Any]:
    """Return all things of a kind in nested arguments, in order."""
    if isinstance(item, kind):
        return [item]
    if isinstance(item, Mapping):
        item = list(item.values())
    if isinstance(item, slice):
        item = [item.start, item.stop, item.step]
    return [found for part in item for found in _of(kind, part)] if isinstance(item, (list, tuple)) else []


def _values(item: Any) -> list[Value]:
    return _of(Value, item)


def _tensor(tensors: Mapping[str, Tensor], node: fx.Node) -> Weights:
    tensor = tensors.get(node.name if node.op == "placeholder" else str(node.target))
    if tensor is None:
        return Weights(())
    own = isinstance(tensor, torch.nn.Parameter)
    return Weights(tuple(tensor.shape), frozenset([id(tensor)]) if own else frozenset())


def _constant(result: Any, parameters: frozenset[Any]) -> Any:
    if isinstance(result, (list, tuple)):
        return [_constant(item, parameters) for item in result]
    return Weights(_shape(result), parameters) if isinstance(result, Tensor) else Weights((), parameters)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(int(n) for n in tensor.shape)


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _of_tensor(result: Any) -> bool:
    return isinstance(result, Tensor) or (isinstance(result, (list, tuple)) and any(isinstance(r, Tensor) for r in result))
