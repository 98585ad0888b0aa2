"""One-hot adjacency and path encodings, the columns that tree and MLP baselines of the literature use."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import Encoding
from emprox.spaces import Architecture

__all__ = ["OneHotEncoding", "PathEncoding"]


class OneHotEncoding(Encoding):
    """Ops of all nodes as indicators, after the adjacency matrix where it varies (30 columns for NAS-Bench-201).

    References
    ----------
    White et al., *A Study on Encodings for Neural Architecture Search*, NeurIPS 2020.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """``i->j`` for edges, ``nodej=op`` for ops."""
        n = self.space.max_nodes
        ops = [f"node{j}={op}" for j in range(1, n - 1) for op in self.space.ops]
        if self.space.topology is not None:
            return tuple(ops)
        return (*(f"{i}->{j}" for i, j in itertools.combinations(range(n), 2)), *ops)

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return indicators, ndarray of shape (n_archs, len(names))."""
        cells = self.space.cells(architectures)
        numbers = np.arange(1, len(self.space.ops) + 1)
        columns = (cells.ops[:, 1:-1, None] == numbers).reshape(len(cells.ops), (cells.ops.shape[1] - 2) * len(numbers))
        if self.space.topology is None:
            upper = np.triu_indices(self.space.max_nodes, k=1)
            columns = np.concatenate([cells.adjacency[:, upper[0], upper[1]], columns], axis=1)
        return columns.astype(np.float32)


class PathEncoding(Encoding):
    """Whether each possible path of ops leads from input to output (155 columns for NAS-Bench-201).

    ``none`` counts as an op, as in the published encoding.

    References
    ----------
    White et al., *BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search*, AAAI 2021.
    """

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
