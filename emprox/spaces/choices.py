"""Search spaces whose architectures are vectors of choices, one option each: most of them."""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.spaces.base import Architecture, CellBatch, SearchSpace
from emprox.spaces.graph import INPUT, OUTPUT, ComputationGraph

__all__ = ["ChoiceSpace", "read_literal"]


class ChoiceSpace(SearchSpace):
    """A space in which an architecture is one option for each of several choices; its ``spec`` is the tuple of option numbers.

    A subclass lists the `choices` and writes the `network`; sampling, mutation, crossover, neighbours, size and
    enumeration follow. Where not all combinations exist, it overrides `is_valid` and sets `size`. Unless it has a
    text form of its own (`read_text`, `format`), an architecture is written as its option numbers, and unless it has a cell of
    its own (`cell_graph`, `cells`, `from_cell`), the cell is the chain of the chosen options.
    """

    choices: ClassVar[Mapping[str, tuple[str, ...]]]
    """Name of each choice to the names of its options."""
    _ops_follow: ClassVar[bool] = False
    """Whether operators and cell are those that follow from the choices."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "choices" in vars(cls) and "size" not in vars(cls):
            cls.size = math.prod(len(options) for options in cls.choices.values())
        if "choices" in vars(cls) and "ops" not in vars(cls) and (cls._ops_follow or not hasattr(cls, "ops")):
            cls._ops_follow = True
            cls.ops = tuple(dict.fromkeys(option for options in cls.choices.values() for option in options))
            cls.max_nodes = len(cls.choices) + 2
            cls.topology = np.eye(cls.max_nodes, k=1, dtype=np.int8)
            cls.sequence_by = "choice"

    def read_text(self, text: str) -> Sequence[int] | None:
        """Return the option numbers that a text describes, None if it is not the space's own text form."""
        return None

    def format(self, architecture: Architecture) -> str:
        """Return the option numbers as text."""
        return str(self._spec(architecture))

    def options(self, architecture: Architecture) -> dict[str, str]:
        """Return the chosen option of each choice by its name."""
        spec = self._spec(architecture)
        return {name: options[number] for (name, options), number in zip(self.choices.items(), spec, strict=True)}

    def parse(self, description: Any) -> Architecture:
        """Read the space's text, a sequence of option numbers, or that sequence as text.

        Raises
        ------
        InvalidArchitectureError
            If the description is malformed or describes something outside the space.
        """
        if isinstance(description, str):
            text = description.strip().removeprefix(f"{self.name}:").strip()
            numbers = self.read_text(text)
            return self.from_numbers(read_literal(text) if numbers is None else numbers, description)
        return self.from_numbers(description, description)

    def from_numbers(self, numbers: Any, description: object) -> Architecture:
        """Return the architecture of these option numbers; ``description`` is quoted where they are none."""
        try:
            spec = tuple([number.__index__() for number in numbers])
        except (TypeError, AttributeError):
            spec = ()
        counts = [len(options) for options in self.choices.values()]
        if len(spec) != len(counts) or not all(0 <= number < n for number, n in zip(spec, counts, strict=True)):
            raise InvalidArchitectureError(
                f"expected {len(counts)} option numbers of {self.name}, {self.expected()}, got {description!r}"
            )
        if not self.is_valid(spec):
            raise InvalidArchitectureError(f"{self.name} has no architecture {description!r}: {self.expected()}")
        return Architecture(self.name, spec)

    def expected(self) -> str:
        """Return what `parse` reads, for its errors."""
        name, options = next(iter(self.choices.items()))
        return (
            f"such as 0 to {len(options) - 1} for {name} ({', '.join(f'{i} {option}' for i, option in enumerate(options[:9]))})"
        )

    def is_valid(self, spec: tuple[int, ...]) -> bool:
        """Whether a combination of options exists; by default all do."""
        return True

    def sample(self, rng: np.random.Generator, n: int) -> list[Architecture]:
        """Draw n architectures uniformly and independently (repetitions are possible)."""
        counts = [len(options) for options in self.choices.values()]
        specs: list[tuple[int, ...]] = []
        while len(specs) < n:
            rows = rng.integers(counts, size=(n - len(specs), len(counts))).tolist()
            specs += [spec for row in rows if self.is_valid(spec := tuple(row))]
        return [Architecture(self.name, spec) for spec in specs]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one choice: a neighbour, each of them equally likely where all choices have equally many options."""
        spec = self._spec(architecture)
        counts = [len(options) for options in self.choices.values()]
        free = [position for position, count in enumerate(counts) if count > 1]
        while True:
            position = free[int(rng.integers(len(free)))]
            option = (spec[position] + int(rng.integers(1, counts[position]))) % counts[position]
            if self.is_valid(new := (*spec[:position], option, *spec[position + 1 :])):
                return Architecture(self.name, new)

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Take every choice from one of the two, drawn uniformly among the combinations that exist."""
        first, second = self._spec(a), self._spec(b)
        while True:
            takes = rng.random(len(first)) < 0.5
            spec = tuple([x if take else y for x, y, take in zip(first, second, takes.tolist(), strict=True)])
            if self.is_valid(spec):
                return Architecture(self.name, spec)

    def neighbors(self, architecture: Architecture) -> list[Architecture]:
        """Return the architectures that differ in one choice."""
        spec = self._spec(architecture)
        changed = (
            (*spec[:position], option, *spec[position + 1 :])
            for position, options in enumerate(self.choices.values())
            for option in range(len(options))
            if option != spec[position]
        )
        return [Architecture(self.name, new) for new in changed if self.is_valid(new)]

    def __iter__(self) -> Iterator[Architecture]:
        for spec in itertools.product(*(range(len(options)) for options in self.choices.values())):
            if self.is_valid(spec):
                yield Architecture(self.name, spec)

    def cell_graph(self, architecture: Architecture) -> ComputationGraph:
        """Return the chain of the chosen options."""
        kinds = (INPUT, *self.options(architecture).values(), OUTPUT)
        return ComputationGraph(kinds, tuple((node, node + 1) for node in range(len(kinds) - 1)))

    def cells(self, architectures: Sequence[Architecture]) -> CellBatch:
        """Return chains: adjacency (B, N, N), the same for all, and ops (B, N)."""
        specs = self._specs(architectures)
        number = {op: i for i, op in enumerate(self.ops, start=1)}
        most = len(self.ops) + 1
        ops = np.full((len(specs), self.max_nodes), most, dtype=np.int8 if most <= np.iinfo(np.int8).max else np.int16)
        ops[:, 0] = 0
        for column, options in enumerate(self.choices.values()):
            ops[:, 1 + column] = np.array([number[option] for option in options])[specs[:, column]]
        return CellBatch(np.broadcast_to(np.asarray(self.topology), (len(specs), self.max_nodes, self.max_nodes)), ops)

    def from_cell(self, adjacency: NDArray[np.integer], ops: NDArray[np.integer]) -> Architecture:
        """Return the architecture of a chain given as in `cells`."""
        names = ["", *self.ops, ""]
        chosen = [names[number] for number in np.asarray(ops)[1:-1].tolist()]
        numbers = [
            list(options).index(name) for options, name in zip(self.choices.values(), chosen, strict=True) if name in options
        ]
        ends = (int(ops[0]), int(ops[-1])) == (0, len(self.ops) + 1)
        if not ends or len(numbers) != len(self.choices) or not np.array_equal(adjacency, np.asarray(self.topology)):
            raise InvalidArchitectureError(f"expected a chain of options of {self.name}, got ops {np.asarray(ops).tolist()}")
        return self.parse(numbers)

    def _spec(self, architecture: Architecture) -> tuple[int, ...]:
        return self.check(architecture).spec  # type: ignore[return-value]

    def _specs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return option numbers, ndarray of shape (n_archs, n_choices)."""
        return np.array([self._spec(a) for a in architectures], dtype=np.int64).reshape(-1, len(self.choices))


_AS_JSON = str.maketrans("()'", '[]"')


def read_literal(text: str) -> Any:
    """Return the Python literal that a text is, None if it is none. Tuples may become lists.

    Most descriptions are numbers in brackets, which the JSON reader takes ten times as fast.

    >>> read_literal("((0, 1), {'r': [224], 'wid': None})")
    [[0, 1], {'r': [224], 'wid': None}]
    """
    try:
        return json.loads(text.translate(_AS_JSON).replace("None", "null"))
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
