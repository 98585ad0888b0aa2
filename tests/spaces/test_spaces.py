"""What is particular to each space: its forms, its rules, and cells whose numbers were worked out by hand."""

from collections import namedtuple
from typing import ClassVar

import numpy as np
import pytest

from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces import ChoiceSpace, ComputationGraph, get_space
from emprox.spaces.sequences import ChoiceSequence

Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
CELL = [(0, 3), (1, 3), (0, 2), (1, 3), (0, 3), (2, 5), (3, 0), (4, 6)]
NAMED = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 1)]
NAMED += [("sep_conv_3x3", 0), ("dil_conv_3x3", 2), ("max_pool_3x3", 3), ("dil_conv_5x5", 4)]


class TestNASBench201:
    space = get_space("nasbench201")

    def test_the_published_size_of_the_all_convolution_network(self) -> None:
        assert self.space.count_parameters(self.space.parse([2] * 6)) == 1_531_546

    def test_a_disconnected_network_is_constant(self) -> None:
        import torch

        module = self.space.to_module(self.space.parse([1] * 6), channels=4, cells_per_stage=1).eval()
        x = torch.randn(2, 3, 16, 16)
        assert torch.equal(module(x), module(2 * x))

    def test_odd_sizes_and_sequences_run(self) -> None:
        import torch

        architecture = self.space.parse((0, 4, 2, 3, 4, 0))
        assert self.space.to_module(architecture, channels=4)(torch.randn(2, 3, 17, 17)).shape == (2, 10)
        options = {"spatial_dims": 1, "in_channels": 1, "channels": 4, "cells_per_stage": 1}
        assert self.space.to_module(architecture, **options)(torch.randn(2, 1, 41)).shape == (2, 10)

    @pytest.mark.parametrize("options", [{"channels": 0}, {"num_classes": -1}, {"spatial_dims": 3}, {"resolution": 0}])
    def test_options_out_of_range_are_errors(self, options) -> None:
        with pytest.raises(InvalidOptionError):
            self.space.to_module(self.space.parse([2] * 6), **options)


class TestNASBench101:
    space = get_space("nasbench101")

    @pytest.mark.parametrize(
        ("flat", "reason"),
        [
            ((0, 0, 0, 0, 0, 1), "path"),
            ((0, 1, 1, 0, 0, 1), "triangular"),
            ((0, 1, 0, 0, 0, 2), "labels"),
            ((0, 2, 0, 0, 0, 1), "zeros and ones"),
            ((0,) * 72, "n from 2 to 7"),
            ((*(int(j > i) for i in range(5) for j in range(5)), 0, 2, 2, 2, 1), "at most 9 edges"),
        ],
    )
    def test_cells_outside_the_space_are_errors(self, flat, reason) -> None:
        with pytest.raises(InvalidArchitectureError, match=reason):
            self.space.parse(flat)

    def test_dead_vertices_do_not_count(self) -> None:
        chain = self.space.parse((0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 4, 1))
        dead = self.space.parse((0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 3, 1))
        assert self.space.canonical_hash(dead) == self.space.canonical_hash(chain)
        assert self.space.count_parameters(dead) == self.space.count_parameters(chain)

    def test_channels_are_split_as_published(self) -> None:
        from emprox.spaces.nasbench101 import _channels

        flat = np.zeros((6, 6), dtype=int)
        flat[0, 1:5] = flat[1, 5] = flat[2, 5] = flat[3, 5] = flat[4, 3] = 0
        flat[0, 1] = flat[0, 4] = flat[1, 2] = flat[1, 5] = flat[2, 5] = flat[3, 5] = flat[2, 3] = 1
        flat[4, 5] = 0
        graph = self.space.to_graph(self.space.parse((*flat.ravel().tolist(), 0, 4, 4, 4, 4, 1)))
        assert _channels(graph, 128) == [0, 43, 43, 42, 128]


