"""NAS-Bench-101 (Ying et al., ICML 2019): a cell of up to seven vertices and nine edges, ops on the vertices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import Architecture, CellBatch, SearchSpace, Traits
from emprox.spaces.choices import read_literal
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph
from emprox.spaces.network import NetworkBuilder, check_positive

__all__ = ["NASBench101"]

OPS = ("maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
NAMES = (INPUT, OUTPUT, *OPS)
"""Vertex labels by their number in the flat tuples."""
KERNEL = {"conv1x1-bn-relu": 1, "conv3x3-bn-relu": 3}
MAX_VERTICES, MAX_EDGES = 7, 9

Cell = tuple[tuple[str, ...], tuple[tuple[int, int], ...]]
"""Names of the inner vertices, and the edges among all vertices."""


class NASBench101(SearchSpace):
    """The cell search space of NAS-Bench-101.

    A description is an upper triangular adjacency matrix of 2 to 7 vertices and an op for each inner vertex. As
    in the benchmark, a path has to lead from input to output, and what is left after vertices without such a path
    are removed may have 9 edges at most; more may be written down. The text form is the flat tuple of NASLib, the matrix
    row by row and then a label for each vertex: 0 input, 1 output, 2 ``maxpool3x3``, 3 ``conv1x1-bn-relu``,
    4 ``conv3x3-bn-relu``. ``size`` counts these descriptions; they are 423,624 different cells.

    References
    ----------
    Ying et al., *NAS-Bench-101: Towards Reproducible Neural Architecture Search*, ICML 2019.

    Examples
    --------
    >>> space = NASBench101()
    >>> arch = space.parse((0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 4, 1))
    >>> arch.spec
    (('conv3x3-bn-relu',), ((0, 1), (0, 2), (1, 2)))
    >>> space.parse({"matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv3x3-bn-relu", "output"]}) == arch
    True
    """

    name = "nasbench101"
    ops = OPS
    traits: ClassVar = {
        "maxpool3x3": Traits(growth=2),
        "conv1x1-bn-relu": Traits(weights=1, layers=1),
        "conv3x3-bn-relu": Traits(growth=2, weights=9, layers=1),
    }
    max_nodes = MAX_VERTICES
    size = 375_975_790
    """Sum of `DESCRIPTIONS`."""

    def parse(self, description: Any) -> Architecture:
        """Read a flat tuple, that tuple as text, or the benchmark's mapping of ``matrix`` and ``ops``."""
        value = description
        if isinstance(description, str):
            value = read_literal(description.strip().removeprefix(f"{self.name}:").strip())
        if isinstance(value, Mapping):
            value = _flat(value)
        try:
            return Architecture(self.name, _cell_of(tuple([number.__index__() for number in value])))
        except (TypeError, AttributeError):
            raise InvalidArchitectureError(
                f"expected n*n adjacency entries and n labels of {self.name} in one tuple, or a mapping of 'matrix' and 'ops' "
                f"with ops from {', '.join(NAMES)}; got {description!r}"
            ) from None

    def format(self, architecture: Architecture) -> str:
        """Return the flat tuple as text."""
        names, edges = self._cell(architecture)
        n = len(names) + 2
        flat = [int((i, j) in edges) for i in range(n) for j in range(n)]
        return str((*flat, 0, *(NAMES.index(name) for name in names), 1))

    def sample(self, rng: np.random.Generator, n: int) -> list[Architecture]:
        """Draw n descriptions uniformly (all but 0.6 % have seven vertices)."""
        counts = np.array(list(DESCRIPTIONS.values()), dtype=float)
        sizes = rng.choice(list(DESCRIPTIONS), size=n, p=counts / counts.sum())
        return [Architecture(self.name, self._drawn(rng, int(size))) for size in sizes]

    def _drawn(self, rng: np.random.Generator, n: int) -> Cell:
        pairs = list(combinations(range(n), 2))
        while True:
            bits = rng.integers(2, size=len(pairs)).tolist()
            names = tuple([OPS[op] for op in rng.integers(len(OPS), size=n - 2).tolist()])
            if _is_valid(n, edges := tuple([pair for pair, bit in zip(pairs, bits, strict=True) if bit])):
                return names, edges

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return one of the neighbours, drawn uniformly."""
        around = self._changed(self._cell(architecture))
        return Architecture(self.name, around[int(rng.integers(len(around)))])

    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return the cells with one op changed, one edge added or removed, or one vertex put on an edge or taken off."""
        return [Architecture(self.name, cell) for cell in self._changed(self._cell(architecture))]

    def _changed(self, cell: Cell) -> list[Cell]:
        names, edges = cell
        n = len(names) + 2
        ops = [((*names[:v], op, *names[v + 1 :]), edges) for v, old in enumerate(names) for op in OPS if op != old]
        toggled = [(names, tuple(sorted({*edges} ^ {pair}))) for pair in combinations(range(n), 2)]
        changed = [*ops, *toggled, *_with_vertex(cell), *_without_vertex(cell)]
        return list(dict.fromkeys(new for new in changed if _is_valid(len(new[0]) + 2, new[1])))

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Take every op and every possible edge from one of the two; a smaller cell lends only what it has."""
        large, small = sorted((self._cell(a), self._cell(b)), key=lambda cell: -len(cell[0]))
        n, shift = len(large[0]) + 2, len(large[0]) - len(small[0])
        moved = {(s, t + shift * (t == len(small[0]) + 1)) for s, t in small[1]}
        while True:
            names = tuple([small[0][v] if v < len(small[0]) and rng.random() < 0.5 else op for v, op in enumerate(large[0])])
            edges = tuple([pair for pair in combinations(range(n), 2) if pair in (moved if rng.random() < 0.5 else large[1])])
            if _is_valid(n, edges):
                return Architecture(self.name, (names, edges))

    def __iter__(self) -> Iterator[Architecture]:
        for n in DESCRIPTIONS:
            pairs = list(combinations(range(n), 2))
            for bits in product((0, 1), repeat=len(pairs)):
                if _is_valid(n, edges := tuple([pair for pair, bit in zip(pairs, bits, strict=True) if bit])):
                    for names in product(OPS, repeat=n - 2):
                        yield Architecture(self.name, (names, edges))

    def cell_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the cell without dead vertices. Several edges into the output stand for a concatenation."""
        return _pruned(self._cell(architecture))

    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return adjacency (B, 7, 7) and ops (B, 7); the output is the last vertex present, absent ones follow."""
        cells = [self._cell(architecture) for architecture in architectures]
        adjacency = np.zeros((len(cells), self.max_nodes, self.max_nodes), dtype=np.int8)
        rows = [row for row, (_, edges) in enumerate(cells) for _ in edges]
        ends = np.array([edge for _, edges in cells for edge in edges], dtype=np.int64).reshape(-1, 2)
        adjacency[rows, ends[:, 0], ends[:, 1]] = 1
        number = {name: i for i, name in enumerate(OPS, start=1)}
        kinds = [[0, *(number[name] for name in names), len(OPS) + 1] for names, _ in cells]
        ops = [row + [-1] * (MAX_VERTICES - len(row)) for row in kinds]
        return CellBatch(adjacency, np.array(ops, dtype=np.int8).reshape(-1, self.max_nodes))

    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture of one cell of a batch."""
        kinds = np.asarray(ops)
        n = int((kinds >= 0).sum())
        if n < 2 or (kinds[n:] >= 0).any() or np.asarray(adjacency)[n:].any() or np.asarray(adjacency)[:, n:].any():
            raise InvalidArchitectureError(f"not a cell of {self.name}: absent vertices come last and have no edges; ops {kinds}")
        labels = [{0: 0, len(OPS) + 1: 1}.get(kind, kind + 1) for kind in kinds[:n].tolist()]
        return self.parse((*np.asarray(adjacency)[:n, :n].ravel().tolist(), *labels))

    def network(  # type: ignore[override]
        self,
        architecture: Architecture,
        *,
        in_channels: int = 3,
        num_classes: int = 10,
        channels: int = 128,
        stacks: int = 3,
        cells_per_stack: int = 3,
        resolution: int = 32,
    ) -> ComputationGraph:
        """Return the benchmark's network: a stem, stacks of cells with a max pooling between, a linear head.

        Parameters
        ----------
        architecture : Architecture
            The cell that is repeated; its dead vertices are not built.
        in_channels, num_classes : int
            Channels of the input and number of classes.
        channels : int
            Channels of the stem and the first stack; each later stack has twice as many.
        stacks, cells_per_stack : int
            Number of stacks and of cells in each.
        resolution : int
            Height and width of the input.
        """
        check_positive(
            in_channels=in_channels,
            num_classes=num_classes,
            channels=channels,
            stacks=stacks,
            cells_per_stack=cells_per_stack,
            resolution=resolution,
        )
        cell = self.cell_graph(architecture)
        net = NetworkBuilder(in_channels, (resolution, resolution))
        x = _conv_norm_relu(net, 0, channels, 3)
        for stack in range(stacks):
            if stack:
                x = net.pool(x, "max", 2, stride=2)
            for _ in range(cells_per_stack):
                x = _write_cell(net, x, cell, channels * 2**stack)
        return net.build(net.linear(net.mean(x), num_classes))

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates, ndarray of shape (n_archs, 2), cell by cell."""
        rows = [_costs(self.cell_graph(architecture)) for architecture in architectures]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the path-norm, ndarray of shape (n_archs,), cell by cell."""
        return np.array([_log_path_norm(self.cell_graph(architecture)) for architecture in architectures])

    def _cell(self, architecture: Architecture) -> Cell:
        return self.check(architecture).spec  # type: ignore[return-value]


