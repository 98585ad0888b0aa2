"""TransNAS-Bench-101 micro (Duan et al., CVPR 2021): a cell of four feature maps for seven Taskonomy tasks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.spaces.base import Architecture, Traits
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.maps import FeatureMapSpace, topology
from emprox.spaces.network import NetworkBuilder, check_positive

__all__ = ["TransNASBench101Micro"]

NONE, SKIP, CONV1X1, CONV3X3 = range(4)
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
KERNEL = {CONV1X1: 1, CONV3X3: 3}

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) feature map of each edge, in the order of the six op numbers of a description: target by target."""
PREFIX = "64-41414-"
"""64 channels after the stem; five layers of two cells, 4 doubles the channels and halves the size, 1 keeps them."""


class TransNASBench101Micro(FeatureMapSpace):
    """The cell search space of TransNAS-Bench-101, 4^6 = 4,096 descriptions.

    A description is six op numbers in `EDGES` order: 0 ``none``, 1 ``skip_connect``, 2 ``nor_conv_1x1``,
    3 ``nor_conv_3x3``. The text form is the benchmark's own, ``64-41414-1_02_333``.

    References
    ----------
    Duan et al., *TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural Architecture
    Search*, CVPR 2021.

    Examples
    --------
    >>> space = TransNASBench101Micro()
    >>> arch = space.parse("64-41414-1_02_333")
    >>> arch.spec
    (1, 0, 2, 3, 3, 3)
    >>> space.parse((1, 0, 2, 3, 3, 3)) == arch
    True
    """

    name = "transnas101-micro"
    ops = OPS
    removed, contracted = frozenset({OPS[NONE]}), frozenset({OPS[SKIP]})
    traits: ClassVar = {
        "nor_conv_1x1": Traits(weights=1, layers=1),
        "nor_conv_3x3": Traits(growth=2, weights=9, layers=1),
    }
    topology = topology(EDGES)
    edges = EDGES
    choices = dict.fromkeys([f"node{number}" for number in range(1, 7)], OPS)

    def read_text(self, text: str) -> Sequence[int] | None:
        """Read the benchmark's string."""
        digits = text.removeprefix(PREFIX)
        if digits == text or [len(group) for group in digits.split("_")] != [1, 2, 3]:
            return None
        return [int(digit) if digit.isdecimal() else -1 for digit in digits.replace("_", "")]

    def expected(self) -> str:
        """Return what `parse` reads, for its errors."""
        return f"six op numbers from 0 to 3 ({', '.join(OPS)}) or an architecture string {PREFIX}1_02_333"

    def format(self, architecture: Architecture) -> str:
        """Return the benchmark's string."""
        return "{}{}_{}{}_{}{}{}".format(PREFIX, *self._spec(architecture))

    def network(  # type: ignore[override]
        self,
        architecture: Architecture,
        *,
        in_channels: int = 3,
        num_classes: int = 63,
        channels: int = 64,
        cells_per_layer: int = 2,
        resolution: int = 256,
    ) -> ComputationGraph:
        """Return the benchmark's network for classification: a stem, five layers of cells, a linear head.

        Parameters
        ----------
        architecture : Architecture
            The cell that is repeated. The first cell of every second layer halves the size and doubles the channels.
        in_channels, num_classes : int
            Channels of the input and number of classes (63 scenes; the other tasks have other heads).
        channels : int
            Channels after the stem.
        cells_per_layer : int
            Cells in each of the five layers.
        resolution : int
            Height and width of the input; only sizes and multiply-accumulates depend on it.
        """
        check_positive(
            in_channels=in_channels,
            num_classes=num_classes,
            channels=channels,
            cells_per_layer=cells_per_layer,
            resolution=resolution,
        )
        spec = self._spec(architecture)
        net = NetworkBuilder(in_channels, (resolution, resolution))
        x = net.norm(net.conv(0, channels // 2, 3, stride=2))
        x = net.relu_conv_norm(x, channels, 3, stride=2)
        for layer in range(5):
            for position in range(cells_per_layer):
                reduces = layer % 2 == 0 and position == 0
                channels *= 2 if reduces else 1
                x = _cell(net, x, spec, channels, 2 if reduces else 1)
        return net.build(net.linear(net.mean(x), num_classes))

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates, ndarray of shape (n_archs, 2): every edge adds its own."""
        specs = self._specs(architectures)
        base, added = _edge_costs()
        return base + sum(added[edge, specs[:, edge]] for edge in range(len(EDGES)))

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the path-norm, ndarray of shape (n_archs,): ten cells, of which three reduce."""
        specs, width = self._specs(architectures), 64
        total = np.full(len(specs), 0.5 * np.log(27 * 9 * 32 * 512))
        for position in range(10):
            reduces = position in (0, 4, 8)
            before, width = width, 2 * width if reduces else width
            gains = {NONE: 0.0, SKIP: 1.0, CONV1X1: width**0.5, CONV3X3: 3 * width**0.5}
            first = gains | {SKIP: before**0.5, CONV1X1: before**0.5, CONV3X3: 3 * before**0.5} if reduces else gains
            with np.errstate(divide="ignore"):
                total += np.log(self._cell_norms(specs, gains, first))
        return total

    @property
    def populations(self) -> Mapping[str, Callable[[Architecture], bool]]:
        """``all``, ``connected`` and ``no-none``, the 729 descriptions in which no edge is ``none``."""
        return {**super().populations, "no-none": lambda architecture: NONE not in self._spec(architecture)}


@cache
def _edge_costs() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Costs of the network with empty cells, (2,), and what each op adds on each edge, (6, 4, 2)."""
    space, empty = TransNASBench101Micro(), np.full((len(EDGES), len(OPS), len(EDGES)), NONE)
    for edge, op in itertools.product(range(len(EDGES)), range(len(OPS))):
        empty[edge, op, edge] = op
    networks = [space.network(Architecture(space.name, tuple(spec))) for spec in empty.reshape(-1, len(EDGES)).tolist()]
    costs = np.array([(network.parameters, network.macs) for network in networks]).reshape(len(EDGES), len(OPS), 2)
    return costs[0, NONE], costs - costs[0, NONE]


def _cell(net: NetworkBuilder, x: int, spec: Sequence[int], channels: int, stride: int) -> int:
    """Feature maps 0 to 3; each is the sum of its incoming edges. Edges from map 0 change channels and size."""
    maps: list[list[int]] = [[x], [], [], []]
    for target in (1, 2, 3):
        for (source, end), op in zip(EDGES, spec, strict=True):
            step = stride if source == 0 else 1
            if end == target and op == SKIP:
                maps[target] += maps[source] if step == 1 else [net.factorized_reduce(x, channels)]
            elif end == target and op in KERNEL:
                maps[target].append(net.relu_conv_norm(maps[source], channels, KERNEL[op], step))
        maps[target] = [net.add(maps[target] or [net.zero(x, channels, stride)])]
    return maps[3][0]
