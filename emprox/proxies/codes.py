"""How many linear regions tell the inputs apart: NASWOT."""

from __future__ import annotations

import numpy as np

from emprox.errors import UndefinedProxyError
from emprox.proxies.base import Proxy
from emprox.proxies.case import Case

__all__ = ["NWOT", "nwot"]


def nwot(case: Case) -> float:
    """Return the log-determinant of the matrix that counts, for each two inputs, the rectifiers in the same state.

    Rectifiers are ReLU, ReLU6, LeakyReLU and PReLU, whether modules or functions, in place or not.

    References
    ----------
    Mellor et al., *Neural Architecture Search without Training*, ICML 2021.
    """
    if case.shown.codes is None:
        raise UndefinedProxyError("the pass over the batch watched no rectifier")
    counts = case.shown.codes.cpu().numpy()
    if (rank := np.linalg.matrix_rank(counts, hermitian=True)) < len(counts):
        raise UndefinedProxyError(
            f"the rectifiers tell only {rank} of {len(counts)} inputs apart, so that the determinant is "
            "zero; take fewer or other inputs"
        )
    return float(np.linalg.slogdet(counts)[1])


NWOT = Proxy("nwot", nwot, frozenset({"batch"}), frozenset({"codes"}))
