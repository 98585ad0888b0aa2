import networkx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emprox.spaces import ComputationGraph
from emprox.testing import renumbered

KINDS = ("conv", "pool", "skip")


@st.composite
def graphs(draw: st.DrawFn) -> ComputationGraph:
    n = draw(st.integers(2, 8))
    kinds = ("input", *draw(st.lists(st.sampled_from(KINDS), min_size=n - 2, max_size=n - 2)), "output")
    pairs = [(i, j) for j in range(n) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=14))
    return ComputationGraph(kinds, tuple(edges))


def as_networkx(graph: ComputationGraph) -> networkx.MultiDiGraph:
    nx = networkx.MultiDiGraph()
    nx.add_nodes_from((i, {"kind": kind}) for i, kind in enumerate(graph.kinds))
    nx.add_edges_from(graph.edges)
    return nx


def test_hash_tells_regular_graphs_apart() -> None:
    """Colour refinement alone cannot: two crossed pairs against one cycle through all eight."""
    kinds = ("input", *["conv"] * 8, "output")
    ends = [(0, i) for i in range(1, 5)] + [(i, 9) for i in range(5, 9)]
    pairs = [(1, 5), (1, 6), (2, 5), (2, 6), (3, 7), (3, 8), (4, 7), (4, 8)]
    cycle = [(1, 5), (2, 5), (2, 6), (3, 6), (3, 7), (4, 7), (4, 8), (1, 8)]
    a, b = (ComputationGraph(kinds, tuple(ends + middle)) for middle in (pairs, cycle))
    assert a.canonical_hash() != b.canonical_hash()
    assert renumbered(b, np.random.default_rng(1)).canonical_hash() == b.canonical_hash()


@given(graphs())
def test_pruned_keeps_exactly_what_lies_on_a_path(graph: ComputationGraph) -> None:
    pruned = graph.pruned()
    nx = as_networkx(pruned)
    for node in range(1, len(pruned) - 1):
        assert networkx.has_path(nx, 0, node)
        assert networkx.has_path(nx, node, len(pruned) - 1)
    assert pruned.is_connected == graph.is_connected == networkx.has_path(as_networkx(graph), 0, len(graph) - 1)
    assert pruned.pruned() == pruned


@given(graphs())
def test_contraction_keeps_the_number_of_paths(graph: ComputationGraph) -> None:
    def paths(g: ComputationGraph) -> int:
        count = [1] + [0] * (len(g) - 1)
        for node in range(1, len(g)):
            count[node] = sum(count[s] for s, t in g.edges if t == node)
        return count[-1]

    contracted = graph.contracted("skip")
    assert "skip" not in contracted.kinds
    assert paths(contracted) == paths(graph)
