"""Token sequences of architectures: node by node, or choice by choice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError
from emprox.registry import Registry
from emprox.spaces.base import Architecture, SearchSpace

__all__ = ["FORMATS", "CellSequence", "ChoiceSequence", "SequenceFormat"]


class SequenceFormat(ABC):
    """A reversible map from the architectures of a space to T tokens out of V. Token 0 always means absent.

    Parameters
    ----------
    space : SearchSpace
        The search space.
    """

    names: tuple[str, ...]
    """What each of the T positions says."""
    vocabulary: tuple[str, ...]
    """Meaning of each of the V tokens."""
    allowed: NDArray[np.bool_]
    """(T, V), which tokens each position can hold in some architecture of the space."""

    @abstractmethod
    def __init__(self, space: SearchSpace) -> None: ...

    @abstractmethod
    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.int8]:
        """Return tokens, ndarray of shape (n_archs, T)."""

    @abstractmethod
    def inverse_transform(self, tokens: NDArray[np.integer]) -> list[Architecture]:
        """Return the architectures of token rows, ndarray of shape (n_archs, T), or raise `InvalidArchitectureError`."""

    def _checked(self, tokens: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the rows if every token is allowed at its position."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.shape[1] != len(self.names):
            raise InvalidArchitectureError(
                f"expected token rows of length {len(self.names)}, got an array of shape {tokens.shape}"
            )
        known = (tokens >= 0) & (tokens < len(self.vocabulary))
        wrong = ~(known & self.allowed[np.arange(len(self.names)), np.where(known, tokens, 0)])
        if wrong.any():
            row, position = np.argwhere(wrong)[0]
            raise InvalidArchitectureError(
                f"row {row}: token {tokens[row, position]} at position {position} ({self.names[position]}), "
                f"expected one of {np.nonzero(self.allowed[position])[0].tolist()}"
            )
        return tokens


class CellSequence(SequenceFormat):
    """Node j = 1 .. N-1 contributes j edge tokens (1 no edge, 2 edge, from nodes 0 .. j-1) and one op token.

    Op tokens are op number + 2, so 3 to K + 2 are ops and K + 3 is the output; absent nodes are 0. T = (N + 2)(N - 1) / 2.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        n = space.max_nodes
        self._targets = np.concatenate([np.full(j + 1, j) for j in range(1, n)])
        self._sources = np.concatenate([np.arange(j + 1) for j in range(1, n)])
        self._is_op = self._sources == self._targets
        pairs = zip(self._sources, self._targets, self._is_op, strict=True)
        self.names = tuple(f"op {target}" if is_op else f"{source}->{target}" for source, target, is_op in pairs)
        self.vocabulary = ("absent", "no edge", "edge", *space.ops, "output")
        self.allowed = self._possible()

    def _possible(self) -> NDArray[np.bool_]:
        """Return (T, V): ops and edges where they belong; where all cells share the topology, its edges and as many nodes."""
        number, topology = np.arange(len(self.vocabulary)), self.space.topology
        is_op, is_edge = number > 2, (number == 1) | (number == 2)
        if topology is None:
            return (number == 0) | np.where(self._is_op[:, None], is_op, is_edge)
        last = self._targets == self.space.max_nodes - 1
        is_op = np.where(last[:, None], number == number[-1], is_op & (number < number[-1]))
        return np.where(self._is_op[:, None], is_op, number == topology[self._sources, self._targets][:, None] + 1)

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.int8]:
        """Return tokens, ndarray of shape (n_archs, T)."""
        cells = self.space.cells(architectures)
        tokens = np.where(
            self._is_op,
            cells.ops[:, self._targets] + 2,
            cells.adjacency[:, self._sources, self._targets] + 1,
        )
        tokens[cells.ops[:, self._targets] < 0] = 0
        return tokens.astype(np.int8)

    def inverse_transform(self, tokens: NDArray[np.integer]) -> list[Architecture]:
        """Return the architectures of token rows, ndarray of shape (n_archs, T)."""
        tokens = self._checked(tokens)
        absent = tokens[:, self._is_op][:, self._targets - 1] == 0
        if (row := np.flatnonzero((absent != (tokens == 0)).any(axis=1))).size:
            raise InvalidArchitectureError(f"row {row[0]}: 0 stands for an absent node, in all of its tokens or in none")
        n = self.space.max_nodes
        adjacency = np.zeros((len(tokens), n, n), dtype=np.int8)
        edge = ~self._is_op
        adjacency[:, self._sources[edge], self._targets[edge]] = tokens[:, edge] == 2
        ops = np.zeros((len(tokens), n), dtype=np.int8)
        op_tokens = tokens[:, self._is_op]
        ops[:, 1:] = np.where(op_tokens == 0, -1, op_tokens - 2)
        return [self.space.from_cell(a, o) for a, o in zip(adjacency, ops, strict=True)]


class ChoiceSequence(SequenceFormat):
    """One token for each choice of the space: the option chosen. Options of the same name share a token."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        choices = space.choices or {}
        self.names = tuple(choices)
        self.vocabulary = tuple(dict.fromkeys(["absent", *(option for options in choices.values() for option in options)]))
        token = {option: number for number, option in enumerate(self.vocabulary)}
        self._tokens = [np.array([token[option] for option in options]) for options in choices.values()]
        self.allowed = np.zeros((len(self.names), len(self.vocabulary)), dtype=bool)
        for row, tokens in zip(self.allowed, self._tokens, strict=True):
            row[tokens] = True

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.int8]:
        """Return tokens, ndarray of shape (n_archs, T)."""
        specs = np.array([self.space.check(a).spec for a in architectures], dtype=np.int64).reshape(-1, len(self.names))
        kind = np.int8 if len(self.vocabulary) <= np.iinfo(np.int8).max else np.int16
        return np.stack([tokens[column] for tokens, column in zip(self._tokens, specs.T, strict=True)], axis=1).astype(kind)

    def inverse_transform(self, tokens: NDArray[np.integer]) -> list[Architecture]:
        """Return the architectures of token rows, ndarray of shape (n_archs, T)."""
        tokens = self._checked(tokens)
        columns = [np.argmax(column[:, None] == options, axis=1) for column, options in zip(tokens.T, self._tokens, strict=True)]
        return [self.space.parse(row) for row in np.stack(columns, axis=1).tolist()]


FORMATS: Registry[type[SequenceFormat]] = Registry(
    "sequence format",
    {"cell": "emprox.spaces.sequences:CellSequence", "choice": "emprox.spaces.sequences:ChoiceSequence"},
    group="emprox.sequences",
)
