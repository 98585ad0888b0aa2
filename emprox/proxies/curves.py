"""Learning curves as columns for regressors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidDataError
from emprox.proxies.known import Known, KnownEncoding, KnownProxies, as_known
from emprox.spaces import Architecture, ArchitectureFamily

__all__ = ["CurveEncoding"]


class CurveEncoding(KnownEncoding):
    """The values of all known learning curves, except those on test data, after each epoch up to a given one.

    Costs so many epochs of training for each candidate. A curve that is not known is an error, since it cannot be computed.

    Parameters
    ----------
    space : str or ArchitectureFamily
        The search space.
    known : KnownProxies, PerformanceTable or None
        Where the curves are; None is an error.
    epochs : int, optional
        The last epoch; by default the last that all curves have. In text form ``curves@3``.

    Raises
    ------
    InvalidDataError
        If no curve is known.

    References
    ----------
    Baker et al., *Accelerating Neural Architecture Search using Performance Prediction*, 2017, arXiv 1705.10823.
    """

    takes_epochs: ClassVar[bool] = True

    def __init__(self, space: str | ArchitectureFamily, known: Known = None, epochs: int | None = None) -> None:
        super().__init__(space)
        found = as_known(known, self.space.name)
        self.curves = [name for name in (found.curves if found is not None else ()) if not name.startswith("test_")]
        if found is None or not self.curves:
            raise InvalidDataError("no learning curve is known; pass known=, for instance a table with curves")
        self.known: KnownProxies = found
        self.training_epochs = min(found.curves[name].shape[1] for name in self.curves) if epochs is None else epochs

    @property
    def names(self) -> tuple[str, ...]:
        """``curve@epoch``, such as ``train_loss@1``."""
        return tuple(f"{name}@{epoch}" for name in self.curves for epoch in range(1, self.training_epochs + 1))

    @property
    def known_architectures(self) -> tuple[Architecture, ...]:
        """Those whose curves do not end before."""
        values = np.column_stack([self.known.curves[name][:, : self.training_epochs] for name in self.curves])
        complete = np.flatnonzero(np.isfinite(values).all(axis=1))
        return tuple(self.known.architectures[row] for row in complete)

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the curves, ndarray of shape (n_archs, len(names)).

        Raises
        ------
        InvalidDataError
            If a curve of an architecture is not known, or ends before.
        InvalidOptionError
            If the known curves have fewer epochs.
        """
        return np.column_stack([self.known.curve(architectures, name, self.training_epochs) for name in self.curves])
