"""What every encoding offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from emprox.registry import Registry
from emprox.spaces import Architecture, SearchSpace, get_space

__all__ = ["ENCODINGS", "Encoding", "get_encoding"]


class Encoding(ABC):
    """A fixed map from architectures of one search space to rows of numbers.

    Parameters
    ----------
    space : str or SearchSpace
        The search space whose architectures are encoded.
    """

    def __init__(self, space: str | SearchSpace) -> None:
        self.space = get_space(space)

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Name of each column."""

    @abstractmethod
    def transform(self, architectures: Sequence[Architecture]) -> NDArray[Any]:
        """Return the encoding, ndarray of shape (n_archs, len(names))."""


ENCODINGS: Registry[type[Encoding]] = Registry(
    "encoding",
    {
        "blocks": "emprox.encodings.blocks:BlockEncoding",
        "features": "emprox.encodings.features:FeatureEncoding",
        "onehot": "emprox.encodings.tabular:OneHotEncoding",
        "path": "emprox.encodings.tabular:PathEncoding",
        "sequence": "emprox.encodings.sequence:SequenceEncoding",
    },
    group="emprox.encodings",
)


def get_encoding(name: str, space: str | SearchSpace) -> Encoding:
    """Return the encoding of that name for a search space.

    >>> get_encoding("onehot", "nasbench201").names[:2]
    ('node1=skip_connect', 'node1=none')
    """
    return ENCODINGS.get(name)(space)
