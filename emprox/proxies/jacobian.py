"""How alike the network's answers to different inputs are, by its Jacobian: jacov and EPE-NAS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emprox.errors import UndefinedProxyError
from emprox.proxies.base import Proxy
from emprox.proxies.case import Case

__all__ = ["EPE_NAS", "JACOV", "epe_nas", "jacov"]

SMALL = 1e-5
"""Added before logarithms and divisions, as in the published code."""
MANY_CLASSES = 100
"""Beyond so many classes EPE-NAS compares classes instead of summing over them, as in the published code."""


def jacov(case: Case) -> float:
    """Return how far the inputs' Jacobians are from being copies of each other.

    With v the eigenvalues of their correlation matrix, minus the sum of log(v + k) + 1 / (v + k), k = 1e-5: at most -B,
    which B uncorrelated inputs reach.

    References
    ----------
    Mellor et al., *Neural Architecture Search without Training*, first version, arXiv 2006.04647v1, 2020.
    """
    values = np.linalg.eigvalsh(_correlations(_rows(case))) + SMALL
    return -float(np.sum(np.log(values) + 1 / values))


def epe_nas(case: Case) -> float:
    """Return how alike Jacobians of the same class are: over the classes, the sum of |sum of log(|correlation| + k)|.

    With more than a hundred outputs: each class's sum divided by its size, and the differences between all classes.

    References
    ----------
    Lopes et al., *EPE-NAS: Efficient Performance Estimation Without Training for Neural Architecture Search*, ICANN 2021.
    """
    rows, labels = _rows(case), _labels(case)
    many = case.shown.outputs > MANY_CLASSES
    sums = np.array([_class_sum(rows[labels == label], many) for label in np.unique(labels)])
    if many:
        return float(np.abs(sums[:, None] - sums).sum() / len(sums))
    return float(np.abs(sums).sum())


def _class_sum(rows: NDArray[np.float64], mean: bool) -> float:
    total = float(np.log(np.abs(_correlations(rows)) + SMALL).sum())
    return total / len(rows) if mean else total


def _rows(case: Case) -> NDArray[np.float64]:
    """Return the Jacobian, (B, D)."""
    if case.shown.jacobian is None:
        raise UndefinedProxyError("the pass over the batch took no Jacobian")
    return case.shown.jacobian.cpu().numpy().astype(np.float64)


def _labels(case: Case) -> NDArray[np.int64]:
    targets = case.batches[0].targets
    if targets is None or (targets.is_floating_point() and targets.dim() == 1) or targets.dim() > 2:
        raise UndefinedProxyError("its classes are targets of shape (B,), or one-hot of shape (B, classes)")
    return (targets.argmax(dim=1) if targets.dim() == 2 else targets).cpu().numpy()


def _correlations(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlations between rows, ndarray of shape (n, n)."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1))
    if not np.isfinite(lengths).all():
        raise UndefinedProxyError("the Jacobian holds NaN or infinity")
    if not lengths.all():
        raise UndefinedProxyError(
            f"the Jacobian of {int((lengths == 0).sum())} inputs is constant, so that it correlates with nothing; does the "
            "output depend on the input?"
        )
    scaled = centred / lengths[:, None]
    return np.clip(scaled @ scaled.T, -1, 1)


JACOV = Proxy("jacov", jacov, frozenset({"batch"}), frozenset({"jacobian"}))
EPE_NAS = Proxy("epe_nas", epe_nas, frozenset({"batch", "labels"}), frozenset({"jacobian"}))
