"""How large a network is: parameters, multiply-accumulates, norm of the weights."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from emprox.errors import UndefinedProxyError
from emprox.proxies.base import Proxy
from emprox.proxies.case import Case, weights_of

__all__ = ["L2_NORM", "MACS", "PARAMS", "l2_norm", "macs", "params"]


def params(case: Case) -> float:
    """Return the number of parameters, trainable or not, shared ones once.

    References
    ----------
    White et al., *A Deeper Look at Zero-Cost Proxies for Lightweight NAS*, ICLR Blog Track 2022, on how strong a baseline it is.
    """
    return float(sum(parameter.numel() for parameter in case.module.parameters()))


def macs(case: Case) -> float:
    """Return the multiply-accumulates of one input: half of what torch's own flop counter counts.

    References
    ----------
    Ning et al., *Evaluating Efficient Performance Estimators of Neural Architectures*, NeurIPS 2021, on how strong
    a baseline it is.
    """
    network = case.copy().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*case.ones(_dtype(case)))
    return counter.get_total_flops() / 2


def l2_norm(case: Case) -> float:
    """Return the sum of the weights' Euclidean norms; with random weights it counts layers and their widths.

    References
    ----------
    Abdelfattah et al., *Zero-Cost Proxies for Lightweight NAS*, ICLR 2021.
    """
    weights = weights_of(case.module)
    if not weights:
        raise UndefinedProxyError("the network has no weight (a parameter of two or more dimensions)")
    return sum(float(weight.detach().norm()) for weight in weights)


def _dtype(case: Case) -> torch.dtype:
    """Return the type of the network's own numbers."""
    return next((p.dtype for p in case.module.parameters() if p.is_floating_point()), torch.float32)


PARAMS = Proxy("params", params)
MACS = Proxy("macs", macs, needs=frozenset({"input_shape"}))
L2_NORM = Proxy("l2_norm", l2_norm)
