"""What every encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from emprox.registry import Registry

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ENCODERS", "Encoder"]


class Encoder(TransformerMixin, BaseEstimator, ABC):
    """A learned map from architectures to embeddings, a scikit-learn transformer."""

    kind: ClassVar[str]
    """Registered name."""

    @abstractmethod
    def fit(self, architectures: Iterable[Any], y: Any = None, y_var: Any = None) -> Self:
        """Learn the map, from labels (n,) or (n, n_targets) and their variances where the encoder uses them."""

    @abstractmethod
    def transform(self, architectures: Iterable[Any]) -> NDArray[np.float32]:
        """Return embeddings, float32 ndarray of shape (n_archs, dim)."""

    @property
    def training_epochs(self) -> int:
        """Epochs for which an architecture has to be trained before it can be embedded."""
        return 0

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of dimensions of an embedding."""

    @abstractmethod
    def write(self, folder: Path) -> dict[str, Any]:
        """Write the fitted state as files into an existing folder; return what `read` needs besides, for a JSON manifest."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Self:
        """Return the encoder that `write` wrote."""


ENCODERS: Registry[type[Encoder]] = Registry(
    "encoder",
    {
        "autoencoder": "emprox.encoders.autoencoder:SequenceAutoencoder",
        "gnn": "emprox.encoders.gnn:GraphEncoder",
        "metric": "emprox.encoders.metric:MetricEncoder",
        "mlkr": "emprox.encoders.mlkr:MLKREncoder",
    },
    group="emprox.encoders",
)
