"""One forward and backward pass over a batch, shared by all proxies that read it.

Letters: B inputs of the batch, D numbers of an input, L calls of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from emprox.errors import UndefinedProxyError

if TYPE_CHECKING:
    from emprox.proxies.case import Batch

__all__ = ["Evidence", "observe"]

LOSS = frozenset({"gradients", "curvature", "channels"})
"""Quantities that come from the loss."""
RECTIFIERS = frozenset(
    {
        *(nn.functional.relu, nn.functional.relu_, nn.functional.relu6, nn.functional.leaky_relu, nn.functional.leaky_relu_),
        *(nn.functional.prelu, torch.relu, torch.relu_, torch.prelu, Tensor.relu, Tensor.relu_, Tensor.prelu),
    }
)
"""Piecewise linear activations with a kink at zero, as modules, functions or methods."""


@dataclass(frozen=True)
class Evidence:
    """What a pass over a batch showed; what was not asked for is None."""

    weights: Sequence[Tensor]
    """As in `weights_of`."""
    outputs: int
    """Length of the output's last axis, usually the number of classes."""
    gradients: Sequence[Tensor] | None = None
    """Gradient of the loss by each weight."""
    curvature: Sequence[Tensor] | None = None
    """Hessian of the loss times its gradient, by each weight."""
    channels: Sequence[tuple[Tensor, int]] | None = None
    """For each of L calls: half the mean square of activation times gradient by channel, and the layer's weights per channel."""
    jacobian: Tensor | None = None
    """Gradient of the summed output by each input, (B, D)."""
    codes: Tensor | None = None
    """Rectifiers in the same state for each two inputs, summed over all, (B, B)."""


def observe(
    module: nn.Module, weights: Sequence[Tensor], batch: Batch, loss: Callable[..., Tensor], wanted: Set[str]
) -> Evidence:
    """Run a batch through a module, which may be changed, and return the wanted quantities.

    Raises
    ------
    UndefinedProxyError
        If the output is not a tensor of finite numbers, or does not depend on what it is differentiated by.
    """
    for parameter in module.parameters():
        parameter.requires_grad = False
    for weight in weights:
        weight.requires_grad = bool(LOSS & wanted)
    leaves = [x.detach().clone().requires_grad_("jacobian" in wanted and x.is_floating_point()) for x in batch.inputs]
    with ExitStack() as stack:
        codes = stack.enter_context(Codes(len(batch))) if "codes" in wanted else None
        calls = stack.enter_context(_outputs_kept(module)) if "channels" in wanted else []
        stack.enter_context(torch.set_grad_enabled(wanted != {"codes"}))
        output = module(*[x.clone() for x in leaves])
    _check_output(output)
    jacobian = _jacobian(output, leaves, retain=bool(LOSS & wanted)) if "jacobian" in wanted else None
    gradients, curvature, channels = _by_loss(output, weights, calls, batch, loss, wanted) if LOSS & wanted else (None,) * 3
    return Evidence(
        weights,
        output.shape[-1] if output.dim() else 1,
        gradients,
        curvature,
        channels,
        jacobian,
        None if codes is None else codes.agreements(),
    )


def _check_output(output: Any) -> None:
    if not isinstance(output, Tensor):
        raise UndefinedProxyError(f"the network returns a {type(output).__name__}; wrap it in a module that returns one tensor")
    if not torch.isfinite(output).all():
        raise UndefinedProxyError("the network's output holds NaN or infinity")


def _jacobian(output: Tensor, leaves: Sequence[Tensor], retain: bool) -> Tensor:
    inputs = [x for x in leaves if x.requires_grad]
    if not inputs:
        raise UndefinedProxyError("no input is of floating point, so that there is no Jacobian")
    if not output.requires_grad:
        raise UndefinedProxyError("the output does not depend on the input")
    found = torch.autograd.grad(output.sum(), inputs, retain_graph=retain, allow_unused=True)
    return torch.cat([_or_zeros(g, x).flatten(1) for g, x in zip(found, inputs, strict=True)], dim=1)


