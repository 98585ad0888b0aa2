"""How steady the gradients are from batch to batch: ZiCo."""

from __future__ import annotations

import math

import torch

from emprox.errors import UndefinedProxyError
from emprox.proxies.base import Proxy
from emprox.proxies.case import Case, weights_of
from emprox.proxies.evidence import observe

__all__ = ["ZICO", "zico"]


def zico(case: Case) -> float:
    """Return the sum over layers of log of the sum over weights of mean |gradient| / standard deviation, over batches.

    Weights whose gradient is the same in every batch are left out, and layers of such weights only.

    References
    ----------
    Li et al., *ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients*, ICLR 2023.
    """
    network = case.copy()
    weights = weights_of(network)
    rest = [observe(network, weights, batch, case.loss, {"gradients"}).gradients or () for batch in case.batches[1:]]
    total, layers = 0.0, 0
    for gradients in zip(case.shown.gradients or (), *rest, strict=True):
        by_batch = torch.stack(gradients)
        mean, spread = by_batch.abs().mean(0), by_batch.std(0, correction=0)
        varies = spread > 0
        if varies.any():
            total += math.log(float((mean[varies] / spread[varies]).sum(dtype=torch.float64)))
            layers += 1
    if not layers:
        raise UndefinedProxyError("no weight's gradient differs between the batches")
    return total


ZICO = Proxy("zico", zico, frozenset({"batches", "labels"}), frozenset({"gradients"}))
