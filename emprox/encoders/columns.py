"""Encoders that project columns of encodings: what they share, from the standardised columns to saving.

Letters: n known, R reference architectures, C columns, T targets, dim dimensions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file, save_file
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from emprox.encoders.base import ENCODERS, Encoder
from emprox.encoders.kernel import Kernel, draw
from emprox.encodings import Encoding, get_encoding
from emprox.encodings.base import encoding_class
from emprox.errors import CorruptFileError, InvalidOptionError
from emprox.spaces import Architecture, ArchitectureFamily, as_architectures, get_family, infer_space
from emprox.validation import as_targets, check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ColumnEncoder"]

Floats = NDArray[np.float64]
ARRAYS = "columns.safetensors"
REFERENCE_SIZE = 512
"""Architectures drawn from the space, without labels, that columns are scaled by."""
MOST_SEEN = 20_000
"""Of more known architectures, columns are scaled by so many, drawn with a fixed seed, and labels are learned from those."""
AT_ONCE = 20_000
"""Architectures that are embedded at a time; bounds memory."""
CONSTANT = 1e-9
"""A column whose standard deviation is smaller says nothing."""


class ColumnEncoder(Encoder):
    """An encoder that projects the columns of encodings; subclasses learn the projection in `_learn`.

    Columns are standardised over architectures drawn from the space and the known ones, at most 20,000 of them, and each is
    divided by the square root of the number of columns in its block. Where a feature is known of some architectures only, those
    drawn are of them. A missing value counts as the mean of its column. Labels beyond `max_labels` are not learned from; those
    kept are drawn with a fixed seed.

    Attributes
    ----------
    features_ : sequence of str or FrozenEstimator
        What is scaled.
    mean_, unit_ : ndarray of shape (C,)
        Mean of each column, and its scale.
    projection_ : ndarray of shape (C, dim)
        From centred columns to the embedding.
    scales_ : ndarray of shape (parts, C)
        How much each column counts in each part of the embedding's distance.
    kernels_ : tuple of Kernel
        For each target, the covariance of embeddings that goes with the projection, in units of the standardised target; empty
        where the subclass learns none.
    """

    space: str | ArchitectureFamily | None
    features: Sequence[str | FrozenEstimator] | None
    embedding_size: int
    max_labels: int
    known: Any = None

    @abstractmethod
    def _learn(self, seen: Floats, columns: Floats, targets: Floats, noise: Floats | None) -> None:
        """Set `projection_`, `scales_` and `kernels_`.

        Parameters
        ----------
        seen : ndarray of shape (R + n, C)
            Centred columns of all architectures at hand, without labels.
        columns : ndarray of shape (n, C)
            Centred columns of the labelled ones; n is 0 where there are no labels.
        targets, noise : ndarray of shape (n, T)
            Standardised labels, and their known variances or None.
        """

    def fit(self, architectures: Iterable[Any], y: ArrayLike | None = None, y_var: ArrayLike | None = None) -> Self:
        """Learn the projection.

        Parameters
        ----------
        architectures : iterable of length n_known
            Architectures or their descriptions.
        y : array-like of shape (n_known,) or (n_known, n_targets), optional
            Labels; several targets share the embedding. None learns from no labels.
        y_var : array-like of the shape of y, optional
            Variances of the labels, in the unit of y squared.
        """
        self.fit_transform(architectures, y, y_var)
        return self

    def fit_transform(
        self, architectures: Iterable[Any], y: ArrayLike | None = None, y_var: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Learn the projection as `fit` does, and return the embeddings of the same architectures, encoded once."""
        self._check_options()
        described = list(architectures)
        self.space_ = infer_space(described, self.space)
        known = as_architectures(described, self.space_)
        self._set_sources()
        part = np.sort(draw(len(known), MOST_SEEN))
        columns = self._columns([known[i] for i in part])
        seen = np.concatenate([self._reference(), columns])
        fill = _mean(seen)
        seen = _filled(seen, fill)
        self._standardise(seen)
        targets, noise = np.empty((0, 1)), None
        if y is not None:
            targets = as_targets(y, len(known), several=True).reshape(len(known), -1)[part]
            spread = targets.std(axis=0)
            spread[spread == 0] = 1
            noise = None if y_var is None else np.asarray(y_var, dtype=np.float64).reshape(len(known), -1)[part] / spread**2
            targets = (targets - targets.mean(axis=0)) / spread
        kept = draw(len(targets), self.max_labels)
        labelled = _filled(columns[kept], fill) - self.mean_
        self._learn(seen - self.mean_, labelled, targets[kept], None if noise is None else noise[kept])
        return self._projected(columns) if len(part) == len(known) else self.transform(known)

    def transform(self, architectures: Iterable[Any]) -> NDArray[np.float32]:
        """Return embeddings, float32 ndarray of shape (n_archs, dim)."""
        check_is_fitted(self, "projection_")
        read = as_architectures(architectures, self.space_)
        parts = [read[i : i + AT_ONCE] for i in range(0, len(read), AT_ONCE)] or [read]
        return np.concatenate([self._projected(self._columns(part)) for part in parts])

    def _projected(self, columns: Floats) -> NDArray[np.float32]:
        """Return the embeddings of rows of columns (n, C), (n, dim)."""
        return ((_filled(columns, self.mean_) - self.mean_) @ self.projection_).astype(np.float32)

    @property
    def training_epochs(self) -> int:
        """Epochs for which an architecture has to be trained before it can be embedded."""
        return max((source.training_epochs for source in self.sources_), default=0)

    @property
    def dim(self) -> int:
        """Number of dimensions of an embedding."""
        return self.projection_.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are scaled."""
        return tuple(name for source in self.sources_ for name in _names(source))

    def differences(self, a: Any, b: Any) -> list[tuple[str, float, float, float]]:
        """Return the columns in which two architectures differ: name, value of a, value of b, share of the squared distance.

        Largest share first; both distances count.
        """
        check_is_fitted(self, "projection_")
        one, other = _filled(self._columns(as_architectures([a, b], self.space_)), self.mean_)
        scales = np.square(self.scales_).sum(axis=0)
        shares = scales * (one - other) ** 2
        total = shares.sum() or 1.0
        order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > 0]
        names = self.names
        return [(names[i], float(one[i]), float(other[i]), float(shares[i] / total)) for i in order]

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the learned arrays as safetensors into a folder; return the rest for the manifest."""
        check_is_fitted(self, "projection_")
        arrays = {"mean": self.mean_, "projection": self.projection_, "scales": self.scales_}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        nested = [source for source in self.sources_ if isinstance(source, Encoder)]
        if len({item.kind for item in nested}) < len(nested):
            raise InvalidOptionError("two encoders of one kind among the features cannot be saved")
        known = next((source.known for source in self._taking_known), None)
        return {
            "space": self.space_.setting,
            "features": [
                {"kind": source.kind, "state": source.write(folder)} if isinstance(source, Encoder) else item
                for item, source in zip(self.features_, self.sources_, strict=True)
            ],
            "known": None if known is None else known.to_json(),
            "options": self._options(),
            "kernels": [asdict(kernel) for kernel in self.kernels_],
        }

    def _options(self) -> dict[str, Any]:
        """Return constructor options, besides space, features and what is known, that JSON can hold."""
        return {n: value for n, value in self.get_params(deep=False).items() if n not in ("space", "features", "known")}

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Self:
        """Return the encoder that `write` wrote."""
        features = [
            item if isinstance(item, str) else FrozenEstimator(ENCODERS.get(item["kind"]).read(folder, item["state"]))
            for item in state["features"]
        ]
        encoder = cls(**{"space": state["space"], "features": features, **state["options"]})
        encoder.space_ = get_family(state["space"])
        if state["known"] is not None:
            encodings = [encoding_class(item) for item in features if isinstance(item, str)]
            encoder.known = next(each for each in encodings if each.takes_known).read_known(state["known"])
        encoder._set_sources()
        encoder.kernels_ = tuple(Kernel.from_dict(fields) for fields in state["kernels"])
        try:
            arrays = load_file(folder / ARRAYS)
            encoder.mean_, encoder.projection_, encoder.scales_ = (arrays[name] for name in ("mean", "projection", "scales"))
        except Exception as error:  # safetensors raises several unrelated types
            raise CorruptFileError(f"{folder / ARRAYS} does not hold the arrays of this encoder: {error}") from error
        return encoder

    def _check_options(self) -> None:
        check_at_least("embedding_size", self.embedding_size, 2)
        check_at_least("max_labels", self.max_labels, 1)
        if self.features is not None and not self.features:
            raise InvalidOptionError("features must name at least one encoding, such as 'blocks'")
        for item in self.features or ():
            if isinstance(item, str):
                encoding_class(item)
            fitted = isinstance(item, FrozenEstimator) and isinstance(item.estimator, Encoder)
            if not isinstance(item, str) and not fitted:
                raise InvalidOptionError(
                    f"features are names of encodings, or fitted encoders in sklearn.frozen.FrozenEstimator, got {item!r}"
                )

    def _set_sources(self) -> None:
        """Set what is scaled and its sources, by default the encoding that suits the family."""
        self.features_ = (self.space_.default_encoding,) if self.features is None else self.features
        self.sources_: list[Any] = [
            get_encoding(item, self.space_, self.known) if isinstance(item, str) else item.estimator for item in self.features_
        ]

    @property
    def _taking_known(self) -> list[Encoding]:
        return [source for source in self.sources_ if isinstance(source, Encoding) and source.takes_known]

    def _columns(self, architectures: list[Architecture]) -> Floats:
        """Return the columns of all features, (n, C)."""
        if not architectures:
            return np.empty((0, len(self.names)))
        return np.column_stack([source.transform(architectures) for source in self.sources_]).astype(np.float64)

    def _reference(self) -> Floats:
        """Return the columns of architectures drawn from the space, or from those that are known, (R, C)."""
        if taking := self._taking_known:
            known = [set(source.known_architectures) for source in taking[1:]]
            pool = [a for a in taking[0].known_architectures if all(a in others for others in known)]
            return self._columns([pool[i] for i in draw(len(pool), REFERENCE_SIZE)])
        if all(isinstance(item, str) for item in self.features_):
            return _reference(self.space_, tuple(str(item) for item in self.features_))
        return self._columns(self.space_.references(REFERENCE_SIZE))

    @property
    def _blocks(self) -> dict[str, slice]:
        """Name of each block to its columns."""
        blocks: dict[str, slice] = {}
        start = 0
        for item, source in zip(self.features_, self.sources_, strict=True):
            title = item if isinstance(item, str) else item.estimator.kind
            size = len(_names(source))
            own = getattr(source, "blocks", None) or {title: slice(0, size)}
            blocks |= {name: slice(start + columns.start, start + columns.stop) for name, columns in own.items()}
            start += size
        return blocks

    def _standardise(self, seen: Floats) -> None:
        """Set the mean of each column and its scale within its block, (C,): a block's squared distances have mean 2."""
        self.mean_ = seen.mean(axis=0)
        std = seen.std(axis=0)
        varies = std > CONSTANT * np.maximum(1, np.abs(self.mean_))
        self.unit_ = np.where(varies, 1 / np.where(varies, std, 1), 0)
        for columns in self._blocks.values():
            self.unit_[columns] /= np.sqrt(max(1, varies[columns].sum()))


def _mean(columns: Floats) -> Floats:
    """Return the mean of the values of each column that are not missing, 0 if all are, (C,)."""
    there = ~np.isnan(columns)
    mean: Floats = np.where(there, columns, 0).sum(axis=0) / np.maximum(1, there.sum(axis=0))
    return mean


def _filled(columns: Floats, values: Floats) -> Floats:
    """Return columns (n, C) with missing values replaced by those given, (C,)."""
    return np.where(np.isnan(columns), values, columns)


def _names(source: Any) -> tuple[str, ...]:
    if isinstance(source, Encoder):
        return tuple(f"{source.kind}:{i}" for i in range(source.dim))
    return tuple(source.names)


@lru_cache(maxsize=16)
def _reference(space: ArchitectureFamily, features: tuple[str, ...]) -> Floats:
    """Return the columns of `REFERENCE_SIZE` architectures of a space, (R, C); R is 0 where none can be drawn."""
    drawn = space.references(REFERENCE_SIZE)
    return np.column_stack([get_encoding(name, space).transform(drawn) for name in features]).astype(np.float64)
