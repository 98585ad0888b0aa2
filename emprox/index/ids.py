"""Ids of rows that only grow: those that were removed are marked, and looked up no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emprox.index.rows import Rows

__all__ = ["Ids"]

Ints = NDArray[np.int64]


class Ids:
    """Id of each row. Adding and looking up cost time for the ids asked for, as long as ids come in increasing order.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        Non-negative, distinct among the rows that are not gone.
    gone : ndarray of shape (n,), optional
        Which rows were removed.
    following : int
        The next id that `add` may give, if those of the rows leave it free.

    Examples
    --------
    >>> ids = Ids(np.array([5, 7]))
    >>> ids.add(np.array([3]))
    >>> ids.rows(np.array([3, 4, 7])).tolist()
    [2, -1, 1]
    """

    def __init__(self, ids: Ints, gone: NDArray[np.bool_] | None = None, following: int = 0) -> None:
        self._ids, self._gone = Rows(ids), Rows(np.zeros(len(ids), bool) if gone is None else gone)
        self.count_gone = int(np.count_nonzero(self._gone.all))
        self.following = max(following, int(ids.max(initial=-1)) + 1)
        self._ascending = bool((np.diff(ids) > 0).all())
        self._order: Ints | None = None

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def all(self) -> Ints:
        """Id of each row, gone or not, (n,)."""
        return self._ids.all

    @property
    def gone(self) -> NDArray[np.bool_]:
        """Which rows were removed, (n,)."""
        return self._gone.all

    def add(self, ids: Ints) -> None:
        """Add rows with these ids, which no row has that is not gone."""
        self._ascending = self._ascending and bool((np.diff(np.concatenate([self.all[-1:], ids])) > 0).all())
        self._ids.append(ids)
        self._gone.append(np.zeros(len(ids), bool))
        self.following = max(self.following, int(ids.max(initial=-1)) + 1)
        self._order = None

    def remove(self, rows: Ints) -> None:
        """Mark distinct rows as gone."""
        self.gone[rows] = True
        self.count_gone += len(rows)

    def rows(self, ids: Ints) -> Ints:
        """Return the row of each id, -1 where none has it."""
        keys = self.all
        if not len(keys):
            return np.full(len(ids), -1)
        if self._ascending:
            rows = np.searchsorted(keys, ids, "right") - 1
        else:
            if self._order is None:
                self._order = np.argsort(keys, kind="stable")  # of equal ids the last row is the one that may not be gone
            rows = np.searchsorted(keys, ids, "right", sorter=self._order) - 1
            rows = np.where(rows < 0, -1, self._order[rows])
        return np.where((rows >= 0) & (keys[rows] == ids) & ~self.gone[rows], rows, -1)
