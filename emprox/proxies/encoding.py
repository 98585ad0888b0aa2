"""Proxies as columns for regressors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emprox.proxies.base import PROXIES
from emprox.proxies.known import Known, KnownEncoding, as_known
from emprox.proxies.networks import Recipe, score_architecture
from emprox.spaces import Architecture, ArchitectureFamily

__all__ = ["ProxyEncoding"]


class ProxyEncoding(KnownEncoding):
    """A column for each zero-cost proxy; NaN where a network has no value, such as one whose output is constant.

    Either all values are known, or all are computed from the network of the space with random weights on random batches, which
    costs seconds for each architecture (once: they are kept). The two are never mixed, because a published proxy on real images
    is another number than ours on random ones: an architecture that the known ones lack is an error.

    Parameters
    ----------
    space : str or ArchitectureFamily
        The search space.
    known : KnownProxies, PerformanceTable, path or None
        Where the values are; see `emprox.proxies.known.as_known`.
    proxies : sequence of str, optional
        Columns and their order; by default all that are known, or all that can be computed.
    recipe : Recipe, optional
        Batches and seed of what is computed.
    """

    def __init__(
        self,
        space: str | ArchitectureFamily,
        known: Known = None,
        proxies: Sequence[str] | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        super().__init__(space)
        given = as_known(known, self.space.name)
        self.known = given if given is not None and given.names else None
        self.recipe = recipe or Recipe()
        all_names = self.known.names if self.known is not None else tuple(PROXIES.names())
        self._names = all_names if proxies is None else tuple(proxies)
        self._computed: dict[Architecture, NDArray[np.float64]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the proxies."""
        return self._names

    @property
    def known_architectures(self) -> tuple[Architecture, ...]:
        """Those that have a row among the known proxies."""
        return () if self.known is None else self.known.architectures

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the proxies, ndarray of shape (n_archs, len(names)).

        Raises
        ------
        InvalidDataError
            If proxies are known, but not of all these architectures.
        UnknownNameError
            If a name is not among the known proxies, or not registered.
        """
        if self.known is not None:
            self.known.require(architectures)
            return self.known.values(architectures, self.names)
        for architecture in architectures:
            if architecture not in self._computed:
                values = score_architecture(architecture, self.names, self.recipe).values
                self._computed[architecture] = np.array([values.get(name, np.nan) for name in self.names])
        return np.array([self._computed[a] for a in architectures], dtype=np.float64).reshape(-1, len(self.names))
