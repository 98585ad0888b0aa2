"""The network that proxies are computed of, and what it is given; nothing here changes the network."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from emprox.errors import InvalidDataError, UndefinedProxyError
from emprox.proxies.evidence import Evidence

__all__ = ["Batch", "Case", "duplicate", "isolated_randomness", "weights_of"]


@dataclass(frozen=True)
class Batch:
    """Inputs of a network and their targets."""

    inputs: tuple[Tensor, ...]
    """Arguments of the network, each of shape (B, ...)."""
    targets: Tensor | None = None
    """What the loss compares the output with, usually class numbers of shape (B,)."""

    def __len__(self) -> int:
        return len(self.inputs[0])

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(tuple(x.to(device) for x in self.inputs), None if self.targets is None else self.targets.to(device))


@dataclass(frozen=True)
class Case:
    """A network with everything that its proxies are computed from."""

    module: nn.Module
    """The user's module; work on `copy` of it."""
    batches: tuple[Batch, ...]
    """On the device; may be empty."""
    shapes: tuple[tuple[int, ...], ...]
    """Shape of each input without its batch dimension; empty if neither batches nor shapes were given."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """Of the output and the targets, a single number."""
    device: torch.device
    """Where passes run."""
    features: str | None = None
    """Name of the submodule whose output is the feature map before global pooling, or None to find it."""
    evidence: Evidence | None = None
    """What the shared pass over the first batch showed."""

    @property
    def shown(self) -> Evidence:
        """The evidence, which proxies that observe something always have."""
        if self.evidence is None:
            raise UndefinedProxyError("this proxy was computed without a pass over a batch; call it through compute_proxies")
        return self.evidence

    def copy(self) -> nn.Module:
        """Return a copy of the network on the device, in training mode, that may be changed."""
        return duplicate(self.module).to(self.device).train()

    def ones(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """Return a single input of ones."""
        self.require_real_inputs("inputs of ones")
        return tuple(torch.ones(1, *shape, dtype=dtype, device=self.device) for shape in self.shapes)

    def require_real_inputs(self, what: str) -> None:
        """Raise if an input of the first batch is not of floating point, such as tokens."""
        for position, x in enumerate(self.batches[0].inputs if self.batches else ()):
            if not x.is_floating_point():
                raise UndefinedProxyError(f"input {position} is {x.dtype}; {what} need inputs of floating point")


def weights_of(module: nn.Module) -> list[nn.Parameter]:
    """Return the weights that proxies sum over: parameters of two or more dimensions, each once however often it is used."""
    return [p for p in module.parameters() if p.dim() > 1 and p.is_floating_point()]


def duplicate(module: nn.Module) -> nn.Module:
    """Return a deep copy without gradients.

    Raises
    ------
    InvalidDataError
        If the module holds something that cannot be copied.
    """
    try:
        twin = copy.deepcopy(module)
    except Exception as error:  # a module may hold anything, and copying it may raise anything
        raise InvalidDataError(
            f"cannot copy {type(module).__name__}, and proxies are computed on a copy: {error}; give the module a "
            "__deepcopy__ or pass one that is freshly built"
        ) from error
    twin.zero_grad(set_to_none=True)
    return twin


@contextmanager
def isolated_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of torch, NumPy and Python, and put their states back at the end."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - modules may draw from the global generator
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.default_generator.manual_seed(seed)
            if devices:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
