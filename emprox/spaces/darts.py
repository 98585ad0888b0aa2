"""The DARTS space, that of NAS-Bench-301 (Liu et al., ICLR 2019; Zela et al., ICLR 2022): a normal and a reduction cell."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import Architecture, CellBatch, Traits
from emprox.spaces.choices import ChoiceSpace, read_literal
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph
from emprox.spaces.network import NetworkBuilder, check_positive

__all__ = ["DARTS"]

MAX_POOL, AVG_POOL, SKIP, SEP3, SEP5, DIL3, DIL5 = range(7)
CHOSEN = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
KERNEL = {SEP3: 3, SEP5: 5, DIL3: 3, DIL5: 5}
REDUCED = "factorized_reduce"
"""What a skip connection from an input of the reduction cell is."""
DEPTH_CHANNELS = 32
"""Channels of the first cells, at which depthwise weights are counted among the traits."""
WIRING = ("add", "normal c_{k-2}", "normal c_{k-1}", "reduce c_{k-2}", "reduce c_{k-1}")
CELLS = ("normal", "reduce")
STATES = (2, 3, 4, 5)
"""Inner states of a cell, each the sum of two ops; 0 and 1 are the outputs of the two cells before."""
OFFSET = {"normal": 1, "reduce": 15}
"""First node of each cell in a `CellBatch`: its two inputs, and then op, op, sum for each state."""

Pair = tuple[int, int]
"""(source state, op number)"""


def _choices() -> dict[str, tuple[str, ...]]:
    choices = {}
    for cell in CELLS:
        for state in STATES:
            if state > 2:
                choices[f"{cell} {state} sources"] = tuple(f"{a},{b}" for a, b in combinations(range(state), 2))
            choices |= {f"{cell} {state} first op": CHOSEN, f"{cell} {state} second op": CHOSEN}
    return choices


class DARTS(ChoiceSpace):
    """Two cells of four states; a state is the sum of two ops on two different earlier states, and a cell joins its states.

    The text form is NASLib's compact one, two lists of eight (source, op) pairs, two for each state, normal cell
    and reduction cell, ops numbered as in `ops`. Genotypes of DARTS are read as well. The two pairs of a
    state are kept in the order of their sources, so that equal cells are equal. The ``spec`` has the sources (as a number among
    all pairs of states) and the two ops of each state.

    References
    ----------
    Liu et al., *DARTS: Differentiable Architecture Search*, ICLR 2019.
    Zela et al., *Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS Benchmarks*, ICLR 2022.

    Examples
    --------
    >>> space = DARTS()
    >>> cell = [(1, 3), (0, 2), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)]
    >>> space.pairs(space.parse([cell, cell]))[0]
    [(0, 2), (1, 3), (0, 2), (2, 3), (0, 3), (2, 3), (2, 6), (3, 5)]
    """

    name = "darts"
    ops = (*CHOSEN, REDUCED, *WIRING)
    wiring = frozenset(WIRING)
    anchors = WIRING
    contracted = frozenset({CHOSEN[SKIP]})
    traits: ClassVar = {
        "max_pool_3x3": Traits(growth=2),
        "avg_pool_3x3": Traits(growth=2),
        "sep_conv_3x3": Traits(growth=4, weights=2 * (1 + 9 / DEPTH_CHANNELS), layers=2),
        "sep_conv_5x5": Traits(growth=8, weights=2 * (1 + 25 / DEPTH_CHANNELS), layers=2),
        "dil_conv_3x3": Traits(growth=4, weights=1 + 9 / DEPTH_CHANNELS, layers=1),
        "dil_conv_5x5": Traits(growth=8, weights=1 + 25 / DEPTH_CHANNELS, layers=1),
        REDUCED: Traits(weights=1, layers=1),
    }
    max_nodes = 30
    parts: ClassVar = {cell: (0, *range(first, first + 14), 29) for cell, first in OFFSET.items()}
    choices = _choices()
    sequence_by = "choice"

    def parse(self, description: Any) -> Architecture:
        """Read two lists of eight pairs, as objects or text, a genotype, as object or text, or the option numbers.

        Pairs may be (source, op number) or, as in genotypes, (op name, source).
        """
        value = description
        if isinstance(description, str):
            text = description.strip().removeprefix(f"{self.name}:").strip()
            value = _read_genotype(text) if text.startswith("Genotype") else read_literal(text)
        elif hasattr(description, "normal") and hasattr(description, "reduce"):
            value = (description.normal, description.reduce)
        try:
            two = len(value) == 2
        except TypeError:
            two = False
        return self.from_numbers([n for cell in value for n in _numbers(cell, description)] if two else value, description)

    def expected(self) -> str:
        """Return what `parse` reads, for its errors."""
        ops = ", ".join(f"{i} {op}" for i, op in enumerate(CHOSEN))
        return f"or two lists (normal, reduce) of eight (source, op) pairs, or a genotype; ops are {ops}"

    def format(self, architecture: Architecture) -> str:
        """Return the compact form, two lists of eight (source, op) pairs."""
        return str(self.pairs(architecture))

    def pairs(self, architecture: Architecture) -> list[list[Pair]]:
        """Return the eight (source, op) pairs of the normal and the reduction cell."""
        numbers = iter(self._spec(architecture))
        return [[pair for state in STATES for pair in _pairs(state, numbers)] for _ in CELLS]

    def cell_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return both cells side by side between input and output, skip connections contracted.

        In the reduction cell a ``skip_connect`` from an input is a ``factorized_reduce``, which stays. The
        edges from the four sums of a cell to the output stand for its concatenation.
        """
        kinds, edges = [INPUT, *[""] * 28, OUTPUT], list(_FIXED)
        for cell, pairs in zip(CELLS, self.pairs(architecture), strict=True):
            kinds[OFFSET[cell] : OFFSET[cell] + 2] = [f"{cell} c_{{k-2}}", f"{cell} c_{{k-1}}"]
            for position, (source, op) in enumerate(pairs):
                node = _node(cell, 2 + position // 2) - 2 + position % 2
                reduced = cell == "reduce" and source < 2 and op == SKIP
                kinds[node] = REDUCED if reduced else CHOSEN[op]
                kinds[_node(cell, 2 + position // 2)] = "add"
                edges.append((_node(cell, source), node))
        return ComputationGraph(tuple(kinds), tuple(edges)).contracted(CHOSEN[SKIP]).pruned()

    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return adjacency (B, 30, 30) and ops (B, 30) of both cells side by side; `parts` says which nodes are whose."""
        specs = self._specs(architectures)
        adjacency = np.zeros((len(specs), self.max_nodes, self.max_nodes), dtype=np.int8)
        fixed = np.array(_FIXED)
        adjacency[:, fixed[:, 0], fixed[:, 1]] = 1
        ops = np.empty((len(specs), self.max_nodes), dtype=np.int8)
        ops[:, 0], ops[:, -1] = 0, len(self.ops) + 1
        column, rows = 0, np.arange(len(specs))
        for cell, kinds in zip(CELLS, ((10, 11), (12, 13)), strict=True):
            ops[:, OFFSET[cell] : OFFSET[cell] + 2] = kinds
            state_nodes = np.array([_node(cell, state) for state in range(6)])
            for state in STATES:
                numbers = specs[:, column] if state > 2 else np.zeros(len(specs), dtype=np.int64)
                sources = state_nodes[np.array(list(combinations(range(state), 2)))[numbers]]  # (B, 2)
                column += state > 2
                node = _node(cell, state)
                chosen = specs[:, column : column + 2]
                reduced = (cell == "reduce") & (chosen == SKIP) & (sources < _node(cell, 2) - 2)
                ops[:, node - 2 : node] = np.where(reduced, len(CHOSEN), chosen) + 1
                ops[:, node] = len(CHOSEN) + 2
                adjacency[rows, sources[:, 0], node - 2] = adjacency[rows, sources[:, 1], node - 1] = 1
                column += 2
        return CellBatch(adjacency, ops)

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the path-norm, ndarray of shape (n_archs,): each cell mixes the two before it."""
        batch = self.cells(architectures)
        values, widths, channels = [np.full(len(architectures), 27**0.5)] * 2, [96, 96], 32
        for position in range(8):
            reduces = position in (2, 5)
            channels *= 2 if reduces else 1
            inputs = [value * width**0.5 for value, width in zip(values, widths, strict=True)]
            values = [values[1], self._cell_norm(batch, "reduce" if reduces else "normal", inputs, channels)]
            widths = [widths[1], 4 * channels]
        return np.log(values[1] * widths[1] ** 0.5)

    def _cell_norm(self, batch: CellBatch, cell: str, inputs: list[NDArray[np.float64]], channels: int) -> NDArray[np.float64]:
        """Return the path-norm (B,) at the output of a cell, given those of its two inputs."""
        states, rows = np.stack(inputs, axis=1), np.arange(len(batch.ops))
        nodes = np.array([_node(cell, state) for state in range(6)])
        gain = np.array([_gain(op, channels) for op in range(8)])
        for state in STATES:
            total = np.zeros(len(rows))
            for node in (nodes[state] - 2, nodes[state] - 1):
                source = batch.adjacency[:, nodes[:state], node].argmax(axis=1)
                total += states[rows, source] * gain[batch.ops[:, node] - 1]
            states = np.column_stack([states, total])
        return states[:, 2:].mean(axis=1)

    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture of both cells, given as in `cells`."""
        adjacency, ops = np.asarray(adjacency), np.asarray(ops)
        cells = []
        for cell in CELLS:
            state_of = {_node(cell, state): state for state in range(6)}
            nodes = [_node(cell, state) - back for state in STATES for back in (2, 1)]
            sources = [state_of.get(int(adjacency[:, node].argmax()), -1) for node in nodes]
            numbers = [SKIP if op == len(CHOSEN) else op for op in (ops[nodes] - 1).tolist()]
            cells.append(list(zip(sources, numbers, strict=True)))
        architecture = self.parse(cells)
        back = self.cells([architecture])
        if not (np.array_equal(back.adjacency[0], adjacency) and np.array_equal(back.ops[0], ops)):
            raise InvalidArchitectureError(f"these are not two cells of {self.name}; ops {ops.tolist()}")
        return architecture

    def network(  # type: ignore[override]
        self,
        architecture: Architecture,
        *,
        in_channels: int = 3,
        num_classes: int = 10,
        channels: int = 32,
        cells: int = 8,
        resolution: int = 32,
    ) -> ComputationGraph:
        """Return the network whose parameters the proxy files of NAS-Bench-301 list, without auxiliary head.

        Parameters
        ----------
        architecture : Architecture
            The two cells. Those at one and two thirds of the depth are reduction cells.
        in_channels, num_classes : int
            Channels of the input and number of classes.
        channels : int
            Channels of the first cells; the stem has three times as many, every reduction doubles them.
        cells : int
            Number of cells.
        resolution : int
            Height and width of the input; only sizes and multiply-accumulates depend on it.
        """
        check_positive(in_channels=in_channels, num_classes=num_classes, channels=channels, cells=cells, resolution=resolution)
        normal, reduce = self.pairs(architecture)
        net = NetworkBuilder(in_channels, (resolution, resolution))
        before = last = net.norm(net.conv(0, 3 * channels, 3))
        for position in range(cells):
            reduces = position in (cells // 3, 2 * cells // 3)
            channels *= 2 if reduces else 1
            halved = net[before].size != net[last].size
            first = net.factorized_reduce(before, channels) if halved else net.relu_conv_norm(before, channels, 1)
            states = [first, net.relu_conv_norm(last, channels, 1)]
            for one, other in _two_by_two(reduce if reduces else normal):
                states.append(net.add([_op(net, states[s], op, 2 if reduces and s < 2 else 1) for s, op in (one, other)]))
            before, last = last, net.concat(states[2:])
        return net.build(net.linear(net.mean(last), num_classes))

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates, ndarray of shape (n_archs, 2), from the number of each op."""
        specs, names = self._specs(architectures), list(self.choices)
        total = np.tile(np.array(_pooling_costs()), (len(specs), 1))
        widths = {"normal": ((32, 32), (32, 32), (64, 16), (64, 16), (128, 8), (128, 8)), "reduce": ((64, 16), (128, 8))}
        for cell in CELLS:
            ops = specs[:, [i for i, name in enumerate(names) if name.startswith(cell) and name.endswith("op")]]
            for op in KERNEL:
                weights = np.array([_weights(op, width) for width, _ in widths[cell]])
                areas = np.array([size**2 for _, size in widths[cell]])
                total += (ops == op).sum(axis=1, keepdims=True) * np.array([weights.sum(), (weights * areas).sum()])
        skips = (self.cells(architectures).ops == self.ops.index(REDUCED) + 1).sum(axis=1)
        reduced = np.array([width**2 for width, _ in widths["reduce"]])
        return total + skips.reshape(-1, 1) * np.array([reduced.sum(), (reduced * np.array([256, 64])).sum()])


def _gain(op: int, width: int) -> float:
    """Return the expected gain of an op that keeps the channels; one past the chosen ones is the skip that reduces."""
    if op in KERNEL:
        return float((KERNEL[op] * width**0.5) ** (2 if op in (SEP3, SEP5) else 1))
    return width**0.5 if op == len(CHOSEN) else 1.0


@cache
def _pooling_costs() -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network whose ops are all poolings, which have none."""
    space = DARTS()
    pooling = space.network(space.parse([[(0, MAX_POOL), (1, MAX_POOL)] * len(STATES)] * 2))
    return pooling.parameters, pooling.macs


def _node(cell: str, state: int) -> int:
    """Return the number of a state's node; its two ops are the two nodes before it."""
    return OFFSET[cell] + (state if state < 2 else 3 * state - 2)


_FIXED = [
    edge
    for cell in CELLS
    for edge in [
        *((0, _node(cell, state)) for state in (0, 1)),
        *((_node(cell, state) - back, _node(cell, state)) for state in STATES for back in (1, 2)),
        *((_node(cell, state), 29) for state in STATES),
    ]
]
"""Edges that every architecture has."""


def _pairs(state: int, numbers: Iterator[int]) -> list[Pair]:
    sources = list(combinations(range(state), 2))[next(numbers) if state > 2 else 0]
    return [(source, next(numbers)) for source in sources]


def _two_by_two(pairs: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(pairs[::2], pairs[1::2], strict=True))


def _numbers(cell: Any, description: object) -> list[int]:
    """Return the option numbers of one cell given as eight pairs."""
    numbers: list[int] = []
    try:
        pairs = [(a, b) if not isinstance(a, str) else (b, CHOSEN.index(a)) for a, b in cell]
        for state, pair in zip(STATES, _two_by_two(pairs), strict=True):
            (a, first), (b, second) = sorted(pair)
            sources = list(combinations(range(state), 2)).index((a, b))
            numbers += ([sources] if state > 2 else []) + [first, second]
    except (TypeError, ValueError):
        raise InvalidArchitectureError(
            f"expected eight (source, op) or (op name, source) pairs for each cell of darts, two different earlier states for "
            f"each of the states {STATES}, ops from {', '.join(CHOSEN)}; got {cell!r} in {description!r}"
        ) from None
    return numbers


def _read_genotype(text: str) -> Any:
    """Return the pairs of ``Genotype(normal=[...], normal_concat=..., reduce=[...], reduce_concat=...)``, None if it is none."""
    try:
        call = ast.parse(text, mode="eval").body
        fields = {keyword.arg: keyword.value for keyword in call.keywords} if isinstance(call, ast.Call) else {}
        joined = {ast.unparse(fields[f"{cell}_concat"]).replace(" ", "") for cell in CELLS if f"{cell}_concat" in fields}
        if joined <= {"range(2,6)", "[2,3,4,5]", "(2,3,4,5)"}:
            return [ast.literal_eval(fields[cell]) for cell in CELLS]
    except (SyntaxError, ValueError, KeyError, MemoryError, RecursionError):
        return None
    return None


def _op(net: NetworkBuilder, x: int, op: int, stride: int) -> int:
    channels = net[x].channels
    if op == SKIP:
        return x if stride == 1 else net.factorized_reduce(x, channels, affine=False)
    if op in (MAX_POOL, AVG_POOL):
        return net.norm(net.pool(x, "max" if op == MAX_POOL else "avg", 3, stride), affine=False)
    for step in (stride, 1) if op in (SEP3, SEP5) else (stride,):
        dilation = 1 if op in (SEP3, SEP5) else 2
        x = net.conv(net.relu(x), channels, KERNEL[op], stride=step, dilation=dilation, groups=channels)
        x = net.norm(net.conv(x, channels, 1), affine=False)
    return x


def _weights(op: int, channels: int) -> int:
    return (KERNEL[op] ** 2 * channels + channels**2) * (2 if op in (SEP3, SEP5) else 1)
