"""NASLib as a host: emprox estimators as its predictors and in its optimizers, and its predictors as emprox estimators.

Nothing of NASLib is imported before the first of these is used. `docs/naslib.md` says which versions work.

Letters: n architectures, M members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from emprox.errors import InvalidArchitectureError, InvalidDataError, InvalidOptionError, MissingDependencyError, UnknownNameError
from emprox.estimators import ArchitectureRegressor, EmProx, make_estimator
from emprox.registry import nearest
from emprox.spaces import Architecture, get_space
from emprox.validation import check_at_least

if TYPE_CHECKING:
    from emprox.integrations.naslib_estimator import NASLibEstimator

__all__ = ["EmProxEnsemble", "EmProxPredictor", "NASLibPredictor", "from_naslib", "import_naslib", "read_naslib", "use_in"]

Floats = NDArray[np.float64]
MEMBERS = 10
"""Members of an ensemble that stand for mean and standard deviation."""
TRANSNAS_OPS = (1, 0, 3, 2)
"""Op number of TransNAS-Bench-101's strings for each op number of NASLib's graph: identity, zero, 3x3, 1x1 convolution."""
TRANSNAS_EDGES = (0, 1, 3, 2, 4, 5)
"""Position in NASLib's graph, source by source, of each op of the string, target by target."""


def _transnas(architecture: Any) -> tuple[int, ...]:
    """Return the numbers of the string; only a graph that NASLib has built edge by edge has numbers of its own."""
    numbers = tuple(architecture.get_op_indices())
    if not architecture.create_graph:
        return numbers
    return tuple(TRANSNAS_OPS[numbers[position]] for position in TRANSNAS_EDGES)


SPACES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "nasbench101": ("nasbench101", lambda architecture: architecture.get_spec()),
    "nasbench201": ("nasbench201", lambda architecture: architecture.get_op_indices()),
    "nasbench301": ("darts", lambda architecture: architecture.get_compact()),
    "transbench101_micro": ("transnas101-micro", _transnas),
}
"""NASLib's name of a search space: emprox's name, and how to get a description from NASLib's graph object."""


def import_naslib(module: str) -> Any:
    """Return a module of NASLib, or raise an error that says how to get NASLib."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs {module}, which cannot be imported ({error}); NASLib is not on PyPI, docs/naslib.md says how to get it"
        ) from error


def read_naslib(architecture: Any, ss_type: str | None = None) -> Architecture:
    """Return the architecture that NASLib's graph object, hash tuple, spec or genotype describes, without building a network.

    Parameters
    ----------
    architecture : object
        A graph object of NASLib, or what its ``get_hash``, ``get_spec``, ``get_compact`` or ``get_op_indices`` return, or a text.
    ss_type : str, optional
        NASLib's name of the search space; a graph object knows its own.

    Raises
    ------
    UnknownNameError
        If NASLib's search space has no counterpart here.
    InvalidArchitectureError
        If the object describes none, or says nothing about its search space.
    """
    if isinstance(architecture, Architecture):
        return architecture
    is_graph = hasattr(architecture, "get_type")
    name = architecture.get_type() if is_graph else ss_type
    if name is None:
        raise InvalidArchitectureError(f"cannot tell the search space of {architecture!r}; call set_ss_type before fit")
    if name not in SPACES:
        raise UnknownNameError(f"NASLib's search space {name!r} has no counterpart in emprox; {nearest(str(name), list(SPACES))}")
    space, describe = SPACES[name]
    description = describe(architecture) if is_graph else architecture
    if description is None:
        raise InvalidArchitectureError(
            f"the {name} object has no architecture yet; call its sample_random_architecture or set_spec"
        )
    return get_space(space).parse(description)


class _Plugged:
    """Any emprox estimator as a NASLib predictor, for PredictorEvaluator and whoever calls ``fit`` and ``query``.

    Parameters
    ----------
    estimator : ArchitectureRegressor or str
        Unfitted, or its name for `make_estimator`; every ``fit`` clones it. Hyperparameters that the host sets are its own
        parameters.
    ss_type : str, optional
        NASLib's name of the search space; graph objects know it themselves.
    encoding_type : object
        For the host's sake; the estimator encodes by itself.
    """

    def __init__(self, estimator: ArchitectureRegressor | str, ss_type: str | None = None, encoding_type: object = None) -> None:
        self.ss_type, self.encoding_type = ss_type, encoding_type
        self.estimator = make_estimator(estimator) if isinstance(estimator, str) else estimator
        self.hyperparams: Mapping[str, Any] | None = None
        self.fitted: ArchitectureRegressor | None = None

    def fit(self, xtrain: Sequence[Any], ytrain: Sequence[float], info: object = None) -> float:
        """Learn from architectures and their accuracies; return the mean absolute error on them, as NASLib's predictors do."""
        known = self._read(xtrain)
        self.fitted = clone(self.estimator).set_params(**(self.hyperparams or {})).fit(known, ytrain)
        return float(np.abs(self.fitted.predict(known) - np.asarray(ytrain)).mean())

    def query(self, xtest: Sequence[Any], info: object = None) -> Floats:
        """Return estimates, ndarray of shape (n,)."""
        return self._answering().predict(self._read(xtest))

    def _answering(self) -> ArchitectureRegressor:
        if self.fitted is None:
            raise NotFittedError(f"{type(self).__name__} has not been fitted; call fit before query")
        return self.fitted

    def _read(self, architectures: Iterable[Any]) -> list[Architecture]:
        return [read_naslib(architecture, self.ss_type) for architecture in architectures]


