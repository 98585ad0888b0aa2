import json
import time
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import DiGraphMatcher

from emprox.errors import CorruptFileError, EmproxError, InvalidArchitectureError
from emprox.spaces import ComputationGraph, get_space
from emprox.spaces.drawing import draw, layout, to_svg
from emprox.spaces.network import NetworkBuilder
from emprox.spaces.primitives import NodeAttributes
from emprox.spaces.storage import from_json, load_npz, save_npz, to_json
from emprox.testing import renumbered


@st.composite
def graphs(draw, kinds=("a", "b"), most=7):
    n = draw(st.integers(0, most))
    inner = tuple(draw(st.lists(st.sampled_from(kinds), min_size=n, max_size=n)))
    pairs = [(i, j) for j in range(n + 2) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=2 * len(pairs)))
    return ComputationGraph(("input", *inner, "output"), tuple(edges))


def as_simple(graph: ComputationGraph) -> networkx.DiGraph:
    simple = networkx.DiGraph()
    simple.add_nodes_from((node, {"kind": kind}) for node, kind in enumerate(graph.kinds))
    simple.add_edges_from((s, t, {"n": graph.edges.count((s, t))}) for s, t in set(graph.edges))
    return simple


def are_isomorphic(a: ComputationGraph, b: ComputationGraph) -> bool:
    def same_kind(x, y):
        return x["kind"] == y["kind"]

    def same_number(x, y):
        return x["n"] == y["n"]

    return DiGraphMatcher(as_simple(a), as_simple(b), same_kind, same_number).is_isomorphic()


def outputs(graph: ComputationGraph, value: int = 3) -> int:
    """What the graph computes when ``b`` multiplies by 7, ``zero`` by 0, and everything else passes its sum on."""
    values = [0] * len(graph)
    sources = graph.neighbours[0]
    values[0] = value
    for node in range(1, len(graph)):
        total = sum(values[s] for s in sources[node])
        values[node] = {"b": 7 * total, "zero": 0}.get(graph.kinds[node], total)
    return values[-1]


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_the_hash_is_unchanged_by_renumbering(graph: ComputationGraph, seed: int) -> None:
    assert renumbered(graph, np.random.default_rng(seed)).canonical_hash() == graph.canonical_hash()


@given(graphs(most=5), graphs(most=5))
@settings(max_examples=300, deadline=None)
def test_graphs_share_their_hash_exactly_when_isomorphic(a: ComputationGraph, b: ComputationGraph) -> None:
    assert (a.canonical_hash() == b.canonical_hash()) == are_isomorphic(a, b)


@given(graphs(kinds=("b", "skip", "zero")))
@settings(max_examples=200, deadline=None)
def test_simplifying_keeps_the_function(graph: ComputationGraph) -> None:
    simple = graph.simplified(identity="skip")
    assert outputs(simple) == outputs(graph)
    assert simple.simplified(identity="skip") == simple
    assert not {"skip", "zero"} & set(simple.kinds)


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_json_reads_back(graph: ComputationGraph) -> None:
    assert from_json(to_json(graph)) == graph


def respelled(cell: ComputationGraph, rng: np.random.Generator) -> ComputationGraph:
    """Return the cell renumbered and, half of the time, with one op or edge changed."""
    cell = renumbered(cell, rng)
    if rng.random() < 0.5:
        return cell
    kinds, edges = list(cell.kinds), list(cell.edges)
    if len(kinds) > 2 and rng.random() < 0.5:
        node = int(rng.integers(1, len(kinds) - 1))
        kinds[node] = str(rng.choice(get_space("nasbench101").ops))
    else:
        s, _ = edges.pop(int(rng.integers(len(edges))))
        edges.append((s, int(rng.integers(s + 1, len(kinds)))))
    return ComputationGraph(tuple(kinds), tuple(edges))


def test_nasbench101_hashes_agree_with_isomorphism_on_2000_pairs() -> None:
    space, rng = get_space("nasbench101"), np.random.default_rng(0)
    cells = [space.to_graph(a) for a in space.sample(rng, 2000)]
    pairs = [(cell, respelled(cell, rng)) for cell in cells]
    truth = [are_isomorphic(a, b) for a, b in pairs]
    assert 500 < sum(truth) < 1900
    assert [a.canonical_hash() == b.canonical_hash() for a, b in pairs] == truth


