"""Symbolic tracing with `torch.fx` in which every value knows its shape, so that control flow on shapes is followed.

A module runs once on proxies. Each proxy carries a tensor of the ``meta`` device (a shape without data), every operation is
executed on those as it is recorded, and what is no tensor (sizes, types, devices) is an ordinary Python value. Layers are looked
into down to the functions they call. Weights are replaced by tensors without data; nothing is copied.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import Attribute
from torch.utils._pytree import tree_map

from emprox.spaces.tracing_graph import check_size

__all__ = ["DataDependentError", "trace_fx"]

SAME_SHAPE = frozenset(
    {
        "batch_norm",
        "layer_norm",
        "group_norm",
        "instance_norm",
        "dropout",
        "relu",
        "silu",
        "gelu",
        "hardswish",
        "sigmoid",
        "softmax",
    }
)
"""Frequent functions whose result is like their first argument; they are not executed, which halves the time."""
OWN = frozenset({"torch", "_operator", "operator", "math"})
"""Packages whose functions are recorded; Python functions of other packages are looked into."""


class DataDependentError(RuntimeError):
    """The network asks for the numbers in a tensor to decide how to go on."""


def trace_fx(
    module: nn.Module, inputs: Sequence[Tensor], named: Mapping[str, Tensor], max_nodes: int
) -> tuple[fx.Graph, dict[str, Tensor]]:
    """Return the graph of a module and the tensors that its ``get_attr`` nodes name.

    Every node that makes a tensor has it, without data, as ``meta["val"]``. The inputs are positional, then named ones.
    """
    with torch.device("meta"), torch.no_grad():
        tracer = _Tracer(inputs, named, max_nodes)
        return tracer.trace(module), tracer.tensors


class _Traced(fx.Proxy):
    """A proxy that behaves like the tensor it stands for, as long as nobody asks for its numbers."""

    def __init__(self, node: fx.Node, tracer: _Tracer, value: Tensor) -> None:
        super().__init__(node, tracer)
        self.value = value

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance(x, torch.Tensor) holds
        return Tensor

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.value, name)
        if isinstance(found, Tensor):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return Attribute(self, name) if callable(found) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})

    def __iter__(self) -> Any:
        return iter(self.unbind(0))

    def __len__(self) -> int:
        return len(self.value)

    def __contains__(self, item: object) -> bool:
        return self._data()

    def _data(self) -> Any:
        raise DataDependentError("the network looks at the numbers in a tensor to decide how to go on")

    __bool__ = __int__ = __float__ = __index__ = _data


class _Tracer(fx.Tracer):
    """Records functions and methods of torch, each executed on tensors without data."""

    proxy_buffer_attributes = True

    def __init__(self, inputs: Sequence[Tensor], named: Mapping[str, Tensor], max_nodes: int) -> None:
        super().__init__()
        self.inputs, self.named, self.max_nodes = inputs, named, max_nodes
        self.tensors: dict[str, Tensor] = {}
        self._proxies: dict[int, _Traced] = {}
        self._count = 0

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """Return the function to run and its arguments: proxies of the example inputs."""
        assert isinstance(self.root, nn.Module)
        positional = [self._placeholder(f"input_{i}", tensor) for i, tensor in enumerate(self.inputs)]
        named = {name: self._placeholder(name, tensor) for name, tensor in self.named.items()}
        return (lambda *args: root_fn(*args, **named)), [self.root, *positional]

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Look into every module."""
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return a proxy in place of a parameter or buffer."""
        return attr_val if _is_proxy(attr_val) or not isinstance(attr_val, Tensor) else self._constant(attr_val)

    def create_arg(self, a: Any) -> Any:
        """Return what stands in the graph for an argument."""
        if _is_proxy(a):
            return a.node
        if isinstance(a, Tensor):
            return self._constant(a).node
        try:
            return super().create_arg(a)
        except NotImplementedError:
            return repr(a)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: Any = None,
        type_expr: Any = None,
        proxy_factory_fn: Any = None,
    ) -> Any:
        """Execute a function or method on tensors without data and record it if it makes one."""
        if isinstance(target, types.FunctionType) and target.__module__.partition(".")[0] not in OWN:
            return target(*args, **kwargs)
        fake_args, fake_kwargs = tree_map(self._fake, (tuple(args), dict(kwargs)))
        if getattr(target, "__name__", target) in SAME_SHAPE and fake_args:
            result = torch.empty_like(fake_args[0])
        elif kind == "call_method":
            result = getattr(fake_args[0], target)(*fake_args[1:], **fake_kwargs)
        else:
            result = target(*fake_args, **fake_kwargs)
        if target is operator.setitem:
            result = fake_args[0]
        return self._recorded(kind, target, args, kwargs, result)

    def _recorded(self, kind: str, target: Any, args: Any, kwargs: Any, result: Any) -> Any:
        several = isinstance(result, (tuple, list))
        if not isinstance(result, Tensor) and not (several and any(isinstance(item, Tensor) for item in result)):
            return result
        node = self._node(kind, target, self.create_arg(tuple(args)), self.create_arg(dict(kwargs)))
        node.meta["val"] = result
        if not several:
            return _Traced(node, self, result)
        items = []
        for i, item in enumerate(result):
            if isinstance(item, Tensor):
                piece = self._node("call_function", operator.getitem, (node, i), {})
                piece.meta["val"] = item
                items.append(_Traced(piece, self, item))
            else:
                items.append(item)
        if type(result) in (tuple, list):
            return type(result)(items)
        return type(result)(items) if type(result).__module__ == "torch.return_types" else tuple(items)

    def _node(self, kind: str, target: Any, args: Any, kwargs: Any) -> fx.Node:
        self._count += 1
        check_size(self._count, self.max_nodes)
        return self.create_node(kind, target, args, kwargs)

    def _placeholder(self, name: str, tensor: Tensor) -> _Traced:
        fake = self._fake(tensor)
        node = self.create_node("placeholder", name, (), {})
        node.meta["val"] = fake
        return _Traced(node, self, fake)

    def _constant(self, tensor: Tensor) -> _Traced:
        """Return the one proxy of a parameter, buffer or constant; it is kept, so that its id stays its own."""
        if id(tensor) not in self._proxies:
            name = f"tensor_{len(self.tensors)}"
            self.tensors[name] = tensor
            node = self.create_node("get_attr", name, (), {})
            node.meta["val"] = self._fake(tensor)
            self._proxies[id(tensor)] = _Traced(node, self, node.meta["val"])
        return self._proxies[id(tensor)]

    def _fake(self, item: Any) -> Any:
        """Return a tensor without data, whatever device it is on; other things as they are."""
        if _is_proxy(item):
            return item.value
        if isinstance(item, slice):
            return slice(*(self._fake(part) for part in (item.start, item.stop, item.step)))
        if not isinstance(item, Tensor) or (item.is_meta and not isinstance(item, nn.Parameter)):
            return item
        return torch.empty(item.shape, dtype=item.dtype, device="meta")


def _is_proxy(item: Any) -> bool:
    """Whether something is a proxy, which `isinstance` cannot tell from a tensor."""
    return type(item) is _Traced
