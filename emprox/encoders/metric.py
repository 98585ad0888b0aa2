"""An embedding in which near means performs alike: structural blocks, scaled by what the labels say.

Letters: n known, R reference architectures, C columns, B blocks, T targets, dim dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file, save_file
from scipy.linalg import eigh
from sklearn.utils.validation import check_is_fitted

from emprox.encoders.base import ENCODERS, Encoder
from emprox.encoders.kernel import Kernel, ScalePrior, learn_scales, squared_distances
from emprox.encodings import ENCODINGS, get_encoding
from emprox.encodings.blocks import BlockEncoding
from emprox.errors import CorruptFileError, InvalidOptionError
from emprox.registry import nearest
from emprox.spaces import Architecture, SearchSpace, as_architectures, get_space, infer_space
from emprox.validation import as_targets, check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MetricEncoder"]

Floats = NDArray[np.float64]
ARRAYS = "metric.safetensors"
LOCAL = frozenset({"bigrams", "contacts"})
"""Blocks that say which operators touch: of use near by, not far away."""
REFERENCE_SIZE = 512
"""Architectures drawn from the space, without labels, that columns are scaled by."""
CONSTANT = 1e-9
"""A column whose standard deviation is smaller says nothing."""


class MetricEncoder(Encoder):
    """Structural blocks in which every block has a learned weight, as an explicit embedding.

    Columns are standardised over architectures drawn from the space and the known ones. The squared distance of two
    architectures is the sum over blocks of a weight times the mean squared difference of the block's columns. There are two
    such distances: a long-range one and a local one, which also sees which operators touch. Their weights maximise the
    marginal likelihood of the labels under a sum of two Matern-5/2 kernels, with priors that suit a few dozen labels.
    Principal components of the scaled columns then give an embedding whose two halves have these distances.

    Without labels the weights are the prior's. Fitting costs about .02 s at 100 labels and .3 s at `max_labels`.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space; None takes it from the architectures.
    features : sequence of str or Encoder
        What is scaled: names of encodings (``blocks`` has its own blocks, any other is one block), or fitted encoders, whose
        embedding is one block.
    embedding_size : int
        Most dimensions of the embedding, at least 2; half for each distance.
    max_labels : int
        With more labels, the weights are learned from that many of them, drawn with a fixed seed.
    prior : ScalePrior or None
        Of the weights; None is the one tuned for `blocks`.

    Attributes
    ----------
    weights_ : list of dict
        For each of the two distances, the weight of each block.
    kernels_ : tuple of Kernel
        For each target, the covariance of embeddings that goes with the weights, in units of the standardised target.

    References
    ----------
    Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, chapter 5.

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.spaces import get_space
    >>> archs = get_space("nasbench201").sample(np.random.default_rng(0), 30)
    >>> encoder = MetricEncoder().fit(archs, [a.spec.count(2) for a in archs])
    >>> encoder.transform(archs).shape
    (30, 64)
    """

    kind = "metric"

    def __init__(
        self,
        space: str | SearchSpace | None = None,
        *,
        features: Sequence[str | Encoder] = ("blocks",),
        embedding_size: int = 64,
        max_labels: int = 500,
        prior: ScalePrior | None = None,
    ) -> None:
        self.space = space
        self.features = features
        self.embedding_size = embedding_size
        self.max_labels = max_labels
        self.prior = prior

    def fit(self, architectures: Iterable[Any], y: ArrayLike | None = None, y_var: ArrayLike | None = None) -> Self:
        """Scale the blocks.

        Parameters
        ----------
        architectures : iterable of length n_known
            Architectures or their descriptions.
        y : array-like of shape (n_known,) or (n_known, n_targets), optional
            Labels; several targets share the embedding. None leaves the prior's weights.
        y_var : array-like of the shape of y, optional
            Variances of the labels, in the unit of y squared.
        """
        self._check_options()
        described = list(architectures)
        self.space_ = infer_space(described, self.space)
        known = as_architectures(described, self.space_)
        self.sources_ = [get_encoding(item, self.space_) if isinstance(item, str) else item for item in self.features]
        columns = self._columns(known)
        seen = np.concatenate([self._reference(), columns])
        self._standardise(seen)
        if y is None:
            self._learn(columns[:0], np.empty((0, 1)), None)
        else:
            targets = as_targets(y, len(known), several=True).reshape(len(known), -1)
            spread = targets.std(axis=0)
            spread[spread == 0] = 1
            noise = None if y_var is None else np.asarray(y_var, dtype=np.float64).reshape(targets.shape) / spread**2
            self._learn(columns, (targets - targets.mean(axis=0)) / spread, noise)
        self._project(seen)
        return self

    def transform(self, architectures: Iterable[Any]) -> NDArray[np.float32]:
        """Return embeddings, float32 ndarray of shape (n_archs, dim)."""
        check_is_fitted(self, "projection_")
        columns = self._columns(as_architectures(architectures, self.space_))
        return ((columns - self.mean_) @ self.projection_).astype(np.float32)

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
        one, other = self._columns(as_architectures([a, b], self.space_))
        scales = np.square(self.scales_).sum(axis=0)
        shares = scales * (one - other) ** 2
        total = shares.sum() or 1.0
        order = [i for i in np.argsort(-shares, kind="stable") if shares[i] > 0]
        return [(self.names[i], float(one[i]), float(other[i]), float(shares[i] / total)) for i in order]

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the learned arrays as safetensors into a folder; return the rest for the manifest."""
        check_is_fitted(self, "projection_")
        arrays = {"mean": self.mean_, "projection": self.projection_, "scales": self.scales_}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        nested = [item for item in self.features if isinstance(item, Encoder)]
        if len({item.kind for item in nested}) < len(nested):
            raise InvalidOptionError("two encoders of one kind among the features cannot be saved")
        return {
            "space": self.space_.name,
            "features": [
                item if isinstance(item, str) else {"kind": item.kind, "state": item.write(folder)} for item in self.features
            ],
            "options": {"embedding_size": self.embedding_size, "max_labels": self.max_labels},
            "prior": None if self.prior is None else asdict(self.prior),
            "weights": self.weights_,
            "kernels": [asdict(kernel) for kernel in self.kernels_],
        }

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Self:
        """Return the encoder that `write` wrote."""
        features = [
            item if isinstance(item, str) else ENCODERS.get(item["kind"]).read(folder, item["state"])
            for item in state["features"]
        ]
        prior = None if state["prior"] is None else ScalePrior(**{name: _tuples(value) for name, value in state["prior"].items()})
        encoder = cls(state["space"], features=features, prior=prior, **state["options"])
        encoder.space_ = get_space(state["space"])
        encoder.sources_ = [get_encoding(item, encoder.space_) if isinstance(item, str) else item for item in features]
        encoder.weights_ = state["weights"]
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
        if not self.features:
            raise InvalidOptionError("features must name at least one encoding, such as 'blocks'")
        for item in self.features:
            if isinstance(item, str) and item not in ENCODINGS.names():
                raise InvalidOptionError(f"no encoding is called {item!r}; {nearest(item, ENCODINGS.names())}")
            if not isinstance(item, str | Encoder):
                raise InvalidOptionError(f"features are names of encodings or fitted encoders, got {item!r}")

    def _columns(self, architectures: list[Architecture]) -> Floats:
        """Return the columns of all features, (n, C)."""
        if not architectures:
            return np.empty((0, len(self.names)))
        return np.column_stack([source.transform(architectures) for source in self.sources_]).astype(np.float64)

    def _reference(self) -> Floats:
        """Return the columns of architectures drawn from the space, (R, C)."""
        if all(isinstance(item, str) for item in self.features):
            return _reference(self.space_, tuple(str(item) for item in self.features))
        return self._columns(self.space_.sample(np.random.default_rng(0), REFERENCE_SIZE))

    @property
    def _blocks(self) -> dict[str, slice]:
        """Name of each block to its columns."""
        blocks: dict[str, slice] = {}
        start = 0
        for source in self.sources_:
            size = len(_names(source))
            own = source.blocks if isinstance(source, BlockEncoding) else {_title(source): slice(0, size)}
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

    def _learn(self, columns: Floats, targets: Floats, noise: Floats | None) -> None:
        """Set the weights of the blocks in the long-range and the local distance, and the kernels that go with them."""
        if len(columns) > self.max_labels:
            kept = np.random.default_rng(0).choice(len(columns), self.max_labels, replace=False)
            columns, targets = columns[kept], targets[kept]
            noise = None if noise is None else noise[kept]
        blocks = self._blocks
        scaled = (columns - self.mean_) * self.unit_
        distances = np.array([squared_distances(scaled[:, c], scaled[:, c]) for c in blocks.values()])
        far = [number for number, name in enumerate(blocks) if name.split(":")[-1] not in LOCAL]
        parts = [far or list(range(len(blocks))), list(range(len(blocks)))]
        weights, self._variances = learn_scales(distances, parts, targets, noise, self.prior)
        names = list(blocks)
        self.weights_ = [
            {names[b]: float(w) for b, w in zip(part, ws, strict=True)} for part, ws in zip(parts, weights, strict=True)
        ]

    def _project(self, seen: Floats) -> None:
        """Set the projection of columns to the embedding, (C, dim): principal components of the columns of each distance."""
        scales, projections = [], []
        for weights in self.weights_:
            scale = np.zeros_like(self.unit_)
            for name, columns in self._blocks.items():
                scale[columns] = np.sqrt(weights.get(name, 0)) * self.unit_[columns]
            scales.append(scale)
            projections.append(scale[:, None] * _components((seen - self.mean_) * scale, self.embedding_size // 2))
        self.scales_ = np.array(scales)
        self.projection_ = np.column_stack(projections)
        sizes = tuple(p.shape[1] for p in projections)
        self.kernels_ = tuple(Kernel(sizes, amplitudes, noise, (1.0, 1.0)) for amplitudes, noise in self._variances)
        del self._variances


def _components(x: Floats, most: int) -> Floats:
    """Return the principal axes of centred rows (R, C), (C, at most `most`); signs are fixed."""
    varies = np.flatnonzero(x.any(axis=0))
    if not len(varies):
        return np.zeros((x.shape[1], 1))
    used = x[:, varies]
    count = min(most, *used.shape)
    if used.shape[0] < used.shape[1]:
        values, vectors = eigh(used @ used.T, subset_by_index=[used.shape[0] - count, used.shape[0] - 1])
        axes = used.T @ (vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny)))
    else:
        values, axes = eigh(used.T @ used, subset_by_index=[used.shape[1] - count, used.shape[1] - 1])
    kept = values > values[-1] * 1e-10
    axes = axes[:, kept][:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    components = np.zeros((x.shape[1], axes.shape[1]))
    components[varies] = axes
    return components


def _names(source: Any) -> tuple[str, ...]:
    if isinstance(source, Encoder):
        return tuple(f"{source.kind}:{i}" for i in range(source.dim))
    return tuple(source.names)


def _title(source: Any) -> str:
    """Return the name of a feature that is one block."""
    return source.kind if isinstance(source, Encoder) else type(source).__name__


def _tuples(value: Any) -> Any:
    """Return lists, also inner ones, as tuples."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


@lru_cache(maxsize=16)
def _reference(space: SearchSpace, features: tuple[str, ...]) -> Floats:
    """Return the columns of `REFERENCE_SIZE` architectures of a space, (R, C)."""
    drawn = space.sample(np.random.default_rng(0), REFERENCE_SIZE)
    return np.column_stack([get_encoding(name, space).transform(drawn) for name in features]).astype(np.float64)
