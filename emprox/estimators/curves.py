"""Rank by the beginning of the training: sum of training losses, and early stopping."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.estimators.base import Floats
from emprox.estimators.label_free import LabelFreeRegressor
from emprox.proxies import KnownProxies
from emprox.proxies.known import Known, as_known
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.tables.measures import measure_of
from emprox.validation import check_at_least

__all__ = ["EarlyStopping", "SoTLE"]


class CurveRegressor(LabelFreeRegressor):
    """A number read from a learning curve up to an epoch.

    Attributes
    ----------
    curves_ : KnownProxies
        The curve up to that epoch, of all architectures of which something is known.
    """

    known: Known

    @property
    def training_epochs(self) -> int:
        """Epochs for which a candidate has to be trained before it can be estimated; known after a fit."""
        return next(iter(self.curves_.curves.values())).shape[1]

    @abstractmethod
    def _curve_name(self, known: KnownProxies) -> str:
        """Return which of the known curves is read."""

    @abstractmethod
    def _last_epoch(self) -> int | None:
        """Return the epoch at which training stops, None for the curve's last."""

    def _prepare(self) -> None:
        known = as_known(self.known, self.space_.name)
        if known is None or not known.curves:
            raise InvalidDataError(f"{type(self).__name__} needs learning curves; pass known=, for instance a table with curves")
        self.curves_ = known.select_curve(self._curve_name(known), self._last_epoch())

    def _curve(self, architectures: list[Architecture]) -> Floats:
        """Return the curve up to the last epoch, with its sign changed where smaller is better, (n, epochs)."""
        name = next(iter(self.curves_.curves))
        return measure_of(name).sign * self.curves_.curve(architectures, name, self.training_epochs)

    def _write(self, folder: Path) -> dict[str, Any]:
        return super()._write(folder) | {"known": self.curves_.to_json()}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        super()._read_state(folder, state)
        self.known = self.curves_ = KnownProxies.from_json(state["known"])


class SoTLE(CurveRegressor):
    """Rank architectures by the sum of their training losses over the last epochs of a short training (SoTL-E, also TSE-E).

    Needs no label for the ranking, but costs `epochs` epochs of training for each candidate (`training_epochs`). Labels only
    set the scale; larger is always better, so that losses go in with their sign changed. A curve that is not known is an error.

    Parameters
    ----------
    space : str, ArchitectureFamily or None
        The search space; None takes it from the architectures.
    epochs : int or None
        Epochs for which every architecture is trained; None is the whole known curve.
    last : int or None
        Of these, the last that are summed; the authors recommend one. None sums all (SoTL).
    curve : str
        The known curve that holds the mean training loss of each epoch.
    known : KnownProxies or PerformanceTable
        Where the curves are; a table with curves. `emprox bench` hands over the table that it draws from.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.

    References
    ----------
    Ru, Lyle, Schut, Fil, van der Wilk and Gal, *Speedy Performance Estimation for Neural Architecture Search*, NeurIPS 2021.

    Examples
    --------
    >>> from emprox import load_table
    >>> table = load_table("bundled")
    >>> estimator = SoTLE(epochs=3, known=table).fit(table.architectures[:20], table.targets["val_accuracy"][:20])
    >>> estimator.training_epochs
    3
    """

    kind = "sotle"

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        epochs: int | None = None,
        last: int | None = 1,
        curve: str = "train_loss",
        known: Known = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.epochs = epochs
        self.last = last
        self.curve = curve
        self.known = known
        self.random_state = random_state

    def _check_options(self) -> None:
        for name in ("epochs", "last"):
            if getattr(self, name) is not None:
                check_at_least(name, getattr(self, name), 1)
        if self.epochs is not None and self.last is not None and self.last > self.epochs:
            raise InvalidOptionError(f"last={self.last} epochs cannot be summed of a training of epochs={self.epochs}")

    def _curve_name(self, known: KnownProxies) -> str:
        return self.curve

    def _last_epoch(self) -> int | None:
        return self.epochs

    def _numbers(self, architectures: list[Architecture]) -> Floats:
        summed: Floats = self._curve(architectures)[:, -(self.last or self.training_epochs) :].sum(axis=1)
        return summed


class EarlyStopping(CurveRegressor):
    """Rank architectures by their validation accuracy, or loss, at an early epoch.

    Needs no label for the ranking, but costs `epoch` epochs of training for each candidate (`training_epochs`). Labels only set
    the scale; larger is always better, so that losses go in with their sign changed. A curve that is not known is an error.

    Parameters
    ----------
    space : str, ArchitectureFamily or None
        The search space; None takes it from the architectures.
    epoch : int or None
        The epoch; None is the last of the known curve.
    curve : str or None
        The known curve that is read; by its name's ending larger or smaller is better. None is ``val_accuracy``, or
        ``val_loss`` where there is no accuracy.
    known : KnownProxies or PerformanceTable
        Where the curves are; a table with curves. `emprox bench` hands over the table that it draws from.
    random_state : int or None
        Kept for a uniform interface; the fit is deterministic.

    References
    ----------
    Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, *Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization*,
    JMLR 2018, which stops by it; White et al., *How Powerful are Performance Predictors in Neural Architecture Search?*, NeurIPS
    2021, which compare it.

    Examples
    --------
    >>> from emprox import load_table
    >>> table = load_table("bundled")
    >>> EarlyStopping(epoch=2, known=table).fit(table.architectures, table.targets["val_accuracy"]).training_epochs
    2
    """

    kind = "early-stopping"

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        epoch: int | None = None,
        curve: str | None = None,
        known: Known = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.epoch = epoch
        self.curve = curve
        self.known = known
        self.random_state = random_state

    def _check_options(self) -> None:
        if self.epoch is not None:
            check_at_least("epoch", self.epoch, 1)

    def _curve_name(self, known: KnownProxies) -> str:
        return self.curve or ("val_accuracy" if "val_accuracy" in known.curves else "val_loss")

    def _last_epoch(self) -> int | None:
        return self.epoch

    def _numbers(self, architectures: list[Architecture]) -> Floats:
        return self._curve(architectures)[:, -1]
