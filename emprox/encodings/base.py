"""What every encoding offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError
from emprox.registry import Registry
from emprox.spaces import Architecture, ArchitectureFamily, SearchSpace, get_family, get_space

__all__ = ["ENCODINGS", "Encoding", "JoinedEncoding", "SpaceEncoding", "encoding_class", "get_encoding"]


class Encoding(ABC):
    """A fixed map from architectures of one family to rows of numbers.

    Parameters
    ----------
    space : str or ArchitectureFamily
        The search space, or other family, whose architectures are encoded.
    """

    takes_known: ClassVar[bool] = False
    """Whether the class is called with ``(space, known)``, what is known of architectures from elsewhere."""
    takes_epochs: ClassVar[bool] = False
    """Whether such a class takes an epoch as well, ``name@epoch`` in text form."""
    training_epochs: int = 0
    """Epochs for which an architecture has to be trained before it can be encoded."""
    known: Any = None
    """What such an encoding takes its columns from, or None; its ``to_json`` is what `read_known` reads."""

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

    @property
    def known_architectures(self) -> tuple[Architecture, ...]:
        """Those whose columns are known; empty where columns are computed."""
        return ()

    @classmethod
    def read_known(cls, content: Any) -> Any:
        """Return what is known from its JSON form."""
        raise NotImplementedError(f"{cls.__name__} takes nothing known")


class SpaceEncoding(Encoding):
    """An encoding of what search spaces alone have: cells, choices, operators of their own."""

    space: SearchSpace

    def __init__(self, space: str | ArchitectureFamily) -> None:
        super().__init__(get_space(space))


ENCODINGS: Registry[type[Encoding]] = Registry(
    "encoding",
    {
        "blocks": "emprox.encodings.blocks:BlockEncoding",
        "curves": "emprox.proxies.curves:CurveEncoding",
        "features": "emprox.encodings.features:FeatureEncoding",
        "network": "emprox.encodings.networks:NetworkEncoding",
        "onehot": "emprox.encodings.tabular:OneHotEncoding",
        "path": "emprox.encodings.tabular:PathEncoding",
        "proxies": "emprox.proxies.encoding:ProxyEncoding",
        "recurrent": "emprox.encodings.recurrent:RecurrentEncoding",
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
        self.training_epochs = max(part.training_epochs for part in parts)

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
        A registered name, or several: ``features+proxies``. One that takes an epoch may have it: ``curves@3``.
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
    wrapped = WRAPPED.get()
    parts = [wrapped(part, _make(part, space, known)) for part in name.split("+")]
    return parts[0] if len(parts) == 1 else JoinedEncoding(parts)


def encoding_class(name: str) -> type[Encoding]:
    """Return the class of one encoding, whose name may be followed by an epoch.

    Raises
    ------
    UnknownNameError
        If no such name is registered.
    InvalidOptionError
        If the epoch cannot be read, or the encoding takes none.
    """
    base, at, epoch = name.partition("@")
    cls = ENCODINGS.get(base)
    if at and not cls.takes_epochs:
        raise InvalidOptionError(f"the encoding {base!r} takes no epoch, got {name!r}; leave {at + epoch!r} out")
    if at and not (epoch.isdecimal() and int(epoch)):
        raise InvalidOptionError(f"expected {base}@epoch with an epoch of 1 or more, got {name!r}")
    return cls


def _as_it_is(name: str, encoding: Encoding) -> Encoding:
    return encoding


WRAPPED: ContextVar[Callable[[str, Encoding], Encoding]] = ContextVar("wrapped", default=_as_it_is)
"""What `get_encoding` does with each encoding that it makes, given its name; see `emprox.encodings.remembered`."""


def _make(name: str, space: str | ArchitectureFamily, known: Any) -> Encoding:
    cls, epoch = encoding_class(name), name.partition("@")[2]
    arguments = [known] if cls.takes_known else []
    return cls(space, *arguments, *([int(epoch)] if epoch else []))
