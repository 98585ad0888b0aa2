"""Sub-networks of the Once-for-all MobileNetV3 (Cai et al., ICLR 2020): five stages of two to four inverted bottlenecks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import Architecture, CellBatch, Traits
from emprox.spaces.choices import ChoiceSpace, read_literal
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph
from emprox.spaces.network import NetworkBuilder, check_positive

if TYPE_CHECKING:
    import torch

__all__ = ["OFAMobileNetV3"]

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
RESOLUTIONS = tuple(range(128, 225, 4))
STAGES, SLOTS = 5, 4
WIDTHS, STRIDES = (24, 40, 80, 112, 160), (2, 2, 2, 1, 2)
ACTIVATIONS = ("relu", "relu", "hswish", "hswish", "hswish")
GATED = (False, True, False, True, True)
"""Stages with squeeze and excitation."""

BLOCKS = tuple(f"k{kernel}e{expansion}" for kernel in KERNELS for expansion in EXPANSIONS)
ABSENT = "absent"
SIZES = tuple(f"r{resolution}" for resolution in RESOLUTIONS)


def _choices() -> dict[str, tuple[str, ...]]:
    slots = [(stage, slot) for stage in range(1, STAGES + 1) for slot in range(1, SLOTS + 1)]
    blocks = {f"stage{stage} block{slot}": BLOCKS if slot <= DEPTHS[0] else (ABSENT, *BLOCKS) for stage, slot in slots}
    return {"resolution": SIZES, **blocks}


class OFAMobileNetV3(ChoiceSpace):
    """Five stages of blocks, each with a kernel size (3, 5, 7) and an expansion (3, 4, 6), at width 1.0.

    The text form is that of Once-for-all's configurations, ``{'ks': 20 kernel sizes, 'e': 20 expansions, 'd': 5 depths,
    'r': [resolution]}``. Entries beyond the depth of a stage do nothing; they are dropped when read and
    written as 0, so that equal networks are equal. The ``spec`` is the resolution and one option for each of the 20 blocks.

    References
    ----------
    Cai et al., *Once-for-All: Train One Network and Specialize it for Efficient Deployment*, ICLR 2020.

    Examples
    --------
    >>> space = OFAMobileNetV3()
    >>> arch = space.parse({"ks": [3] * 20, "e": [6] * 20, "d": [2] * 5, "r": 224})
    >>> arch == space.parse({"ks": [3, 3, 7, 7] * 5, "e": [6] * 20, "d": [2] * 5, "r": [224]})
    True
    """

    name = "ofa-mobilenetv3"
    ops = (*BLOCKS, "stage", *SIZES)
    wiring = frozenset(("stage", *SIZES))
    anchors = ("stage",)
    traits: ClassVar = {
        f"k{kernel}e{expansion}": Traits(growth=kernel - 1, weights=2 * expansion, layers=3)
        for kernel in KERNELS
        for expansion in EXPANSIONS
    }
    max_nodes = 3 + STAGES * (SLOTS + 1)
    choices = _choices()
    sequence_by = "choice"
    size = len(SIZES) * (9**2 * (1 + 9 + 9**2)) ** STAGES

    def parse(self, description: Any) -> Architecture:
        """Read a configuration with ``ks``, ``e``, ``d`` and ``r``, that configuration as text, or the option numbers."""
        value = description
        if isinstance(description, str):
            value = read_literal(description.strip().removeprefix(f"{self.name}:").strip())
        return self.from_numbers(_numbers(value, description) if isinstance(value, Mapping) else value, description)

    def expected(self) -> str:
        """Return what `parse` reads, for its errors."""
        return (
            f"or a mapping with 'ks' and 'e' (20 numbers from {KERNELS} and {EXPANSIONS}), 'd' (5 from {DEPTHS}) and 'r' "
            f"({RESOLUTIONS[0]} to {RESOLUTIONS[-1]} in steps of 4)"
        )

    def is_valid(self, spec: tuple[int, ...]) -> bool:
        """Whether no stage has a fourth block without a third."""
        return not any(spec[last] and not spec[last - 1] for last in range(SLOTS, len(spec), SLOTS))

    def format(self, architecture: Architecture) -> str:
        """Return the configuration; entries beyond the depth of a stage are 0."""
        resolution, stages = self.stages(architecture)
        padded = [block for blocks in stages for block in [*blocks, *[(0, 0)] * (SLOTS - len(blocks))]]
        kernels, expansions = [kernel for kernel, _ in padded], [expansion for _, expansion in padded]
        return str({"ks": kernels, "e": expansions, "d": [len(blocks) for blocks in stages], "r": [resolution]})

    def stages(self, architecture: Architecture) -> tuple[int, list[list[tuple[int, int]]]]:
        """Return the resolution and, for each stage, kernel size and expansion of its blocks."""
        spec = self._spec(architecture)
        blocks = [_block(slot, number) for slot, number in enumerate(spec[1:])]
        return RESOLUTIONS[spec[0]], [
            [block for block in blocks[first : first + SLOTS] if block] for first in range(0, STAGES * SLOTS, SLOTS)
        ]

    def cell_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the chain of resolution and blocks, a ``stage`` node at the start of each stage."""
        resolution, stages = self.stages(architecture)
        kinds = [INPUT, f"r{resolution}"]
        for blocks in stages:
            kinds += ["stage", *[f"k{kernel}e{expansion}" for kernel, expansion in blocks]]
        kinds.append(OUTPUT)
        return ComputationGraph(tuple(kinds), tuple((node, node + 1) for node in range(len(kinds) - 1)))

    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return adjacency (B, 28, 28) and ops (B, 28): resolution, then for each stage its marker and four blocks."""
        specs = self._specs(architectures)
        ops = np.zeros((len(specs), self.max_nodes), dtype=np.int8)
        ops[:, 1] = specs[:, 0] + len(BLOCKS) + 2
        ops[:, 2 : -1 : SLOTS + 1] = len(BLOCKS) + 1
        for slot in range(STAGES * SLOTS):
            numbers = specs[:, 1 + slot] + (slot % SLOTS < DEPTHS[0])
            ops[:, _position(slot)] = np.where(numbers == 0, -1, numbers)
        ops[:, -1] = len(self.ops) + 1
        adjacency = np.zeros((len(specs), self.max_nodes, self.max_nodes), dtype=np.int8)
        last, rows = np.zeros(len(specs), dtype=np.int64), np.arange(len(specs))
        for node in range(1, self.max_nodes):
            here = ops[:, node] >= 0
            adjacency[rows[here], last[here], node] = 1
            last[here] = node
        return CellBatch(adjacency, ops)

    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture of a chain given as in `cells`."""
        ops = np.asarray(ops)
        slots = [max(int(ops[_position(slot)]), 0) - (slot % SLOTS < DEPTHS[0]) for slot in range(STAGES * SLOTS)]
        architecture = self.parse([int(ops[1]) - len(BLOCKS) - 2, *slots])
        back = self.cells([architecture])
        if not (np.array_equal(back.adjacency[0], adjacency) and np.array_equal(back.ops[0], ops)):
            raise InvalidArchitectureError(f"not a chain of {self.name}; ops {ops.tolist()}")
        return architecture

    def network(  # type: ignore[override]
        self, architecture: Architecture, *, in_channels: int = 3, num_classes: int = 1000, resolution: int | None = None
    ) -> ComputationGraph:
        """Return the sub-network, with batch normalisation and no elastic parts left.

        Parameters
        ----------
        architecture : Architecture
            Kernel sizes, expansions and depths.
        in_channels, num_classes : int
            Channels of the input and number of classes.
        resolution : int, optional
            Height and width of the input; by default that of the architecture.
        """
        own, stages = self.stages(architecture)
        resolution = own if resolution is None else resolution
        check_positive(in_channels=in_channels, num_classes=num_classes, resolution=resolution)
        net = NetworkBuilder(in_channels, (resolution, resolution))
        x = net.activation(net.norm(net.conv(0, 16, 3, stride=2)), "hswish")
        depthwise = net.relu(net.norm(net.conv(x, 16, 3, groups=16)))
        x = net.add([x, net.norm(net.conv(depthwise, 16, 1))])
        for stage, blocks in enumerate(stages):
            for position, (kernel, expansion) in enumerate(blocks):
                x = _bottleneck(net, x, stage, kernel, expansion, STRIDES[stage] if position == 0 else 1)
        x = net.mean(net.activation(net.norm(net.conv(x, 960, 1)), "hswish"))
        return net.build(net.linear(net.activation(net.conv(x, 1280, 1), "hswish"), num_classes))

    def to_module(
        self, architecture: Architecture, *, supernet: str | Path | Mapping[str, Any] | None = None, **options: Any
    ) -> torch.nn.Module:
        """Build the sub-network, with random weights or with those that a supernet has for it.

        Parameters
        ----------
        architecture : Architecture
            Kernel sizes, expansions and depths.
        supernet : str, Path or mapping, optional
            Weights of ``ofa_mbv3_d234_e346_k357_w1.0`` by name: a torch checkpoint or ``.safetensors`` file, or what is in it.
            Batch statistics are those of the whole supernet; `emprox.search.images.calibrate` takes them anew, as the
            published evaluation does.
        **options
            Those of `network`.
        """
        from torch import nn

        module = super().to_module(architecture, **options)
        if supernet is not None:
            from emprox.spaces.supernet import load_supernet

            layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
            load_supernet(layers, self.stages(architecture)[1], GATED, supernet)
        return module

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the path-norm, ndarray of shape (n_archs,), block by block."""
        return np.array([_log_path_norm(self.stages(architecture)[1]) for architecture in architectures])

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates, ndarray of shape (n_archs, 2), block by block."""
        rows = [_costs(*self.stages(architecture)) for architecture in architectures]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)


