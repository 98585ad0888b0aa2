"""Features of any network's graph: known values, and what must not change them."""

import numpy as np
import pytest

from emprox.encodings.graphs import NAMES, network_features
from emprox.errors import InvalidArchitectureError
from emprox.spaces import ComputationGraph, NodeAttributes, get_space
from emprox.spaces.network import NetworkBuilder


def row(graph):
    return dict(zip(NAMES, network_features([graph])[0].tolist(), strict=True))


def residual():
    """A stem with stride 2, and a block of a depthwise and a pointwise convolution beside a shortcut."""
    net = NetworkBuilder(3, (8, 8))
    x = net.relu(net.conv(0, 8, 3, stride=2))
    y = net.conv(net.conv(x, 8, 5, groups=8), 8, 1)
    return net.build(net.linear(net.mean(net.add([x, y])), 10)).contracted("add")


def renumbered(graph, rng):
    """Return the same graph with its nodes in another topological order."""
    waiting, order = [len(row) for row in graph.neighbours[0]], []
    ready = [0]
    while ready:
        node = ready.pop(rng.integers(len(ready)))
        order.append(node)
        for target in graph.neighbours[1][node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    place = {node: i for i, node in enumerate(order)}
    edges = tuple((place[s], place[t]) for s, t in graph.edges)
    return ComputationGraph(tuple(graph.kinds[i] for i in order), edges, tuple(graph.attributes[i] for i in order))


def chain_of(nodes):
    attributes = NodeAttributes(channels=4, size=(4, 4), function="relu")
    edges = [(i, i + 1) for i in range(nodes + 1)] + [(i, i + 2) for i in range(0, nodes, 2)]
    kinds = ("input", *["activation"] * nodes, "output")
    return ComputationGraph(kinds, tuple(edges), (attributes,) * (nodes + 2))


def test_known_values():
    found = row(residual())
    assert found["share:depthwise"] == found["share:pointwise"] == found["share:conv"] == pytest.approx(1 / 7)
    macs = np.array([27 * 8 * 16, 25 * 8 * 16, 64 * 16, 80])
    assert found["macs_share:depthwise"] == pytest.approx(macs[1] / macs.sum())
    assert found["log_macs"] == pytest.approx(np.log1p(macs.sum()))
    assert found["log_paths"] == pytest.approx(np.log(2))
    assert (found["longest_depth:layers"], found["shortest_depth:layers"]) == (4, 2)
    assert (found["longest_depth:nonlinearities"], found["longest_depth:attention"]) == (1, 0)
    assert found["window:mean"] == pytest.approx(3)
    assert (found["window:largest"], found["window:strided"]) == (5, 1)
    assert found["stage1:macs"] == pytest.approx(macs[:3].sum() / macs.sum())
    assert (found["stage0:macs"], found["stage1:layers"]) == (0, pytest.approx(3 / 4))
    assert (found["skip:longest_span"], found["width:largest_log"]) == (pytest.approx(3 / 8), pytest.approx(np.log(10)))


@pytest.mark.parametrize("name", ["nasbench201", "darts", "ofa-mobilenetv3"])
def test_numbering_and_company_change_nothing(name):
    space, rng = get_space(name), np.random.default_rng(0)
    graphs = [space.to_graph(architecture, "network") for architecture in space.sample(rng, 3)]
    together = network_features(graphs)
    np.testing.assert_allclose(network_features([renumbered(graph, rng) for graph in graphs]), together, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([network_features([graph]) for graph in graphs]), together, rtol=1e-6)
    assert np.isfinite(together).all()
    assert len(np.unique(together, axis=0)) == 3


@pytest.mark.parametrize("nodes", [1, 8, 5000])
def test_very_small_and_very_large_graphs(nodes):
    graph = chain_of(nodes)
    features = row(graph)
    assert np.isfinite(list(features.values())).all()
    assert features["longest_depth:nodes"] == nodes
    assert features["log_paths"] == pytest.approx(-(-nodes // 2) * np.log(2), rel=1e-5)


def test_no_graphs():
    assert network_features([]).shape == (0, len(NAMES))


def test_cells_are_refused():
    space = get_space("nasbench201")
    with pytest.raises(InvalidArchitectureError, match="expected a network view with attributes"):
        network_features([space.to_graph(space.parse((2, 2, 2, 2, 2, 2)))])


def test_names_are_distinct():
    assert len(set(NAMES)) == len(NAMES)
