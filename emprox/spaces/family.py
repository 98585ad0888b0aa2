"""The architecture, a value without behaviour of its own, and the family that it is of: architectures that have a network."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidArchitectureError, InvalidOptionError, UnknownNameError
from emprox.registry import Registry, nearest, parse_spec
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.path_norm import log_path_norm

if TYPE_CHECKING:
    from emprox.spaces.base import SearchSpace

__all__ = ["FAMILIES", "SPACES", "Architecture", "ArchitectureFamily", "family_names", "get_family"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture: a family and a description in it. Hashable; networks are built from it, never stored in it."""

    space: str
    """Registered name of the search space, or of another family."""
    spec: Hashable
    """The description in the family's own terms (for NAS-Bench-201 six op numbers)."""

    def __str__(self) -> str:
        """Return the text from which ``get_family(self.space).parse`` makes an equal architecture."""
        return get_family(self.space).format(self)


class ArchitectureFamily(ABC):
    """Architectures that can be read, written and turned into the graph of a network; enough to estimate them.

    A `SearchSpace` is a family that can also be sampled and searched.
    """

    name: ClassVar[str]
    """Registered name."""
    default_encoding: ClassVar[str]
    """Name of the encoding whose columns suit the family."""

    @property
    def setting(self) -> str:
        """The text from which `get_family` makes an equal family: the name, and options where it has any."""
        return self.name

    @abstractmethod
    def parse(self, description: Any) -> Architecture:
        """Return the architecture that a text, or another description that the family knows, stands for.

        Raises
        ------
        InvalidArchitectureError
            If the description is malformed or describes something outside the family.
        """

    @abstractmethod
    def format(self, architecture: Architecture) -> str:
        """Return the text that `parse` and `restore` read back."""

    @abstractmethod
    def network(self, architecture: Architecture, **options: Any) -> ComputationGraph:
        """Return the graph of the network, dead ops included, with shapes, parameters and multiply-accumulates."""

    def read(self, description: Any) -> Architecture:
        """Return the architecture, given itself or by what `parse` reads."""
        return self.check(description) if isinstance(description, Architecture) else self.parse(description)

    def restore(self, text: str) -> Architecture:
        """Return the architecture of a text that `format` wrote, from a file of anyone's: runs no code, opens no file."""
        return self.parse(text)

    def label(self, architecture: Architecture) -> str:
        """Return a text for people to read, by default that of `format`."""
        return self.format(architecture)

    def recognises(self, description: Any) -> bool:
        """Whether this description can be told to be of the family without its name."""
        return False

    def references(self, n: int) -> list[Architecture]:
        """Return n fixed architectures that stand for the whole family, or none where it cannot be sampled."""
        return []

    def to_graph(self, architecture: Architecture, view: str = "network", **options: Any) -> ComputationGraph:
        """Return what the architecture computes, as a graph without dead nodes; options are those of `network`."""
        if view != "network":
            raise InvalidOptionError(f"architectures of {self.name} have the view 'network', got {view!r}")
        return self.network(architecture, **options).simplified().contracted("add")

    def count_parameters(self, architecture: Architecture, **options: Any) -> int:
        """Return the trainable parameters of the network, without building it.

        By the formula of `costs` for the default options, on the graph of the network otherwise.
        """
        if options:
            return self.network(architecture, **options).parameters
        return int(self.costs([architecture])[0, 0])

    def count_macs(self, architecture: Architecture, **options: Any) -> int:
        """Return the multiply-accumulates of the network for one input (convolutions and linear layers)."""
        return self.network(architecture, **options).macs if options else int(self.costs([architecture])[0, 1])

    def costs(self, architectures: Sequence[Architecture]) -> NDArray[np.int64]:
        """Return parameters and multiply-accumulates of the networks with default options, ndarray of shape (n_archs, 2).

        The same numbers as `count_parameters` and `count_macs`; spaces override it by a formula over the batch.
        """
        networks = [self.network(architecture) for architecture in architectures]
        return np.array([(graph.parameters, graph.macs) for graph in networks], dtype=np.int64).reshape(-1, 2)

    def path_norms(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the logarithm of the networks' analytic path-norm, ndarray of shape (n_archs,); see `log_path_norm`.

        Minus infinity where the output does not depend on the input. Spaces override it by a formula over the batch.
        """
        return np.array([log_path_norm(self.network(architecture)) for architecture in architectures])

    def canonical_hash(self, architecture: Architecture) -> str:
        """Return the hash that architectures of the same function share."""
        return self.to_graph(self.check(architecture), "network").canonical_hash()

    def is_connected(self, architecture: Architecture) -> bool:
        """Whether the output depends on the input."""
        return self.to_graph(architecture, "network").is_connected

    @property
    def populations(self) -> Mapping[str, Callable[[Architecture], bool]]:
        """Named subsets: name to membership test."""
        return {"all": lambda _: True, "connected": self.is_connected}

    def check(self, architecture: Architecture) -> Architecture:
        """Return the architecture if it is of this family, raise otherwise."""
        if not isinstance(architecture, Architecture):
            raise InvalidArchitectureError(
                f"expected an Architecture of {self.name}, got {type(architecture).__name__}: {architecture!r}; "
                f"make one with get_family({self.name!r}).parse(...)"
            )
        if architecture.space != self.name:
            raise InvalidArchitectureError(
                f"{architecture.spec!r} is an architecture of {architecture.space}, expected one of {self.name}"
            )
        return architecture


SPACES: Registry[type[SearchSpace]] = Registry(
    "search space",
    {
        "darts": "emprox.spaces.darts:DARTS",
        "nasbench101": "emprox.spaces.nasbench101:NASBench101",
        "nasbench201": "emprox.spaces.nasbench201:NASBench201",
        "ofa-mobilenetv3": "emprox.spaces.mobilenetv3:OFAMobileNetV3",
        "transnas101-micro": "emprox.spaces.transnas:TransNASBench101Micro",
    },
    group="emprox.spaces",
)

FAMILIES: Registry[type[ArchitectureFamily]] = Registry(
    "family of architectures",
    {"nasbench-nlp": "emprox.spaces.nasbench_nlp:NASBenchNLP", "network": "emprox.spaces.anything:Networks"},
    group="emprox.families",
)
"""Families that are no search spaces; those are in `SPACES`."""


def family_names() -> list[str]:
    """Return the names of all families, search spaces included."""
    return sorted({*SPACES.names(), *FAMILIES.names()})


def get_family(family: str | ArchitectureFamily) -> ArchitectureFamily:
    """Return the search space or other family of that name, ``name`` or ``name:key=value`` (a family passes through).

    >>> get_family("nasbench201").default_encoding
    'blocks'
    """
    if isinstance(family, ArchitectureFamily):
        return family
    if not isinstance(family, str):
        raise InvalidOptionError(f"expected the name of a search space, got {family!r}; known: {', '.join(family_names())}")
    return _instance(family)


@cache
def _instance(setting: str) -> ArchitectureFamily:
    name, options = parse_spec(setting)
    if name in FAMILIES.names():
        family = FAMILIES.get(name)
        for option in options:
            if option not in (allowed := list(inspect.signature(family).parameters)):
                raise InvalidOptionError(f"the family {name} has no option {option!r}; {nearest(option, allowed)}")
        return family(**options)
    if name not in SPACES.names():
        raise UnknownNameError(f"no search space is called {name!r}; {nearest(name, family_names())}")
    if options:
        raise InvalidOptionError(f"the search space {name} has no options, got {setting!r}")
    return SPACES.get(name)()
