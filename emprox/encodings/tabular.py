"""One-hot adjacency and path encodings, the columns that tree and MLP baselines of the literature use."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import SpaceEncoding
from emprox.errors import InvalidOptionError
from emprox.spaces import Architecture, ArchitectureFamily

__all__ = ["MAX_PATHS", "OneHotEncoding", "PathEncoding"]

MAX_PATHS = 20_000
"""Largest number of columns of a path encoding."""


class OneHotEncoding(SpaceEncoding):
    """The options of all choices as indicators, or, in a space without choices, the adjacency matrix and the ops of all nodes.

    30 columns for NAS-Bench-201, 36 for NAS-Bench-101.

    References
    ----------
    White et al., *A Study on Encodings for Neural Architecture Search*, NeurIPS 2020.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """``choice=option``, or ``i->j`` for edges and ``nodej=op`` for ops."""
        if self.space.choices is not None:
            return tuple(f"{name}={option}" for name, options in self.space.choices.items() for option in options)
        n = self.space.max_nodes
        ops = [f"node{j}={op}" for j in range(1, n - 1) for op in self.space.ops]
        return (*(f"{i}->{j}" for i, j in itertools.combinations(range(n), 2)), *ops)

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return indicators, ndarray of shape (n_archs, len(names))."""
        if self.space.choices is not None:
            return self._of_choices(architectures, [len(options) for options in self.space.choices.values()])
        cells = self.space.cells(architectures)
        numbers = np.arange(1, len(self.space.ops) + 1)
        columns = (cells.ops[:, 1:-1, None] == numbers).reshape(len(cells.ops), (cells.ops.shape[1] - 2) * len(numbers))
        upper = np.triu_indices(self.space.max_nodes, k=1)
        return np.concatenate([cells.adjacency[:, upper[0], upper[1]], columns], axis=1).astype(np.float32)

    def _of_choices(self, architectures: Sequence[Architecture], counts: list[int]) -> NDArray[np.float32]:
        specs = np.array([self.space.check(a).spec for a in architectures], dtype=np.int64).reshape(-1, len(counts))
        columns = np.zeros((len(specs), sum(counts)), dtype=np.float32)
        first = np.cumsum([0, *counts[:-1]])
        np.put_along_axis(columns, specs + first, 1, axis=1)
        return columns


class PathEncoding(SpaceEncoding):
    """Whether each possible path of ops leads from input to output (155 columns for NAS-Bench-201).

    ``none`` counts as an op, as in the published encoding. For cells with short paths and few ops only.

    Raises
    ------
    InvalidOptionError
        If the space has more than `MAX_PATHS` possible paths.

    References
    ----------
    White et al., *BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search*, AAAI 2021.
    """

    def __init__(self, space: str | ArchitectureFamily) -> None:
        super().__init__(space)
        columns = sum(len(self.space.ops) ** length for length in self._lengths)
        if columns > MAX_PATHS:
            raise InvalidOptionError(
                f"the path encoding of {self.space.name} would have {columns:.1e} columns, at most {MAX_PATHS:,} are possible; "
                f"use the encoding 'onehot' or 'sequence'"
            )

    @cached_property
    def _lengths(self) -> range:
        """Numbers of ops that a path of this space can have."""
        n, topology = self.space.max_nodes, self.space.topology
        if topology is None:
            return range(n - 1)
        powers = [np.linalg.matrix_power(topology.astype(np.int64), edges)[0, -1] for edges in range(1, n)]
        possible = [ops for ops, count in enumerate(powers) if count]
        return range(possible[0], possible[-1] + 1)

    @property
    def names(self) -> tuple[str, ...]:
        """The ops of a path joined by ``>``; the direct edge from input to output is ``input>output``."""
        paths = (path for length in self._lengths for path in itertools.product(self.space.ops, repeat=length))
        return tuple(">".join(path) or "input>output" for path in paths)

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return indicators, ndarray of shape (n_archs, len(names))."""
        cells = self.space.cells(architectures)
        b, n, k = len(cells.ops), self.space.max_nodes, len(self.space.ops)
        longest = self._lengths[-1]
        # reached[j][l] (B, K^l): which op sequences of length l lead from the input to node j, its own op included
        reached: list[dict[int, NDArray[np.bool_]]] = [{0: np.ones((b, 1), dtype=bool)}]
        found = {length: np.zeros((b, k**length), dtype=bool) for length in range(longest + 1)}
        for j in range(1, n):
            arriving = self._arriving(cells.adjacency[:, :j, j].astype(bool), reached)
            is_output = cells.ops[:, j] == k + 1
            for length, sequences in arriving.items():
                found[length] |= sequences & is_output[:, None]
            has_op = np.where(is_output | (cells.ops[:, j] < 0), -1, cells.ops[:, j] - 1)[:, None] == np.arange(k)
            reached.append(
                {
                    length + 1: (sequences[:, :, None] & has_op[:, None, :]).reshape(b, k ** (length + 1))
                    for length, sequences in arriving.items()
                    if length < longest
                }
            )
        return np.concatenate([found[length] for length in self._lengths], axis=1).astype(np.float32)

    @staticmethod
    def _arriving(edges: NDArray[np.bool_], reached: list[dict[int, NDArray[np.bool_]]]) -> dict[int, NDArray[np.bool_]]:
        """Return the sequences that arrive at a node, given which (B, j) earlier nodes feed it."""
        arriving: dict[int, NDArray[np.bool_]] = {}
        for i, by_length in enumerate(reached):
            feeds = edges[:, i, None]
            if feeds.any():
                for length, sequences in by_length.items():
                    new = sequences & feeds
                    arriving[length] = arriving[length] | new if length in arriving else new
        return arriving
