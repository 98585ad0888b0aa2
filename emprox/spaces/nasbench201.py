"""NAS-Bench-201 (Dong and Yang, ICLR 2020): four feature maps, an op on each of the six edges between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces.base import Architecture, Traits
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.maps import FeatureMapSpace, topology
from emprox.spaces.network import NetworkBuilder, check_positive

__all__ = ["NASBench201"]

SKIP, NONE, CONV3X3, CONV1X1, POOL = range(5)
OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
OP_NUMBER = {name: number for number, name in enumerate(OPS)}

EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""(source, target) feature map of each edge, in the order of the six op numbers of a description."""
TEXT_ORDER = (0, 1, 3, 2, 4, 5)
"""Edges in the order of the architecture string, which goes target by target."""
TEXT_POSITIONS = tuple(EDGES[i] for i in TEXT_ORDER)

AREA = {CONV3X3: 9, CONV1X1: 1}
"""Weights of a convolution for each pair of channels."""


class NASBench201(FeatureMapSpace):
    """The cell search space of NAS-Bench-201, 5^6 = 15,625 descriptions.

    A description is six op numbers, one for each edge in `EDGES` order, numbered as in NASLib: 0 ``skip_connect``,
    1 ``none``, 2 ``nor_conv_3x3``, 3 ``nor_conv_1x1``, 4 ``avg_pool_3x3``. The text form is the benchmark's own,
    ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    References
    ----------
    Dong and Yang, *NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search*, ICLR 2020.

    Examples
    --------
    >>> space = NASBench201()
    >>> arch = space.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    >>> arch.spec
    (2, 1, 0, 2, 1, 1)
    >>> space.to_graph(arch).kinds
    ('input', 'output')
    >>> space.parse("(2, 1, 0, 2, 1, 1)") == arch
    True
    """

    name = "nasbench201"
    ops = OPS
    removed, contracted = frozenset({OPS[NONE]}), frozenset({OPS[SKIP]})
    traits: ClassVar = {
        "nor_conv_1x1": Traits(weights=1, layers=1),
        "nor_conv_3x3": Traits(growth=2, weights=9, layers=1),
        "avg_pool_3x3": Traits(growth=2),
    }
    topology = topology(EDGES)
    edges = EDGES
    choices = dict.fromkeys([f"node{number}" for number in range(1, 7)], OPS)

    def read_text(self, text: str) -> Sequence[int] | None:
        """Read the benchmark's string."""
        return None if text.startswith(("(", "[")) else _read_text(text)

    def expected(self) -> str:
        """Return what `parse` reads, for its errors."""
        numbers = ", ".join(f"{i} {op}" for i, op in enumerate(OPS))
        return f"six op numbers from 0 to 4 ({numbers}) or an architecture string |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"

    def format(self, architecture: Architecture) -> str:
        """Return the benchmark's string."""
        return _TEXT % tuple(OPS[self._spec(architecture)[i]] for i in TEXT_ORDER)

    def network(  # type: ignore[override]
        self,
        architecture: Architecture,
        *,
        in_channels: int = 3,
        num_classes: int = 10,
        channels: int = 16,
        cells_per_stage: int = 5,
        resolution: int = 32,
        spatial_dims: int = 2,
    ) -> ComputationGraph:
        """Return the benchmark's network: a stem, three stages of cells with residual reductions between, a linear head.

        Parameters
        ----------
        architecture : Architecture
            The cell that is repeated.
        in_channels, num_classes : int
            Channels of the input and number of classes.
        channels : int
            Channels of the first stage; the second has twice, the third four times as many.
        cells_per_stage : int
            Cells in each of the three stages.
        resolution : int
            Height and width of the input; only sizes and multiply-accumulates depend on it.
        spatial_dims : {1, 2}
            1 for sequences (B, in_channels, L), 2 for images (B, in_channels, H, W), as published.
        """
        if spatial_dims not in (1, 2):
            raise InvalidOptionError(f"spatial_dims is 1 or 2, got {spatial_dims!r}")
        check_positive(
            in_channels=in_channels,
            num_classes=num_classes,
            channels=channels,
            cells_per_stage=cells_per_stage,
            resolution=resolution,
        )
        spec = self._spec(architecture)
        net = NetworkBuilder(in_channels, (resolution,) * spatial_dims)
        x = net.norm(net.conv(0, channels, 3))
        for stage in range(3):
            if stage:
                x = _reduction(net, x, channels * 2**stage)
            for _ in range(cells_per_stage):
                x = _cell(net, x, spec)
        return net.build(net.linear(net.mean(net.relu(net.norm(x))), num_classes))

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates, ndarray of shape (n_archs, 2), from the number of each convolution."""
        specs = self._specs(architectures)
        widths = np.array([16, 32, 64])
        areas = np.array([32, 16, 8]) ** 2
        total = np.tile(np.array(_empty_costs()), (len(specs), 1))
        for op, area in AREA.items():
            one = [(area * widths**2 + 2 * widths).sum(), (area * widths**2 * areas).sum()]
            total += 5 * (specs == op).sum(axis=1, keepdims=True) * np.array(one)
        return total

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the path-norm, ndarray of shape (n_archs,): the cells' own, and what all networks share."""
        specs, total = self._specs(architectures), np.zeros(len(architectures))
        shared = 0.5 * np.log(27 * 64)
        for width in (16, 32, 64):
            gains = {SKIP: 1.0, NONE: 0.0, CONV3X3: 3 * width**0.5, CONV1X1: width**0.5, POOL: 1.0}
            with np.errstate(divide="ignore"):
                total += 5 * np.log(self._cell_norms(specs, gains, gains))
            if width > 16:
                shared += np.log(9 * (width // 2 * width) ** 0.5 + (width // 2) ** 0.5)
        return total + shared

    @property
    def populations(self) -> Mapping[str, Callable[[Architecture], bool]]:
        """``all``, ``connected`` and ``no-none``, the 4,096 descriptions in which no edge is ``none``."""
        return {**super().populations, "no-none": lambda architecture: NONE not in self._spec(architecture)}


@cache
def _empty_costs() -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network whose cells are empty."""
    empty = NASBench201().network(Architecture(NASBench201.name, (NONE,) * len(EDGES)))
    return empty.parameters, empty.macs


def _cell(net: NetworkBuilder, x: int, spec: Sequence[int]) -> int:
    """Feature maps 0 to 3; each is the sum of its incoming edges, and a map without any is zero."""
    channels = net[x].channels
    maps: list[list[int]] = [[x], [], [], []]
    for (source, target), op in zip(EDGES, spec, strict=True):
        maps[source] = [net.add(maps[source] or [net.zero(x)])]
        if op == SKIP:
            maps[target] += maps[source]
        elif op in AREA:
            maps[target].append(net.relu_conv_norm(maps[source], channels, 3 if op == CONV3X3 else 1))
        elif op == POOL:
            maps[target].append(net.pool(maps[source], "avg", 3))
    return net.add(maps[3] or [net.zero(x)])


def _reduction(net: NetworkBuilder, x: int, channels: int) -> int:
    """Residual block with stride 2 that doubles the channels."""
    body = net.relu_conv_norm(net.relu_conv_norm(x, channels, 3, stride=2), channels, 3)
    return net.add([body, net.conv(net.pool(x, "avg", 2, stride=2), channels, 1)])


_TEXT = "|%s~0|+|%s~0|%s~1|+|%s~0|%s~1|%s~2|"


@lru_cache(maxsize=2 * 5**6)
def _read_text(text: str) -> tuple[int, ...]:
    groups = text.split("+")
    if len(groups) != 3:
        raise InvalidArchitectureError(
            f"expected three groups joined by '+', |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, got {len(groups)} in {text!r}"
        )
    spec = [0] * len(EDGES)
    items = iter(zip(TEXT_ORDER, TEXT_POSITIONS, strict=True))
    for target, group in enumerate(groups, start=1):
        words = group.split("|")
        if len(words) != target + 2 or words[0] or words[-1]:
            raise InvalidArchitectureError(f"expected {target} edges between bars in group {target}, got {group!r} in {text!r}")
        for word in words[1:-1]:
            number, (source, _) = next(items)
            op, _, end = word.partition("~")
            if op not in OP_NUMBER or end != str(source):
                raise InvalidArchitectureError(
                    f"edge {source}->{target} reads {word!r}, expected op~{source} with op one of {', '.join(OPS)}; in {text!r}"
                )
            spec[number] = OP_NUMBER[op]
    return tuple(spec)