DESCRIPTIONS = {2: 1, 3: 15, 4: 423, 5: 22_680, 6: 2_198_502, 7: 373_754_169}
"""Number of vertices to number of descriptions."""


def _flat(mapping: Mapping[str, Any]) -> tuple[int, ...] | None:
    try:
        matrix, labels = np.asarray(mapping["matrix"]), [NAMES.index(name) for name in mapping["ops"]]
    except (KeyError, ValueError, TypeError):
        return None
    return (*matrix.ravel().tolist(), *labels)


@lru_cache(maxsize=100_000)
def _cell_of(flat: tuple[int, ...]) -> Cell:
    n = (math.isqrt(1 + 4 * len(flat)) - 1) // 2
    labels = flat[n * n :]
    if not 2 <= n <= MAX_VERTICES or n * (n + 1) != len(flat) or not set(flat[: n * n]) <= {0, 1}:
        raise InvalidArchitectureError(
            f"expected n*n zeros and ones and then n labels, n from 2 to {MAX_VERTICES}, got {len(flat)} numbers: {flat}"
        )
    if labels[0] != 0 or labels[-1] != 1 or not set(labels[1:-1]) <= {2, 3, 4}:
        raise InvalidArchitectureError(f"expected labels 0, then 2 to 4 ({', '.join(OPS)}), then 1; got {labels} in {flat}")
    edges = tuple([(i, j) for i in range(n) for j in range(n) if flat[i * n + j]])
    if any(i >= j for i, j in edges):
        raise InvalidArchitectureError(f"the adjacency matrix has to be upper triangular (no cycles), got edges {edges}")
    if not _is_valid(n, edges):
        raise InvalidArchitectureError(
            f"expected a path from input to output and at most {MAX_EDGES} edges on such paths, got edges {edges}"
        )
    return tuple([NAMES[label] for label in labels[1:-1]]), edges


