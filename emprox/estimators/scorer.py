"""A fitted estimator as a plain function of an architecture, for search loops that know nothing of emprox."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError

if TYPE_CHECKING:
    from emprox.estimators.base import ArchitectureRegressor

__all__ = ["Scorer", "check_one_target"]


class Scorer:
    """Scores architectures by a copy of a fitted estimator; threads may share it and processes may be sent it.

    What the estimator learns afterwards does not reach the copy; ask for a new scorer then.

    Parameters
    ----------
    estimator : ArchitectureRegressor
        Fitted on one target.

    Raises
    ------
    InvalidOptionError
        If the estimator was fitted on several targets.

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.estimators import EmProx
    >>> from emprox.spaces import get_space
    >>> known = get_space("nasbench201").sample(np.random.default_rng(0), 30)
    >>> scorer = EmProx().fit(known, [90 - a.spec.count(1) for a in known]).as_scorer()
    >>> scores = scorer.many(known)
    >>> scores.shape, abs(scorer(known[0]) - float(scores[0])) < 1e-6
    ((30,), True)
    """

    def __init__(self, estimator: ArchitectureRegressor) -> None:
        check_one_target(estimator)
        self._estimator = copy.deepcopy(estimator)
        self._lock = Lock()

    def __call__(self, architecture: Any) -> float:
        """Return the estimate of one architecture or description, in the unit of the measurements."""
        return float(self.many([architecture])[0])

    def many(self, architectures: Iterable[Any]) -> NDArray[np.float64]:
        """Return the estimates of architectures or descriptions, ndarray of shape (n_archs,)."""
        with self._lock:
            return self._estimator.predict(architectures)

    def __getstate__(self) -> dict[str, Any]:
        return {"_estimator": self._estimator}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._estimator, self._lock = state["_estimator"], Lock()


def check_one_target(estimator: ArchitectureRegressor) -> None:
    """Raise if the estimator gives several numbers for each architecture."""
    if estimator.y_.ndim > 1:
        raise InvalidOptionError(
            f"expected one number for each architecture, this estimator was fitted on {estimator.y_.shape[1]} targets; "
            "fit one on a single column"
        )