def test_nasbench201_has_5425_classes_and_one_of_them_is_disconnected() -> None:
    space = get_space("nasbench201")
    hashes = {architecture: space.canonical_hash(architecture) for architecture in space}
    dead = {hashes[a] for a in hashes if not space.is_connected(a)}
    assert len(set(hashes.values())) == 5425
    assert sum(not space.is_connected(a) for a in hashes) == 341
    assert len(dead) == 1


def test_attributes_that_change_the_function_change_the_hash() -> None:
    def network(channels: int, resolution: int, kernel: int) -> ComputationGraph:
        net = NetworkBuilder(3, (resolution, resolution))
        return net.build(net.linear(net.mean(net.conv(0, channels, kernel)), 10))

    hashes = [network(*numbers).canonical_hash() for numbers in ((8, 32, 3), (16, 32, 3), (8, 32, 5))]
    assert len(set(hashes)) == 3
    assert network(8, 64, 3).canonical_hash() == hashes[0]


def test_a_sum_in_front_of_a_concatenation_is_no_wire() -> None:
    kinds = ("input", "a", "b", "c", "identity", "concat", "output")
    joined = ComputationGraph(kinds, ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 5), (4, 5), (5, 6)))
    assert joined.contracted("identity") == joined
    single = ComputationGraph(kinds, ((0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 5), (4, 5), (5, 6)))
    assert len(single.contracted("identity")) == len(single) - 1


def test_a_sum_written_as_two_nodes_stays_one_input_of_a_concatenation() -> None:
    once, twice = (
        ComputationGraph(("input", "a", "b", *["add"] * sums, "concat", "output"), edges)
        for sums, edges in (
            (1, ((0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 4), (4, 5))),
            (2, ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (0, 5), (4, 5), (5, 6))),
        )
    )
    assert twice.contracted("add").canonical_hash() == once.canonical_hash()


def test_zeros_in_a_concatenation_stay() -> None:
    kinds = ("input", "zero", "a", "concat", "output")
    joined = ComputationGraph(kinds, ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4)))
    assert joined.simplified() == joined
    summed = ComputationGraph(("input", "zero", "a", "b", "output"), joined.edges)
    assert summed.simplified().kinds == ("input", "a", "b", "output")


@pytest.mark.parametrize(
    ("kinds", "edges", "attributes"),
    [
        ((), (), ()),
        (("input",), (), ()),
        (("input", "a"), (), ()),
        (("input", "output"), ((1, 0),), ()),
        (("input", "a", "output"), ((1, 1),), ()),
        (("input", "a", "output"), ((0, 1), (1, 3)), ()),
        (("input", "output"), (), (NodeAttributes(),)),
    ],
)
def test_broken_graphs_are_errors(kinds, edges, attributes) -> None:
    with pytest.raises(InvalidArchitectureError):
        ComputationGraph(kinds, edges, attributes)


def test_a_disconnected_graph_is_defined() -> None:
    graph = ComputationGraph(("input", "a", "output"), ((0, 1),))
    assert not graph.is_connected
    assert graph.pruned() == ComputationGraph(("input", "output"), ())


