"""Features of the whole network as an encoding of any family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import Encoding
from emprox.encodings.graphs import BLOCKS, NAMES, network_features
from emprox.spaces import Architecture
from emprox.spaces.anything import NamedGraph

__all__ = ["NetworkEncoding"]

_KEPT: WeakKeyDictionary[NamedGraph, NDArray[np.float32]] = WeakKeyDictionary()
"""Rows of graphs that were given, as long as those live."""
_ROWS: dict[Architecture, NDArray[np.float32]] = {}
"""Rows of architectures of search spaces, for the next fit or query."""
MOST_ROWS = 50_000
"""Rows of `_ROWS`, 300 bytes each, after which it starts again."""


class NetworkEncoding(Encoding):
    """Features of the network that an architecture stands for; the columns mean the same in every family.

    The default encoding of networks that are given, and a way to compare architectures of different search spaces. About 10 ms
    for a network of 400 nodes, once: rows are kept, those of graphs that are given as long as the graphs are.

    Examples
    --------
    >>> encoding = NetworkEncoding("nasbench201")
    >>> encoding.blocks["operators"], len(encoding.names)
    (slice(0, 19, None), 72)
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, those of `emprox.encodings.graphs.network_features`."""
        return NAMES

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Name of each side of a network to its columns."""
        ends = np.cumsum([len(names) for names in BLOCKS.values()]).tolist()
        return {name: slice(end - len(names), end) for (name, names), end in zip(BLOCKS.items(), ends, strict=True)}

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return the columns, ndarray of shape (n_archs, 72)."""
        rows = [_KEPT.get(a.spec) if isinstance(a.spec, NamedGraph) else _ROWS.get(a) for a in architectures]
        missing = [position for position, row in enumerate(rows) if row is None]
        found = network_features([self.space.to_graph(architectures[position], "network") for position in missing])
        if len(_ROWS) + len(found) > MOST_ROWS:
            _ROWS.clear()
        for position, row in zip(missing, found, strict=True):
            rows[position] = row
            if isinstance(spec := architectures[position].spec, NamedGraph):
                _KEPT[spec] = row
            else:
                _ROWS[architectures[position]] = row
        return np.array(rows, dtype=np.float32).reshape(-1, len(NAMES))
