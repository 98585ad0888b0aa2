"""Kriging for several targets over a growing set of known architectures: from all of them, or from the nearest.

Letters: m queries, n known, k neighbours, T targets, dim dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from emprox.encoders.kernel import JITTER, Kernel, draw
from emprox.estimators.kriging import Kriging, local_kriging
from emprox.estimators.places import Places
from emprox.index import EmbeddingIndex
from emprox.index.rows import Rows

__all__ = ["ExactKriging", "LocalKriging"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
CALIBRATED = 500
"""Most places that are left out to see how well the others tell them."""
LANDMARKS = 256
"""Places that tell the local form what reaches far; a query costs their number times that of its neighbours squared."""
KEPT = 1 << 16
"""Places of which it is remembered what landmarks tell of them; of others it is worked out each time."""
TOLD = 1e9
"""Variance of a landmark among the neighbours, which has told already what it knows."""
LARGEST = 64
"""Most known architectures that are left out together."""
CENTRES = 128
"""Most known architectures whose neighbourhoods are left out."""
CHUNK = 64
"""Queries of the local form at a time; their small matrices fit in a processor's cache."""


class ExactKriging:
    """All known architectures are neighbours.

    Parameters
    ----------
    kernels : sequence of T Kernel
    embeddings : ndarray of shape (n, dim)
    scores, noise : ndarray of shape (n, T)
        Standardised performances, and their variances beyond the kernels' noise.
    """

    def __init__(self, kernels: Sequence[Kernel], embeddings: Vectors, scores: Floats, noise: Floats) -> None:
        known = embeddings.astype(np.float64)
        columns = zip(kernels, scores.T, noise.T, strict=True)
        self.processes = [Kriging(kernel, known, s, v) for kernel, s, v in columns]

    def __len__(self) -> int:
        return len(self.processes[0].scores)

    def add(self, embeddings: Vectors, scores: Floats, noise: Floats) -> None:
        """Take in more known architectures."""
        grown = zip(self.processes, scores.T, noise.T, strict=True)
        self.processes = [process.extended(embeddings.astype(np.float64), s, v) for process, s, v in grown]

    def localised(self, index: EmbeddingIndex, n_neighbors: int) -> LocalKriging:
        """Return the local form over the same known architectures, whose embeddings an index holds."""
        kernels = [process.kernel for process in self.processes]
        scores, noise = (np.column_stack([getattr(process, name) for process in self.processes]) for name in ("scores", "noise"))
        return LocalKriging(kernels, index, scores, noise, n_neighbors)

    def mean(self, queries: Vectors) -> Floats:
        """Return the estimated scores, (m, T)."""
        return np.column_stack([process.predict(queries.astype(np.float64)) for process in self.processes])

    def posterior(self, queries: Vectors) -> tuple[Floats, Floats]:
        """Return means and variances of the scores that would be measured, (m, T) each."""
        each = [process.posterior(queries.astype(np.float64)) for process in self.processes]
        return np.column_stack([means for means, _ in each]), np.column_stack([variances for _, variances in each])

    def weights(self, query: Vectors) -> tuple[Floats, Ints, Floats]:
        """Return distances, positions and weights (of the first target) of the neighbours of one query (1, dim)."""
        first = self.processes[0]
        distances = np.linalg.norm(first.embeddings.astype(np.float32) - query, axis=1).astype(np.float64)
        return distances, np.arange(len(self)), first.weights(query.astype(np.float64))[0]

    def around(self, queries: Vectors, most: int) -> list[Kriging]:
        """Return the processes that say how the queries' scores vary together."""
        return self.processes

    def left_out(self) -> Floats:
        """Return what each known score differs from its estimate without itself, in standard deviations, (n, T)."""
        _, means, variances = self.leave_one_out()
        return (np.column_stack([process.scores for process in self.processes]) - means) / np.sqrt(variances)

    def left_out_far(self) -> list[tuple[float, Floats]]:
        """Return, for neighbourhoods of 1, 2, 4, ... that are left out, how far the nearest other is, and `left_out` so, (c, T).

        Of at most `CENTRES` known ones, each with those nearest to it, at most a quarter of all and `LARGEST`; the distance is
        the median.
        """
        sizes = [size for size in 2 ** np.arange(LARGEST.bit_length()) if size <= len(self) // 4]
        chosen, known = draw(len(self), CENTRES), self.processes[0].embeddings
        distances = cdist(known[chosen], known)
        distances[np.arange(len(chosen)), chosen] = -1  # itself is the first, also among equal ones
        order = np.argsort(distances, axis=1, kind="stable")[:, : LARGEST + 1]
        ordered = np.take_along_axis(distances, order, 1)
        groups = [order[:, :size] for size in sizes]
        errors = zip(*(process.left_out_together(groups) for process in self.processes), strict=True)
        return [(float(np.median(ordered[:, size])), np.column_stack(found)) for size, found in zip(sizes, errors, strict=True)]

    def leave_one_out(self) -> tuple[Ints, Floats, Floats]:
        """Return positions (n,), and means and variances of the scores estimated without themselves, (n, T) each."""
        each = [process.leave_one_out() for process in self.processes]
        return np.arange(len(self)), np.column_stack([m for m, _ in each]), np.column_stack([v for _, v in each])

    def left_out_weights(self) -> Iterator[tuple[Ints, Floats]]:
        """Yield, for each position of `leave_one_out`, positions of the others and their weights for the first target."""
        for position, weights in enumerate(self.processes[0].left_out_weights()):
            others = np.delete(np.arange(len(self)), position)
            yield others, weights[others]


class LocalKriging:
    """The nearest distinct places are neighbours, beside landmarks; what was measured at one place counts as its mean.

    Landmarks, `LANDMARKS` places drawn with a fixed seed, tell every query what reaches far, and neighbours what the landmarks
    leave open. Both together are kriging from landmarks and neighbours in one. As places are added some become landmarks in place
    of others, so that it does not matter whether they came at once or one by one. What landmarks tell of a place is worked out
    when it is first asked for, so that neither adding nor a query costs time for all that is known.

    Parameters
    ----------
    kernels, scores, noise
        As for `ExactKriging`.
    index : EmbeddingIndex
        Embeddings of the known architectures, by position.
    n_neighbors : int
        k.

    References
    ----------
    Snelson and Ghahramani, *Local and Global Sparse Gaussian Process Approximations*, AISTATS 2007.
    """

    def __init__(self, kernels: Sequence[Kernel], index: EmbeddingIndex, scores: Floats, noise: Floats, n_neighbors: int) -> None:
        self.kernels, self.n_neighbors = list(kernels), n_neighbors
        self.own = np.array([kernel.noise + JITTER for kernel in kernels])
        self._variances = Rows(np.empty((0, len(self.kernels))))
        self.places = Places(index, len(self.kernels))
        self._draw, self._keys = np.random.default_rng(0), np.empty(0)
        self._drawn = self.landmarks = np.empty(0, np.int64)
        self.add(index.reconstruct(np.arange(len(scores))), scores, noise)

    def __len__(self) -> int:
        return len(self._variances)

    @property
    def variances(self) -> Floats:
        """Whole variances of the known scores, (n, T)."""
        return self._variances.all

    def add(self, embeddings: Vectors, scores: Floats, noise: Floats) -> None:
        """Take in more known architectures, whose embeddings the index holds already."""
        before, known = len(self.places), len(self)
        self._variances.append(noise + self.own)
        self.places.add(embeddings, scores, noise + self.own)
        self._draw_places(before)
        landmarks = np.sort(self._drawn[:LANDMARKS])
        told_anew = np.isin(landmarks, self.places.of[known:]).any()
        if told_anew:
            self.landmarks, self.global_ = landmarks, self._exact(landmarks)
        if told_anew or self._room < min(KEPT, len(self.places)):
            self._forget()

    def _forget(self) -> None:
        """Forget what landmarks tell of places, and make room for it."""
        self._room = min(KEPT, 2 * len(self.places))
        shape = len(self.kernels), self._room, len(self.landmarks)
        self._told, self._is_told = np.empty(shape, np.float32), np.zeros((shape[0], shape[1] + 1), bool)

    def _draw_places(self, before: int) -> None:
        """Draw among all places, of which those from `before` on are new: the first by a random key that each has for good."""
        keys = np.concatenate([self._keys, self._draw.random(len(self.places) - before)])
        drawn = np.concatenate([self._drawn, np.arange(before, len(self.places))])
        first = np.argsort(keys)[: LANDMARKS + CALIBRATED]
        self._keys, self._drawn = keys[first], drawn[first]

    def mean(self, queries: Vectors) -> Floats:
        """Return the estimated scores, (m, T)."""
        return self.posterior(queries)[0]

    def posterior(self, queries: Vectors) -> tuple[Floats, Floats]:
        """Return means and variances of the scores that would be measured, (m, T) each."""
        return self._from_places(queries, self.places.nearest(queries, self.n_neighbors)[1])

    def weights(self, query: Vectors) -> tuple[Floats, Ints, Floats]:
        """Return distances, positions and weights (of the first target) of landmarks and neighbours of one query (1, dim).

        The weight of a place is shared among what was measured there, by precision.
        """
        members, weights = self._weights(query, self.places.nearest(query, self.n_neighbors)[1])
        distances = np.linalg.norm(self.places.embeddings(self.places.of[members]) - query, axis=1).astype(np.float64)
        return distances, members, weights

    def _weights(self, query: Vectors, near: Ints) -> tuple[Ints, Floats]:
        """Return positions of landmarks and given places (1, k), and their weights for the first target of one query (1, dim)."""
        places, first = self.places, self.global_.processes[0]
        of_query, told = first.projections(query.astype(np.float64)), self._tell(0, near)
        by_place = np.zeros(len(places))
        by_place[near[0]] = self._local(0, query.astype(np.float64), near, of_query, told)[2][0]
        by_place[self.landmarks] = first.unprojected(of_query - by_place[near] @ told[0])[0]
        members = np.flatnonzero(by_place[places.of])
        of = places.of[members]
        return members, by_place[of] * places.variances(of)[:, 0] / self.variances[members, 0]

    def around(self, queries: Vectors, most: int) -> list[Kriging]:
        """Return exact processes over landmarks and the nearest places of all queries together, the first `most` by distance."""
        distances, near = self.places.nearest(queries, self.n_neighbors)
        order = np.concatenate([self.landmarks, near.ravel()[np.argsort(distances.ravel(), kind="stable")]])
        _, first = np.unique(order, return_index=True)
        return self._exact(order[np.sort(first)][:most]).processes

    def left_out(self) -> Floats:
        """Return what the mean of each place differs from its estimate without it, in standard deviations, (P, T).

        Of at most `CALIBRATED` places that are no landmarks, drawn with a fixed seed; of the landmarks where there are no others.
        """
        chosen, near = self._others()
        if not len(chosen):
            return self.global_.left_out()
        means, variances = self._from_places(self.places.embeddings(chosen), near)
        return (self.places.scores(chosen) - means) / np.sqrt(variances - self.own + self.places.variances(chosen))

    def left_out_far(self) -> list[tuple[float, Floats]]:
        """Return the same as `ExactKriging.left_out_far`, of the landmarks, which lie far apart."""
        return self.global_.left_out_far()

    def leave_one_out(self) -> tuple[Ints, Floats, Floats]:
        """Return positions (m,), one of each place of `left_out`, and means and variances of a measurement there, (m, T) each."""
        chosen, near = self._others()
        if not len(chosen):
            chosen, means, variances = self.global_.leave_one_out()
            return self.places.first[self.landmarks[chosen]], means, variances
        return self.places.first[chosen], *self._from_places(self.places.embeddings(chosen), near)

    def left_out_weights(self) -> Iterator[tuple[Ints, Floats]]:
        """Yield, for each position of `leave_one_out`, positions of the others and their weights for the first target."""
        chosen, near = self._others()
        if not len(chosen):
            first = self.places.first[self.landmarks]
            yield from ((first[others], weights) for others, weights in self.global_.left_out_weights())
        for place, others in zip(chosen, near, strict=True):
            yield self._weights(self.places.embeddings(place), others[None])

    def _others(self) -> tuple[Ints, Ints]:
        """Return places (m,) that are left out for calibration, and the neighbours of each but itself, (m, k)."""
        chosen = np.sort(self._drawn[LANDMARKS : LANDMARKS + CALIBRATED])
        near = self.places.nearest(self.places.embeddings(chosen), self.n_neighbors + 1)[1]
        others = np.argsort(near == chosen[:, None], axis=1, kind="stable")[:, :-1]
        return chosen, np.take_along_axis(near, others, 1)

    def _exact(self, places: Ints) -> ExactKriging:
        """Return the exact form over some places."""
        noise = self.places.variances(places) - self.own
        return ExactKriging(self.kernels, self.places.embeddings(places), self.places.scores(places), noise)

    def _from_places(self, queries: Vectors, near: Ints) -> tuple[Floats, Floats]:
        """Return means and variances of the scores from landmarks and given places (m, k), (m, T) each."""
        means, variances = np.empty((2, len(queries), len(self.kernels)))
        for t, process in enumerate(self.global_.processes):
            for start in range(0, len(queries), CHUNK):
                rows = slice(start, start + CHUNK)
                q = queries[rows].astype(np.float64)
                of_queries = process.projections(q)
                found, variances[rows, t], _ = self._local(t, q, near[rows], of_queries, self._tell(t, near[rows]))
                means[rows, t] = of_queries @ process.projected_scores + found
        return means, variances

    def _local(self, t: int, queries: Floats, near: Ints, of_queries: Floats, told: Vectors) -> tuple[Floats, Floats, Floats]:
        """Return what neighbours (m, k) add to the estimates from the landmarks, the variances left, and the weights."""
        neighbors = self.places.embeddings(near.ravel()).reshape(*near.shape, -1).astype(np.float64)
        left = self.places.scores(near)[..., t] - told @ self.global_.processes[t].projected_scores
        spread = self.places.variances(near)[..., t]
        place = np.minimum(np.searchsorted(self.landmarks, near), len(self.landmarks) - 1)
        spread[self.landmarks[place] == near] = TOLD
        return local_kriging(self.kernels[t], queries, neighbors, left, spread, (of_queries.astype(np.float32), told))

    def _tell(self, t: int, near: Ints) -> Vectors:
        """Return what landmarks tell of places (m, k), as `Kriging.projections`, (m, k, landmarks)."""
        lacks = ~self._is_told[t, np.minimum(near, self._room)]
        if not lacks.any():
            return self._told[t, near]
        new = np.unique(near[lacks])
        told = self.global_.processes[t].projections(self.places.embeddings(new).astype(np.float64)).astype(np.float32)
        kept = new < self._room
        if not self._told.flags.writeable:  # joblib maps arrays of what it unpickles
            self._told, self._is_told = self._told.copy(), self._is_told.copy()
        self._told[t, new[kept]] = told[kept]
        self._is_told[t, new[kept]] = True  # after the rows themselves: another thread may look
        found = np.empty((*near.shape, told.shape[1]), np.float32)
        found[~lacks] = self._told[t, near[~lacks]]
        found[lacks] = told[np.searchsorted(new, near[lacks])]
        return found
