"""EmProx: embed the measured architectures, find the nearest to a candidate, combine their performance by weight.

Letters: n queries, k neighbours, dim dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from emprox.encoders import ENCODERS, Encoder, MetricEncoder, SequenceAutoencoder
from emprox.encoders.kernel import Kernel
from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.estimators.averaging import WEIGHTS
from emprox.estimators.base import Floats
from emprox.estimators.explaining import COVERAGE, Explaining
from emprox.estimators.following import StoreFollower
from emprox.estimators.prior import Learned, Prior, PriorEstimator, PriorOnly, Trend, learn_trend
from emprox.estimators.warp import Warp
from emprox.estimators.warped_kriging import WarpedKriging, score
from emprox.estimators.weighing import KRIGING, check_weighing, kernels_over, make_weigher
from emprox.index.embedding_index import EmbeddingIndex, IndexKind, check_index_kind
from emprox.proxies.known import Known
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.tables.sources import Source
from emprox.validation import as_measurements, check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["EmProx"]

VECTORS = "vectors.faiss"
STRUCTURE = "structure"
"""Name, among features, of the default encoding of the space, for a search space its structural blocks."""
GROWTH = 1.5
"""Refitting pays when the known have grown by this factor since the embedding was learned."""


class EmProx(Explaining, StoreFollower):
    """Nearest neighbours in an embedding of architectures, weighted by kriging.

    By default the embedding is learned from the labels (`MetricEncoder`), and the weights are those of a Gaussian process over
    it: of all known architectures while they are at most `exact_up_to`, beyond that of the nearest `n_neighbors` and of 256
    landmarks among the known. Fitting costs about .05 s at 100 architectures. `EmProx.paper` is the published method.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoder : Encoder or None
        Embeds architectures; fitted on the measured ones. None is `MetricEncoder`. An encoder fitted
        beforehand on more architectures goes in as ``sklearn.frozen.FrozenEstimator(encoder)``.
    features : str or sequence of str
        What the default encoder scales: ``structure``, the space's default encoding, and names of further ones, such as
        ``proxies`` and ``curves@3``, each of which is one block. As one text they are joined by ``+``: ``structure+proxies``.
    known : KnownProxies, PerformanceTable, path or None
        Where such features find their columns; None computes proxies. `emprox bench` hands over those of its table.
    weights : str or callable
        ``"kriging"``, ``"inverse"`` distance, ``"kernel"`` (Nadaraya-Watson), or a function of positive distances (n, k) that
        returns non-negative weights (n, k).
    n_neighbors : int
        k; all known architectures are neighbours if there are fewer.
    exact_up_to : int
        With kriging, the largest number of known architectures that are all neighbours.
    prior : str, ArchitectureRegressor or None
        An estimator that ranks without labels, or its text form, such as ``universal``, ``size`` or ``gnn``: a trend beneath
        what the neighbours say, trusted as far as leaving out each known architecture bears it out. With it ``fit([], [])``
        ranks, in standard deviations of the family. Costs three fits, and the prior's time for each query.
    source : sequence of str or PerformanceTable, optional
        Tables of other families that a prior given by name learns from.
    index : {"auto", "flat", "ivf", "hnsw", "ivfpq"}
        How neighbours are found, as in `EmbeddingIndex`: ``auto`` is exact up to 50,000 known architectures.
    random_state : int or None
        Seed of an encoder that has none.

    Attributes
    ----------
    encoder_ : Encoder
        The fitted encoder.
    index_ : EmbeddingIndex
        Embeddings of the known architectures; ids are positions in `architectures_`.
    trend_ : Trend or None
        With a prior, the slope and trust that its scores have, for each target; None without labels.

    Notes
    -----
    Kriging works on scores, a monotone warp of the measurements (`emprox.estimators.warp.Warp`); an estimate is the median,
    and ``y_std`` enters as noise. It smooths noisy labels. With inverse or kernel weights an architecture whose embedding is in
    the index gets the known value (the mean if several share it), any other estimate lies within the range of its
    neighbours' values, and ``y_std`` enters as precision: a neighbour's weight is multiplied by
    1 / (y_std^2 + mean of y_std^2).

    Standard deviations and intervals are calibrated by leaving out each known architecture, and for queries further from all
    known ones than those are from one another by leaving out neighbourhoods.

    References
    ----------
    Franken, Singh, Vanschoren, *Faster Performance Estimation for NAS with Embedding Proximity Score*, 2022, arXiv 2206.05972.
    Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006.
    Snelson, Rasmussen, Ghahramani, *Warped Gaussian Processes*, NeurIPS 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.spaces import get_space
    >>> space = get_space("nasbench201")
    >>> known = space.sample(np.random.default_rng(0), 30)
    >>> accuracy = [90 - a.spec.count(1) for a in known]
    >>> estimator = EmProx().fit(known, accuracy)
    >>> lower, upper = estimator.predict_interval(known[:1], coverage=0.9)
    >>> bool(lower[0] < estimator.predict(known[:1])[0] < upper[0])
    True
    """

    kind = "emprox"
    has_std = True
    several_targets = True
    tunable: ClassVar = {"weights": [KRIGING, *WEIGHTS], "n_neighbors": [4, 8, 16, 32, 64]}

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoder: Encoder | None = None,
        features: str | Sequence[str] = (STRUCTURE,),
        known: Known = None,
        weights: str | Callable[[Floats], Floats] = KRIGING,
        n_neighbors: int = 10,
        exact_up_to: int = 1000,
        index: IndexKind = "auto",
        prior: PriorEstimator = None,
        source: Source = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.encoder = encoder
        self.features = features
        self.known = known
        self.weights = weights
        self.n_neighbors = n_neighbors
        self.exact_up_to = exact_up_to
        self.index = index
        self.prior = prior
        self.source = source
        self.random_state = random_state

    @classmethod
    def paper(
        cls,
        k: int = 10,
        *,
        space: str | ArchitectureFamily | None = None,
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
        """Add measured architectures as neighbours without learning the embedding again; the first call is `fit`.

        Costs O(n_known^3), .1 s at 1,000, for the calibration by leaving one out while kriging is exact, so that many at once
        are cheaper than one by one; beyond, the new rows and 500 searches. `refit_pays` says when `refit` is worth its time.

        Raises
        ------
        InvalidDataError
            As `fit`; also if y_std is given now and was not before, or the other way round.
        """
        if not hasattr(self, "index_") or not len(self.y_):
            return self.fit(architectures, y, y_std, target=self.target_)
        new = self._read(architectures)
        values, spread = as_measurements(y, y_std, len(new), several=self.y_.ndim == 2)
        if values.shape[1:] != self.y_.shape[1:]:
            raise InvalidDataError(f"expected measurements of shape {(len(new), *self.y_.shape[1:])}, got {values.shape}")
        if (spread is None) != (self.y_std_ is None):
            given = "not given" if spread is None else "given"
            raise InvalidDataError(f"y_std is {given} now and was the opposite in fit; pass it always or never")
        if not new:
            return self
        asked = self._asked(new)
        rows = values.reshape(len(new), -1)
        row_spread = None if spread is None else spread.reshape(rows.shape)
        if isinstance(self.weigher_, WarpedKriging):
            errors = self.weigher_.standardised_errors(asked, rows, row_spread)
            self.errors_ahead_: Floats = np.concatenate([self.errors_ahead_, errors])
        self.index_.add(asked[:, : self.index_.dim])
        self.known_prior_ = np.concatenate([self.known_prior_, asked[:, self.index_.dim :]])
        self.architectures_ = self.architectures_ + new
        self.y_ = np.concatenate([self.y_, values])
        if spread is not None and self.y_std_ is not None:
            self.y_std_ = np.concatenate([self.y_std_, spread])
        if isinstance(self.weigher_, WarpedKriging):
            self.weigher_.add(rows, row_spread, asked[:, -1])
        else:
            self._weigh()
        return self

    def refit(self) -> Self:
        """Learn embedding, kernel and warp again from all known architectures."""
        check_is_fitted(self, "index_")
        self._fit()
        return self

    @property
    def needs_labels(self) -> bool:
        """Whether there is no prior to rank by."""
        return self.prior is None

    @property
    def training_epochs(self) -> int:
        """Epochs for which a candidate has to be trained before it can be embedded."""
        return 0 if self.encoder_ is None else self.encoder_.training_epochs

    @property
    def refit_pays(self) -> bool:
        """Whether `refit` is likely to give better estimates.

        It is when the known architectures have grown by half since the embedding was learned, or when the squared errors of
        the estimates that `partial_fit` made just before it learned the new labels are, in calibrated standard deviations, above
        1 by more than two standard errors.
        """
        check_is_fitted(self, "index_")
        if len(self.y_) >= GROWTH * self.learned_from_:
            return True
        squared = np.square(self.errors_ahead_).ravel()
        return len(squared) > 0 and bool(squared.mean() > 1 + 2 * np.sqrt(2 / len(squared)))

    def predict_interval(self, architectures: Iterable[Any], coverage: float = COVERAGE) -> tuple[Floats, Floats]:
        """Return the ends of central intervals for measurements of these architectures, each shaped as `predict`.

        Raises
        ------
        InvalidOptionError
            If coverage is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise InvalidOptionError(f"coverage must be between 0 and 1, got {coverage!r}")
        queried = self._read(architectures)
        lower, upper = self.weigher_.interval(self._asked(queried), coverage)
        return self._shaped(lower), self._shaped(upper)

    def sample(self, architectures: Iterable[Any], n: int, rng: np.random.Generator) -> Floats:
        """Draw n times jointly from what the architectures' true performance may be, ndarray of shape (n, n_archs).

        With several targets the last axis is the target; targets are drawn independently of one another. Needs kriging.
        """
        check_at_least("n", n, 1)
        queried = self._read(architectures)
        if not isinstance(self.weigher_, WarpedKriging | PriorOnly):
            raise InvalidOptionError(f"samples need weights='kriging', this estimator has weights={self.weights!r}")
        return self._shaped(self.weigher_.sample(self._asked(queried), n, rng))

    def _check_options(self) -> None:
        if self.prior is not None and self.weights != KRIGING:
            raise InvalidOptionError(f"a prior is a trend beneath kriging, this estimator has weights={self.weights!r}; drop one")
        check_weighing(self.weights, self.n_neighbors, self.exact_up_to)
        check_index_kind(self.index)
        if self.encoder is not None and self._features != (STRUCTURE,):
            raise InvalidOptionError(
                f"features={self.features!r} are those of the default encoder; give them to {type(self.encoder).__name__} "
                "instead, or leave encoder out"
            )

    @property
    def _features(self) -> tuple[str, ...]:
        return tuple(self.features.split("+") if isinstance(self.features, str) else self.features)

    def _fit(self) -> None:
        y, y_std = self._table()
        self.warps_ = [Warp.fit(column) for column in y.T] if len(y) else []
        options = (self.space_, self.source, self.architectures_, self.random_state, self._direction)
        self.prior_ = None if self.prior is None else Prior.fit(self.prior, *options)
        self.known_prior_ = self._scores_before(self.architectures_)
        self.trend_: Trend | None = None
        self.learned_from_, self.errors_ahead_ = len(y), np.empty((0, y.shape[1]))
        learned: Learned
        if not len(y):
            learned = None, EmbeddingIndex(1), ()
        else:
            scores, noise = score(self.warps_, y, y_std)
            learn = partial(self._learn, noise=noise)
            if self.prior_ is None:
                learned = learn(scores)
            else:
                learned, self.trend_ = learn_trend(learn, self.known_prior_[:, 0], scores, noise)
        self.encoder_, self.index_, self.kernels_ = learned
        self._weigh()

    def _learn(self, scores: Floats, noise: Floats) -> Learned:
        """Return encoder, embeddings of the known architectures, and kernels, learned from scores and their variances (n, T)."""
        names = [self.space_.default_encoding if name == STRUCTURE else name for name in self._features]
        encoder: Encoder = MetricEncoder(features=names, known=self.known) if self.encoder is None else clone(self.encoder)
        if encoder.get_params(deep=False).get("random_state", 0) is None:
            encoder.set_params(random_state=self.random_state)
        is_frozen, known = isinstance(encoder, FrozenEstimator), self.architectures_
        embedded = self._embed_with(encoder) if is_frozen else encoder.fit_transform(known, scores, y_var=noise)
        index = EmbeddingIndex(encoder.dim, kind=self.index)
        index.add(embedded)
        if self.weights != KRIGING:
            return encoder, index, ()
        own: tuple[Kernel, ...] = getattr(encoder, "kernels_", ())
        if len(own) != scores.shape[1]:
            return encoder, index, kernels_over(index, scores, noise)
        if self.prior_ is None:
            return encoder, index, own
        return encoder, index, tuple(kernel.scaled(float(s.var()) or 1.0) for kernel, s in zip(own, scores.T, strict=True))

    def _weigh(self) -> None:
        """Set what turns embeddings into estimates."""
        if not len(self.y_):
            self.weigher_: Any = PriorOnly()
            return
        self.weigher_ = make_weigher(
            self.index_,
            *self._table(),
            self.kernels_,
            self.warps_,
            weights=self.weights,
            n_neighbors=self.n_neighbors,
            exact_up_to=self.exact_up_to,
            trend=self.trend_,
            prior=None if self.trend_ is None else self.known_prior_[:, 0],
        )

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        estimates, std = self.weigher_.predict(self._asked(architectures), return_std)
        return self._shaped(estimates), None if std is None else self._shaped(std)

    def _embed(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        if self.encoder_ is None or not architectures:
            return np.zeros((len(architectures), self.index_.dim), np.float32)
        return self.encoder_.transform(architectures)

    def _asked(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        """Return embeddings, and where there is a prior its scores as one more column."""
        return np.hstack([self._embed(architectures), self._scores_before(architectures)])

    def _scores_before(self, architectures: list[Architecture]) -> NDArray[np.float32]:
        """Return the prior's scores, (n, 1), or (n, 0) where there is none."""
        if self.prior_ is None:
            return np.empty((len(architectures), 0), np.float32)
        return self.prior_(architectures)[:, None]

    def _options(self) -> dict[str, Any]:
        if callable(self.weights):
            raise InvalidOptionError("an EmProx whose weights are a function cannot be saved; use a named weight function")
        if self.encoder_ is not None and self.encoder_.kind not in ENCODERS.names():
            raise InvalidOptionError(f"the encoder {self.encoder_!r} is not registered and cannot be saved")
        left_out = {"encoder": None, "prior": None, "source": None}
        return {name: value for name, value in super()._options().items() if name not in left_out}

    def _write(self, folder: Path) -> dict[str, Any]:
        self.index_.save(folder / VECTORS)
        return {
            "encoder": None if self.encoder_ is None else self.encoder_.kind,
            "encoder_state": None if self.encoder_ is None else self.encoder_.write(folder),
            "prior": None if self.prior_ is None else self.prior_.write(folder),
            "trend": None if self.trend_ is None else self.trend_.to_json(),
            "frozen": isinstance(self.encoder, FrozenEstimator),
            "default": self.encoder is None,
            "warps": [asdict(warp) for warp in self.warps_],
            "kernels": [asdict(kernel) for kernel in self.kernels_],
            "learned_from": self.learned_from_,
            "errors_ahead": self.errors_ahead_.tolist(),
        }

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        prior, trend = state.get("prior"), state.get("trend")  # folders of older versions have none
        self.prior_ = None if prior is None else Prior.read(folder, prior, self.space_.setting)
        self.prior = None if self.prior_ is None else self.prior_.estimator
        self.trend_ = trend and Trend.from_json(trend)
        self.known_prior_ = self._scores_before(self.architectures_)
        self.encoder_ = state["encoder"] and ENCODERS.get(state["encoder"]).read(folder, state["encoder_state"])
        if state["default"]:
            self.known = getattr(self.encoder_, "known", None)
        else:
            self.encoder = FrozenEstimator(self.encoder_) if state["frozen"] else clone(self.encoder_)
        self.index_ = EmbeddingIndex.load(folder / VECTORS, self.index)
        self.warps_ = [Warp(tuple(warp["values"]), tuple(warp["scores"]), warp["slope"]) for warp in state["warps"]]
        self.kernels_ = tuple(Kernel.from_dict(kernel) for kernel in state["kernels"])
        self._weigh()
        self.learned_from_ = state["learned_from"]
        self.errors_ahead_ = np.array(state["errors_ahead"], dtype=np.float64).reshape(-1, self._table()[0].shape[1])
