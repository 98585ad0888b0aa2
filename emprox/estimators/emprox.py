"""EmProx: embed the measured architectures, find the nearest to a candidate, average their performance by weight.

Letters: n queries, k neighbours, dim dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from emprox.encoders import ENCODERS, Encoder, SequenceAutoencoder
from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.index import EmbeddingIndex
from emprox.registry import nearest
from emprox.spaces import Architecture, SearchSpace, as_architectures
from emprox.validation import as_spread, as_targets, check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["WEIGHTS", "EmProx"]

VECTORS = "vectors.faiss"
SAME = 1e-5
"""Embeddings closer than this share of their mean norm are one point: encoding in another batch changes the last digits."""


def inverse_weights(distances: Floats) -> Floats:
    """Return 1 / distance, the published weights."""
    return 1 / distances


WEIGHTS: dict[str, Callable[[Floats], Floats]] = {"inverse": inverse_weights}
"""Weights by name: positive distances (n, k) to weights (n, k) of any scale."""


class EmProx(ArchitectureRegressor):
    """Weighted nearest neighbours in an embedding of architectures.

    An architecture whose embedding is in the index gets the known value (the mean if several share the embedding);
    any other estimate lies within the range of its neighbours' values.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space; None takes it from the architectures.
    encoder : Encoder or None
        Embeds architectures; fitted on the measured ones. None is the published `SequenceAutoencoder`. An encoder fitted
        beforehand on more architectures goes in as ``sklearn.frozen.FrozenEstimator(encoder)``.
    n_neighbors : int
        k; all known architectures are neighbours if there are fewer.
    weights : str or callable
        ``"inverse"``, or a function of positive distances (n, k) that returns non-negative weights (n, k).
    random_state : int or None
        Seed of an encoder that has none.

    Attributes
    ----------
    encoder_ : Encoder
        The fitted encoder.
    index_ : EmbeddingIndex
        Embeddings of the known architectures; ids are positions in `architectures_`.

    Notes
    -----
    ``y_std`` enters as precision: a neighbour's weight is multiplied by 1 / (y_std^2 + mean of y_std^2).
    The standard deviation of an estimate is the weighted spread of its neighbours' values, scaled so that the leave-one-out
    residuals of the known architectures have unit variance; infinite while only one architecture is known, the standard
    deviation of the known value where there is an exact match.

    References
    ----------
    Franken, Singh, Vanschoren, *Faster Performance Estimation for NAS with Embedding Proximity Score*, 2022, arXiv 2206.05972.

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.spaces import get_space
    >>> space = get_space("nasbench201")
    >>> known = space.sample(np.random.default_rng(0), 30)
    >>> accuracy = [90 - a.spec.count(1) for a in known]
    >>> estimator = EmProx.paper(k=5, random_state=0).fit(known, accuracy)
    >>> bool(estimator.predict(known[:1])[0] == accuracy[0])
    True
    """

    kind = "emprox"
    has_std = True

    def __init__(
        self,
        *,
        space: str | SearchSpace | None = None,
        encoder: Encoder | None = None,
        n_neighbors: int = 10,
        weights: str | Callable[[Floats], Floats] = "inverse",
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.encoder = encoder
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.random_state = random_state

    @classmethod
    def paper(
        cls,
        k: int = 10,
        *,
        space: str | SearchSpace | None = None,
        hidden_size: int = 32,
        epochs: int = 50,
        random_state: int | None = None,
    ) -> Self:
        """Return the published method: autoencoder trained on the measured cells, Euclidean distance, inverse-distance weights.

        One deliberate difference: each known cell is stored once, encoded after training; the released code keeps the
        embedding of every cell from every epoch.
        """
        encoder = SequenceAutoencoder(hidden_size=hidden_size, epochs=epochs)
        return cls(space=space, encoder=encoder, n_neighbors=k, weights="inverse", random_state=random_state)

    def partial_fit(self, architectures: Iterable[Any], y: ArrayLike, y_std: ArrayLike | None = None) -> Self:
        """Add measured architectures as neighbours without training the encoder again; the first call is `fit`.

        Raises
        ------
        InvalidDataError
            As `fit`; also if y_std is given now and was not before, or the other way round.
        """
        if not hasattr(self, "index_"):
            return self.fit(architectures, y, y_std)
        new = as_architectures(architectures, self.space_)
        values, spread = as_targets(y, len(new)), as_spread(y_std, len(new))
        if (spread is None) != (self.y_std_ is None):
            given = "not given" if spread is None else "given"
            raise InvalidDataError(f"y_std is {given} now and was the opposite in fit; pass it always or never")
        if not new:
            return self
        self.index_.add(self.encoder_.transform(new))
        self.architectures_ = self.architectures_ + new
        self.y_ = np.concatenate([self.y_, values])
        if spread is not None and self.y_std_ is not None:
            self.y_std_ = np.concatenate([self.y_std_, spread])
        self._calibrate()
        return self

    def kneighbors(
        self, architectures: Iterable[Any], n_neighbors: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return distances and positions in `architectures_` of the nearest known architectures, each of shape (n, k)."""
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        return self.index_.search(self._embed(self._read(architectures)), k)

    def explain(self, architecture: Any) -> dict[str, Any]:
        """Return the estimate of one architecture and the neighbours it is made of, by decreasing weight.

        Returns
        -------
        dict
            ``architecture``, ``estimate``, ``std`` and ``neighbors``, a list of dicts with ``architecture``, ``distance``,
            ``weight`` (they sum to 1) and ``value``.
        """
        queried = self._read([architecture])
        distances, neighbors = self._nearest(self._embed(queried), self.n_neighbors)
        weights = self._weigh(distances, neighbors)
        estimates = self._average(weights, neighbors)
        rows = [
            {"architecture": str(self.architectures_[i]), "distance": float(d), "weight": float(w), "value": float(self.y_[i])}
            for d, i, w in zip(distances[0], neighbors[0], weights[0], strict=True)
            if w > 0
        ]
        return {
            "architecture": str(queried[0]),
            "estimate": float(estimates[0]),
            "std": float(self._std(estimates, distances, weights, neighbors)[0]),
            "neighbors": sorted(rows, key=lambda row: -row["weight"]),
        }

    def _check_options(self) -> None:
        check_at_least("n_neighbors", self.n_neighbors, 1)
        if not callable(self.weights) and self.weights not in WEIGHTS:
            hint = nearest(str(self.weights), list(WEIGHTS))
            raise InvalidOptionError(f"weights must be a name or a function, got {self.weights!r}; {hint}")

    def _fit(self) -> None:
        encoder = SequenceAutoencoder() if self.encoder is None else clone(self.encoder)
        if encoder.get_params(deep=False).get("random_state", 0) is None:
            encoder.set_params(random_state=self.random_state)
        self.encoder_ = encoder.fit(self.architectures_, self.y_)
        self.index_ = EmbeddingIndex(self.encoder_.dim)
        self.index_.add(self._embed(self.architectures_))
        self._calibrate()

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        distances, neighbors = self._nearest(self._embed(architectures), self.n_neighbors)
        weights = self._weigh(distances, neighbors)
        estimates = self._average(weights, neighbors)
        return estimates, self._std(estimates, distances, weights, neighbors) if return_std else None

    def _embed(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        if not architectures:
            return np.empty((0, self.index_.dim), np.float32)
        return self.encoder_.transform(architectures)

    def _nearest(self, embeddings: NDArray[np.float32], k: int) -> tuple[Floats, NDArray[np.int64]]:
        """Return the k nearest, and as many more columns as an exact match needs to show all known at its place."""
        distances, neighbors = self.index_.search(embeddings, k)
        fetch = k
        while len(embeddings) and fetch < len(self.index_) and (distances[:, -1] <= self.same_).any():
            fetch *= 2
            distances, neighbors = self.index_.search(embeddings, fetch)
        return self._snapped(distances), neighbors

    def _snapped(self, distances: NDArray[np.float32]) -> Floats:
        """Return distances as float64, those within rounding of an exact match as 0."""
        return np.where(distances <= self.same_, 0, distances).astype(np.float64)

    def _weigh(self, distances: Floats, neighbors: NDArray[np.int64]) -> Floats:
        """Return weights (n, columns) that sum to 1 in each row: those at distance 0 alone, or the first k by distance."""
        k = min(self.n_neighbors, distances.shape[1])
        exact = distances == 0
        positive = np.where(exact[:, :k], 1, distances[:, :k])
        weights = np.zeros(distances.shape)
        weights[:, :k] = self._weight_function(positive)
        weights = np.where(exact[:, :1], exact, weights)
        precision = self._precision()
        if precision is not None:
            weights = weights * precision[neighbors]
        return weights / weights.sum(axis=1, keepdims=True)

    def _weight_function(self, distances: Floats) -> Floats:
        if not callable(self.weights):
            return WEIGHTS[self.weights](distances)
        weights = np.asarray(self.weights(distances), dtype=np.float64)
        usable = weights.shape == distances.shape and np.isfinite(weights).all() and (weights >= 0).all()
        if not usable or (weights.sum(axis=1) == 0).any():
            raise InvalidOptionError(
                f"weights({distances.shape}) must return finite non-negative weights of the same shape, not all 0 in a row; "
                f"got shape {weights.shape}, smallest {weights.min(initial=np.inf)}"
            )
        return weights

    def _average(self, weights: Floats, neighbors: NDArray[np.int64]) -> Floats:
        values = self.y_[neighbors]
        used = weights > 0
        lowest = np.where(used, values, np.inf).min(axis=1, initial=np.inf)
        highest = np.where(used, values, -np.inf).max(axis=1, initial=-np.inf)
        return np.clip((weights * values).sum(axis=1), lowest, highest)

    def _variance(self, estimates: Floats, weights: Floats, neighbors: NDArray[np.int64]) -> Floats:
        return (weights * (self.y_[neighbors] - estimates[:, None]) ** 2).sum(axis=1)

    def _std(self, estimates: Floats, distances: Floats, weights: Floats, neighbors: NDArray[np.int64]) -> Floats:
        std = self.scale_ * np.sqrt(self._variance(estimates, weights, neighbors) + self.floor_)
        known = np.zeros_like(std)
        if self.y_std_ is not None:
            known = np.sqrt(((weights * self.y_std_[neighbors]) ** 2).sum(axis=1))
        return np.where((distances == 0).any(axis=1), known, std)

    def _calibrate(self) -> None:
        """Set the scale of standard deviations from the leave-one-out residuals of the known architectures."""
        known = self.index_.reconstruct(np.arange(len(self.y_)))
        self.same_ = SAME * float(np.linalg.norm(known, axis=1).mean())
        if len(known) == 1:
            self.scale_, self.floor_ = np.inf, 1.0
            return
        distances, neighbors = self.index_.search(known, self.n_neighbors + 1)
        is_self = neighbors == np.arange(len(known))[:, None]
        others = np.argsort(is_self, axis=1, kind="stable")[:, : distances.shape[1] - 1]
        distances, neighbors = np.take_along_axis(distances, others, 1), np.take_along_axis(neighbors, others, 1)
        weights = self._weigh(self._snapped(distances), neighbors)
        estimates = self._average(weights, neighbors)
        squared = (self.y_ - estimates) ** 2
        self.floor_ = float(squared.mean()) or np.finfo(np.float64).tiny
        self.scale_ = float(np.sqrt(np.mean(squared / (self._variance(estimates, weights, neighbors) + self.floor_))))

    def _options(self) -> dict[str, Any]:
        if callable(self.weights):
            raise InvalidOptionError("an EmProx whose weights are a function cannot be saved; use a named weight function")
        if self.encoder_.kind not in ENCODERS.names():
            raise InvalidOptionError(f"the encoder {self.encoder_!r} is not registered and cannot be saved")
        return {name: value for name, value in self.get_params(deep=False).items() if name != "encoder"}

    def _write(self, folder: Path) -> dict[str, Any]:
        self.index_.save(folder / VECTORS)
        return {
            "encoder": self.encoder_.kind,
            "encoder_state": self.encoder_.write(folder),
            "frozen": isinstance(self.encoder, FrozenEstimator),
        }

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self.encoder_ = ENCODERS.get(state["encoder"]).read(folder, state["encoder_state"])
        self.encoder = FrozenEstimator(self.encoder_) if state["frozen"] else clone(self.encoder_)
        self.index_ = EmbeddingIndex.load(folder / VECTORS)
        self._calibrate()
