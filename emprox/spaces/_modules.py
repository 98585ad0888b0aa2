"""Networks of the search spaces as torch modules; imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from emprox.errors import InvalidOptionError

__all__ = ["nasbench201_network"]

Edge = tuple[int, int, str]

CONV = {1: nn.Conv1d, 2: nn.Conv2d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
GLOBAL_POOL = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}


def average_pool(dims: int, kernel: int, stride: int, padding: int = 0) -> nn.Module:
    """Average pooling that does not count the padding; an odd size is rounded up, as a strided convolution does."""
    pool = {1: nn.AvgPool1d, 2: nn.AvgPool2d}[dims]
    return pool(kernel, stride=stride, padding=padding, ceil_mode=True, count_include_pad=False)


class ReLUConvNorm(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation."""

    def __init__(self, dims: int, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        conv = CONV[dims](c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
        super().__init__(nn.ReLU(), conv, NORM[dims](c_out))


OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "skip_connect": lambda dims, c: nn.Identity(),
    "nor_conv_3x3": lambda dims, c: ReLUConvNorm(dims, c, c, 3),
    "nor_conv_1x1": lambda dims, c: ReLUConvNorm(dims, c, c, 1),
    "avg_pool_3x3": lambda dims, c: average_pool(dims, 3, 1, padding=1),
}


class Cell(nn.Module):
    """Feature maps 0 to 3; each is the sum of its incoming edges, and a map without any is zero."""

    def __init__(self, edges: Iterable[Edge], dims: int, channels: int) -> None:
        super().__init__()
        self.ends = [(source, target) for source, target, op in edges if op != "none"]
        self.ops = nn.ModuleList(OPERATIONS[op](dims, channels) for _, _, op in edges if op != "none")

    def forward(self, x: Tensor) -> Tensor:
        maps = [x, None, None, None]
        for (source, target), op in zip(self.ends, self.ops, strict=True):
            if (value := maps[source]) is not None:
                before = maps[target]
                maps[target] = op(value) if before is None else before + op(value)
        return torch.zeros_like(x) if maps[3] is None else maps[3]


class Reduction(nn.Module):
    """Residual block with stride 2 that doubles the channels."""

    def __init__(self, dims: int, c_in: int) -> None:
        super().__init__()
        c_out = 2 * c_in
        self.body = nn.Sequential(ReLUConvNorm(dims, c_in, c_out, 3, stride=2), ReLUConvNorm(dims, c_out, c_out, 3))
        self.shortcut = nn.Sequential(average_pool(dims, 2, 2), CONV[dims](c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.body(x)


def nasbench201_network(
    edges: list[Edge], in_channels: int, num_classes: int, channels: int, cells_per_stage: int, dims: int
) -> nn.Sequential:
    """Build the NAS-Bench-201 network from the (source, target, op) edges of its cell."""
    if dims not in CONV:
        raise InvalidOptionError(f"spatial_dims is 1 or 2, got {dims!r}")
    sizes = {"in_channels": in_channels, "num_classes": num_classes, "channels": channels, "cells_per_stage": cells_per_stage}
    for name, value in sizes.items():
        if value < 1:
            raise InvalidOptionError(f"{name} must be at least 1, got {value!r}")
    stem = nn.Sequential(CONV[dims](in_channels, channels, 3, padding=1, bias=False), NORM[dims](channels))
    layers: list[nn.Module] = [stem]
    for stage in range(3):
        c = channels * 2**stage
        if stage:
            layers.append(Reduction(dims, c // 2))
        layers.extend(Cell(edges, dims, c) for _ in range(cells_per_stage))
    head = [NORM[dims](c), nn.ReLU(), GLOBAL_POOL[dims](1), nn.Flatten(), nn.Linear(c, num_classes)]
    return nn.Sequential(*layers, *head)
