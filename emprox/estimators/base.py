"""What every estimator offers: fit, predict, save and load over architectures or their descriptions."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from emprox.errors import CorruptFileError, EmproxError, InvalidDataError, InvalidOptionError
from emprox.estimators.scorer import Scorer
from emprox.persistence import read_folder, write_folder
from emprox.registry import Registry, nearest, parse_spec
from emprox.spaces import Architecture, ArchitectureFamily, as_architectures, get_family, infer_space
from emprox.validation import as_measurements, as_rows

if TYPE_CHECKING:
    from typing import Self

    from emprox.tables import PerformanceTable

__all__ = ["ESTIMATORS", "ArchitectureRegressor", "Target", "load", "make_estimator", "takes_option"]


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """What the measurements of a model are, for reports."""

    name: str
    """Such as ``val_accuracy``."""
    unit: str = ""
    """Such as ``ms``; empty where it is not known."""
    larger_is_better: bool | None = None
    """Direction; None where it is not known."""

    @classmethod
    def of(cls, table: PerformanceTable, name: str) -> Target:
        """Return what a table says of one of its targets."""
        return cls(name, **asdict(table.measures[name]))


class ArchitectureRegressor(RegressorMixin, BaseEstimator, ABC):
    """A scikit-learn regressor whose samples are architectures.

    Subclasses learn in `_fit` and answer in `_predict`; this class reads descriptions, checks measurements and saves.

    Attributes
    ----------
    space_ : ArchitectureFamily
        The search space, or other family, of the training architectures.
    architectures_ : list of Architecture
        The measured architectures.
    y_ : ndarray of shape (n_known,)
        Their measured values.
    y_std_ : ndarray of shape (n_known,) or None
        Standard deviations of those values, where given.
    target_ : Target or None
        What those values are, as told to `fit`.
    """

    kind: ClassVar[str]
    """Name in a saved folder's manifest and in the registry."""
    has_std: ClassVar[bool] = False
    """Whether `predict` can return standard deviations."""
    several_targets: ClassVar[bool] = False
    """Whether `fit` takes measurements of shape (n_known, n_targets) as well."""
    ranks_without_labels: ClassVar[bool] = False
    """Whether labels only set the scale, so that the ranking costs none."""
    target_: Target | None = None
    tunable: ClassVar[Mapping[str, Any]] = {}
    """Options that `Tuned` searches: name to a list of values or a ``scipy.stats`` distribution."""
    space: str | ArchitectureFamily | None

    def fit(
        self, architectures: Iterable[Any], y: ArrayLike, y_std: ArrayLike | None = None, *, target: Target | None = None
    ) -> Self:
        """Learn from measured architectures.

        Parameters
        ----------
        architectures : iterable of length n_known
            `Architecture` objects or descriptions that the search space parses; also a table of one column.
        y : array-like of shape (n_known,)
            Measured performance. What is learned from labels alone does not depend on its direction; what ranks without
            labels, by itself or as a prior, takes larger for better unless `target` says otherwise.
        y_std : array-like of shape (n_known,), optional
            Standard deviation of each measurement, in the unit of y.
        target : Target, optional
            Name, unit and direction of what was measured.

        Raises
        ------
        InvalidArchitectureError
            If one cannot be read or belongs to another space; the message has its position.
        InvalidDataError
            If there is none (`needs_labels`), lengths differ, or a measurement is NaN or infinite.
        """
        self._check_options()
        descriptions = as_rows(architectures)
        if not descriptions and (self.needs_labels or self.space is None):
            why = (
                f"{type(self).__name__} learns from them" if self.needs_labels else "or space=..., whose architectures are ranked"
            )
            raise InvalidDataError(f"expected at least one measured architecture, got none; {why}")
        space = infer_space(descriptions, self.space)
        known = as_architectures(descriptions, space)
        values, spread = as_measurements(y, y_std, len(known), several=self.several_targets)
        self.space_, self.architectures_, self.y_, self.y_std_ = space, known, values, spread
        self.target_ = target
        self._fit()
        return self

    @overload
    def predict(self, architectures: Iterable[Any], return_std: Literal[False] = False) -> Floats: ...

    @overload
    def predict(self, architectures: Iterable[Any], return_std: Literal[True]) -> tuple[Floats, Floats]: ...

    def predict(self, architectures: Iterable[Any], return_std: bool = False) -> Floats | tuple[Floats, Floats]:
        """Estimate the performance of architectures.

        Parameters
        ----------
        architectures : iterable of length n_archs
            `Architecture` objects or descriptions.
        return_std : bool
            Whether to return the standard deviation of each estimate as well.

        Returns
        -------
        ndarray of shape (n_archs,), or two of them
            Estimates in the unit of the measurements, and their standard deviations.

        Raises
        ------
        InvalidOptionError
            If a standard deviation is asked of an estimator that has none (`has_std`).
        """
        if return_std and not self.has_std:
            raise InvalidOptionError(f"{type(self).__name__} gives no standard deviation; call predict without return_std")
        estimates, std = self._predict(self._read(architectures), return_std)
        return estimates if std is None else (estimates, std)

    @property
    def needs_labels(self) -> bool:
        """Whether `fit` needs a measurement; without one, others rank by a score, and ``space`` has to be given."""
        return True

    @property
    def training_epochs(self) -> int:
        """Epochs for which a candidate has to be trained before it can be estimated; 0 unless learning curves are read."""
        return 0

    def as_scorer(self) -> Scorer:
        """Return this estimator as it is now as a function of one architecture, or ``many``, that threads may share."""
        check_is_fitted(self)
        return Scorer(self)

    @abstractmethod
    def _check_options(self) -> None:
        """Raise if a constructor option is out of range; `fit` calls it before anything changes."""

    @abstractmethod
    def _fit(self) -> None:
        """Learn from the attributes that `fit` has set."""

    @abstractmethod
    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        """Return estimates, and their standard deviations exactly if they are asked for."""

    @abstractmethod
    def _write(self, folder: Path) -> dict[str, Any]:
        """Write the learned state into a folder; return the rest of it for the manifest."""

    @abstractmethod
    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        """Restore the learned state; options and known architectures are set already."""

    @property
    def _direction(self) -> float:
        """-1 where smaller measurements are better, 1 otherwise and where nothing is measured: ranks are larger if better."""
        return -1.0 if len(self.y_) and self.target_ is not None and self.target_.larger_is_better is False else 1.0

    def _precision(self) -> Floats | None:
        """Return how much each measurement counts, 1 / (y_std^2 + mean of y_std^2), or None if no y_std was given."""
        if self.y_std_ is None:
            return None
        variance = self.y_std_**2
        return 1 / (variance + (variance.mean() or 1))

    def _options(self) -> dict[str, Any]:
        """Return constructor options that JSON can hold; what is known from elsewhere is part of the state."""
        return {name: value for name, value in self.get_params(deep=False).items() if name != "known"}

    def save(self, folder: str | Path) -> None:
        """Write the fitted estimator to a folder, as a whole or not at all; nothing in it is a pickle.

        Raises
        ------
        StorageError
            If the place is taken by something else, not writable, or the disk is full.
        """
        check_is_fitted(self)

        def write(staging: Path) -> dict[str, Any]:
            return {
                "kind": self.kind,
                "space": self.space_.setting,
                "options": self._options() | {"space": self.space_.setting},
                "target": None if self.target_ is None else asdict(self.target_),
                "known": {
                    "architectures": [str(a) for a in self.architectures_],
                    "y": self.y_.tolist(),
                    "y_std": None if self.y_std_ is None else self.y_std_.tolist(),
                },
                "state": self._write(staging),
            }

        write_folder(folder, write)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read an estimator that `save` wrote; it predicts exactly as it did."""
        estimator = load(folder)
        if not isinstance(estimator, cls):
            raise CorruptFileError(f"{folder} holds a {type(estimator).__name__}, expected a {cls.__name__}; use emprox.load")
        return estimator

    @classmethod
    def _restore(cls, folder: Path, manifest: dict[str, Any]) -> Self:
        known = manifest["known"]
        if "known" in manifest["options"]:  # never written: it could name a file to be read
            raise CorruptFileError(f"{folder} has an option that no saved estimator has; it was changed")
        estimator = cls(**manifest["options"])
        estimator.space_ = get_family(manifest["space"])
        estimator.architectures_ = [estimator.space_.restore(text) for text in known["architectures"]]
        estimator.y_ = np.array(known["y"], dtype=np.float64)
        estimator.y_std_ = None if known["y_std"] is None else np.array(known["y_std"], dtype=np.float64)
        target = manifest.get("target")  # folders of older versions have none
        estimator.target_ = None if target is None else Target(**target)
        estimator._read_state(folder, manifest["state"])
        return estimator

    def _read(self, architectures: Iterable[Any], first: int = 0) -> list[Architecture]:
        """Return what callers give as architectures; errors count them from `first`."""
        check_is_fitted(self, "architectures_")
        return as_architectures(as_rows(architectures), self.space_, first)


ESTIMATORS: Registry[Callable[..., ArchitectureRegressor]] = Registry(
    "estimator",
    {
        "bananas": "emprox.estimators.feedforward:BANANAS",
        "cl-paper": "emprox.estimators.graph_transfer:GraphTransfer.contrastive",
        "early-stopping": "emprox.estimators.curves:EarlyStopping",
        "emprox": "emprox.estimators.emprox:EmProx",
        "emprox-paper": "emprox.estimators.emprox:EmProx.paper",
        "forest": "emprox.estimators.tabular:Forest",
        "gnn": "emprox.estimators.graph_transfer:GraphTransfer",
        "gp": "emprox.estimators.tabular:GaussianProcess",
        "knn": "emprox.estimators.tabular:KNeighbors",
        "macs": "emprox.estimators.signals:OneNumber.macs",
        "mlp": "emprox.estimators.feedforward:MLP",
        "nao": "emprox.estimators.nao:NAO",
        "naslib": "emprox.integrations.naslib_estimator:NASLibEstimator",
        "one-number": "emprox.estimators.signals:OneNumber",
        "params": "emprox.estimators.signals:OneNumber.params",
        "pathnorm": "emprox.estimators.signals:OneNumber.pathnorm",
        "ridge": "emprox.estimators.tabular:Ridge",
        "seminas": "emprox.estimators.nao:SemiNAS",
        "size": "emprox.estimators.signals:OneNumber.size",
        "sotle": "emprox.estimators.curves:SoTLE",
        "tuned": "emprox.estimators.tuned:Tuned",
        "universal": "emprox.estimators.universal:Universal",
        "xgboost": "emprox.estimators.xgboost:XGBoost",
        "zerocost": "emprox.estimators.zero_cost:ZeroCost",
    },
    group="emprox.estimators",
)


def make_estimator(spec: str, **options: Any) -> ArchitectureRegressor:
    """Return an unfitted estimator from its text form, ``name`` or ``name:key=value,key=value``.

    With the option ``tune``, a number of seconds, it is the estimator wrapped in `Tuned`.

    Parameters
    ----------
    spec : str
        The name and its options.
    **options
        Options that the text may override, such as ``space`` and ``random_state``.

    Raises
    ------
    UnknownNameError
        If the name is not registered.
    InvalidOptionError
        If the estimator has no such option.

    Examples
    --------
    >>> make_estimator("emprox-paper:k=60").n_neighbors
    60
    """
    name, given = parse_spec(spec)
    if "tune" in given:
        rest = ",".join(item for item in spec.partition(":")[2].split(",") if item.partition("=")[0].strip() != "tune")
        return ESTIMATORS.get("tuned")(estimator=f"{name}:{rest}".rstrip(":"), seconds=given["tune"], **options)
    factory = ESTIMATORS.get(name)
    allowed = _option_names(factory)
    for option in given:
        if option not in allowed:
            raise InvalidOptionError(f"{name} has no option {option!r}; {nearest(option, allowed)}")
    return factory(**{**options, **given})


def takes_option(spec: str, option: str) -> bool:
    """Return whether the estimator of that text form has an option of that name.

    >>> takes_option("zerocost:proxy=synflow", "known")
    True
    """
    return option in _option_names(ESTIMATORS.get(parse_spec(spec)[0]))


def _option_names(factory: Callable[..., ArchitectureRegressor]) -> list[str]:
    return list(inspect.signature(factory).parameters)


def load(folder: str | Path) -> ArchitectureRegressor:
    """Read a fitted estimator of any kind from the folder that `ArchitectureRegressor.save` wrote.

    Raises
    ------
    StorageError
        If there is no such folder or it cannot be read.
    CorruptFileError
        If a file differs from what was written.
    """
    manifest = read_folder(folder)
    try:
        estimator = ESTIMATORS.get(manifest["kind"])
        return estimator._restore(Path(folder), manifest)  # type: ignore[attr-defined]
    except EmproxError:
        raise
    except Exception as error:  # a manifest that somebody changed can be wrong in every way
        raise CorruptFileError(f"{folder} is not a saved estimator: {error!r}") from error
