"""From embeddings of known architectures to what weighs their performances, by the name of the weights.

Letters: n known, T targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox.encoders.kernel import Kernel, learn_kernels
from emprox.errors import InvalidOptionError
from emprox.estimators.averaging import WEIGHTS, NeighborAverage
from emprox.estimators.prior import Trend
from emprox.estimators.warp import Warp
from emprox.estimators.warped_kriging import WarpedKriging
from emprox.index import EmbeddingIndex
from emprox.registry import nearest
from emprox.validation import check_at_least

__all__ = ["KRIGING", "check_weighing", "kernels_over", "make_weigher"]

Floats = NDArray[np.float64]
KRIGING = "kriging"


def check_weighing(weights: Any, n_neighbors: Any, exact_up_to: Any) -> None:
    """Raise if an option that `make_weigher` takes is out of range."""
    check_at_least("n_neighbors", n_neighbors, 1)
    check_at_least("exact_up_to", exact_up_to, 0)
    named = [KRIGING, *WEIGHTS]
    if not callable(weights) and weights not in named:
        hint = nearest(str(weights), named)
        raise InvalidOptionError(f"weights must be a name or a function, got {weights!r}; {hint}")


def kernels_over(index: EmbeddingIndex, scores: Floats, noise: Floats) -> tuple[Kernel, ...]:
    """Learn a kernel over the embeddings of an index for each column of scores (n, T) with known variances (n, T)."""
    return learn_kernels(index.reconstruct(np.arange(len(scores))).astype(np.float64), scores, noise)


def make_weigher(
    index: EmbeddingIndex,
    y: Floats,
    y_std: Floats | None,
    kernels: Sequence[Kernel],
    warps: Sequence[Warp],
    *,
    weights: str | Callable[[Floats], Floats],
    n_neighbors: int,
    exact_up_to: int,
    trend: Trend | None = None,
    prior: NDArray[np.float32] | None = None,
) -> WarpedKriging | NeighborAverage:
    """Return what turns embeddings into estimates of y (n, T); kernels, warps and trend are those of kriging."""
    if weights == KRIGING:
        return WarpedKriging(index, y, y_std, kernels, warps, n_neighbors, exact_up_to, trend, prior)
    return NeighborAverage(index, y, y_std, n_neighbors, weights)
