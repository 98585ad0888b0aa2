"""Graphs by `torch.export`, without decomposition, in the same form as those of `emprox.spaces.tracing_fx`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, fx, nn

from emprox.spaces.tracing_graph import check_size

__all__ = ["trace_export"]


def trace_export(
    module: nn.Module, inputs: Sequence[Tensor], named: Mapping[str, Tensor], max_nodes: int
) -> tuple[fx.Graph, dict[str, Tensor]]:
    """Return the graph of a module and its parameters and buffers by the names of its ``get_attr`` nodes and placeholders."""
    first = next(iter((*module.parameters(), *module.buffers())), None)
    device = first.device if first is not None else None
    like = [torch.empty_like(tensor, device=device) for tensor in inputs]
    like_named = {name: torch.empty_like(tensor, device=device) for name, tensor in named.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, tuple(like), like_named, strict=False)
    check_size(len(program.graph.nodes), max_nodes)
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    state = {**program.state_dict, **program.constants}
    return program.graph, {placeholder: state[name] for placeholder, name in names.items()}
