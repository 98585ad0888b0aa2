import numpy as np
import pytest

from emprox.encodings.graph_arrays import ATTRIBUTES, NODE_KINDS, GraphArrays
from emprox.errors import InvalidArchitectureError
from emprox.spaces import ComputationGraph, get_family, get_space
from emprox.spaces.family import SPACES
from emprox.spaces.primitives import NodeAttributes


@pytest.mark.parametrize("name", SPACES.names())
def test_layers_edges_and_costs_of_every_space(name: str) -> None:
    space = get_space(name)
    graph = space.to_graph(space.sample(np.random.default_rng(0), 1)[0], "network")
    arrays = GraphArrays.from_graph(graph)
    kinds = [NODE_KINDS[kind] for kind in arrays.kinds]
    assert "norm" not in kinds
    assert kinds[0] == "input"
    assert kinds[-1] == "output"
    weighted = sum(kind in ("conv", "linear") for kind in graph.kinds)
    assert sum(kind in ("conv", "pointwise", "depthwise", "grouped", "linear") for kind in kinds) == weighted
    macs = np.expm1(24 * arrays.attributes[:, ATTRIBUTES.index("log_macs")].astype(np.float64)).sum()
    assert macs == pytest.approx(graph.macs, rel=1e-4)
    assert (arrays.edges[0] < arrays.edges[1]).all()


def test_maximum_and_average_pooling_differ() -> None:
    space = get_space("darts")
    cell = tuple((source, source) for _ in range(4) for source in (0, 1))  # one by maximum, one by average
    arrays = GraphArrays.from_graph(space.to_graph(space.parse((cell, cell)), "network"))
    pools = arrays.attributes[arrays.kinds == NODE_KINDS.index("pool"), ATTRIBUTES.index("takes_maximum")]
    assert set(pools) == {0, 1}


def test_cell_views_are_refused() -> None:
    cell = get_family("nasbench201").parse((2, 2, 2, 2, 2, 2))
    with pytest.raises(InvalidArchitectureError, match="network view"):
        GraphArrays.from_graph(get_space("nasbench201").to_graph(cell, "cell"))
    with pytest.raises(InvalidArchitectureError, match="without attributes"):
        GraphArrays.from_graph(ComputationGraph(("input", "conv", "output"), ((0, 1), (1, 2))))


def test_wires_that_double_with_every_block_stay_few() -> None:
    """x + pool(norm(x)) - norm(x), as PoolFormer has it: a folded norm leaves twice the wires that lead to it."""
    kinds, edges, summed = ["input"], [], [0]
    for _ in range(40):
        norm, pool = len(kinds), len(kinds) + 1
        kinds += ["norm", "pool"]
        edges += [*((node, norm) for node in summed), (norm, pool)]
        summed = [*summed, norm, pool]
    kinds.append("output")
    edges += [(node, len(kinds) - 1) for node in summed]
    node = NodeAttributes(channels=8, size=(8, 8))
    graph = ComputationGraph(tuple(kinds), tuple(edges), tuple(node for _ in kinds))
    with pytest.raises(InvalidArchitectureError, match="more than"):
        graph.contracted("norm")
    arrays = GraphArrays.from_graph(graph)
    assert arrays.edges.shape[1] < 50_000
    assert 0 < (arrays.kinds == NODE_KINDS.index("norm")).sum() < 40
    few = ComputationGraph(("input", "norm", "pool", "output"), ((0, 1), (1, 2), (1, 3), (2, 3)), (node,) * 4)
    assert NODE_KINDS.index("norm") not in GraphArrays.from_graph(few).kinds