@cache
def _log_block_norm(channels: int, kernel: int, expansion: int, shortcut: bool) -> float:
    inner = channels * expansion
    return math.log((channels * inner) ** 0.5 * kernel + shortcut)


def _log_path_norm(stages: Sequence[Sequence[tuple[int, int]]]) -> float:
    total, channels = 0.5 * math.log(27 * 160 * 960 * 1280) + math.log(3 * 16**0.5 + 1), 16
    for stage, blocks in enumerate(stages):
        for position, (kernel, expansion) in enumerate(blocks):
            shortcut = (STRIDES[stage] == 1 or position > 0) and channels == WIDTHS[stage]
            total += _log_block_norm(channels, kernel, expansion, shortcut)
            channels = WIDTHS[stage]
    return total


def _position(slot: int) -> int:
    return 3 + slot + slot // SLOTS


def _block(slot: int, number: int) -> tuple[int, int] | None:
    """Return kernel size and expansion of an option, None for absent."""
    number -= slot % SLOTS >= DEPTHS[0]
    return None if number < 0 else (KERNELS[number // 3], EXPANSIONS[number % 3])


def _numbers(config: Mapping[str, Any], description: object) -> list[int]:
    """Return the option numbers of a configuration; what lies beyond the depth of a stage is not looked at."""
    try:
        kernels, expansions, depths = (list(config[key]) for key in ("ks", "e", "d"))
        resolution = config["r"] if isinstance(config["r"], int) else config["r"][0]
        if (len(kernels), len(expansions), len(depths)) != (STAGES * SLOTS, STAGES * SLOTS, STAGES) or config.get("wid"):
            raise ValueError
        numbers = [RESOLUTIONS.index(resolution)]
        for slot, (kernel, expansion) in enumerate(zip(kernels, expansions, strict=True)):
            present = slot % SLOTS < DEPTHS[DEPTHS.index(depths[slot // SLOTS])]
            number = 3 * KERNELS.index(kernel) + EXPANSIONS.index(expansion) if present else -1
            numbers.append(number + (slot % SLOTS >= DEPTHS[0]))
    except (KeyError, IndexError, TypeError, ValueError):
        raise InvalidArchitectureError(
            f"expected 'ks' and 'e' (20 numbers from {KERNELS} and {EXPANSIONS}), 'd' (5 from {DEPTHS}), 'r' "
            f"({RESOLUTIONS[0]} to {RESOLUTIONS[-1]} in steps of 4) and no width multiplier, got {description!r}"
        ) from None
    return numbers


def _squeezed(channels: int) -> int:
    """Channels inside a squeeze and excitation: a quarter, as a multiple of 8 not below nine tenths of it."""
    quarter = channels // 4
    rounded = max(8, (quarter + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * quarter else rounded


def _bottleneck(net: NetworkBuilder, x: int, stage: int, kernel: int, expansion: int, stride: int) -> int:
    """Expansion, depthwise convolution, squeeze and excitation, projection; a shortcut where the shape stays."""
    before, function = net[x], ACTIVATIONS[stage]
    inner = before.channels * expansion
    y = net.activation(net.norm(net.conv(x, inner, 1)), function)
    y = net.activation(net.norm(net.conv(y, inner, kernel, stride=stride, groups=inner)), function)
    if GATED[stage]:
        gate = net.relu(net.conv(net.mean(y), _squeezed(inner), 1, bias=True))
        y = net.mul(y, net.activation(net.conv(gate, inner, 1, bias=True), "hsigmoid"))
    y = net.norm(net.conv(y, WIDTHS[stage], 1))
    return net.add([x, y]) if stride == 1 and before.channels == WIDTHS[stage] else y


def _costs(resolution: int, stages: Sequence[Sequence[tuple[int, int]]]) -> tuple[int, int]:
    size = -(-resolution // 2)
    parameters = 27 * 16 + 2 * 16 + 9 * 16 + 2 * 16 + 16 * 16 + 2 * 16
    macs = (27 * 16 + 9 * 16 + 16 * 16) * size**2
    channels = 16
    for stage, blocks in enumerate(stages):
        for position, (kernel, expansion) in enumerate(blocks):
            stride = STRIDES[stage] if position == 0 else 1
            more = _block_costs(stage, channels, kernel, expansion, size, stride)
            parameters, macs = parameters + more[0], macs + more[1]
            size, channels = -(-size // stride), WIDTHS[stage]
    head = 160 * 960, 960 * 1280, 1280 * 1000
    return parameters + sum(head) + 2 * 960 + 1000, macs + head[0] * size**2 + head[1] + head[2]


@cache
def _block_costs(stage: int, channels: int, kernel: int, expansion: int, size: int, stride: int) -> tuple[int, int]:
    inner, outer, after = channels * expansion, WIDTHS[stage], -(-size // stride)
    gate = 2 * inner * _squeezed(inner) if GATED[stage] else 0
    gate_bias = inner + _squeezed(inner) if GATED[stage] else 0
    expand, depthwise, project = channels * inner, kernel**2 * inner, inner * outer
    parameters = expand + depthwise + project + gate + gate_bias + 4 * inner + 2 * outer
    return parameters, expand * size**2 + (depthwise + project) * after**2 + gate
