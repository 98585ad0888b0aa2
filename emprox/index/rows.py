"""Arrays that grow at their end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows"]

GROWTH = 1.5
"""Room that is made at once when there is none left, relative to what is there."""


class Rows:
    """Rows of an array to which others are added: that costs time for the new rows, and now and then for all.

    Parameters
    ----------
    first : ndarray of shape (n, ...)
        The rows that there are; kept as they are until others come.

    Examples
    --------
    >>> rows = Rows(np.array([1, 2]))
    >>> rows.append([3])
    >>> rows.all.tolist(), len(rows)
    ([1, 2, 3], 3)
    """

    def __init__(self, first: NDArray[Any]) -> None:
        self._room, self._count = first, len(first)

    def __len__(self) -> int:
        return self._count

    @property
    def all(self) -> NDArray[Any]:
        """All rows, (n, ...); a view, which later rows do not reach."""
        return self._room[: self._count]

    def append(self, rows: Any) -> None:
        """Add rows at the end."""
        new = np.asarray(rows, dtype=self._room.dtype)
        count = self._count + len(new)
        if count > len(self._room):
            room = np.empty((max(count, int(GROWTH * self._count)), *self._room.shape[1:]), self._room.dtype)
            room[: self._count] = self._room[: self._count]
            self._room = room
        self._room[self._count : count] = new
        self._count = count
