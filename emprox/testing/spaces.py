"""Contracts: classes that a test of a new search space inherits by writing one factory method. Needs pytest (extra ``test``)."""

from __future__ import annotations

import itertools
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

from emprox.encodings import OneHotEncoding, PathEncoding, SequenceEncoding
from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces import Architecture, ComputationGraph, SearchSpace
from emprox.spaces.primitives import PRIMITIVES

__all__ = ["SpaceContract", "renumbered"]


def renumbered(graph: ComputationGraph, rng: np.random.Generator) -> ComputationGraph:
    """Return the same graph with its nodes in another topological order; input and output stay the first and the last."""
    sources, targets = graph.neighbours
    waiting = [len(set(row)) for row in sources]
    ready = [node for node in range(len(graph) - 1) if not waiting[node]]
    order: list[int] = []
    while ready:
        node = ready.pop(0 if not order else int(rng.integers(len(ready))))
        order.append(node)
        for target in set(targets[node]):
            waiting[target] -= 1
            if not waiting[target] and target < len(graph) - 1:
                ready.append(target)
    place = {node: i for i, node in enumerate([*order, len(graph) - 1])}
    edges = tuple((place[s], place[t]) for s, t in graph.edges)
    at = sorted(place, key=place.__getitem__)
    attributes = tuple(graph.attributes[node] for node in at) if graph.attributes else ()
    return ComputationGraph(tuple(graph.kinds[node] for node in at), edges, attributes)


