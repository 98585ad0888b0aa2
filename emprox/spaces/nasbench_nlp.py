"""NAS-Bench-NLP: recurrent cells as graphs of operators, in a language model of three layers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.family import Architecture, ArchitectureFamily
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph
from emprox.spaces.primitives import NodeAttributes

__all__ = ["KINDS", "OPS", "NASBenchNLP"]

OPS: dict[str, tuple[int, int]] = {
    "linear": (1, 8),
    "blend": (3, 3),
    "elementwise_prod": (2, 8),
    "elementwise_sum": (2, 8),
    "activation_tanh": (1, 1),
    "activation_sigm": (1, 1),
    "activation_leaky_relu": (1, 1),
}
"""Operators, and the fewest and most inputs of each. ``blend`` of a, b, c is a * b + (1 - a) * c."""
STATES = 3
"""States that a cell may carry from word to word."""
BLENDED = ("blend_gate", "blend_first", "blend_second")
BEFORE = ("x", *(f"h_prev_{state}" for state in range(STATES)))
AFTER = tuple(f"h_new_{state}" for state in range(STATES))
KINDS = (*OPS, *BLENDED, *BEFORE, *AFTER)
"""Kinds of nodes of a cell's graph: operators, which input of a blend it is, what comes in and what goes out."""

WORDS = 33_278
"""Vocabulary of WikiText-2."""
LAYERS = ((400, 600), (600, 600), (600, 400))
"""Channels of the input and of the states of each layer; the decoder shares the weight of the embedding."""
FUNCTIONS = {"activation_tanh": "tanh", "activation_sigm": "sigmoid", "activation_leaky_relu": "leaky_relu"}

Node = tuple[str, str, tuple[str, ...]]
"""Name, operator, names of the inputs."""


