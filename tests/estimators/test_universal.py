from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import nn

from emprox.errors import InvalidOptionError
from emprox.estimators import ArchitectureRegressor, Universal, load, make_estimator
from emprox.estimators.universal import NUMBERS, SHIPPED, Knowledge
from emprox.spaces import Architecture, get_space
from emprox.spaces.anything import Networks
from emprox.spaces.graph import ComputationGraph
from emprox.tables import PerformanceTable, load_table
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
CELLS = SPACE.sample(np.random.default_rng(0), 80)


def table(space: str, by: int, n: int = 60, name: str = "invented") -> PerformanceTable:
    """A table in which one of the numbers is all that counts."""
    cells = tuple(
        dict.fromkeys(a for a in get_space(space).sample(np.random.default_rng(1), n) if get_space(space).is_connected(a))
    )
    return PerformanceTable(name, space, cells, {"val_accuracy": numbers(space, list(cells))[:, by]})


def numbers(space: str, architectures: list[Architecture]) -> NDArray[np.float64]:
    """The numbers of networks, counted on their graphs."""
    graphs = [get_space(space).to_graph(a, "network") for a in architectures]
    convolutions = [sum(kind in ("conv", "linear") for kind in graph.kinds) for graph in graphs]
    poolings = [graph.kinds.count("pool") for graph in graphs]
    costs = [(graph.macs, graph.parameters) for graph in graphs]
    return np.column_stack([np.log(costs), np.zeros(len(graphs)), np.log(convolutions), np.log1p(poolings)])


class TestUniversal(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return Universal()


def test_what_is_shipped_is_small_and_says_what_it_is_of() -> None:
    content = load_file(SHIPPED)
    assert {name: array.shape for name, array in content.items()} == dict.fromkeys(
        ("weights", "centre", "scale"), (len(NUMBERS),)
    )
    assert SHIPPED.stat().st_size < 5_000_000
    card = (SHIPPED.parent / "README.md").read_text()
    assert all(f"| {name} | {weight:.3f} |" in card for name, weight in zip(NUMBERS, content["weights"], strict=True))


def test_a_larger_network_is_better_and_poolings_are_not() -> None:
    cells = [SPACE.parse((op,) * 6) for op in (2, 3, 0, 4)]  # convolutions 3x3 and 1x1, skips, poolings
    estimates = Universal(space=SPACE).fit([], []).predict(cells)
    assert np.all(np.diff(estimates) < 0)


@pytest.mark.parametrize("labels", [0, 10])
def test_a_network_without_output_is_last(labels: int) -> None:
    known = [a for a in CELLS if SPACE.is_connected(a)][:labels]
    estimator = Universal(space=SPACE).fit(known, np.arange(labels))
    everywhere = SPACE.sample(np.random.default_rng(2), 300)
    is_alive = np.array([SPACE.is_connected(a) for a in everywhere])
    estimates = estimator.predict(everywhere)
    assert (~is_alive).sum() > 5
    assert estimates[~is_alive].max() < estimates[is_alive].min()


def test_what_is_dead_does_not_count() -> None:
    lean = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    fat = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    ranks = Universal(space=SPACE).fit([], []).predict([lean, fat])
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("by", [0, 1, 3, 4])
def test_weights_are_those_of_what_counts_in_the_source(by: int) -> None:
    source = [table(name, by) for name in ("darts", "nasbench101")]
    weights = Knowledge.learn(source, shrinkage=0.01).weights
    agreeing = {0: (0, 1), 1: (0, 1), 3: (0, 1, 3), 4: (4,)}[by]  # costs go with each other
    assert weights.argmax() in agreeing
    order = Universal(space=SPACE, source=source, shrinkage=0.01).fit([], []).predict(CELLS)
    is_live = [SPACE.is_connected(a) for a in CELLS]
    measured = numbers("nasbench201", [a for a, live in zip(CELLS, is_live, strict=True) if live])[:, by]
    assert np.corrcoef(order[is_live], measured)[0, 1] > 0.6


def test_drawn_to_the_size_score_it_ranks_by_size() -> None:
    alike = Universal(space=SPACE, source=[table("darts", 4)], shrinkage=1e9).fit([], [])
    np.testing.assert_allclose(alike.knowledge_.weights[:4], alike.knowledge_.weights[0])
    assert abs(alike.knowledge_.weights[4]) < 1e-6


def test_each_family_counts_alike() -> None:
    one, other = table("darts", 4), table("nasbench101", 0)
    again = [table("darts", 4, name=f"task {i}") for i in range(5)]
    np.testing.assert_allclose(Knowledge.learn([one, other]).weights, Knowledge.learn([*again, other]).weights)


def test_a_source_of_the_own_family_is_an_error() -> None:
    with pytest.raises(InvalidOptionError, match="a source is of other families"):
        Universal(space=SPACE, source=["bundled"]).fit([], [])


def test_shrinkage_without_a_source_is_an_error() -> None:
    with pytest.raises(InvalidOptionError, match="give a source"):
        Universal(space=SPACE, shrinkage=3.0).fit([], [])


def test_networks_of_ones_own() -> None:
    def net(width: int, pools: int) -> nn.Module:
        body = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), *[nn.MaxPool2d(3, 1, 1)] * pools, nn.Conv2d(width, width, 3)]
        return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

    family = Networks(input_shape=(3, 16, 16))
    ranks = Universal(space=family).fit([], []).predict([net(64, 0), net(32, 0), net(32, 3), net(8, 3)])
    assert np.all(np.diff(ranks) < 0)
    dead = ComputationGraph(("input", "zero", "output"), ((0, 1), (1, 2)), family.network(family.read(net(4, 0))).attributes[:3])
    assert family.path_norms([family.read(dead)])[0] == -np.inf
    assert torch.is_grad_enabled()


def test_saved_without_its_source(tmp_path: Path) -> None:
    estimator = make_estimator("universal", space="nasbench201", source=[table("darts", 0)]).fit(CELLS[:5], np.arange(5))
    estimator.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(CELLS), estimator.predict(CELLS))


def test_more_of_a_table_is_used_once_and_kept_while_it_lives() -> None:
    source = load_table("bundled")
    first = Universal(space="darts", source=[source]).fit([], []).knowledge_.weights
    np.testing.assert_array_equal(first, Universal(space="darts", source=[source]).fit([], []).knowledge_.weights)
