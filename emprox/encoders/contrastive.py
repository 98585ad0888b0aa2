"""Contrastive learning on computation graphs: near in spectrum within a family, near in embedding.

Letters: B graphs in a batch, D dimensions of an embedding, K eigenvalues.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_array, identity
from scipy.sparse.linalg import eigsh
from torch import Tensor
from torch.nn.functional import log_softmax, normalize, softmax

from emprox.encodings.graph_arrays import GraphArrays

__all__ = ["EIGENVALUES", "TEMPERATURE", "contrastive_loss", "positives", "spectrum"]

EIGENVALUES = 11
"""K: how many of the smallest eigenvalues describe a graph."""
TEMPERATURE = 0.05
"""Of the softmax over spectral distances, and of the similarities of embeddings."""
DENSE = 600
"""Nodes up to which all eigenvalues are computed by a dense solver."""


def spectrum(graph: GraphArrays) -> NDArray[np.float32]:
    """Return the smallest eigenvalues of the normalised Laplacian of the undirected graph, ascending, ndarray of shape (K,).

    A graph with fewer nodes gets 2, the largest that an eigenvalue can be, for those that it lacks. Parallel edges count once.
    Costs 1 ms for 100 nodes, 10 ms for 300, and .1 s for 3,000.

    References
    ----------
    Han, Mills et al., *A General-Purpose Transferable Predictor for Neural Architecture Search*, SDM 2023, arXiv 2302.10835.
    """
    n = len(graph.kinds)
    one_way = csr_array((np.ones(graph.edges.shape[1]), tuple(graph.edges)), shape=(n, n))
    adjacency = ((one_way + one_way.T) > 0).astype(np.float64)
    roots = np.sqrt(np.asarray(adjacency.sum(axis=0)).ravel())
    scale = np.divide(1, roots, out=np.zeros(n), where=roots > 0)
    scaled = adjacency.multiply(scale[:, None]).multiply(scale[None, :])
    k = min(EIGENVALUES, n)
    if n <= DENSE:
        values = eigh(np.diag((roots > 0) * 1.0) - scaled.toarray(), eigvals_only=True, subset_by_index=[0, k - 1])
    else:  # the smallest of the Laplacian are the largest of the scaled adjacency; its start makes the solver deterministic
        shifted = identity(n, format="csr") + scaled
        values = np.sort(2 - eigsh(shifted, k, which="LA", v0=np.ones(n), return_eigenvectors=False))
    return np.pad(np.clip(values, 0, 2), (0, EIGENVALUES - k), constant_values=2).astype(np.float32)


def positives(spectra: Tensor, families: Tensor, spectral: bool = True) -> Tensor:
    """Return how much each graph counts as a positive of each other, (B, B): rows sum to 1, or to 0 for the only one of a family.

    Parameters
    ----------
    spectra : Tensor (B, K)
        `spectrum` of each graph.
    families : Tensor (B,)
        Number of each graph's family; positives are of the same.
    spectral : bool
        Whether the weights are a softmax of negative spectral distances at `TEMPERATURE`; all count alike otherwise.
    """
    distances = torch.cdist(spectra, spectra) if spectral else spectra.new_zeros(len(spectra), len(spectra))
    excluded = (families[:, None] != families[None, :]) | torch.eye(len(spectra), dtype=torch.bool)
    weights = softmax((-distances / TEMPERATURE).masked_fill(excluded, -torch.inf), dim=1)
    return weights.nan_to_num(0.0)


def contrastive_loss(embeddings: Tensor, weights: Tensor, others: Tensor | None = None) -> Tensor:
    """Return the weighted cross-entropy of picking a graph's positives out of the batch by similarity.

    Parameters
    ----------
    embeddings : Tensor (B, D)
        Any length; similarity is the cosine over `TEMPERATURE`.
    weights : Tensor (B, B)
        Of positives, as `positives` returns them.
    others : Tensor (B, D), optional
        Embeddings of other graphs of the same functions: a graph's own counts as one more positive of weight 1, those of
        other graphs as negatives.
    """
    unit = normalize(embeddings, dim=1)
    logits = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    targets = weights
    if others is not None:
        logits = torch.cat([logits, unit @ normalize(others, dim=1).T / TEMPERATURE], dim=1)
        targets = torch.cat([weights, torch.eye(len(unit))], dim=1)
    logs = log_softmax(logits, dim=1).masked_fill(targets == 0, 0.0)
    return -(targets * logs).sum(dim=1).mean()