class NASBenchNLP(ArchitectureFamily):
    """Recurrent cells: operators on the word's vector ``x`` and the states ``h_prev_0``, ... that give ``h_new_0``, ...

    A family that is not sampled here: the benchmark's generator is not part of it. `parse` takes the benchmark's ``recepie``,
    a dict or its JSON, and the text ``name=op(input,input); ...``. ``h_new_0`` is what the layer puts out.

    The network is the benchmark's language model for WikiText-2: embedding of 400, three layers of the cell with 600, 600 and
    400 channels, a decoder that shares the embedding's weight. Its graph is that of one word.

    References
    ----------
    Klyuchnikov et al., *NAS-Bench-NLP: Neural Architecture Search Benchmark for Natural Language Processing*, IEEE Access 2022.

    Examples
    --------
    >>> cell = NASBenchNLP().parse({"f": {"op": "linear", "input": ["x", "h_prev_0"]},
    ...                             "h_new_0": {"op": "activation_tanh", "input": ["f"]}})
    >>> str(cell)
    'f=linear(x,h_prev_0); h_new_0=activation_tanh(f)'
    >>> NASBenchNLP().count_parameters(cell)
    15066078
    """

    name: ClassVar[str] = "nasbench-nlp"
    default_encoding: ClassVar[str] = "recurrent"

    def parse(self, description: Any) -> Architecture:
        """Return the architecture of a recipe: a dict, its JSON, or the text of `format`, with or without the family's name."""
        nodes = _nodes(description)
        _check(nodes)
        return Architecture(self.name, _ordered(nodes))

    def format(self, architecture: Architecture) -> str:
        """Return ``name=op(input,input)`` of every node, joined by semicolons."""
        return "; ".join(f"{name}={op}({','.join(inputs)})" for name, op, inputs in self._cell(architecture))

    def recipe(self, architecture: Architecture) -> dict[str, dict[str, Any]]:
        """Return the benchmark's own form."""
        return {name: {"op": op, "input": list(inputs)} for name, op, inputs in self._cell(architecture)}

    def to_graph(self, architecture: Architecture, view: str = "network", **options: Any) -> ComputationGraph:
        """Return what the architecture computes as a graph without dead nodes: ``cell``, in `KINDS`, or ``network``."""
        if view == "cell":
            return _cell_graph(self._cell(architecture)).pruned()
        return super().to_graph(architecture, view, **options)

    def canonical_hash(self, architecture: Architecture) -> str:
        """Return the hash that cells of the same function share, up to the algebra of sums and products."""
        return self.to_graph(architecture, "cell").canonical_hash()

    def is_connected(self, architecture: Architecture) -> bool:
        """Whether the output depends on the input."""
        return self.to_graph(architecture, "cell").is_connected

    def network(self, architecture: Architecture, **options: Any) -> ComputationGraph:
        """Return the graph of the language model for one word."""
        return _Model(self._cell(architecture)).graph()

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates for one word, ndarray of shape (n_archs, 2)."""
        rows = [_weights(self._cell(architecture)) for architecture in architectures]
        shared = np.array([WORDS * LAYERS[0][0] + WORDS, WORDS * LAYERS[-1][1]])
        return (np.array(rows, dtype=np.int64).reshape(-1, 2) + shared).astype(np.int64)

    def _cell(self, architecture: Architecture) -> tuple[Node, ...]:
        return self.check(architecture).spec  # type: ignore[return-value]


def _nodes(description: Any) -> list[Node]:
    """Return the nodes of a recipe in any form, unchecked but for their types."""
    given = description
    if isinstance(given, str):
        given = given.strip().removeprefix(f"{NASBenchNLP.name}:").strip()
        if not given.startswith("{"):
            return [_node(part) for part in given.split(";")]
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise InvalidArchitectureError(f"expected the JSON of a recipe, got {description[:200]!r}: {error}") from None
    if not isinstance(given, Mapping):
        raise InvalidArchitectureError(f"expected a recipe (a dict, its JSON, or name=op(input,...); ...), got {description!r}")
    nodes = []
    for name, node in given.items():
        inputs = node.get("input") if isinstance(node, Mapping) else None
        if not isinstance(inputs, list | tuple) or not all(isinstance(i, str) for i in (name, node.get("op"), *inputs)):
            raise InvalidArchitectureError(f"expected {{'op': ..., 'input': [...]}} for node {name!r}, got {node!r}")
        nodes.append((name, node["op"], tuple(inputs)))
    return nodes


def _node(text: str) -> Node:
    """Return the node of one ``name=op(input,input)``."""
    match = re.fullmatch(r"\s*(\w+)\s*=\s*(\w+)\(([\w,\s]*)\)\s*", text)
    if match is None:
        raise InvalidArchitectureError(f"expected name=op(input,...), got {text[:200]!r}")
    name, op, inputs = match.groups()
    return name, op, tuple(part.strip() for part in inputs.split(","))


def _check(nodes: Sequence[Node]) -> None:
    """Raise unless operators, their inputs and the states are those of a cell."""
    names = {name for name, _, _ in nodes}
    states = sorted(names & set(AFTER))
    if len(names) < len(nodes) or names & set(BEFORE) or not all(re.fullmatch(r"\w+", name) for name in names):
        raise InvalidArchitectureError(
            f"expected different names of letters, digits and _ other than {BEFORE}, got {sorted(names)}"
        )
    if not states or states != list(AFTER[: len(states)]):
        raise InvalidArchitectureError(f"expected nodes h_new_0, h_new_1, ... without a gap, got {states}")
    known = names | {"x", *BEFORE[1 : 1 + len(states)]}
    for name, op, inputs in nodes:
        if op not in OPS or not OPS[op][0] <= len(inputs) <= OPS[op][1]:
            raise InvalidArchitectureError(
                f"node {name!r}: got {op}({','.join(inputs)}), expected one of {OPS} with so many inputs"
            )
        if unknown := set(inputs) - known:
            raise InvalidArchitectureError(
                f"node {name!r} takes {sorted(unknown)}, expected other nodes, x, or h_prev of a state"
            )


def _ordered(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the nodes so that every one comes after its inputs, otherwise as they were given."""
    left, done = list(nodes), list[Node]()
    placed = set(BEFORE)
    while left:
        ready = next((node for node in left if placed >= set(node[2])), None)
        if ready is None:
            raise InvalidArchitectureError(f"expected a cell without cycles, got one through {[name for name, _, _ in left]}")
        left.remove(ready)
        done.append(ready)
        placed.add(ready[0])
    return tuple(done)


def _used_states(nodes: Sequence[Node]) -> list[int]:
    """Return the states on which the output depends, now or at a later word; the output is the first."""
    behind: dict[str, frozenset[str]] = {name: frozenset({name}) for name in BEFORE}
    for name, _, inputs in nodes:
        behind[name] = frozenset().union(*(behind[i] for i in inputs))
    used, new = set[int](), {0}
    while new:
        used |= new
        new = {state for state in range(STATES) for u in used if f"h_prev_{state}" in behind[AFTER[u]]} - used
    return sorted(used)


