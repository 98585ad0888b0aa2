"""All proxies of a network in one call, which shares the passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from emprox.errors import InvalidDataError, InvalidOptionError, UndefinedProxyError
from emprox.proxies.base import NEEDS, PROXIES, Proxy, ProxyScores
from emprox.proxies.case import Batch, Case, isolated_randomness, weights_of
from emprox.proxies.evidence import Evidence, observe
from emprox.validation import check_at_least

__all__ = ["compute_proxies"]


def compute_proxies(
    module: nn.Module,
    names: Iterable[str] | None = None,
    *,
    batches: Sequence[Any] = (),
    loss: Callable[..., Tensor] = nn.functional.cross_entropy,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    device: str | torch.device | None = None,
    features: str | None = None,
    random_state: int = 0,
) -> ProxyScores:
    """Compute zero-cost proxies of a network.

    The network is copied, and the copy is run in training mode (an untrained batch norm has no statistics of its own); `synflow`
    and `macs` run it in evaluation mode. The module, its gradients, mode, hooks and buffers, the batches and all random states
    stay as they are, also after an error. Hooks of the module fire in these passes as in any other.

    Weights are parameters of two or more dimensions, each counted once; biases and scales of norms are left out.

    Proxies of the first batch share one forward pass, one backward pass of the loss, one of the summed output and one through
    the gradient; each runs only if a proxy needs it. On a network of NAS-Bench-201 all fourteen cost about as much as five
    training steps, half of it `grasp`.

    Parameters
    ----------
    module : torch.nn.Module
        The network; returns one tensor.
    names : iterable of str, optional
        Names of `PROXIES`; all of them by default.
    batches : sequence of tensor or (inputs, targets)
        Inputs are a tensor of shape (B, ...), or a tuple of them for a network with several arguments.
    loss : callable
        Called with output and targets, returns a single number.
    input_shape : sequence of int, or a sequence of them for several inputs
        Without the batch dimension; taken from the first batch if that is given.
    device : str or torch.device, optional
        Where to run; by default where the first parameter is.
    features : str, optional
        For `zen`, the submodule whose output goes into the global pooling; found by itself where that is a torch pooling or mean.
    random_state : int
        Seed of what proxies and layers such as dropout draw; a proxy's value does not depend on which others are computed.

    Returns
    -------
    ProxyScores
        A finite number or the reason why there is none, for each name.

    Raises
    ------
    UnknownNameError
        If a name is not registered.
    InvalidOptionError
        If something that a proxy needs was not given.
    InvalidDataError
        If the module cannot be copied, or a batch is not one.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    >>> scores = compute_proxies(net, ["params", "macs"], input_shape=(3, 8, 8))
    >>> scores["params"], scores["macs"]
    (162.0, 3928.0)
    """
    chosen = [PROXIES.get(name) for name in (PROXIES.names() if names is None else dict.fromkeys(names))]
    check_at_least("random_state", random_state, 0)
    place = _device(module, device)
    with torch.inference_mode(False), torch.enable_grad():
        given = tuple(_batch(batch).to(place) for batch in batches)
        case = Case(module, given, _shapes(given, input_shape), loss, place, features)
        for proxy in chosen:
            _check_needs(proxy, case)
        return _scores(chosen, case, random_state)


def _scores(chosen: Sequence[Proxy], case: Case, seed: int) -> ProxyScores:
    """Measure every proxy; if the shared pass fails, each one that reads it gets a pass of its own and fails alone."""
    values: dict[str, float] = {}
    failures: dict[str, str] = {}
    wanted = frozenset[str]().union(*(proxy.observes for proxy in chosen))
    try:
        shared = _observed(case, wanted, seed)
    except Exception:  # whatever the network raises, each proxy is asked again below and reports its own
        shared = None
    for proxy in chosen:
        try:
            evidence = shared if shared is not None or not proxy.observes else _observed(case, proxy.observes, seed)
            with isolated_randomness(seed, case.device):
                value = proxy.measure(replace(case, evidence=evidence))
            if not math.isfinite(value):
                raise UndefinedProxyError(f"its value is {value}: numbers overflow, or the network has NaN in it")
            values[proxy.name] = value
        except (InvalidDataError, InvalidOptionError):
            raise  # the caller's, not the network's
        except Exception as error:  # the network's own code may raise anything; the reason is kept
            known = isinstance(error, UndefinedProxyError)
            failures[proxy.name] = str(error) if known else f"{type(error).__name__}: {error}"
    return ProxyScores(values, failures)


def _observed(case: Case, wanted: frozenset[str], seed: int) -> Evidence | None:
    if not wanted:
        return None
    with isolated_randomness(seed, case.device):
        copy = case.copy()
        return observe(copy, weights_of(copy), case.batches[0], case.loss, wanted)


def _check_needs(proxy: Proxy, case: Case) -> None:
    least = {"batch": 1, "batches": 2}
    for need in sorted(proxy.needs):
        short = need in least and len(case.batches) < least[need]
        unlabelled = need == "labels" and any(batch.targets is None for batch in case.batches)
        if short or unlabelled or (need == "input_shape" and not case.shapes):
            raise InvalidOptionError(f"{proxy.name} needs {NEEDS[need]}; got {len(case.batches)} batches")


def _batch(given: Any) -> Batch:
    inputs, targets = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, None)
    tensors = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    wrong = [x for x in (*tensors, *([] if targets is None else [targets])) if not isinstance(x, Tensor) or not x.dim()]
    if wrong or not tensors or not len(tensors[0]):
        got = type(wrong[0]).__name__ if wrong else "no input"
        raise InvalidDataError(f"a batch is a tensor or (inputs, targets) with a tensor or tuple of tensors as inputs, got {got}")
    sizes = {len(x) for x in (*tensors, *([] if targets is None else [targets]))}
    if len(sizes) > 1:
        raise InvalidDataError(f"inputs and targets of a batch differ in length: {sorted(sizes)}")
    return Batch(tensors, targets)


def _shapes(batches: Sequence[Batch], given: Any) -> tuple[tuple[int, ...], ...]:
    if batches:
        return tuple(tuple(x.shape[1:]) for x in batches[0].inputs)
    if given is None:
        return ()
    several = tuple(given)
    shapes = tuple(tuple(shape) for shape in several) if several and not isinstance(several[0], int) else (several,)
    for shape in shapes:
        for length in shape:
            check_at_least("input_shape", length, 1)
    return shapes


def _device(module: nn.Module, device: str | torch.device | None) -> torch.device:
    if not isinstance(module, nn.Module):
        raise InvalidDataError(f"expected a torch.nn.Module, got {type(module).__name__}")
    if device is not None:
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise InvalidOptionError(f"{device!r} is not a device: {error}") from None
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device
