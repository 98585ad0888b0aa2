"""The token sequence of NAO and SemiNAS: node by node, its incoming edges and then its op."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import Encoding
from emprox.errors import InvalidArchitectureError
from emprox.spaces import Architecture, SearchSpace

__all__ = ["SequenceEncoding"]


class SequenceEncoding(Encoding):
    """Cells as token sequences of fixed length, and back.

    Node j = 1 .. N-1 contributes j edge tokens (1 no edge, 2 edge, from nodes 0 .. j-1) and one op token (op number + 2,
    so 3 to K + 2 are ops and K + 3 is the output); absent nodes are 0. T = (N + 2)(N - 1) / 2, 35 for NAS-Bench-201.

    References
    ----------
    Luo et al., *Neural Architecture Optimization*, NeurIPS 2018; Luo et al., *Semi-Supervised Neural Architecture Search*,
    NeurIPS 2020.

    Examples
    --------
    >>> encoding = SequenceEncoding("nasbench201")
    >>> arch = encoding.space.parse((0, 1, 2, 3, 4, 0))
    >>> tokens = encoding.transform([arch])
    >>> tokens.shape
    (1, 35)
    >>> encoding.inverse_transform(tokens) == [arch]
    True
    """

    def __init__(self, space: str | SearchSpace) -> None:
        super().__init__(space)
        n = self.space.max_nodes
        targets = np.concatenate([np.full(j + 1, j) for j in range(1, n)])
        sources = np.concatenate([np.arange(j + 1) for j in range(1, n)])
        self._is_op = sources == targets
        self._sources, self._targets = sources, targets

    @property
    def length(self) -> int:
        """T, tokens in a sequence."""
        return len(self._targets)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Meaning of each of the V = K + 4 tokens."""
        return ("absent", "no edge", "edge", *self.space.ops, "output")

    @property
    def names(self) -> tuple[str, ...]:
        """``i->j`` for edge tokens, ``op j`` for op tokens."""
        pairs = zip(self._sources, self._targets, self._is_op, strict=True)
        return tuple(f"op {target}" if is_op else f"{source}->{target}" for source, target, is_op in pairs)

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
        """Return the architectures of token rows, ndarray of shape (n_archs, T).

        Raises
        ------
        InvalidArchitectureError
            If the shape is another, or a row is no sequence of this space.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.shape[1] != self.length:
            raise InvalidArchitectureError(f"expected token rows of length {self.length}, got an array of shape {tokens.shape}")
        lowest = np.where(self._is_op, 3, 1)
        highest = np.where(self._is_op, len(self.vocabulary) - 1, 2)
        absent = tokens[:, self._is_op][:, self._targets - 1] == 0
        wrong = np.where(absent, tokens != 0, (tokens < lowest) | (tokens > highest))
        if wrong.any():
            row, position = np.argwhere(wrong)[0]
            raise InvalidArchitectureError(
                f"row {row}: token {tokens[row, position]} at position {position} ({self.names[position]}), "
                f"expected {lowest[position]} to {highest[position]}, or 0 in all tokens of an absent node"
            )
        n = self.space.max_nodes
        adjacency = np.zeros((len(tokens), n, n), dtype=np.int8)
        edge = ~self._is_op
        adjacency[:, self._sources[edge], self._targets[edge]] = tokens[:, edge] == 2
        ops = np.zeros((len(tokens), n), dtype=np.int8)
        op_tokens = tokens[:, self._is_op]
        ops[:, 1:] = np.where(op_tokens == 0, -1, op_tokens - 2)
        return [self.space.from_cell(a, o) for a, o in zip(adjacency, ops, strict=True)]
