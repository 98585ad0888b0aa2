"""How the loss reacts to weights and channels: pruning criteria at initialisation, summed over the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emprox.proxies.base import Proxy
from emprox.proxies.case import Case

__all__ = ["FISHER", "GRAD_NORM", "GRASP", "PLAIN", "SNIP", "fisher", "grad_norm", "grasp", "plain", "snip"]


def plain(case: Case) -> float:
    """Return the sum over weights of weight times gradient: how the loss changes when all weights shrink alike.

    Batch norm undoes the scale of the weights before it, so that in a network with norms this is close to zero, and mostly noise.

    References
    ----------
    Mozer and Smolensky, *Skeletonization*, NeurIPS 1988; as a proxy Abdelfattah et al., *Zero-Cost Proxies for Lightweight NAS*,
    ICLR 2021.
    """
    return _inner(case.shown.weights, case.shown.gradients or ())


def grad_norm(case: Case) -> float:
    """Return the sum of the Euclidean norms of the weights' gradients.

    References
    ----------
    Abdelfattah et al., *Zero-Cost Proxies for Lightweight NAS*, ICLR 2021.
    """
    return sum(float(gradient.norm()) for gradient in case.shown.gradients or ())


def snip(case: Case) -> float:
    """Return the sum over weights of the absolute value of weight times gradient.

    References
    ----------
    Lee et al., *SNIP: Single-shot Network Pruning based on Connection Sensitivity*, ICLR 2019.
    """
    pairs = zip(case.shown.weights, case.shown.gradients or (), strict=True)
    return sum(float((weight.detach() * gradient).abs().sum()) for weight, gradient in pairs)


def grasp(case: Case) -> float:
    """Return minus the sum over weights of weight times (Hessian times gradient): what pruning does to the gradient's flow.

    Needs a backward pass through the backward pass, about as dear as all other proxies of the batch together.

    References
    ----------
    Wang et al., *Picking Winning Tickets Before Training by Preserving Gradient Flow*, ICLR 2020.
    """
    return -_inner(case.shown.weights, case.shown.curvature or ())


def fisher(case: Case) -> float:
    """Return the Fisher information of every channel of convolutions and linear layers, summed over its weights.

    For a channel: half the mean over inputs of the square of activation times gradient, summed over positions. As in the
    published code each channel counts as often as it has weights. Layers are seen when they are called as modules.

    References
    ----------
    Theis et al., *Faster gaze prediction with dense networks and Fisher pruning*, 2018; Turner et al., *BlockSwap*, ICLR 2020.
    """
    return sum(float(saliency.sum(dtype=torch.float64)) * weights for saliency, weights in case.shown.channels or ())


def _inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return sum(float((x.detach() * y).sum(dtype=torch.float64)) for x, y in zip(a, b, strict=True))


LABELLED = frozenset({"batch", "labels"})
PLAIN = Proxy("plain", plain, LABELLED, frozenset({"gradients"}))
GRAD_NORM = Proxy("grad_norm", grad_norm, LABELLED, frozenset({"gradients"}))
SNIP = Proxy("snip", snip, LABELLED, frozenset({"gradients"}))
GRASP = Proxy("grasp", grasp, LABELLED, frozenset({"curvature"}))
FISHER = Proxy("fisher", fisher, LABELLED, frozenset({"channels"}))
