"""ONNX files as computation graphs, written with the onnx package alone; those that are no such file."""

from itertools import pairwise

import numpy as np
import pytest

from emprox.errors import CorruptFileError, InvalidArchitectureError, StorageError
from emprox.spaces.tracing import from_onnx

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
helper = onnx.helper


def weights(name, *shape):
    return onnx.numpy_helper.from_array(np.ones(shape, dtype=np.float32), name)


def numbers(name, *values):
    return onnx.numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def model(nodes, initializers=(), shape=(1, 3, 8, 8), output="y"):
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.fixture
def saved(tmp_path):
    def save(*args, **options):
        path = tmp_path / "net.onnx"
        onnx.save(model(*args, **options), str(path))
        return path

    return save


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


CONV = [node("Conv", "x w b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])]
CONV_WEIGHTS = [weights("w", 4, 3, 3, 3), weights("b", 4)]


class TestReading:
    def test_a_small_network(self, saved):
        nodes = [
            *CONV,
            node("BatchNormalization", "c s o m v", "n"),
            node("Sigmoid", "n", "g"),
            node("Mul", "n g", "a"),
            node("GlobalAveragePool", "a", "p"),
            node("Flatten", "p", "f"),
            node("Gemm", "f k l", "y", transB=1),
        ]
        rest = [weights(name, 4) for name in "somv"] + [weights("k", 10, 4), weights("l", 10)]
        graph = from_onnx(saved(nodes, [*CONV_WEIGHTS, *rest]))
        assert graph.kinds == ("input", "conv", "norm", "activation", "mean", "reshape", "linear", "output")
        assert graph.attributes[3].function == "silu"
        assert (graph.parameters, graph.macs) == (112 + 8 + 50, 16 * 108 + 40)
        assert graph.attributes[1].size == (4, 4)

    def test_axes_that_are_inputs(self, saved):
        graph = from_onnx(saved([*CONV, node("ReduceMean", "c axes", "y", keepdims=0)], [*CONV_WEIGHTS, numbers("axes", -1, -2)]))
        assert graph.kinds == ("input", "conv", "mean", "reshape", "output")

    def test_unknown_operators_are_listed(self, saved):
        with pytest.warns(UserWarning, match=r"net\.onnx: no primitive for Hardmax"):
            assert from_onnx(saved([node("Hardmax", "x", "y")])).kinds == ("input", "other", "output")

    def test_weights_in_other_files_are_not_needed(self, saved, tmp_path):
        path = tmp_path / "external.onnx"
        net = model([node("Conv", "x w", "y")], [weights("w", 64, 3, 3, 3)])
        onnx.save(net, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
        (tmp_path / "weights.bin").unlink()
        assert from_onnx(path).parameters == 64 * 27

    def test_open_batch_is_one(self, saved):
        graph = from_onnx(saved([node("Relu", "x", "y")], shape=("batch", 3, 8, 8)))
        assert graph.attributes[0].size == (8, 8)


class TestRefusals:
    def test_open_sizes(self, saved):
        path = saved(CONV, CONV_WEIGHTS, shape=(1, 3, "height", "width"), output="c")
        with pytest.raises(InvalidArchitectureError, match=r"leaves the shape of its input 'x' open.*pass input_shape"):
            from_onnx(path)
        assert from_onnx(path, input_shape=(1, 3, 8, 8)).macs == 16 * 108

    def test_wrong_number_of_axes(self, saved):
        with pytest.raises(InvalidArchitectureError, match="has 4 axes, input_shape has 3"):
            from_onnx(saved([node("Relu", "x", "y")], shape=(1, 3, "height", 8)), input_shape=(3, 8, 8))

    def test_what_a_file_says_is_not_overridden(self, saved):
        path = saved(CONV, CONV_WEIGHTS, output="c")
        assert from_onnx(path, input_shape=(1, 3, 224, 224)) == from_onnx(path)
        assert from_onnx(path, input_shape=(8,)) == from_onnx(path)

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
    def test_truncated_files(self, saved, share):
        path = saved([*CONV, node("Relu", "c", "y")], CONV_WEIGHTS)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(CorruptFileError, match=r"net\.onnx"):
            from_onnx(path)

    def test_something_else(self, tmp_path):
        path = tmp_path / "net.onnx"
        path.write_text("a,b\n1,2\n")
        with pytest.raises(CorruptFileError, match="export or copy it again"):
            from_onnx(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(StorageError, match="cannot read"):
            from_onnx(tmp_path / "none.onnx")

    def test_too_many_operators(self, saved):
        names = ["x", *[f"t{i}" for i in range(300)], "y"]
        path = saved([node("Relu", a, b) for a, b in pairwise(names)])
        with pytest.raises(InvalidArchitectureError, match="more than 200 operations"):
            from_onnx(path, max_nodes=20)
        with pytest.raises(InvalidArchitectureError, match="more than 100 operations"):
            from_onnx(path, max_nodes=100)
