"""Rank by a zero-cost proxy of the untrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emprox.errors import UnknownNameError
from emprox.estimators.base import Floats
from emprox.estimators.label_free import LabelFreeRegressor
from emprox.proxies import PROXIES, KnownProxies
from emprox.proxies.encoding import ProxyEncoding
from emprox.proxies.known import Known, as_known
from emprox.registry import nearest
from emprox.spaces import Architecture, ArchitectureFamily

__all__ = ["ZeroCost"]


class ZeroCost(LabelFreeRegressor):
    """Rank architectures by a zero-cost proxy; labels only set the scale, so that the ranking is that of no label at all.

    The estimate is the proxy, shifted and stretched to the mean and spread of the measurements: larger is always better. A
    network for which the proxy has no value, such as one with a constant output, gets the estimate of the lowest
    value known or measured.

    Where ``known`` has the proxy, its values are taken, and only those; otherwise networks are built and the proxy is computed on
    random batches, which costs up to seconds for each architecture (`emprox.proxies`).

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    proxy : str
        Name of a proxy, or of another known column such as ``flops``. By default the one that ranks NAS-Bench-301 and
        TransNAS-Bench-101 most evenly.
    known : KnownProxies, PerformanceTable, path or None
        Proxies computed before, a table with columns of them, or a csv file that `emprox proxies` wrote. `emprox bench` hands
        over the table that it draws from.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.
    """

    kind = "zerocost"

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        proxy: str = "nwot",
        known: Known = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.proxy = proxy
        self.known = known
        self.random_state = random_state

    def _check_options(self) -> None:
        """Nothing to check: the proxy's name is checked where the space, and so what is known, is."""

    def _prepare(self) -> None:
        self.encoding_ = self._encoding(as_known(self.known, self.space_.name))

    def _numbers(self, architectures: list[Architecture]) -> Floats:
        return self.encoding_.transform(architectures)[:, 0]

    def _least(self, numbers: Floats) -> float:
        known = self.encoding_.known
        return super()._least(numbers if known is None else known.columns[self.proxy])

    def _encoding(self, known: KnownProxies | None) -> ProxyEncoding:
        if known is not None and self.proxy in known.names:
            return ProxyEncoding(self.space_, known.select([self.proxy]))
        if self.proxy not in PROXIES.names():
            names = sorted({*PROXIES.names(), *(known.names if known is not None else ())})
            raise UnknownNameError(f"no proxy is called {self.proxy!r}; {nearest(str(self.proxy), names)}")
        return ProxyEncoding(self.space_, None, [self.proxy])

    def _write(self, folder: Path) -> dict[str, Any]:
        known = self.encoding_.known
        return super()._write(folder) | {"known": None if known is None else known.to_json()}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        super()._read_state(folder, state)
        self.known = None if state["known"] is None else KnownProxies.from_json(state["known"])
        self.encoding_ = self._encoding(self.known)