def large_graphs() -> list[ComputationGraph]:
    chain = [(i, i + 1) for i in range(9_999)]
    branches = [edge for i in range(1, 300, 3) for edge in ((0, i), (i, i + 1), (i + 1, i + 2), (i + 2, 301))]
    wide = [edge for i in range(1, 3001) for edge in ((0, i), (i, 3001))]
    return [
        ComputationGraph(("input", *["conv"] * 9_998, "output"), tuple(chain)),
        ComputationGraph(("input", *["a", "b", "c"] * 100, "output"), tuple((s, min(t, 301)) for s, t in branches)),
        ComputationGraph(("input", *["a"] * 3000, "output"), tuple(wide)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_large_graphs_take_a_moment(number: int) -> None:
    graph = large_graphs()[number]
    started = time.perf_counter()
    key = graph.canonical_hash()
    assert graph.pruned() == graph
    assert len(graph.contracted("conv")) <= len(graph)
    assert time.perf_counter() - started < 10
    assert renumbered(graph, np.random.default_rng(0)).canonical_hash() == key
    assert ComputationGraph(graph.kinds, graph.edges[:-1]).canonical_hash() != key


def network() -> ComputationGraph:
    space = get_space("darts")
    return space.to_graph(space.sample(np.random.default_rng(0), 1)[0], "network")


def test_files_read_back(tmp_path: Path) -> None:
    cells = [get_space("nasbench201").to_graph(a) for a in get_space("nasbench201").sample(np.random.default_rng(0), 20)]
    written = [*cells, network(), ComputationGraph(("input", "output"), ())]
    save_npz(tmp_path / "graphs.npz", written)
    assert load_npz(tmp_path / "graphs.npz") == written
    assert [from_json(to_json(graph)) for graph in written] == written
    save_npz(tmp_path / "none.npz", [])
    assert load_npz(tmp_path / "none.npz") == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "kinds": [], "edges": [], "attributes": []}'])
def test_damaged_json_is_an_error(text: str) -> None:
    with pytest.raises(EmproxError):
        from_json(text)


def test_damaged_npz_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "graphs.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(CorruptFileError):
        load_npz(path)
    save_npz(path, [network()])
    columns = dict(np.load(path))
    np.savez(path, **{**columns, "counts": columns["counts"] + 1})
    with pytest.raises(CorruptFileError, match="places"):
        load_npz(path)


def test_networkx_gets_kinds_edges_and_attributes() -> None:
    graph = network()
    converted = graph.to_networkx()
    assert [converted.nodes[node]["kind"] for node in range(len(graph))] == list(graph.kinds)
    assert sum(converted.nodes[node]["parameters"] for node in converted) == graph.parameters
    assert sorted(converted.edges()) == list(graph.edges)
    twice = ComputationGraph(("input", "output"), ((0, 1), (0, 1)))
    assert twice.to_networkx().number_of_edges(0, 1) == 2


def test_pictures_show_every_node_and_edge() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    graph = ComputationGraph(("input", "a<b", "b", "output"), ((0, 1), (0, 2), (0, 2), (1, 3), (2, 3)))
    picture = to_svg(graph)
    assert picture.count("<rect") == 4
    assert picture.count("<path") == 5
    assert "a&lt;b" in picture
    assert [depth for _, depth in layout(graph)] == [0, 1, 1, 2]
    axes = draw(graph)
    assert [text.get_text() for text in axes.texts if text.get_text()] == list(graph.kinds)
    matplotlib.pyplot.close(axes.figure)
    assert "conv" in to_svg(network())


def test_json_names_its_format() -> None:
    assert json.loads(to_json(network()))["format"] == 1


def test_a_module_needs_kinds_and_functions_that_can_be_built() -> None:
    from emprox.spaces._modules import GraphModule

    def graph(kind: str, function: str) -> ComputationGraph:
        nodes = (NodeAttributes(channels=4), NodeAttributes(channels=4, function=function), NodeAttributes(channels=4))
        return ComputationGraph(("input", kind, "output"), ((0, 1), (1, 2)), nodes)

    GraphModule(graph("activation", "relu"))
    for kind, function in (("softmax", ""), ("norm", "layer"), ("activation", "gelu"), ("conv", "transposed")):
        with pytest.raises(InvalidArchitectureError, match=kind):
            GraphModule(graph(kind, function))


def test_a_module_computes_what_its_graph_says() -> None:
    import torch

    from emprox.spaces._modules import GraphModule

    net = NetworkBuilder(2, (6, 6))
    x = net.relu(0)
    twice = net.add([x, x])
    joined = net.concat([twice, net.split(x, 1), net.zero(x, channels=1)])
    gated = net.mul(joined, net.mean(joined))
    module = GraphModule(net.build(net.pool(net.shift(gated), "max", 2, stride=2)))
    value = torch.randn(3, 2, 6, 6)
    relu = value.relu()
    expected = torch.cat([2 * relu, relu[:, :1], 0 * relu[:, :1]], dim=1)
    expected = expected * expected.mean((2, 3), keepdim=True)
    shifted = torch.nn.functional.pad(expected, (0, 1, 0, 1))[:, :, 1:, 1:]
    torch.testing.assert_close(module(value), torch.nn.functional.max_pool2d(shifted, 2))
