"""What every encoding offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.registry import Registry
from emprox.spaces import Architecture, ArchitectureFamily, SearchSpace, get_family, get_space

__all__ = ["ENCODINGS", "Encoding", "JoinedEncoding", "SpaceEncoding", "get_encoding"]


class Encoding(ABC):
    """A fixed map from architectures of one family to rows of numbers.

    Parameters
    ----------
    space : str or ArchitectureFamily
        The search space, or other family, whose architectures are encoded.
    """

    takes_known: ClassVar[bool] = False
    """Whether the class is called with ``(space, known)``, what is known of architectures from elsewhere."""
    known: Any = None
    """What such an encoding takes its columns from, or None."""

    def __init__(self, space: str | ArchitectureFamily) -> None:
        self.space = get_family(space)

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Name of each column."""

    @abstractmethod
    def transform(self, architectures: Sequence[Architecture]) -> NDArray[Any]:
        """Return the encoding, ndarray of shape (n_archs, len(names))."""

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Name of each group of columns that belong together, to its columns; none where all are one group."""
        return {}


class SpaceEncoding(Encoding):
    """An encoding of what search spaces alone have: cells, choices, operators of their own."""

    space: SearchSpace

    def __init__(self, space: str | ArchitectureFamily) -> None:
        super().__init__(get_space(space))


ENCODINGS: Registry[type[Encoding]] = Registry(
    "encoding",
    {
        "blocks": "emprox.encodings.blocks:BlockEncoding",
        "features": "emprox.encodings.features:FeatureEncoding",
        "network": "emprox.encodings.networks:NetworkEncoding",
        "onehot": "emprox.encodings.tabular:OneHotEncoding",
        "path": "emprox.encodings.tabular:PathEncoding",
        "proxies": "emprox.proxies.encoding:ProxyEncoding",
        "sequence": "emprox.encodings.sequence:SequenceEncoding",
    },
    group="emprox.encodings",
)


class JoinedEncoding(Encoding):
    """The columns of several encodings side by side.

    Parameters
    ----------
    parts : sequence of Encoding
        Encodings of one space.
    """

    def __init__(self, parts: Sequence[Encoding]) -> None:
        super().__init__(parts[0].space)
        self.parts = list(parts)
        self.known = next((part.known for part in parts if part.known is not None), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; a name that two encodings have gets the number of its encoding in front."""
        names = [name for part in self.parts for name in part.names]
        numbers = [number for number, part in enumerate(self.parts, start=1) for _ in part.names]
        return tuple(f"{n}:{name}" if names.count(name) > 1 else name for n, name in zip(numbers, names, strict=True))

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[Any]:
        """Return the encodings side by side, ndarray of shape (n_archs, len(names))."""
        return np.concatenate([part.transform(architectures) for part in self.parts], axis=1)


def get_encoding(name: str, space: str | ArchitectureFamily, known: Any = None) -> Encoding:
    """Return the encoding of that name for a search space, or several side by side, joined by ``+``.

    Parameters
    ----------
    name : str
        A registered name, or several: ``features+proxies``.
    space : str or ArchitectureFamily
        The search space, or other family.
    known : optional
        For encodings with `Encoding.takes_known`, such as ``proxies``: what is known of architectures; others do without.

    Examples
    --------
    >>> get_encoding("onehot", "nasbench201").names[:2]
    ('node1=skip_connect', 'node1=none')
    >>> len(get_encoding("onehot+path", "nasbench201").names)
    185
    """
    classes = [ENCODINGS.get(part) for part in name.split("+")]
    parts = [cls(space, known) if cls.takes_known else cls(space) for cls in classes]  # type: ignore[call-arg]
    return parts[0] if len(parts) == 1 else JoinedEncoding(parts)
