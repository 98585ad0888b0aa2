"""The family of all networks: what it reads, what it refuses."""

import os
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from torch import nn

from emprox.errors import CorruptFileError, InvalidArchitectureError, InvalidOptionError, UnknownNameError
from emprox.spaces import FAMILIES, Architecture, ComputationGraph, get_family, get_space, infer_space
from emprox.spaces.anything import NamedGraph, Networks
from emprox.testing import FamilyContract
from tests.spaces import test_nasbench_nlp

FAMILY = Networks(input_shape=(3, 8, 8))
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def net(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))


@pytest.fixture
def factories(tmp_path, monkeypatch):
    """Write a module of factories where Python finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net_factories.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "def good():\n    return nn.Conv2d(3, 4, 3)\n\n"
        "def pair():\n    return nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 5, 5)\n\n"
        "def raises():\n    raise RuntimeError('no weights')\n\n"
        "def other():\n    return 3\n\n"
        "class zoo:\n    made = nn.Conv2d(3, 4, 3)\n"
    )
    yield
    sys.modules.pop("net_factories", None)


class TestNetworks(FamilyContract):
    def make_family(self):
        return FAMILY

    def make_architectures(self):
        return [FAMILY.parse(net(width)) for width in (2, 3, 4)]


def test_every_family_has_a_contract():
    assert {contract().make_family().name for contract in (TestNetworks, test_nasbench_nlp.TestContract)} == set(FAMILIES)


class TestReading:
    def test_modules_pairs_graphs_and_architectures(self):
        module = net()
        by_module, by_pair = FAMILY.parse(module), Networks().parse((module, torch.zeros(2, 3, 8, 8)))
        assert by_module == by_pair == FAMILY.parse(FAMILY.network(by_module)) == FAMILY.read(by_module)
        assert FAMILY.label(by_module) == "Sequential"
        assert FAMILY.label(FAMILY.named(module, "my net")) == "my net"
        assert FAMILY.named(module, "my net") == by_module
        assert FAMILY.label(FAMILY.parse(FAMILY.network(by_module))) == "graph of 7 nodes, 122 parameters"

    def test_architectures_of_search_spaces_are_their_networks(self):
        space = get_space("nasbench201")
        cell = space.parse(CELL)
        by_text, by_value = FAMILY.parse(f"nasbench201:{CELL}"), FAMILY.read(cell)
        assert by_text == by_value
        assert FAMILY.label(by_text) == f"nasbench201:{CELL}"
        traced = FAMILY.parse((space.to_module(cell), torch.zeros(1, 3, 32, 32)))
        assert FAMILY.canonical_hash(traced) == FAMILY.canonical_hash(by_text)
        assert FAMILY.costs([traced]).tolist() == space.costs([cell]).tolist()

    def test_factories(self, factories):
        made = FAMILY.parse("net_factories:good")
        assert made == FAMILY.parse(" network:net_factories:good ") == FAMILY.parse("net_factories:zoo.made")
        assert FAMILY.label(made) == "net_factories:good"
        assert FAMILY.network(Networks().parse("net_factories:pair")).attributes[0].size == (5, 5)

    def test_onnx_files(self, tmp_path):
        onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
        value, node, kind = onnx.helper.make_tensor_value_info, onnx.helper.make_node, onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [node("Relu", ["x"], ["y"])], "net", [value("x", kind, (1, 3, "h", "w"))], [value("y", kind, None)]
        )
        path = tmp_path / "net.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]), str(path))
        read = FAMILY.parse(path)
        assert read == FAMILY.parse(str(path)) == FAMILY.parse(nn.ReLU())
        assert FAMILY.label(read) == "net.onnx"
        with pytest.raises(InvalidArchitectureError, match="leaves the shape of its input"):
            Networks().parse(path)
        path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(CorruptFileError, match=r"net\.onnx"):
            FAMILY.parse(path)

    def test_the_shape_that_a_module_brings_along(self):
        lightning, timm = net(), net()
        lightning.example_input_array = torch.zeros(1, 3, 6, 6)
        timm.pretrained_cfg = {"input_size": (3, 7, 7)}
        sizes = [Networks().network(Networks().parse(m)).attributes[0].size for m in (lightning, timm)]
        assert sizes == [(6, 6), (7, 7)]
        assert FAMILY.network(FAMILY.parse(lightning)).attributes[0].size == (8, 8)

    def test_modules_on_the_meta_device(self):
        with torch.device("meta"):
            module = net()
        assert FAMILY.parse(module) == FAMILY.parse(net())

    def test_the_family_is_recognised(self, tmp_path):
        module = net()
        for given in (
            module,
            (module, torch.zeros(1)),
            FAMILY.network(FAMILY.parse(module)),
            tmp_path / "a.onnx",
            "b.onnx",
            "a.b:c",
        ):
            assert infer_space([f"nasbench201:{CELL}", given], None).name == "network"
        assert infer_space([f"nasbench201:{CELL}", CELL], None).name == "nasbench201"
        assert infer_space([CELL], None, "nasbench201").name == "nasbench201"


class TestRefusals:
    def test_no_example_input(self):
        with pytest.raises(InvalidArchitectureError, match=r"Sequential came without an example input.*--input-shape"):
            Networks().parse(net())

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("net_factories:none", "has no attribute 'none'"),
            ("no_such_package:net", "cannot import no_such_package:net"),
            ("net_factories:raises", r"raises\(\) raised RuntimeError: no weights"),
            ("net_factories:other", "returned 3, expected a torch.nn.Module"),
            ("nasbench201:nonsense", "nonsense"),
        ],
    )
    def test_texts(self, factories, text, message):
        with pytest.raises(InvalidArchitectureError, match=message):
            FAMILY.parse(text)

    def test_graphs_without_attributes_or_in_other_operators(self):
        cell = get_space("nasbench201").to_graph(get_space("nasbench201").parse(CELL))
        with pytest.raises(InvalidArchitectureError, match="without attributes"):
            FAMILY.parse(cell)
        with pytest.raises(InvalidArchitectureError, match="expected a NamedGraph"):
            FAMILY.network(Architecture("network", (0, 1)))

    def test_saved_texts_run_no_code(self, factories):
        for text in ("net_factories:good", "net.onnx", f"nasbench201:{CELL}"):
            with pytest.raises(InvalidArchitectureError, match="expected the text of a graph"):
                FAMILY.restore(text)
        assert "net_factories" not in sys.modules

    def test_damaged_texts(self):
        text = str(FAMILY.parse(net()))
        for damaged in (text[:-20], text[:40] + "!" + text[41:], text.replace(":", ":AAAA", 1), "graph#a:", "graph#a"):
            with pytest.raises(InvalidArchitectureError, match=r"damaged|expected the text of a graph"):
                FAMILY.restore(damaged)

    def test_texts_that_unpack_to_too_much(self, monkeypatch):
        monkeypatch.setattr("emprox.spaces.anything.LARGEST", 100)
        with pytest.raises(InvalidArchitectureError, match="cut off, or too large"):
            FAMILY.restore(str(FAMILY.parse(net())))

    @pytest.mark.parametrize("shape", ["3x0x8", "a", (), (3.5, "b"), "3x", -1])
    def test_input_shapes(self, shape):
        with pytest.raises(InvalidOptionError, match="shape of one input without the batch"):
            Networks(input_shape=shape)

    def test_names_and_options_of_families(self):
        assert get_family("network:input_shape=3x8x8").input_shape == get_family(FAMILY).input_shape == (3, 8, 8)
        assert get_family("network:input_shape=16").input_shape == (16,)
        with pytest.raises(UnknownNameError, match="did you mean 'network'"):
            get_family("networks")
        with pytest.raises(InvalidOptionError, match="nasbench201 has no options"):
            get_family("nasbench201:input_shape=3x8x8")
        with pytest.raises(InvalidOptionError, match="no option 'shape'"):
            get_family("network:shape=3x8x8")
        with pytest.raises(InvalidOptionError, match="has no options"):
            FAMILY.network(FAMILY.parse(net()), channels=3)

    def test_views(self):
        with pytest.raises(InvalidOptionError, match="view 'network', got 'cell'"):
            FAMILY.to_graph(FAMILY.parse(net()), "cell")


def test_graphs_are_equal_whatever_they_are_called():
    graph = FAMILY.network(FAMILY.parse(net()))
    one, other = NamedGraph(graph, "one"), NamedGraph(ComputationGraph(graph.kinds, graph.edges, graph.attributes), "other")
    assert one == other
    assert hash(one) == hash(other)
    assert len(zlib.compress(str(FAMILY.parse(one)).encode())) < 1000


def test_a_network_that_was_pickled_is_found_in_another_process(tmp_path: Path) -> None:
    graph = get_space("nasbench201").to_graph(get_space("nasbench201").parse((2,) * 6), "network")
    network = Networks().parse(graph)
    assert hash(network) == hash(network)  # kept in it
    (tmp_path / "network.pickle").write_bytes(pickle.dumps(network))
    code = (
        "import pickle, sys; from emprox.spaces.anything import Networks; from emprox import get_space; "
        "s = get_space('nasbench201'); "
        "n = pickle.load(open(sys.argv[1], 'rb')); print(n in {Networks().parse(s.to_graph(s.parse((2,) * 6), 'network'))})"
    )
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(tmp_path / "network.pickle")]
        assert subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.strip() == "True"
