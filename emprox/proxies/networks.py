"""Proxies of architectures and of networks, on random batches of the right shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.proxies.base import ProxyScores
from emprox.proxies.case import duplicate, isolated_randomness
from emprox.proxies.compute import compute_proxies
from emprox.spaces import Architecture, get_space
from emprox.validation import check_at_least

__all__ = ["Recipe", "score_architecture", "score_module"]

BATCHES = 2
"""Random batches; ZiCo needs two, all others take the first."""


@dataclass(frozen=True)
class Recipe:
    """Where the numbers that proxies depend on come from: random inputs and labels, and random weights of built networks.

    Raises
    ------
    InvalidOptionError
        If the batch size is below 2 or the seed below 0.
    """

    batch_size: int = 64
    """Inputs of a batch."""
    seed: int = 0
    """Of weights, inputs, labels, and what proxies draw; the same for all networks."""
    device: str = "cpu"
    """Where passes run."""

    def __post_init__(self) -> None:
        check_at_least("batch_size", self.batch_size, 2)
        check_at_least("seed", self.seed, 0)
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidOptionError(f"device {self.device!r} cannot be used here: {error}") from error

    def __str__(self) -> str:
        return f"batch_size={self.batch_size} seed={self.seed}"

    def batches(self, shape: Sequence[int], classes: int) -> list[tuple[Tensor, Tensor]]:
        """Return standard normal inputs and uniform labels, two batches."""
        generator = torch.Generator().manual_seed(self.seed)
        return [
            (
                torch.randn(self.batch_size, *shape, generator=generator),
                torch.randint(classes, (self.batch_size,), generator=generator),
            )
            for _ in range(BATCHES)
        ]


def score_architecture(
    architecture: Architecture, names: Iterable[str] | None = None, recipe: Recipe | None = None
) -> ProxyScores:
    """Build the published network of an architecture with random weights and return its proxies on random batches.

    Parameters
    ----------
    architecture : Architecture
        Of a space whose network ends in one number per class.
    names : iterable of str, optional
        Names of `PROXIES`; all by default.
    recipe : Recipe, optional
        Batches and seed.

    Examples
    --------
    >>> cell = get_space("nasbench201").parse((0, 0, 0, 0, 0, 2))
    >>> score_architecture(cell, ["params"])["params"] == get_space("nasbench201").count_parameters(cell)
    True
    """
    chosen = recipe or Recipe()
    space = get_space(architecture.space)
    graph = space.network(architecture)
    with isolated_randomness(chosen.seed, torch.device("cpu")):
        module = space.to_module(architecture)
    first, last = graph.attributes[0], graph.attributes[-1]
    return _scores(module, (first.channels, *first.size), last.channels, names, chosen)


def score_module(
    module: nn.Module, input_shape: Sequence[int], names: Iterable[str] | None = None, recipe: Recipe | None = None
) -> ProxyScores:
    """Return the proxies of a network on random batches; one pass of a copy tells the number of classes.

    Parameters
    ----------
    module : torch.nn.Module
        Takes inputs of shape (B, *input_shape) and returns one number per class, (B, classes).
    input_shape : sequence of int
        Shape of an input.
    names : iterable of str, optional
        Names of `PROXIES`; all by default.
    recipe : Recipe, optional
        Batches and seed.
    """
    chosen = recipe or Recipe()
    with torch.no_grad(), isolated_randomness(chosen.seed, torch.device("cpu")):
        output = duplicate(module).cpu()(torch.zeros(2, *input_shape))
    if not isinstance(output, Tensor) or output.dim() != 2:
        raise InvalidDataError(
            f"expected a network that returns a tensor (B, classes), got {getattr(output, 'shape', type(output).__name__)}; "
            "call compute_proxies with batches and a loss of your own"
        )
    return _scores(module, input_shape, output.shape[1], names, chosen)


def _scores(module: nn.Module, shape: Sequence[int], classes: int, names: Iterable[str] | None, recipe: Recipe) -> ProxyScores:
    batches = recipe.batches(shape, classes)
    return compute_proxies(module, names, batches=batches, device=recipe.device, random_state=recipe.seed)
