"""How strongly the features react to the input under Gaussian weights: Zen-NAS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from emprox.errors import InvalidOptionError, UndefinedProxyError
from emprox.proxies.base import Proxy
from emprox.proxies.case import Case, weights_of

__all__ = ["ZEN", "zen"]

STEP = 0.01
"""Size of the change of the input, as published."""
INPUTS = 64
"""Random inputs where no batch says how many."""
F = nn.functional
MEANS = frozenset({torch.mean, Tensor.mean})
ADAPTIVE = frozenset(
    {
        *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
        *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
    }
)
WINDOWS = frozenset({F.avg_pool1d, F.avg_pool2d, F.avg_pool3d})


def zen(case: Case) -> float:
    """Return the log of how much the features change with the input, plus the logs of what batch norms divide by.

    All weights are drawn from a standard normal; x is random, and the change is that of the feature map before the global pooling
    from x to x plus .01 times other random numbers. What a batch norm divides by is the root of its mean running variance after
    these two passes, as in the published code. Other norms have no correction there.

    References
    ----------
    Lin et al., *Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition*, ICCV 2021.
    """
    case.require_real_inputs("random ones")
    network = case.copy()
    _draw(network)
    size = len(case.batches[0]) if case.batches else INPUTS
    x, other = ([torch.randn(size, *shape, device=case.device) for shape in case.shapes] for _ in range(2))
    with torch.no_grad():
        here = _features(network, x, case.features)
        there = _features(network, [a + STEP * b for a, b in zip(x, other, strict=True)], case.features)
    change = float((here - there).abs().flatten(1).sum(1).mean())
    if change == 0:
        raise UndefinedProxyError("the features do not depend on the input")
    norms = [m.running_var for m in network.modules() if isinstance(m, _BatchNorm)]
    return math.log(change) + sum(float(v.mean().log()) / 2 for v in norms if v is not None)


def _draw(network: nn.Module) -> None:
    """Draw weights, and bring norms and biases to their first state."""
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            _track(layer)
        if isinstance(layer, (_BatchNorm, nn.GroupNorm)) and layer.weight is not None:
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        if isinstance(layer, (_ConvNd, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for weight in weights_of(network):
        nn.init.normal_(weight)


def _track(norm: _BatchNorm) -> None:
    """Make a batch norm keep running statistics, and forget earlier ones."""
    place = next(iter((*norm.parameters(), *norm.buffers())), torch.empty(0)).device
    norm.track_running_stats = True
    norm.running_mean = torch.zeros(norm.num_features, device=place)
    norm.running_var = torch.ones(norm.num_features, device=place)
    norm.num_batches_tracked = torch.tensor(0, device=place)
    norm.momentum = 0.1


def _features(network: nn.Module, inputs: Sequence[Tensor], name: str | None) -> Tensor:
    """Return the feature map before the global pooling, (B, ...)."""
    if name is None:
        with LastPooling() as pooling:
            network(*inputs)
        if pooling.seen is None:
            raise UndefinedProxyError(
                "no global pooling was found; pass features=, the name of the submodule whose output is the last feature map"
            )
        return pooling.seen
    kept: list[Tensor] = []
    modules = dict(network.named_modules())
    if name not in modules:
        raise InvalidOptionError(f"the network has no submodule {name!r} to take features from; it has {', '.join(modules)}")
    handle = modules[name].register_forward_hook(lambda _, __, output: kept.append(output.clone()))
    network(*inputs)
    handle.remove()
    if not kept:
        raise UndefinedProxyError(f"the submodule {name!r}, whose output was to be taken, was not run")
    return kept[-1]


class LastPooling(TorchFunctionMode):
    """Watch for operators that reduce all positions to one, and keep the input of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if args and isinstance(args[0], Tensor) and args[0].dim() > 2 and _is_global(func, args[0], args[1:], options):
            self.seen = args[0].clone()
        return func(*args, **options)


def _is_global(func: Any, x: Tensor, args: Sequence[Any], options: dict[str, Any]) -> bool:
    if func in ADAPTIVE:
        size = args[0] if args else options["output_size"]
        return size == 1 or (isinstance(size, (tuple, list)) and all(n == 1 for n in size))
    if func in WINDOWS:
        window = args[0] if args else options["kernel_size"]
        lengths = window if isinstance(window, (tuple, list)) else [window] * (x.dim() - 2)
        return tuple(lengths) == tuple(x.shape[2:])
    if func in MEANS:
        axes = args[0] if args else options.get("dim")
        listed = axes if isinstance(axes, (tuple, list)) else [axes]
        return {axis % x.dim() for axis in listed if axis is not None} == set(range(2, x.dim()))
    return False


ZEN = Proxy("zen", zen, frozenset({"input_shape", "features"}))
