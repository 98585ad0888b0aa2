import numpy as np
import pytest
import torch

from emprox.encoders.augmentations import respelled
from emprox.spaces import get_space
from emprox.spaces._modules import GraphModule
from emprox.spaces.family import SPACES


@pytest.mark.parametrize("name", SPACES.names())
def test_the_same_function_in_other_words(name: str) -> None:
    space = get_space(name)
    rng = np.random.default_rng(0)
    graph = space.to_graph(space.sample(rng, 1)[0], "network")
    other = respelled(graph, rng, splits=0)
    assert other.simplified().contracted("add").canonical_hash() == graph.canonical_hash()
    split = respelled(graph, rng, splits=1)
    assert (split.parameters, split.macs) == (graph.parameters, graph.macs)
    assert len(split) > len(graph)


def test_nothing_to_do_is_the_graph_itself() -> None:
    space = get_space("nasbench201")
    graph = space.to_graph(space.parse((2, 3, 2, 4, 0, 2)), "network")
    assert respelled(graph, np.random.default_rng(0), identities=0, sums=0, splits=0) == graph


def test_split_layers_compute_what_the_whole_did() -> None:
    """With the halves of its weights, on a network small enough to copy them by hand."""
    space = get_space("nasbench201")
    graph = space.to_graph(space.parse((3, 0, 4, 0, 3, 1)), "network")
    split = respelled(graph, np.random.default_rng(0), identities=0, sums=0, splits=1)
    whole, halves = (GraphModule(g).eval() for g in (graph, split))
    left = (layer for layer in halves.modules() if hasattr(layer, "weight"))
    for layer in (layer for layer in whole.modules() if hasattr(layer, "weight")):
        state = layer.state_dict()
        first = next(left)
        if first.weight.shape == layer.weight.shape:
            first.load_state_dict(state)
            continue
        for half, which in ((first, 0), (next(left), 1)):
            half.load_state_dict({name: tensor.chunk(2)[which] for name, tensor in state.items()})
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(halves(batch), whole(batch))


@pytest.mark.parametrize("share", ["identities", "sums", "splits"])
def test_each_change_by_itself(share: str) -> None:
    space = get_space("nasbench201")
    graph = space.to_graph(space.parse((2, 2, 2, 2, 2, 2)), "network")
    only = {"identities": 0, "sums": 0, "splits": 0} | {share: 1}
    kind = {"identities": "identity", "sums": "add", "splits": "concat"}[share]
    other = respelled(graph, np.random.default_rng(0), **only)
    assert set(other.kinds) - set(graph.kinds) == {kind}