def _cell_graph(nodes: Sequence[Node]) -> ComputationGraph:
    """Return the cell as it is for one word, in `KINDS`; states that the output never depends on are left out."""
    builder = _Builder()
    number = {name: builder.add(name, [0]) for name in BEFORE}
    for name, op, inputs in nodes:
        sources = [number[i] for i in inputs]
        if op == "blend":
            sources = [builder.add(kind, [source]) for kind, source in zip(BLENDED, sources, strict=True)]
        number[name] = builder.add(op, sources)
    ends = [builder.add(AFTER[state], [number[AFTER[state]]]) for state in _used_states(nodes)]
    builder.add(OUTPUT, ends)
    return ComputationGraph(tuple(builder.kinds), tuple(builder.edges))


def _weights(nodes: Sequence[Node]) -> tuple[int, int]:
    """Return parameters and multiply-accumulates of the cells of all layers."""
    parameters = macs = 0
    for entering, hidden in LAYERS:
        for inputs in _linear_inputs(nodes):
            products = sum(entering if name == "x" else hidden for name in inputs) * hidden
            parameters, macs = parameters + products + hidden, macs + products
    return parameters, macs


def _linear_inputs(nodes: Sequence[Node]) -> Iterator[tuple[str, ...]]:
    return (inputs for _, op, inputs in nodes if op == "linear")


class _Builder:
    """Nodes and edges as they are added."""

    def __init__(self) -> None:
        self.kinds, self.attributes = [INPUT], [NodeAttributes()]
        self.edges: list[tuple[int, int]] = []

    def add(self, kind: str, sources: Sequence[int], **numbers: Any) -> int:
        """Add a node and return its number."""
        self.kinds.append(kind)
        self.attributes.append(NodeAttributes(**numbers))
        self.edges += [(source, len(self.kinds) - 1) for source in sources]
        return len(self.kinds) - 1


class _Model(_Builder):
    """The language model, in the universal vocabulary: a linear node takes one input, and an addition joins several."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__()
        self.nodes = nodes

    def graph(self) -> ComputationGraph:
        entering = LAYERS[0][0]
        out = self.add("embedding", [0], channels=entering, parameters=WORDS * entering)
        ends = []
        for layer, channels in enumerate(LAYERS):
            states = self._layer(layer, out, *channels)
            out = states[0]
            ends += [
                self.add("reshape", [state], channels=channels[1], function=f"layer {layer} state {number}")
                for number, state in states.items()
            ]
        width = LAYERS[-1][1]
        decoder = self.add("linear", [out], channels=WORDS, bias=True, parameters=WORDS, macs=WORDS * width)
        self.add(
            OUTPUT, [self.add("concat", [decoder, *ends], channels=WORDS + sum(self.attributes[end].channels for end in ends))]
        )
        return ComputationGraph(tuple(self.kinds), tuple(self.edges), tuple(self.attributes))

    def _layer(self, layer: int, entering: int, width: int, hidden: int) -> dict[int, int]:
        """Add one layer; return the node of each of its used states."""
        number = {"x": entering}
        for state in range(STATES):
            number[BEFORE[1 + state]] = self.add("split", [0], channels=hidden, function=f"layer {layer} state {state}")
        for name, op, inputs in self.nodes:
            sizes = [width if i == "x" else hidden for i in inputs]
            number[name] = self._node(op, [number[i] for i in inputs], sizes, hidden)
        return {state: number[AFTER[state]] for state in _used_states(self.nodes)}

    def _node(self, op: str, sources: list[int], sizes: list[int], hidden: int) -> int:
        """Add what one operator of the cell does."""
        if op == "linear":
            products = [size * hidden for size in sizes]
            biases = [hidden, *[0] * (len(sizes) - 1)]
            sources = [
                self.add("linear", [source], channels=hidden, bias=bias > 0, parameters=product + bias, macs=product)
                for source, product, bias in zip(sources, products, biases, strict=True)
            ]
        if op == "blend":
            gate, first, second = sources
            rest = self.add("activation", [gate], channels=hidden, function="one minus")
            pairs = ([gate, first], [rest, second])
            sources = [self.add("mul", pair, channels=hidden) for pair in pairs]
        if op in FUNCTIONS:
            return self.add("activation", sources, channels=hidden, function=FUNCTIONS[op])
        return self.add("mul" if op == "elementwise_prod" else "add", sources, channels=hidden)
