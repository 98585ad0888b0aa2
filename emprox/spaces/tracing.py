"""Any network as a computation graph: torch modules and ONNX files.

A module is run once on tensors without data. Its graph is in the vocabulary of `emprox.spaces.primitives`, as that of a search
space's network is, so that both can be compared, encoded and hashed alike.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emprox.errors import EmproxError, InvalidArchitectureError, InvalidOptionError
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.tracing_graph import MAX_NODES

if TYPE_CHECKING:
    import torch

__all__ = ["TRACERS", "from_module", "from_onnx"]

TRACERS = ("fx", "export")
"""Ways of tracing, in the order in which they are tried."""


def from_module(
    module: torch.nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor],
    *,
    tracers: Sequence[str] = TRACERS,
    max_nodes: int = MAX_NODES,
) -> ComputationGraph:
    """Return the graph of a network as it is at inference.

    The module runs once without any arithmetic. Neither its weights nor the numbers in the inputs are looked at; a module on the
    ``meta`` device will do. It is put back as it was.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    example_inputs : tensor, sequence of tensors, or mapping of names to tensors
        What its ``forward`` takes, the batch first. Several inputs become splits of one input of the graph.
    tracers : sequence of {"fx", "export"}
        Ways of tracing to try, in this order: `torch.fx` with known shapes, then `torch.export`.
    max_nodes : int
        Operations that are too many.

    Returns
    -------
    ComputationGraph
        Without dead nodes; parameters that the output does not depend on are not counted. Padding of positions, masks, constant
        factors and offsets are not recorded. Several outputs (a tuple, a dict) are joined.

    Raises
    ------
    InvalidArchitectureError
        If no way works; the message has the reason and the line of each.

    Warns
    -----
    UserWarning
        If there are functions that the vocabulary has no word for; they are nodes of kind ``other``.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    >>> graph = from_module(net, torch.zeros(1, 3, 8, 8))
    >>> graph.kinds, graph.parameters, graph.macs
    (('input', 'conv', 'activation', 'pool', 'output'), 224, 13824)
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InvalidArchitectureError(f"expected a torch.nn.Module, got {type(module).__name__}: {module!r:.80}")
    inputs, named = _inputs(example_inputs)
    _check_materialised(module)
    reasons = []
    with _evaluated(module):
        for name in tracers:
            try:
                graph, unknown = _traced(name, module, inputs, named, max_nodes)
            except EmproxError:
                raise
            except Exception as error:  # whatever the network's own code raises
                reasons.append(f"torch.{name}: {_reason(error)}")
            else:
                _warn(type(module).__name__, unknown)
                return graph
    raise InvalidArchitectureError(
        f"cannot trace {type(module).__name__}:\n  "
        + "\n  ".join(reasons)
        + "\nLet control flow depend on shapes only, trace the part "
        "of the network without that line, or export it to ONNX and use from_onnx"
    )


def from_onnx(path: str | Path, *, input_shape: Sequence[int] | None = None, max_nodes: int = MAX_NODES) -> ComputationGraph:
    """Return the graph of a network in an ONNX file (extra ``onnx``).

    Weights in other files are not needed. Exporters fold batch normalisation into convolutions unless told not to; such a network
    differs from the one that was exported.

    Parameters
    ----------
    path : str or Path
        The file.
    input_shape : sequence of int, optional
        Shape of the first input where the file leaves it open, the batch first.
    max_nodes : int
        Operations that are too many.

    Raises
    ------
    CorruptFileError
        If it is no such file.
    InvalidArchitectureError
        If shapes stay open, or the network is too large.
    """
    from emprox.spaces.tracing_onnx import read_onnx

    graph, unknown = read_onnx(Path(path), input_shape, max_nodes)
    _warn(Path(path).name, unknown)
    return graph


def _traced(
    name: str, module: torch.nn.Module, inputs: Sequence[torch.Tensor], named: Mapping[str, torch.Tensor], max_nodes: int
) -> tuple[ComputationGraph, set[str]]:
    from emprox.spaces.tracing_export import trace_export
    from emprox.spaces.tracing_fx import trace_fx
    from emprox.spaces.tracing_lower import lower

    ways = {"fx": trace_fx, "export": trace_export}
    if name not in ways:
        raise InvalidOptionError(f"expected tracers among {', '.join(TRACERS)}, got {name!r}")
    return lower(*ways[name](module, inputs, named, 10 * max_nodes), max_nodes)


def _inputs(given: Any) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    import torch

    named = dict(given) if isinstance(given, Mapping) else {}
    inputs = [] if named else [given] if isinstance(given, torch.Tensor) else list(given)
    wrong = [type(item).__name__ for item in (*inputs, *named.values()) if not isinstance(item, torch.Tensor)]
    if wrong or not (inputs or named):
        raise InvalidOptionError(
            f"expected example inputs as a tensor, several, or a mapping of names to tensors, got {', '.join(wrong) or 'none'}"
        )
    return inputs, named


def _check_materialised(module: torch.nn.Module) -> None:
    import torch

    lazy = [
        name
        for name, part in module.named_modules()
        if any(torch.nn.parameter.is_lazy(p) for p in (*part._parameters.values(), *part._buffers.values()) if p is not None)
    ]
    if lazy:
        raise InvalidArchitectureError(
            f"{type(module).__name__} has lazy layers whose shapes are not known yet ({', '.join(lazy[:5])}); "
            "run it once on real input"
        )


@contextmanager
def _evaluated(module: torch.nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and put everything back afterwards that running it may have set."""
    parts = list(dict.fromkeys(module.modules()))
    before = [{**vars(part), "_buffers": dict(part._buffers), "_parameters": dict(part._parameters)} for part in parts]
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part, state in zip(parts, before, strict=True):
            vars(part).clear()
            vars(part).update(state)


def _reason(error: Exception) -> str:
    """Return what was raised and the last line outside torch and emprox, which is the network's own."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/torch/" not in frame.filename.replace("\\", "/") and not frame.filename.startswith(str(Path(__file__).parent))
    ]
    where = f" at {frames[-1].filename}:{frames[-1].lineno} ({frames[-1].line})" if frames else ""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}{where}"


def _warn(name: str, unknown: set[str]) -> None:
    if unknown:
        warnings.warn(f"{name}: no primitive for {', '.join(sorted(unknown))}; such nodes are of kind 'other'", stacklevel=3)