def _is_valid(n: int, edges: Sequence[tuple[int, int]]) -> bool:
    """Whether input and output are joined by a path and at most nine edges lie on such paths; edges are sorted."""
    ahead, behind = {0}, {n - 1}
    for s, t in edges:
        if s in ahead:
            ahead.add(t)
    for s, t in reversed(edges):
        if t in behind:
            behind.add(s)
    return n - 1 in ahead and sum([s in ahead and t in behind for s, t in edges]) <= MAX_EDGES


def _with_vertex(cell: Cell) -> Iterator[Cell]:
    """Go through the cells with a new vertex, of any op and number, on one edge."""
    names, edges = cell
    if len(names) + 2 == MAX_VERTICES:
        return
    for s, t in edges:
        for v in range(s + 1, t + 1):
            moved = {(a + (a >= v), b + (b >= v)) for a, b in edges if (a, b) != (s, t)}
            new = tuple(sorted(moved | {(s, v), (v, t + 1)}))
            for op in OPS:
                yield (*names[: v - 1], op, *names[v - 1 :]), new


def _without_vertex(cell: Cell) -> Iterator[Cell]:
    """Go through the cells in which a vertex with one edge in and one out is replaced by an edge that was not there."""
    names, edges = cell
    for v in range(1, len(names) + 1):
        sources, targets = [s for s, t in edges if t == v], [t for s, t in edges if s == v]
        if len(sources) == len(targets) == 1 and (sources[0], targets[0]) not in edges:
            joined = {edge for edge in edges if v not in edge} | {(sources[0], targets[0])}
            yield (*names[: v - 1], *names[v:]), tuple(sorted((a - (a > v), b - (b > v)) for a, b in joined))


