"""The token sequence that a space brings; for cells that of NAO and SemiNAS, node by node, edges and then the op."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import SpaceEncoding
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.spaces.sequences import FORMATS

__all__ = ["SequenceEncoding"]


class SequenceEncoding(SpaceEncoding):
    """Architectures as token sequences of fixed length, and back.

    A cell is written node by node (`CellSequence`, 35 tokens for NAS-Bench-201), a space of two cells or a
    chain of blocks choice by choice (`ChoiceSequence`): whichever its ``sequence_by`` names.

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

    def __init__(self, space: str | ArchitectureFamily) -> None:
        super().__init__(space)
        self._format = FORMATS.get(self.space.sequence_by)(self.space)

    @property
    def length(self) -> int:
        """T, tokens in a sequence."""
        return len(self._format.names)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Meaning of each of the V tokens; V = K + 4 for the node-by-node form."""
        return self._format.vocabulary

    @property
    def names(self) -> tuple[str, ...]:
        """``i->j`` for edge tokens and ``op j`` for op tokens, or the names of the space's choices."""
        return self._format.names

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """(T, V), which tokens each position can hold in some architecture of the space."""
        return self._format.allowed

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.int8]:
        """Return tokens, ndarray of shape (n_archs, T)."""
        return self._format.transform(architectures)

    def inverse_transform(self, tokens: NDArray[np.integer]) -> list[Architecture]:
        """Return the architectures of token rows, ndarray of shape (n_archs, T).

        Raises
        ------
        InvalidArchitectureError
            If the shape is another, or a row is no sequence of this space.
        """
        return self._format.inverse_transform(tokens)
