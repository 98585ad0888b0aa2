"""Torch modules as computation graphs: ordinary layers, the networks of the search spaces, and modules that resist."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces import get_space
from emprox.spaces.tracing import from_module

IMAGE = torch.zeros(2, 3, 16, 16)


class Calls(nn.Module):
    """A module whose forward is a function of itself and its input."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def kinds(module, inputs=IMAGE, **options):
    graph = from_module(module, inputs, **options)
    return list(zip(graph.kinds[1:-1], [node.function for node in graph.attributes[1:-1]], strict=True))


def of(function, inputs=IMAGE, **layers):
    return kinds(Calls(function, **layers), inputs)


class TestPrimitives:
    @pytest.mark.parametrize("tracer", ["fx", "export"])
    def test_a_small_network(self, tracer):
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(inplace=True),
            nn.Conv2d(8, 8, 5, padding=4, dilation=2, groups=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(),
            nn.Linear(8, 10),
        )  # fmt: skip
        graph = from_module(net, IMAGE, tracers=(tracer,))
        assert graph.kinds == ("input", "conv", "norm", "activation", "conv", "mean", "reshape", "linear", "output")
        assert graph.parameters == sum(p.numel() for p in net.parameters())
        assert graph.macs == 3 * 8 * 9 * 64 + 8 * 25 * 64 + 80
        conv = graph.attributes[4]
        assert (conv.channels, conv.size, conv.kernel, conv.stride, conv.dilation) == (8, (8, 8), (5, 5), (1, 1), (2, 2))
        assert (conv.groups, conv.bias, conv.parameters) == (8, True, 208)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (lambda m, x: F.silu(x), lambda m, x: x * torch.sigmoid(x)),
            (lambda m, x: F.gelu(x), lambda m, x: 0.5 * x * (1 + torch.erf(x / 2**0.5))),
            (lambda m, x: F.hardswish(x), lambda m, x: F.relu6(x + 3) / 6 * x),
            (lambda m, x: F.mish(x), lambda m, x: x.mul(F.softplus(x).tanh())),
            (lambda m, x: nn.ReLU()(x), lambda m, x: x.clone().relu_()),
            (lambda m, x: F.relu6(x), lambda m, x: x.clamp(0, 6)),
            (lambda m, x: x + x.relu(), lambda m, x: torch.add(x, F.relu(x))),
            (lambda m, x: x.mean((2, 3)), lambda m, x: F.adaptive_avg_pool2d(x, 1).flatten(1)),
            (lambda m, x: F.max_pool2d(x, 2), lambda m, x: nn.MaxPool2d(2, 2)(x)),
            (lambda m, x: x.flatten(1), lambda m, x: x.view(len(x), -1)),
            (lambda m, x: x.chunk(3, 1)[1], lambda m, x: x[:, 1:2]),
            (lambda m, x: torch.cat([x, x.relu()], 1), lambda m, x: torch.concat((x, x.relu()), dim=-3)),
            (lambda m, x: x.relu() @ x.tanh(), lambda m, x: torch.matmul(x.relu(), x.tanh())),
            (lambda m, x: F.pad(x, (1, 1, 1, 1)).relu(), lambda m, x: x.relu()),
        ],
    )
    def test_forms_of_one_function_are_one_primitive(self, one, other):
        assert of(one) == of(other)
        assert from_module(Calls(one), IMAGE).canonical_hash() == from_module(Calls(other), IMAGE).canonical_hash()

    def test_in_place_operations_change_what_comes_after(self):
        def forward(m, x):
            y = m.conv(x)
            y.relu_()
            y += 1
            return y

        assert of(forward, conv=nn.Conv2d(3, 3, 1)) == [("conv", ""), ("activation", "relu")]

    def test_learned_factors_and_offsets_are_counted(self):
        def forward(m, x):
            return x * m.scale + m.shift

        module = Calls(forward, scale=nn.Parameter(torch.ones(3, 1, 1)), shift=nn.Parameter(torch.ones(3, 1, 1)))
        assert kinds(module) == [("norm", "scale"), ("norm", "shift")]
        assert from_module(module, IMAGE).parameters == 6

    def test_shared_weights_are_counted_once(self):
        layer = nn.Conv2d(3, 3, 1)
        graph = from_module(nn.Sequential(layer, nn.ReLU(), layer), IMAGE)
        assert (graph.parameters, graph.kinds.count("conv"), graph.macs) == (12, 2, 2 * 9 * 256)

    def test_weights_may_take_their_type_from_values(self):
        module = Calls(lambda m, x: x.relu() * m.scale.sum().type_as(x), scale=nn.Parameter(torch.ones(5)))
        assert kinds(module) == [("activation", "relu"), ("norm", "scale")]
        assert from_module(module, IMAGE).parameters == 5

    def test_weights_made_from_parameters(self):
        def forward(m, x):
            weight = m.weight / m.weight.square().sum((1, 2, 3), keepdim=True)
            return F.conv2d(x, weight, padding=1)

        graph = from_module(Calls(forward, weight=nn.Parameter(torch.ones(4, 3, 3, 3))), IMAGE)
        assert (graph.kinds, graph.parameters) == (("input", "conv", "output"), 108)

    @pytest.mark.parametrize("tracer", ["fx", "export"])
    def test_attention(self, tracer):
        tokens = torch.zeros(2, 5, 8)
        net = nn.MultiheadAttention(8, 2, batch_first=True)
        graph = from_module(Calls(lambda m, x: m.net(x, x, x)[0], net=net), tokens, tracers=(tracer,))
        assert graph.parameters == sum(p.numel() for p in net.parameters())
        assert graph.macs == 4 * 5 * 64 + 2 * 25 * 8
        assert graph.kinds.count("matmul") == 2

    def test_recurrent_layers_are_known(self):
        graph = from_module(Calls(lambda m, x: m.net(x)[0], net=nn.LSTM(8, 4, batch_first=True)), torch.zeros(2, 5, 8))
        assert [node.function for node in graph.attributes[1:-1]] == ["lstm"]
        assert graph.parameters == 4 * 4 * (8 + 4 + 2)
        assert graph.macs == 5 * 4 * 4 * (8 + 4)

    def test_transposed_convolution(self):
        graph = from_module(nn.ConvTranspose2d(3, 4, 2, stride=2), IMAGE)
        assert (graph.attributes[1].function, graph.attributes[1].size) == ("transposed", (32, 32))
        assert graph.macs == 16 * 16 * 3 * 4 * 4

    def test_unknown_functions_are_listed_once(self):
        with pytest.warns(UserWarning, match="no primitive for cummax, histc") as caught:
            assert of(lambda m, x: torch.histc(x.cummax(1).values.cummax(1).values)) == [
                ("other", "cummax"), ("other", "cummax"), ("other", "histc"),
            ]  # fmt: skip
        assert len(caught) == 1