def _by_loss(
    output: Tensor,
    weights: Sequence[Tensor],
    calls: Sequence[tuple[nn.Module, Tensor]],
    batch: Batch,
    loss: Callable[..., Tensor],
    wanted: Set[str],
) -> tuple[list[Tensor] | None, list[Tensor] | None, list[tuple[Tensor, int]] | None]:
    """Return gradients, curvature and channels, as far as they are wanted."""
    value = loss(output, batch.targets)
    if not value.requires_grad:
        raise UndefinedProxyError("the loss does not depend on a weight (a parameter of two or more dimensions)")
    by_weight = list(weights) if {"gradients", "curvature"} & wanted else []
    sought = [*by_weight, *(activation for _, activation in calls)]
    twice = "curvature" in wanted
    found = torch.autograd.grad(value, sought, create_graph=twice, allow_unused=True)
    gradients = [_or_zeros(g, x) for g, x in zip(found, sought, strict=True)]
    by_call = [g.detach() for g in gradients[len(by_weight) :]]
    channels = [_saliency(layer, act.detach(), g) for (layer, act), g in zip(calls, by_call, strict=True)]
    first = gradients[: len(by_weight)]
    curvature = _curvature(first, weights) if twice else None
    return [g.detach() for g in first], curvature, channels


def _curvature(gradients: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the Hessian times the gradient, which costs a second backward pass through the first."""
    parts = [(g.detach() * g).sum() for g in gradients if g.requires_grad]
    if not parts:
        return [torch.zeros_like(weight) for weight in weights]  # the loss is linear in every weight
    found = torch.autograd.grad(torch.stack(parts).sum(), weights, allow_unused=True)
    return [_or_zeros(h, weight) for h, weight in zip(found, weights, strict=True)]


def _saliency(layer: nn.Module, activation: Tensor, gradient: Tensor) -> tuple[Tensor, int]:
    """Return the saliency of each channel, which is axis 1 of convolutions and the last axis of linear layers."""
    axis = 1 if isinstance(layer, _ConvNd) else activation.dim() - 1
    others = [i for i in range(1, activation.dim()) if i != axis]
    product = activation * gradient
    effect = product.sum(others) if others else product  # (B, channels)
    weight = layer.weight
    return effect.pow(2).mean(0) / 2, weight.numel() // effect.shape[1]  # type: ignore[operator]


@contextmanager
def _outputs_kept(module: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Collect outputs of convolutions and linear layers; what follows gets a copy, so that in-place operators spare them."""
    calls: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, _: Any, output: Tensor) -> Tensor:
        calls.append((layer, output))
        return output.clone()

    layers = [layer for layer in module.modules() if isinstance(layer, (_ConvNd, nn.Linear))]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


class Codes(TorchFunctionMode):
    """Watch rectifiers, and count for each two inputs of the batch how many are in the same state.

    Parameters
    ----------
    size : int
        B, inputs of the batch.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.counts: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if func in RECTIFIERS:
            self._add((args[0] if args else options["input"]).detach())  # before it runs, as it may work in place
        return func(*args, **options)

    def _add(self, x: Tensor) -> None:
        if not len(x) or len(x) % self.size:
            raise UndefinedProxyError(f"a rectifier sees {tuple(x.shape)}, which does not divide into the {self.size} inputs")
        if not torch.isfinite(x).all():
            raise UndefinedProxyError("a rectifier sees NaN or infinity")
        on = (x > 0).reshape(self.size, -1).to(torch.float32)
        active = on.sum(dim=1).double()
        both = (on @ on.T).double()
        agree = 2 * both - active[:, None] - active[None, :] + on.shape[1]  # both on plus both off
        self.counts = agree if self.counts is None else self.counts + agree

    def agreements(self) -> Tensor:
        """Return the counts, (B, B)."""
        if self.counts is None:
            raise UndefinedProxyError("no rectifier was applied (ReLU, ReLU6, LeakyReLU or PReLU, as module or function)")
        return self.counts


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient
