"""How much flows through the network when every weight is positive: synflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from emprox.errors import UndefinedProxyError
from emprox.proxies.base import Proxy
from emprox.proxies.case import Case, weights_of

__all__ = ["SYNFLOW", "synflow"]

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Replaced by the identity, because they would divide the flow out."""


def synflow(case: Case) -> float:
    """Return the logarithm of the sum over weights of |weight times gradient|, of the summed output for an input of ones.

    Every parameter is replaced by its absolute value and every norm by the identity; computed in float64, since in float32
    the sum overflows for networks of a few dozen layers.

    References
    ----------
    Tanaka et al., *Pruning neural networks without any data by iteratively conserving synaptic flow*, NeurIPS 2020. As a proxy
    Abdelfattah et al., *Zero-Cost Proxies for Lightweight NAS*, ICLR 2021.
    """
    network = case.copy().eval().double()
    with torch.no_grad():
        for values in (*network.parameters(), *network.buffers()):
            if values.is_floating_point():
                values.abs_()
    for layer in network.modules():
        if isinstance(layer, NORMS):
            layer.forward = _identity  # type: ignore[method-assign]
    weights = weights_of(network)
    for weight in weights:
        weight.requires_grad_()
    output = network(*case.ones(torch.float64)).sum()
    if not output.requires_grad:
        raise UndefinedProxyError("the output depends on no weight (a parameter of two or more dimensions)")
    found = torch.autograd.grad(output, weights, allow_unused=True)
    flow = sum(float((w.detach() * g).abs().sum()) for w, g in zip(weights, found, strict=True) if g is not None)
    if flow == 0:
        raise UndefinedProxyError("nothing flows from the weights to the output, and zero has no logarithm")
    return math.log(flow)


def _identity(x: Tensor) -> Tensor:
    return x.clone()  # a copy as of any norm: what follows may work in place


SYNFLOW = Proxy("synflow", synflow, frozenset({"input_shape"}))