class _PluggedEmProx(_Plugged):
    """`EmProx` as a NASLib predictor; options beside ``ss_type`` and ``encoding_type`` are those of `EmProx`."""

    def __init__(self, ss_type: str | None = None, encoding_type: object = None, **options: Any) -> None:
        super().__init__(EmProx(**options), ss_type, encoding_type)


class _PluggedEnsemble(_Plugged):
    """An emprox estimator with standard deviations as the ensemble that NASLib's optimizers ask.

    ``query`` returns shape (num_ensemble, n); its mean and standard deviation over axis 0 are the estimator's own.
    """

    def __init__(
        self,
        estimator: ArchitectureRegressor | str = "emprox",
        ss_type: str | None = None,
        encoding_type: object = None,
        num_ensemble: int = MEMBERS,
    ) -> None:
        super().__init__(estimator, ss_type, encoding_type)
        check_at_least("num_ensemble", num_ensemble, 2)
        if not self.estimator.has_std:
            raise InvalidOptionError(f"{type(self.estimator).__name__} gives no standard deviation; use NASLibPredictor")
        self.num_ensemble = num_ensemble

    def query(self, xtest: Sequence[Any], info: object = None) -> Floats:
        """Return members (M, n) whose mean and standard deviation over axis 0 are the estimator's own."""
        mean, std = self._answering().predict(self._read(xtest), return_std=True)
        if not np.isfinite(std).all():
            raise InvalidDataError("a standard deviation is not finite: fit on at least two architectures")
        return mean + std * spread(self.num_ensemble)[:, None]

    def set_pre_computations(self, **given: Any) -> None:
        """Refuse what the host computes for semi-supervised and zero-cost predictors."""
        raise InvalidOptionError(
            f"the optimizer passes {', '.join(given) or 'nothing'} to set_pre_computations, which emprox estimators do not take; "
            "leave zc out of config.search and choose a predictor_type without 'semi'"
        )


@cache
def spread(members: int) -> Floats:
    """Return normal scores (M,) with mean 0 and standard deviation 1.

    >>> spread(4).mean().round(12), spread(4).std().round(12)
    (np.float64(0.0), np.float64(1.0))
    """
    scores = norm.ppf((np.arange(members) + 0.5) / members)
    scores -= scores[::-1].copy()  # symmetric to the last digit
    return scores / scores.std()


PLUGGED = {"EmProxEnsemble": _PluggedEnsemble, "EmProxPredictor": _PluggedEmProx, "NASLibPredictor": _Plugged}
"""What becomes a class below NASLib's own Predictor when its name is first used."""
EmProxEnsemble: type[_PluggedEnsemble]
EmProxPredictor: type[_PluggedEmProx]
NASLibPredictor: type[_Plugged]


def __getattr__(name: str) -> Any:
    if name not in PLUGGED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _below(import_naslib("naslib.predictors.predictor").Predictor, name)


@cache
def _below(base: type, name: str) -> type:
    """Return the class of that name as a subclass of NASLib's Predictor."""
    return type(name, (PLUGGED[name], base), {"__doc__": PLUGGED[name].__doc__, "__module__": __name__})


def use_in(optimizer: Any, estimator: ArchitectureRegressor | str = "emprox", num_ensemble: int = MEMBERS) -> Any:
    """Make a NASLib optimizer, Bananas or Npenas, ask an emprox estimator instead of its own ensemble.

    Call it at any time before the first predictor is needed, that is before ``config.search.num_init`` evaluations.

    Parameters
    ----------
    optimizer : Bananas or Npenas
    estimator : ArchitectureRegressor or str
        One with standard deviations.
    num_ensemble : int
        Members that stand for them.

    Returns
    -------
    Bananas or Npenas
        The same optimizer.

    Raises
    ------
    InvalidOptionError
        If the optimizer asks no ensemble, or is set up for zero-cost scores or unlabelled architectures.
    """
    if not hasattr(optimizer, "_get_ensemble"):
        raise InvalidOptionError(
            f"expected NASLib's Bananas or Npenas, whose _get_ensemble is replaced; got {type(optimizer).__name__}"
        )
    if getattr(optimizer, "zc", None) or getattr(optimizer, "semi", False):
        raise InvalidOptionError(
            "the optimizer is set up for zero-cost scores or unlabelled architectures, which emprox estimators do not take; "
            "leave zc and zc_ensemble out of config.search and choose a predictor_type without 'semi'"
        )
    ensemble = __getattr__("EmProxEnsemble")
    ensemble(estimator, num_ensemble=num_ensemble)  # a wrong option is an error now, not after the first evaluations
    optimizer._get_ensemble = lambda: ensemble(estimator, ss_type=optimizer.ss_type, num_ensemble=num_ensemble)
    return optimizer


def from_naslib(predictor: Any, **options: Any) -> NASLibEstimator:
    """Return a NASLib predictor as an emprox estimator, for `predict`, scorers and comparisons beside emprox's own.

    Parameters
    ----------
    predictor : Predictor or str
        Unfitted predictor, or the name of a class in ``naslib.predictors``. ``emprox bench --estimator
        naslib:predictor=XGBoost`` is the same by name.
    **options
        Those of `emprox.integrations.naslib_estimator.NASLibEstimator`.
    """
    from emprox.integrations.naslib_estimator import NASLibEstimator

    return NASLibEstimator(predictor=predictor, **options)