class TestDARTS:
    space = get_space("darts")

    def test_all_forms_are_read(self) -> None:
        architecture = self.space.parse([CELL, CELL])
        swapped = [CELL[1], CELL[0], *CELL[2:]]
        genotype = Genotype(NAMED, [2, 3, 4, 5], NAMED, [2, 3, 4, 5])
        forms = [str([CELL, CELL]), str((tuple(CELL), tuple(CELL))), [swapped, CELL], genotype, str(genotype)]
        forms += [str(genotype).replace("[2, 3, 4, 5]", "range(2, 6)"), architecture.spec]
        assert all(self.space.parse(form) == architecture for form in forms)

    @pytest.mark.parametrize(
        "wrong",
        [
            [CELL, CELL[:6]],
            [CELL, [(0, 7), *CELL[1:]]],
            [CELL, [(2, 3), *CELL[1:]]],
            [[(1, 3), *CELL[1:]], CELL],
            str(Genotype(NAMED, [4, 5], NAMED, [2, 3, 4, 5])),
            "Genotype(normal=[])",
            "Genotype(normal=open('x'))",
        ],
    )
    def test_cells_outside_the_space_are_errors(self, wrong) -> None:
        with pytest.raises(InvalidArchitectureError):
            self.space.parse(wrong)

    def test_skips_are_wires_except_from_the_inputs_of_a_reduction(self) -> None:
        kinds = self.space.to_graph(self.space.parse([CELL, CELL])).kinds
        assert "skip_connect" not in kinds
        assert kinds.count("factorized_reduce") == 1
        assert kinds.count("sep_conv_3x3") == 8

    def test_normal_and_reduction_cell_are_not_exchangeable(self) -> None:
        other = [(0, 4), *CELL[1:]]
        one, two = self.space.parse([CELL, other]), self.space.parse([other, CELL])
        assert self.space.canonical_hash(one) != self.space.canonical_hash(two)

    def test_parts_are_the_two_cells(self) -> None:
        cells = self.space.cells([self.space.parse([CELL, CELL])])
        parts = [cells.adjacency[0][np.ix_(nodes, nodes)] for nodes in map(list, self.space.parts.values())]
        np.testing.assert_array_equal(*parts)
        assert sum(part.sum() for part in parts) == cells.adjacency.sum()


class TestTransNASBench101Micro:
    space = get_space("transnas101-micro")

    def test_numbers_are_in_the_order_of_the_string(self) -> None:
        assert str(self.space.parse((1, 0, 2, 3, 3, 3))) == "64-41414-1_02_333"
        graph = self.space.to_graph(self.space.parse((3, 0, 2, 0, 0, 1)))
        assert graph.kinds == ("input", "nor_conv_3x3", "nor_conv_1x1", "output")
        assert graph.edges == ((0, 1), (1, 2), (2, 3))

    @pytest.mark.parametrize("wrong", ["64-41414-1_02_334", "32-41414-1_02_333", "64-41414-1_023_33", "64-41414-1_02_33x"])
    def test_other_strings_are_errors(self, wrong: str) -> None:
        with pytest.raises(InvalidArchitectureError, match="64-41414"):
            self.space.parse(wrong)


class TestOFAMobileNetV3:
    space = get_space("ofa-mobilenetv3")

    def config(self, **changes):
        return {"ks": [3] * 20, "e": [4] * 20, "d": [2, 3, 4, 2, 3], "r": [224]} | changes

    def test_what_is_inactive_does_not_count(self) -> None:
        kernels = [3] * 20
        kernels[2] = kernels[7] = kernels[14] = 7
        same, other = self.space.parse(self.config(ks=kernels)), self.space.parse(self.config(ks=[5] + [3] * 19))
        assert same == self.space.parse(self.config()) == self.space.parse(str(self.config(wid=None, r=224)))
        assert other != same

    def test_the_place_of_the_stages_counts(self) -> None:
        one, two = self.space.parse(self.config(d=[2, 3, 2, 2, 2])), self.space.parse(self.config(d=[3, 2, 2, 2, 2]))
        assert self.space.canonical_hash(one) != self.space.canonical_hash(two)

    @pytest.mark.parametrize(
        "changes", [{"ks": [3] * 19}, {"ks": [4] * 20}, {"e": [5] * 20}, {"d": [1] * 5}, {"r": [225]}, {"r": []}, {"wid": 1.2}]
    )
    def test_configurations_outside_the_space_are_errors(self, changes) -> None:
        with pytest.raises(InvalidArchitectureError, match="ks"):
            self.space.parse(self.config(**changes))

    def test_missing_entries_are_errors(self) -> None:
        for key in ("ks", "e", "d", "r"):
            config = self.config()
            del config[key]
            with pytest.raises(InvalidArchitectureError, match="expected 'ks'"):
                self.space.parse(config)

    def test_sampling_is_uniform_over_networks(self) -> None:
        depths = [[len(blocks) for blocks in self.space.stages(a)[1]] for a in self.space.sample(np.random.default_rng(0), 4000)]
        shares = np.bincount(np.ravel(depths), minlength=5)[2:] / np.size(depths)
        np.testing.assert_allclose(shares, [1 / 91, 9 / 91, 81 / 91], atol=0.01)


def test_choices_of_a_subclass_have_their_own_operators() -> None:
    class Narrow(ChoiceSpace):
        name = "narrow"
        choices: ClassVar = {"a": ("w1", "w2"), "b": ("w1", "w2")}

        def network(self, architecture: object, **options: object) -> ComputationGraph:
            raise NotImplementedError

    class Wide(Narrow):
        name = "wide"
        choices: ClassVar = {"a": tuple(f"w{i}" for i in range(200))}

    assert Narrow.ops == ("w1", "w2")
    assert len(Wide.ops) == 200
    assert Wide.max_nodes == 3
    space = Wide()
    last = space.parse((199,))
    assert space.cells([last]).ops.tolist() == [[0, 200, 201]]
    sequence = ChoiceSequence(space)
    assert sequence.inverse_transform(sequence.transform([last])) == [last]
