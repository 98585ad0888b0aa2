import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emprox.errors import InvalidArchitectureError
from emprox.spaces import ComputationGraph

KINDS = ("conv", "pool", "skip")


@st.composite
def graphs(draw: st.DrawFn) -> ComputationGraph:
    n = draw(st.integers(2, 8))
    kinds = ("input", *draw(st.lists(st.sampled_from(KINDS), min_size=n - 2, max_size=n - 2)), "output")
    pairs = [(i, j) for j in range(n) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=14))
    return ComputationGraph(kinds, tuple(edges))


def renumbered(graph: ComputationGraph, rng: np.random.Generator) -> ComputationGraph:
    """Number the nodes by a random topological order."""
    left = set(range(1, len(graph) - 1))
    order = [0]
    while left:
        free = [v for v in left if not any(t == v and s in left for s, t in graph.edges)]
        order.append(int(rng.choice(free)))
        left.remove(order[-1])
    order.append(len(graph) - 1)
    new = {old: i for i, old in enumerate(order)}
    return ComputationGraph(tuple(graph.kinds[v] for v in order), tuple((new[s], new[t]) for s, t in graph.edges))


def as_networkx(graph: ComputationGraph) -> networkx.MultiDiGraph:
    nx = networkx.MultiDiGraph()
    nx.add_nodes_from((i, {"kind": kind}) for i, kind in enumerate(graph.kinds))
    nx.add_edges_from(graph.edges)
    return nx


def isomorphic(a: ComputationGraph, b: ComputationGraph) -> bool:
    return networkx.is_isomorphic(as_networkx(a), as_networkx(b), node_match=lambda x, y: x["kind"] == y["kind"])


@given(graphs(), st.integers(0, 2**32 - 1))
def test_hash_is_unchanged_by_renumbering(graph: ComputationGraph, seed: int) -> None:
    assert renumbered(graph, np.random.default_rng(seed)).canonical_hash() == graph.canonical_hash()


@given(graphs(), graphs())
def test_hash_agrees_with_isomorphism(a: ComputationGraph, b: ComputationGraph) -> None:
    assert (a.canonical_hash() == b.canonical_hash()) == isomorphic(a, b)


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


def test_parallel_edges_are_not_one_edge() -> None:
    once, twice = (ComputationGraph(("input", "output"), ((0, 1),) * n) for n in (1, 2))
    assert once.canonical_hash() != twice.canonical_hash()


@pytest.mark.parametrize(
    ("kinds", "edges", "message"),
    [
        ((), (), "starts with"),
        (("input",), (), "ends with"),
        (("output", "input"), (), "starts with"),
        (("input", "conv", "output"), ((1, 1),), "forward edge"),
        (("input", "conv", "output"), ((2, 1),), "forward edge"),
        (("input", "conv", "output"), ((0, 3),), "forward edge"),
        (("input", "conv", "output"), ((-1, 1),), "forward edge"),
    ],
)
def test_bad_graphs_are_refused(kinds: tuple[str, ...], edges: tuple[tuple[int, int], ...], message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        ComputationGraph(kinds, edges)