class TestSearchSpaces:
    @pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "transnas101-micro", "darts", "ofa-mobilenetv3"])
    def test_traced_networks_are_those_of_the_space(self, name):
        space = get_space(name)
        for architecture in space.sample(np.random.default_rng(0), 2 if name in ("darts", "ofa-mobilenetv3") else 5):
            start = space.network(architecture).attributes[0]
            expected = space.to_graph(architecture, "network")
            if not expected.is_connected:
                continue
            graph = from_module(space.to_module(architecture), torch.zeros(1, start.channels, *start.size))
            assert graph.canonical_hash() == expected.canonical_hash(), str(architecture)
            assert (graph.parameters, graph.macs) == (expected.parameters, expected.macs)


class TestState:
    def test_modules_stay_as_they_were(self):
        def forward(m, x):
            m.calls += 1
            m.last = m.net(x)
            return m.last

        module = Calls(forward, net=nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout()), calls=0)
        module.net[2].eval()
        before = {name: value.clone() for name, value in module.state_dict().items()}
        from_module(module, IMAGE)
        assert (module.calls, hasattr(module, "last"), module.training) == (0, False, True)
        assert [part.training for part in module.net] == [True, True, False]
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())

    @pytest.mark.parametrize("tracer", ["fx", "export"])
    def test_modules_on_the_meta_device(self, tracer):
        with torch.device("meta"):
            module = nn.Sequential(nn.Linear(2**16, 2**18), nn.ReLU())  # 64 GiB of weights
        assert from_module(module, torch.zeros(1, 2**16), tracers=(tracer,)).parameters == 2**34 + 2**18


