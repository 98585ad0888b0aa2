"""After every proxy, also one that failed, network, batches and random states are what they were."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from emprox.proxies import PROXIES, compute_proxies
from tests.proxies.awkward import NETS, batches


def state(module: nn.Module) -> dict[str, Any]:
    """Everything that can be told of a module, its tensors as copies."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        "values": {name: value.detach().clone() for name, value in tensors.items()},
        "identity": {name: id(value) for name, value in tensors.items()},
        "requires_grad": {name: value.requires_grad for name, value in tensors.items()},
        "grad": {name: None if value.grad is None else value.grad.clone() for name, value in tensors.items()},
        "mode": [m.training for m in module.modules()],
        "hooks": [
            {name: list(hooks) for name, hooks in vars(m).items() if name.endswith("_hooks") and hooks} for m in module.modules()
        ],
        "attributes": [sorted(vars(m)) for m in module.modules()],
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def randomness() -> tuple[Any, ...]:
    numpy = np.random.get_state()  # noqa: NPY002
    return random.getstate(), numpy[1].tobytes(), numpy[2], torch.get_rng_state().numpy().tobytes()


def prepared(name: str) -> nn.Module:
    """Return a network in the middle of its life: mixed modes, a gradient, a hook."""
    torch.manual_seed(0)
    module = NETS[name]()
    module.train()
    for child in list(module.children())[::2]:
        child.eval()
    parameter = next(module.parameters())
    parameter.grad = torch.full_like(parameter, 2.5)
    next(module.children()).register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize("proxy", list(PROXIES))
@pytest.mark.parametrize("net", list(NETS))
def test_everything_is_as_it_was(net: str, proxy: str) -> None:
    module, given = prepared(net), batches(net)
    before, states, originals = state(module), randomness(), [(x, y.clone()) for x, y in batches(net)]
    scores = compute_proxies(module, [proxy], batches=given)
    assert {*scores.values, *scores.failures} == {proxy}
    assert (net, proxy) != ("broken", "snip") or "out of order" in scores.failures[proxy]
    after = state(module)
    assert [key for key in before if not same(before[key], after[key])] == []
    assert randomness() == states
    for (x, y), (x0, y0) in zip(given, originals, strict=True):
        assert all(map(torch.equal, x, x0)) if isinstance(x, tuple) else torch.equal(x, x0)
        assert torch.equal(y, y0)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("proxy", list(PROXIES))
def test_everything_is_as_it_was_after_an_interrupt(proxy: str) -> None:
    module, count = prepared("dropout"), [0]

    def interrupt(*_: Any) -> None:
        count[0] += 1
        raise KeyboardInterrupt

    next(module.children()).register_forward_hook(interrupt)
    before, states = state(module), randomness()
    if proxy in ("params", "l2_norm"):
        compute_proxies(module, [proxy], batches=batches())
    else:
        with pytest.raises(KeyboardInterrupt):
            compute_proxies(module, [proxy], batches=batches())
        assert count == [1]
    after = state(module)
    assert [key for key in before if not same(before[key], after[key])] == []
    assert randomness() == states
    assert torch.is_grad_enabled()
    assert not torch.overrides._get_current_function_mode_stack()