class SpaceContract:
    """What holds for every search space. Inherit it in a test and return the space from `make_space`.

    Examples
    --------
    >>> class TestMine(SpaceContract):
    ...     def make_space(self):
    ...         from emprox.spaces import get_space
    ...         return get_space("nasbench201")
    >>> TestMine().test_text_is_read_back()
    """

    module_options: ClassVar[dict[str, Any]] = {}
    """Options of ``to_module`` that make a small network."""
    input_shape: ClassVar[tuple[int, ...]] = (2, 3, 32, 32)
    """Shape of a batch for that network."""
    too_many_paths: ClassVar[bool] = False
    """Whether the space has more paths than a path encoding can list."""

    def make_space(self) -> SearchSpace:
        """Return the search space under test."""
        raise NotImplementedError(f"{type(self).__name__} has to return its search space from make_space()")

    def sampled(self, n: int = 20, seed: int = 0) -> list[Architecture]:
        """Return some architectures of the space."""
        return self.make_space().sample(np.random.default_rng(seed), n)

    def test_text_is_read_back(self) -> None:
        space = self.make_space()
        for architecture in self.sampled():
            text = space.format(architecture)
            assert space.parse(text) == space.parse(f"{space.name}:{text}") == architecture
            assert pickle.loads(pickle.dumps(architecture)) == architecture

    @pytest.mark.parametrize("strange", [None, 3.5, "", "nonsense", "(", b"x", [], [99] * 50, {"a": 1}, [[1], [2]]])
    def test_strange_descriptions_are_errors(self, strange: Any) -> None:
        with pytest.raises(InvalidArchitectureError, match=r"expected|got"):
            self.make_space().parse(strange)

    def test_other_spaces_are_errors(self) -> None:
        space, foreign = self.make_space(), Architecture("elsewhere", (0,))
        for method in (space.format, space.neighbors, space.to_graph, space.canonical_hash):
            with pytest.raises(InvalidArchitectureError, match="elsewhere"):
                method(foreign)

    def test_samples_follow_the_generator(self) -> None:
        space = self.make_space()
        assert self.sampled() == self.sampled()
        assert self.sampled(seed=0) != self.sampled(seed=1)
        assert space.sample(np.random.default_rng(0), 0) == []
        assert len(set(self.sampled(200))) > min(space.size, 100) // 2

    def test_enumeration_is_ordered_and_distinct(self) -> None:
        space = self.make_space()
        first = list(itertools.islice(space, 50))
        assert len(set(first)) == len(first) == min(space.size, 50)
        assert first == list(itertools.islice(space, 50))

    def test_neighbours_are_mutual_and_mutation_picks_one(self) -> None:
        space, rng = self.make_space(), np.random.default_rng(0)
        for architecture in self.sampled(5):
            around = space.neighbors(architecture)
            assert len(set(around)) == len(around) > 0
            assert architecture not in around
            assert all(architecture in space.neighbors(other) for other in around[:: max(1, len(around) // 10)])
            assert {space.mutate(architecture, rng) for _ in range(20)} <= set(around)

    def test_crossover_stays_between_its_parents(self) -> None:
        space, rng = self.make_space(), np.random.default_rng(0)
        a, b = self.sampled(2)
        assert space.crossover(a, a, rng) == a
        children = [space.crossover(a, b, rng) for _ in range(10)]
        assert all(space.parse(space.format(child)) == child for child in children)
        assert len(set(children)) > 1
        again = np.random.default_rng(0)
        assert [space.crossover(a, a, again), *[space.crossover(a, b, again) for _ in range(10)]] == [a, *children]

    def test_cells_are_inverted(self) -> None:
        space, architectures = self.make_space(), self.sampled()
        cells = space.cells(architectures)
        n, k = space.max_nodes, len(space.ops)
        assert cells.adjacency.shape == (len(architectures), n, n)
        assert cells.ops.shape == (len(architectures), n)
        assert not np.tril(cells.adjacency).any()
        assert cells.ops.max() == k + 1
        assert ((cells.ops == k + 1).sum(axis=1) == 1).all()
        assert [space.from_cell(a, o) for a, o in zip(cells.adjacency, cells.ops, strict=True)] == architectures
        assert space.cells([]).adjacency.shape == (0, n, n)

    def test_wrong_cells_are_errors(self) -> None:
        space = self.make_space()
        cells = space.cells(self.sampled(1))
        for adjacency, ops in ((np.zeros_like(cells.adjacency[0]), cells.ops[0]), (cells.adjacency[0], cells.ops[0] * 0)):
            with pytest.raises(InvalidArchitectureError):
                space.from_cell(adjacency, ops)

    def test_parts_and_wiring_are_of_the_cell(self) -> None:
        space = self.make_space()
        assert space.wiring < set(space.ops)
        for nodes in (space.parts or {}).values():
            assert nodes[0] == 0
            assert nodes[-1] == space.max_nodes - 1
            assert list(nodes) == sorted(set(nodes))

    def test_graphs_are_pruned_and_hash_without_numbers(self) -> None:
        space, rng = self.make_space(), np.random.default_rng(0)
        for architecture in self.sampled():
            graph = space.to_graph(architecture)
            assert graph.pruned() == graph
            assert space.is_connected(architecture) == graph.is_connected
            assert renumbered(graph, rng).canonical_hash() == graph.canonical_hash() == space.canonical_hash(architecture)

    def test_cells_and_graphs_agree(self) -> None:
        space, architectures = self.make_space(), self.sampled()
        cells = space.cells(architectures)
        names = ["input", *space.ops, "output"]
        for architecture, adjacency, ops in zip(architectures, cells.adjacency, cells.ops, strict=True):
            present = np.nonzero(ops >= 0)[0]
            edges = zip(*(index.tolist() for index in np.nonzero(adjacency[np.ix_(present, present)])), strict=True)
            graph = ComputationGraph(tuple(names[number] for number in ops[present]), tuple(edges))
            for kind in space.removed:
                graph = graph.without(kind)
            for kind in space.contracted:
                graph = graph.contracted(kind)
            assert graph.pruned().canonical_hash() == space.canonical_hash(architecture)

    def test_populations_are_tests(self) -> None:
        space = self.make_space()
        assert {"all", "connected"} <= set(space.populations)
        assert all(isinstance(member(self.sampled(1)[0]), bool) for member in space.populations.values())

    def test_sequences_are_inverted(self) -> None:
        encoding, architectures = SequenceEncoding(self.make_space()), self.sampled()
        tokens = encoding.transform(architectures)
        assert tokens.shape == (len(architectures), encoding.length) == (len(architectures), len(encoding.names))
        assert tokens.max() < len(encoding.vocabulary)
        assert encoding.inverse_transform(tokens) == architectures
        for wrong in (tokens[:, 1:], np.full_like(tokens, -1), np.full_like(tokens, 100)):
            with pytest.raises(InvalidArchitectureError):
                encoding.inverse_transform(wrong)

    def test_one_hot_tells_architectures_apart(self) -> None:
        encoding, architectures = OneHotEncoding(self.make_space()), list(dict.fromkeys(self.sampled()))
        columns = encoding.transform(architectures)
        assert columns.shape == (len(architectures), len(encoding.names))
        assert set(np.unique(columns)) <= {0.0, 1.0}
        assert len(np.unique(columns, axis=0)) == len(architectures)

    def test_path_encoding_works_or_says_why_not(self) -> None:
        space = self.make_space()
        if self.too_many_paths:
            with pytest.raises(InvalidOptionError, match="columns"):
                PathEncoding(space)
        else:
            encoding = PathEncoding(space)
            assert encoding.transform(self.sampled()).shape == (20, len(encoding.names))

    def test_networks_are_in_the_universal_vocabulary(self) -> None:
        space = self.make_space()
        for architecture in self.sampled(3):
            network = space.network(architecture)
            assert set(network.kinds) <= set(PRIMITIVES)
            assert len(network.attributes) == len(network)
            assert len(space.to_graph(architecture, "network")) <= len(network)
        with pytest.raises(InvalidOptionError, match="sideways"):
            space.to_graph(architecture, "sideways")

    def test_formulas_agree_with_the_network(self) -> None:
        space, architectures = self.make_space(), self.sampled(8)
        networks = [space.network(a) for a in architectures]
        costs = space.costs(architectures)
        assert costs.dtype == np.int64
        np.testing.assert_array_equal(costs, [(network.parameters, network.macs) for network in networks])
        assert [(space.count_parameters(a), space.count_macs(a)) for a in architectures] == [tuple(row) for row in costs.tolist()]
        assert space.costs([]).shape == (0, 2)

    def test_modules_have_the_counted_parameters_and_run(self) -> None:
        import torch

        space = self.make_space()
        for architecture in self.sampled(3):
            module = space.to_module(architecture, **self.module_options)
            counted = sum(weights.numel() for weights in module.parameters())
            assert counted == space.count_parameters(architecture, **self.module_options)
            output = module(torch.zeros(self.input_shape))
            assert output.shape[0] == self.input_shape[0]
            assert torch.isfinite(output).all()
