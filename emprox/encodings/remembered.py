"""Encodings that remember: a search asks about the same candidates again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.encodings.base import WRAPPED, Encoding
from emprox.spaces import Architecture

__all__ = ["Memory", "RememberedEncoding"]


class RememberedEncoding(Encoding):
    """An encoding that computes each row once.

    Parameters
    ----------
    encoding : Encoding
        What computes the rows.
    rows : dict of Architecture to ndarray
        Rows that are known; more are added, and all are forgotten when they are more than `most`.
    most : int
        Bounds the memory.
    """

    def __init__(self, encoding: Encoding, rows: dict[Architecture, NDArray[Any]], most: int) -> None:
        super().__init__(encoding.space)
        self.encoding, self.rows, self.most = encoding, rows, most
        self.training_epochs = encoding.training_epochs

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each column."""
        return self.encoding.names

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Groups of columns that belong together."""
        return self.encoding.blocks

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[Any]:
        """Return the encoding, ndarray of shape (n_archs, len(names))."""
        new = list(dict.fromkeys(architecture for architecture in architectures if architecture not in self.rows))
        if not architectures or len(new) > self.most:
            return self.encoding.transform(architectures)
        if len(self.rows) + len(new) > self.most:
            self.rows.clear()
            new = list(dict.fromkeys(architectures))
        if new:
            self.rows.update(zip(new, self.encoding.transform(new), strict=True))
        return np.stack([self.rows[architecture] for architecture in architectures])


class Memory:
    """Rows of encodings, for as long as one holds it.

    Examples
    --------
    >>> from emprox.encodings import get_encoding
    >>> memory = Memory()
    >>> with memory.used():
    ...     encoding = get_encoding("onehot", "nasbench201")
    >>> row = encoding.transform(encoding.space.references(1))
    >>> len(memory)
    1
    """

    def __init__(self, most: int = 20_000) -> None:
        self.most = most
        self._rows: dict[tuple[str, str], dict[Architecture, NDArray[Any]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let encodings that are made meanwhile remember; those of what is known from elsewhere have nothing to compute."""
        token = WRAPPED.set(self._wrapped)
        try:
            yield
        finally:
            WRAPPED.reset(token)

    def _wrapped(self, name: str, encoding: Encoding) -> Encoding:
        if encoding.known is not None or encoding.takes_known:
            return encoding
        return RememberedEncoding(encoding, self._rows.setdefault((name, encoding.space.setting), {}), self.most)
