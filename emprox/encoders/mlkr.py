"""Metric learning for kernel regression: a map under which the labelled predict one another best.

Letters: n known, C columns, T targets, dim dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.frozen import FrozenEstimator

from emprox.encoders.columns import ColumnEncoder
from emprox.encoders.kernel import MAX_LABELS, squared_distances
from emprox.encoders.metric import principal_axes
from emprox.spaces import ArchitectureFamily
from emprox.validation import check_at_least

__all__ = ["MLKREncoder"]

Floats = NDArray[np.float64]
ITERATIONS = 50
"""Steps of L-BFGS from the principal components."""


class MLKREncoder(ColumnEncoder):
    """A linear map of the structural columns that minimises the leave-one-out error of kernel regression.

    The alternative to `MetricEncoder`: it mixes columns freely, and needs more labels for it. Starts at the principal
    components, towards which the map is pulled. Without labels it is those components. Costs O(n^2 C) for each of at most
    50 steps.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    features : sequence of str or FrozenEstimator, optional
        As in `MetricEncoder`.
    embedding_size : int
        Most dimensions of the embedding, at least 2.
    pull : float
        Weight of the squared distance to the starting map, beside the mean squared error of standardised labels.
    max_labels : int
        With more labels, the map is learned from that many of them, drawn with a fixed seed.
    known : optional
        As in `MetricEncoder`.

    References
    ----------
    Weinberger and Tesauro, *Metric Learning for Kernel Regression*, AISTATS 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.spaces import get_space
    >>> archs = get_space("nasbench201").sample(np.random.default_rng(0), 30)
    >>> MLKREncoder().fit(archs, [a.spec.count(2) for a in archs]).transform(archs).shape
    (30, 8)
    """

    kind = "mlkr"

    def __init__(
        self,
        space: str | ArchitectureFamily | None = None,
        *,
        features: Sequence[str | FrozenEstimator] | None = None,
        embedding_size: int = 8,
        pull: float = 0.1,
        max_labels: int = MAX_LABELS,
        known: Any = None,
    ) -> None:
        self.space = space
        self.features = features
        self.embedding_size = embedding_size
        self.pull = pull
        self.max_labels = max_labels
        self.known = known

    def _check_options(self) -> None:
        super()._check_options()
        check_at_least("pull", self.pull, 0, float)

    def _learn(self, seen: Floats, columns: Floats, targets: Floats, noise: Floats | None) -> None:
        """Learn the map from standardised columns; known variances weigh the errors."""
        start = principal_axes(seen * self.unit_, self.embedding_size)
        learned = start
        if len(columns) > 1:
            precision = np.ones_like(targets) if noise is None else 1 / (1 + noise)
            objective = _LeaveOneOut(columns * self.unit_, targets, precision, start, self.pull)
            found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
            learned = found.x.reshape(start.shape)
        self.projection_ = self.unit_[:, None] * learned
        self.scales_ = np.sqrt(np.square(self.projection_).sum(axis=1))[None]
        self.kernels_ = ()


class _LeaveOneOut:
    """Error of predicting each label from the others with weights exp(-squared distance), and its derivative by the map."""

    def __init__(self, x: Floats, targets: Floats, precision: Floats, start: Floats, pull: float) -> None:
        self.x, self.targets, self.precision, self.start, self.pull = x, targets, precision, start, pull

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        mapping = theta.reshape(self.start.shape)
        z = self.x @ mapping
        logits = -squared_distances(z, z)
        np.fill_diagonal(logits, -np.inf)
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        weights /= weights.sum(axis=1, keepdims=True)
        estimates = weights @ self.targets  # (n, T)
        error = estimates - self.targets
        scaled = 2 * self.precision * error / error.size
        by_logit = weights * (scaled @ self.targets.T - (scaled * estimates).sum(axis=1, keepdims=True))
        both = by_logit + by_logit.T
        by_embedding = -2 * (both.sum(axis=1)[:, None] * z - both @ z)
        away = mapping - self.start
        value = (self.precision * error**2).mean() + self.pull * np.square(away).mean()
        gradient = self.x.T @ by_embedding + 2 * self.pull * away / away.size
        return float(value), gradient.ravel()
