"""What a proxy is, what it needs, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emprox.errors import InvalidOptionError, UndefinedProxyError, UnknownNameError
from emprox.registry import Registry, nearest

if TYPE_CHECKING:
    from torch import nn

    from emprox.proxies.case import Case

__all__ = ["NEEDS", "PROXIES", "Proxy", "ProxyScores"]

NEEDS = {
    "input_shape": "input_shape=..., the shape of an input without its batch dimension, or batches",
    "batch": "batches=[(inputs, targets)]",
    "batches": "at least two batches=[(inputs, targets), ...]",
    "labels": "targets in every batch, batches=[(inputs, targets)]",
    "features": "a global pooling in the network, or features=..., the name of the submodule before it",
}
"""What a proxy may need besides the network, and how it is given."""
QUANTITIES = frozenset({"gradients", "curvature", "channels", "jacobian", "codes"})
"""What one pass over the first batch can show; see `emprox.proxies.evidence`."""


@dataclass(frozen=True)
class Proxy:
    """A number of an untrained network.

    Called with a module and the options of `compute_proxies`, it returns the number.

    Raises
    ------
    InvalidOptionError
        If a need or quantity is unknown.
    """

    name: str
    """Name in the registry."""
    measure: Callable[[Case], float]
    """Compute the number; the module of the case must stay as it is."""
    needs: frozenset[str] = frozenset()
    """Keys of `NEEDS`."""
    observes: frozenset[str] = frozenset()
    """Quantities of the shared pass over the first batch that `measure` finds in ``case.evidence``."""

    def __post_init__(self) -> None:
        for given, known in ((self.needs, NEEDS), (self.observes, QUANTITIES)):
            if unknown := sorted(set(given) - set(known)):
                raise InvalidOptionError(f"proxy {self.name} declares {unknown}, which is not among {', '.join(sorted(known))}")

    def __call__(self, module: nn.Module, **options: Any) -> float:
        """Return this proxy of a module; the options are those of `compute_proxies`."""
        from emprox.proxies.compute import compute_proxies

        return compute_proxies(module, [self.name], **options)[self.name]


@dataclass(frozen=True)
class ProxyScores:
    """Proxies of one network: finite numbers, and the reasons where there is none.

    >>> scores = ProxyScores({"params": 3.0}, {"nwot": "no rectifier was applied"})
    >>> scores["params"]
    3.0
    >>> scores["nwot"]
    Traceback (most recent call last):
        ...
    emprox.errors.UndefinedProxyError: nwot: no rectifier was applied
    """

    values: Mapping[str, float]
    """Finite values by proxy."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a proxy has no value, by proxy."""

    def __getitem__(self, name: str) -> float:
        if name in self.failures:
            raise UndefinedProxyError(f"{name}: {self.failures[name]}")
        if name not in self.values:
            raise UnknownNameError(f"{name!r} was not computed; {nearest(name, list(self.values))}")
        return self.values[name]


PROXIES: Registry[Proxy] = Registry(
    "proxy",
    {
        "epe_nas": "emprox.proxies.jacobian:EPE_NAS",
        "fisher": "emprox.proxies.saliency:FISHER",
        "grad_norm": "emprox.proxies.saliency:GRAD_NORM",
        "grasp": "emprox.proxies.saliency:GRASP",
        "jacov": "emprox.proxies.jacobian:JACOV",
        "l2_norm": "emprox.proxies.size:L2_NORM",
        "macs": "emprox.proxies.size:MACS",
        "nwot": "emprox.proxies.codes:NWOT",
        "params": "emprox.proxies.size:PARAMS",
        "plain": "emprox.proxies.saliency:PLAIN",
        "snip": "emprox.proxies.saliency:SNIP",
        "synflow": "emprox.proxies.synflow:SYNFLOW",
        "zen": "emprox.proxies.zen:ZEN",
        "zico": "emprox.proxies.zico:ZICO",
    },
    group="emprox.proxies",
)