class TestDifficultModules:
    def test_control_flow_on_shapes_is_followed(self):
        def forward(m, x):
            for _ in range(x.shape[2] // 8):
                x = x.relu() if x.dim() == 4 and len(x) == 2 else x.tanh()
            return x

        assert of(forward) == [("activation", "relu")] * 2

    def test_control_flow_on_data_is_refused_with_its_line(self):
        def forward(m, x):
            return x.relu() if x.sum() > 0 else x

        with pytest.raises(InvalidArchitectureError) as caught:
            from_module(Calls(forward), IMAGE)
        message = str(caught.value)
        assert "torch.fx: DataDependentError" in message
        assert "torch.export: " in message
        assert f"{__file__}:" in message
        assert "return x.relu() if x.sum() > 0 else x" in message
        assert "from_onnx" in message

    def test_a_module_that_raises(self):
        def forward(m, x):
            raise KeyError("my own mistake")

        with pytest.raises(InvalidArchitectureError, match="KeyError: 'my own mistake'"):
            from_module(Calls(forward), IMAGE)

    def test_wrong_shapes_are_refused_with_both_reasons(self):
        with pytest.raises(InvalidArchitectureError, match=r"(?s)torch\.fx: .*torch\.export: "):
            from_module(nn.Conv2d(4, 4, 3), IMAGE)

    @pytest.mark.parametrize("tracer", ["fx", "export"])
    def test_dictionaries_and_several_outputs_are_joined(self, tracer):
        module = Calls(lambda m, x: {"a": x.relu(), "b": (x.tanh(), 3)})
        assert kinds(module, tracers=(tracer,)) == [("activation", "relu"), ("activation", "tanh"), ("concat", "outputs")]

    def test_several_inputs(self):
        module = Calls(lambda m, x, y: x + y.relu())
        assert kinds(module, (IMAGE, IMAGE)) == [("split", "input 0"), ("split", "input 1"), ("activation", "relu")]

    def test_named_inputs(self):
        class Named(nn.Module):
            def forward(self, image, scale=None):
                return image * scale if scale is not None else image.relu()

        assert ("mul", "") in kinds(Named(), {"image": IMAGE, "scale": IMAGE})
        assert kinds(Named(), {"image": IMAGE}) == [("activation", "relu")]

    def test_lazy_layers_are_refused(self):
        with pytest.raises(InvalidArchitectureError, match=r"lazy layers .* \(1\); run it once"):
            from_module(nn.Sequential(nn.ReLU(), nn.LazyConv2d(4, 3)), IMAGE)

    def test_only_what_runs_at_inference_counts(self):
        def forward(m, x):
            return (m.net(x), m.auxiliary(x)) if m.training else m.net(x)

        module = Calls(forward, net=nn.Conv2d(3, 3, 1), auxiliary=nn.Conv2d(3, 9, 1))
        assert from_module(module, IMAGE).parameters == 12

    def test_an_output_without_the_input_is_refused(self):
        with pytest.raises(InvalidArchitectureError, match="no output of the network depends on its input"):
            from_module(Calls(lambda m, x: torch.ones(3)), IMAGE)

    def test_very_large_networks_are_refused(self):
        def forward(m, x):
            for _ in range(100_000):
                x = x.relu()
            return x

        with pytest.raises(InvalidArchitectureError, match="more than 2000 operations"):
            from_module(Calls(forward), IMAGE, max_nodes=200)

    @pytest.mark.parametrize("inputs", [(), "image", [1, 2], {}])
    def test_inputs_have_to_be_tensors(self, inputs):
        with pytest.raises(InvalidOptionError, match="expected example inputs"):
            from_module(nn.ReLU(), inputs)

    def test_only_modules(self):
        with pytest.raises(InvalidArchitectureError, match=r"expected a torch\.nn\.Module, got str"):
            from_module("resnet18", IMAGE)

    def test_tracers_have_names(self):
        with pytest.raises(InvalidOptionError, match="fx, export"):
            from_module(nn.ReLU(), IMAGE, tracers=("jit",))

    def test_no_warning_without_need(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            from_module(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), IMAGE)


@pytest.mark.parametrize(("queries", "keys", "kdim"), [(10, 50, 512), (1, 50, None), (7, 7, None)])
def test_attention_over_keys_of_another_size(queries: int, keys: int, kdim: int | None) -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(64, 4, kdim=kdim, vdim=kdim, batch_first=True)

        def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return self.attention(query, key, key, need_weights=False)[0]

    size = kdim or 64
    graph = from_module(Attends(), (torch.zeros(1, queries, 64), torch.zeros(1, keys, size)))
    assert graph.macs == 2 * queries * 64 * 64 + 2 * keys * size * 64 + 2 * queries * keys * 64


def test_a_weight_on_the_left() -> None:
    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.shift = nn.Parameter(torch.zeros(8, 16)), nn.Parameter(torch.zeros(8, 7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.addmm(self.shift, self.weight, x)

    assert from_module(Left(), torch.zeros(16, 7)).macs * 16 == 8 * 16 * 7


@pytest.mark.parametrize(
    ("one", "other", "shape"),
    [
        (nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=4), (1, 3, 8, 8)),
        (nn.Embedding(50, 8), nn.Embedding(500, 8), (1, 5)),
    ],
)
def test_what_differs_in_weights_or_scale_has_another_hash(one: nn.Module, other: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape, dtype=torch.long if isinstance(one, nn.Embedding) else torch.float32)
    first, second = (from_module(module, x).canonical_hash() for module in (one, other))
    assert first != second
    assert first == from_module(one, x).canonical_hash()
