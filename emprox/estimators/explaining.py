"""The neighbours that an estimate is made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.encoders.columns import ColumnEncoder
from emprox.encoders.kernel import draw
from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.index import EmbeddingIndex
from emprox.spaces import Architecture
from emprox.validation import check_at_least

__all__ = ["COVERAGE", "Explaining"]

COVERAGE = 0.9
"""Coverage of intervals where none is asked for."""
SHOWN = 10
"""Neighbours that an explanation lists."""
COMPARED = 1000
"""Most known architectures whose distances to one another say what is far."""
DIFFERENCES = 3
"""Columns in which an explanation compares a neighbour with the candidate."""


class Explaining(ArchitectureRegressor):
    """What `EmProx` has besides: `kneighbors`, `unlike_known` and `explain`."""

    encoder_: Any
    weigher_: Any
    index_: EmbeddingIndex
    n_neighbors: int
    known_prior_: NDArray[np.float32]
    _furthest: tuple[EmbeddingIndex, int, float] | None = None

    def kneighbors(
        self, architectures: Iterable[Any], n_neighbors: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return distances and positions in `architectures_` of the nearest known architectures, each of shape (n, k)."""
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        return self.index_.search(self._embed(self._read(architectures)), k)

    def unlike_known(self, architectures: Iterable[Any]) -> dict[int, tuple[Architecture, float]]:
        """Return the architectures that are further from all known ones than any of those is from the nearest other.

        Estimates of these are extrapolations. Costs a search for each, and the first time for at most `COMPARED` of the known.

        Returns
        -------
        dict
            Position of each such architecture to the nearest known one and its distance; empty with fewer than two known.
        """
        if len(self.y_) < 2:
            return {}
        nearest, positions = self.kneighbors(architectures, 1)
        is_far = nearest[:, 0] > self._furthest_known()
        return {int(i): (self.architectures_[positions[i, 0]], float(nearest[i, 0])) for i in np.flatnonzero(is_far)}

    def _furthest_known(self) -> float:
        """Return the largest distance from a known architecture to the nearest other, kept while no more are known."""
        if self._furthest is None or self._furthest[0] is not self.index_ or self._furthest[1] != len(self.y_):
            some = self.index_.reconstruct(draw(len(self.y_), COMPARED))
            self._furthest = self.index_, len(self.y_), float(self.index_.search(some, 2)[0][:, 1].max())
        return self._furthest[2]

    def explain(self, architecture: Any, n_shown: int = SHOWN) -> dict[str, Any]:
        """Return the estimate of one architecture and the neighbours it is made of, by decreasing size of weight.

        Weights of averages are positive and sum to 1. Those of kriging apply to scores, may be negative, and sum to about 1
        where much is known. With several targets, weights and values are those of the first.

        Returns
        -------
        dict
            ``architecture``, ``estimate``, ``std``, ``interval`` (lower and upper end at `COVERAGE`), ``known`` (how many),
            ``share_shown`` (of the sum of absolute weights) and ``neighbors``, a list of dicts with ``architecture``,
            ``distance``, ``weight``, ``value`` and, where the encoder can say, ``differs``: the columns that contribute most to
            the distance, each with ``column``, ``candidate``, ``neighbor`` and ``share`` of the squared distance.
        """
        check_at_least("n_shown", n_shown, 1)
        queried = self._read([architecture])
        asked = self._asked(queried)
        distances, neighbors, weights = self.weigher_.weights(asked)
        total = np.abs(weights).sum()
        order = np.lexsort((distances, -np.abs(weights)))
        shown = [i for i in order[:n_shown] if weights[i] != 0]
        answers = (*self.weigher_.predict(asked, True), *self.weigher_.interval(asked, COVERAGE))
        estimate, std, lower, upper = (self._shaped(each)[0].tolist() for each in answers if each is not None)
        first = self.y_ if self.y_.ndim == 1 else self.y_[:, 0]
        return {
            "architecture": self.space_.label(queried[0]),
            "estimate": estimate,
            "std": std,
            "interval": [lower, upper],
            "known": len(self.y_),
            "share_shown": float(np.abs(weights[shown]).sum() / total) if total else 1.0,
            "neighbors": [
                {
                    "architecture": self.space_.label(self.architectures_[neighbors[i]]),
                    "distance": float(distances[i]),
                    "weight": float(weights[i]),
                    "value": float(first[neighbors[i]]),
                    **self._differences(queried[0], self.architectures_[neighbors[i]]),
                }
                for i in shown
            ],
        }

    def _differences(self, candidate: Architecture, known: Architecture) -> dict[str, Any]:
        if not isinstance(self.encoder_, ColumnEncoder):
            return {}
        columns = ("column", "candidate", "neighbor", "share")
        found = self.encoder_.differences(candidate, known)[:DIFFERENCES]
        return {"differs": [dict(zip(columns, each, strict=True)) for each in found]}

    def _table(self) -> tuple[Floats, Floats | None]:
        """Return the known values and their standard deviations with one column for each target."""
        spread = self.y_std_
        return (self.y_, spread) if self.y_.ndim == 2 else (self.y_[:, None], None if spread is None else spread[:, None])

    def _shaped(self, columns: Floats) -> Floats:
        """Return estimates (..., n_targets) as the measurements were given."""
        return columns if self.y_.ndim == 2 else columns[..., 0]

    @abstractmethod
    def _embed(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        """Return the embeddings of architectures."""

    @abstractmethod
    def _asked(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        """Return what `weigher_` reads of architectures."""