@lru_cache(maxsize=20_000)
def _pruned(cell: Cell) -> ComputationGraph:
    names, edges = cell
    return ComputationGraph((INPUT, *names, OUTPUT), edges).pruned()


def _channels(cell: ComputationGraph, outside: int) -> list[int]:
    """Channels of each vertex: those that feed the output share its channels, the others have the most of their targets."""
    last = len(cell) - 1
    channels = [0] * last + [outside]
    final = [s for s, t in cell.edges if t == last and s]
    for position, vertex in enumerate(final):
        channels[vertex] = outside // len(final) + (position < outside % len(final))
    targets = cell.neighbours[1]
    for vertex in range(last - 1, 0, -1):
        channels[vertex] = channels[vertex] or max(channels[t] for t in targets[vertex])
    return channels


def _conv_norm_relu(net: NetworkBuilder, x: int | Sequence[int], channels: int, kernel: int) -> int:
    return net.relu(net.norm(net.conv(x, channels, kernel)))


def _write_cell(net: NetworkBuilder, x: int, cell: ComputationGraph, outside: int) -> int:
    """Edges from the input are projected; inner values are cut to fit; what arrives at the output is concatenated."""
    channels, last = _channels(cell, outside), len(cell) - 1
    values = {0: x}
    for vertex, kind in enumerate(cell.kinds[1:-1], start=1):
        width, sources = channels[vertex], cell.neighbours[0][vertex]
        arriving = [net.split(values[s], width) if s else _conv_norm_relu(net, x, width, 1) for s in sources]
        value = net.add(arriving)
        values[vertex] = _conv_norm_relu(net, value, width, KERNEL[kind]) if kind in KERNEL else net.pool(value, "max", 3)
    sources = cell.neighbours[0][last]
    joined = [net.concat([values[s] for s in sources if s])] if sources != [0] else []
    return net.add(joined + ([_conv_norm_relu(net, x, outside, 1)] if 0 in sources else []))


def _log_path_norm(cell: ComputationGraph) -> float:
    """Logarithm of the path-norm of the network with default options."""
    total, before, last = 0.5 * math.log(27 * 512), 128, len(cell) - 1
    for width in (128, 256, 512):
        channels = _channels(cell, width)
        for position in range(3):
            inside = (width if position else before) ** 0.5
            norms = [0.0] * last + [0.0]
            for vertex in range(1, last):
                gain = KERNEL[cell.kinds[vertex]] * channels[vertex] ** 0.5 if cell.kinds[vertex] in KERNEL else 1.0
                norms[vertex] = gain * sum([norms[s] if s else inside for s in cell.neighbours[0][vertex]])
            total += math.log(sum([norms[s] * channels[s] / width if s else inside for s in cell.neighbours[0][last]]))
        before = width
    return total


def _costs(cell: ComputationGraph) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network with default options."""
    parameters, macs, before = 27 * 128 + 2 * 128 + 512 * 10 + 10, 27 * 128 * 1024 + 512 * 10, 128
    for stack, width in enumerate((128, 256, 512)):
        channels, area = _channels(cell, width), (32 >> stack) ** 2
        inner = [(KERNEL[k] * c) ** 2 for k, c in zip(cell.kinds, channels, strict=True) if k in KERNEL]
        normalised = [c for k, c in zip(cell.kinds, channels, strict=True) if k in KERNEL]
        projected = [channels[t] for s, t in cell.edges if s == 0]
        for position in range(3):
            weights = sum(inner) + sum(projected) * (width if position else before)
            parameters += weights + 2 * (sum(normalised) + sum(projected))
            macs += weights * area
        before = width
    return parameters, macs
