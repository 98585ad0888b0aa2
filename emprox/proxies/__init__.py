"""Zero-cost proxies: what an untrained network tells, from a few passes and no training.

In: a `torch.nn.Module` and a batch or two, or an architecture. Out: a number for each proxy.
Next: `emprox.estimators` ranks by one of them or regresses on all, as the encoding ``proxies``.
"""

from emprox.proxies.base import PROXIES, Proxy, ProxyScores
from emprox.proxies.compute import compute_proxies
from emprox.proxies.known import KnownProxies
from emprox.proxies.networks import Recipe, score_architecture, score_module

__all__ = [
    "PROXIES",
    "KnownProxies",
    "Proxy",
    "ProxyScores",
    "Recipe",
    "compute_proxies",
    "score_architecture",
    "score_module",
]
