"""Values by hand and by definition, and networks that make trouble."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from emprox.errors import InvalidDataError, InvalidOptionError, UndefinedProxyError, UnknownNameError
from emprox.proxies import PROXIES, Proxy, compute_proxies, score_module
from tests.proxies.awkward import NETS, Dropping, batches, plain_net


def linear(*rows: list[list[float]]) -> nn.Sequential:
    """Return a chain of linear layers without bias, given by their weights."""
    layers = [nn.Linear(len(weight[0]), len(weight), bias=False) for weight in rows]
    for layer, weight in zip(layers, rows, strict=True):
        layer.weight.data = torch.tensor(weight)
    return nn.Sequential(*layers)


class TestByHand:
    def test_synflow_of_two_linear_layers(self) -> None:
        net = linear([[1.0, -2.0], [3.0, 0.5]], [[-1.0, 4.0]])
        # |W2| |W1| 1 = 1 * 3 + 4 * 3.5 = 17, and each of the two layers' weights times gradients sum to it
        assert PROXIES.get("synflow")(net, input_shape=(2,)) == pytest.approx(math.log(2 * 17))

    def test_saliencies_of_a_quadratic_loss(self) -> None:
        net, x, y = linear([[2.0, -1.0]]), torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0]])
        # the output is -1, half its squared error has gradient (-2)(1, 3) = (-2, -6), and the Hessian is (1, 3)(1, 3)^T
        scores = compute_proxies(net, batches=[(x, y)] * 2, loss=lambda a, b: ((a - b) ** 2).sum() / 2, input_shape=(2,))
        assert scores["grad_norm"] == pytest.approx(math.sqrt(40))
        assert scores["snip"] == pytest.approx(4 + 6)
        assert scores["plain"] == pytest.approx(-4 + 6)
        assert scores["grasp"] == pytest.approx(-(2 * -20 + -1 * -60))  # H g = (1, 3) (1, 3).(-2, -6) = (-20, -60)
        assert scores["fisher"] == pytest.approx(0.5 * (-1 * -2) ** 2 * 2)  # one channel of two weights
        assert scores["l2_norm"] == pytest.approx(math.sqrt(5))
        assert scores["params"] == 2
        assert scores["macs"] == 2

    def test_nwot_counts_rectifiers_in_the_same_state(self) -> None:
        net = nn.Sequential(nn.ReLU(), nn.Linear(3, 2))
        x = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
        counts = np.array([[3, 2], [2, 3]])
        assert PROXIES.get("nwot")(net, batches=[x]) == pytest.approx(math.log(np.linalg.det(counts)))

    def test_jacov_of_a_product(self) -> None:
        class Square(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return (x**2).sum(dim=1, keepdim=True)

        x = torch.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 0.5]])
        values = np.linalg.eigvalsh(np.corrcoef(2 * x.numpy())) + 1e-5
        assert PROXIES.get("jacov")(Square(), batches=[x]) == pytest.approx(-np.sum(np.log(values) + 1 / values))
        logs = np.log(np.abs(np.corrcoef(2 * x.numpy())) + 1e-5)
        labels = torch.tensor([0, 0])
        assert PROXIES.get("epe_nas")(Square(), batches=[(x, labels)]) == pytest.approx(abs(logs.sum()), rel=1e-5)
        apart = PROXIES.get("epe_nas")(Square(), batches=[(x, torch.tensor([0, 1]))])
        assert apart == pytest.approx(2 * math.log(1 + 1e-5), rel=1e-3)

    def test_zico_is_the_inverse_variation_of_gradients(self) -> None:
        net, batch = (
            linear([[1.0, 1.0]]),
            [(torch.tensor([[1.0, 2.0]]), torch.zeros(1)), (torch.tensor([[3.0, 2.0]]), torch.zeros(1))],
        )
        # gradients of the output are the inputs: (1, 2) and (3, 2), so that the second weight's never varies
        assert PROXIES.get("zico")(net, batches=batch, loss=lambda out, _: out.sum()) == pytest.approx(math.log(2 / 1))

    def test_zen_of_one_layer(self) -> None:
        net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1))
        with torch.random.fork_rng():
            torch.manual_seed(5)
            weight = torch.empty(1, 1, 1, 1).normal_()
            torch.randn(64, 1, 2, 2)
            other = torch.randn(64, 1, 2, 2)
        expected = math.log(0.01 * abs(float(weight)) * float(other.abs().sum() / 64))
        assert PROXIES.get("zen")(net, input_shape=(1, 2, 2), random_state=5) == pytest.approx(expected, rel=1e-4)

    def test_zen_adds_what_batch_norm_divides_by(self) -> None:
        norm = nn.BatchNorm2d(1, track_running_stats=False)
        with_norm = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), norm, nn.AdaptiveAvgPool2d(1))
        without = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1))
        options = {"input_shape": (1, 16, 16), "random_state": 3}
        with torch.random.fork_rng():
            torch.manual_seed(3)
            variance = float(torch.empty(1, 1, 1, 1).normal_()) ** 2
        running = 1 * 0.81 + variance * 0.19
        gap = PROXIES.get("zen")(with_norm, **options) - PROXIES.get("zen")(without, **options)
        assert gap == pytest.approx(math.log(running) / 2 - math.log(variance) / 2, abs=0.02)


class TestDefinitions:
    def test_macs_are_half_of_torchs_flops(self) -> None:
        net = plain_net()
        with FlopCounterMode(display=False) as counter:
            net.eval()(torch.zeros(1, 3, 8, 8))
        assert PROXIES.get("macs")(net, input_shape=(3, 8, 8)) == counter.get_total_flops() / 2

    def test_gradients_are_those_of_backward(self) -> None:
        net, given = plain_net(), batches()
        x, y = given[0]
        scores = compute_proxies(net, ["snip", "plain", "grad_norm", "grasp", "fisher"], batches=given)
        F.cross_entropy(net(x), y).backward()
        weights = [p for p in net.parameters() if p.dim() > 1]
        assert scores["plain"] == pytest.approx(sum(float((w.data * w.grad).sum()) for w in weights), abs=1e-6)
        assert scores["snip"] == pytest.approx(sum(float((w.data * w.grad).abs().sum()) for w in weights), rel=1e-5)
        assert scores["grad_norm"] == pytest.approx(sum(float(w.grad.norm()) for w in weights), rel=1e-5)

    def test_grasp_is_the_slope_of_the_gradients_square(self) -> None:
        """With step e along the weights, |gradient|^2 changes by 2 e w.(H g)."""
        net, (x, y) = plain_net().double(), batches()[0]
        weights = [p for p in net.parameters() if p.dim() > 1]
        found = PROXIES.get("grasp")(net, batches=[(x.double(), y)])

        def square() -> float:
            gradients = torch.autograd.grad(F.cross_entropy(net(x.double()), y), weights)
            return sum(float((g**2).sum()) for g in gradients)

        ends = []
        for step in (1e-4, -1e-4):
            with torch.no_grad():
                for w in weights:
                    w.mul_(1 + step)
            ends.append(square())
            with torch.no_grad():
                for w in weights:
                    w.div_(1 + step)
        assert found == pytest.approx(-(ends[0] - ends[1]) / 4e-4, rel=1e-4)

    def test_plain_of_scale_free_weights_is_nothing(self) -> None:
        """Batch norm divides the scale of the weights before it out."""
        net, (x, y) = plain_net(), batches()[0]
        net = nn.Sequential(net[0], net[1], net[2], nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4), nn.Flatten()).double()
        scores = compute_proxies(net, ["plain", "snip"], batches=[(x.double(), y)])
        assert abs(scores["plain"]) < 1e-3 * scores["snip"]

    @pytest.mark.parametrize("proxy", list(PROXIES))
    def test_alone_and_together_are_the_same(self, proxy: str) -> None:
        net, given = Dropping(), batches()
        assert PROXIES.get(proxy)(net, batches=given) == compute_proxies(net, batches=given)[proxy]

    def test_the_seed_decides(self) -> None:
        net = plain_net()
        one, again, two = (PROXIES.get("zen")(net, input_shape=(3, 8, 8), random_state=seed) for seed in (1, 1, 2))
        assert one == again != two

    def test_in_place_rectifiers_count_as_others(self) -> None:
        torch.manual_seed(0)
        net, given = plain_net(), batches()
        before = compute_proxies(net, batches=given)
        for layer in net:
            if isinstance(layer, nn.ReLU):
                layer.inplace = True
        assert compute_proxies(net, batches=given) == before

    def test_a_frozen_network_counts_as_another(self) -> None:
        net, given = plain_net(), batches()
        before = compute_proxies(net, batches=given)
        assert compute_proxies(net.requires_grad_(False).eval(), batches=given) == before

    def test_shared_weights_count_once(self) -> None:
        scores = compute_proxies(NETS["shared"](), ["params", "l2_norm"])
        assert scores["params"] == 3 * 3 * 9 + 3 + 12 + 4 + 4

    def test_synflow_where_float32_overflows(self) -> None:
        net = linear(*[[[1000.0] * 10] * 10] * 20)
        assert PROXIES.get("synflow")(net, input_shape=(10,)) == pytest.approx(20 * math.log(1e4) + math.log(10 * 20))

    def test_synflow_where_float64_overflows_says_so(self) -> None:
        with pytest.raises(UndefinedProxyError, match="overflow"):
            PROXIES.get("synflow")(linear(*[[[1e30] * 2] * 2] * 12), input_shape=(2,))


class TestTrouble:
    @pytest.mark.parametrize("net", ["plain", "no norm", "in place", "shared", "dropout", "frozen", "two inputs"])
    def test_all_proxies_of_networks_of_many_sorts(self, net: str) -> None:
        scores = compute_proxies(NETS[net](), batches=batches(net))
        assert scores.failures == {}
        assert all(isinstance(value, float) and math.isfinite(value) for value in scores.values.values())
        assert list(scores.values) == list(PROXIES)

    def test_without_a_rectifier_only_nwot_fails(self) -> None:
        scores = compute_proxies(NETS["no rectifier"](), batches=batches())
        assert list(scores.failures) == ["nwot"]
        with pytest.raises(UndefinedProxyError, match="nwot: no rectifier was applied"):
            scores["nwot"]

    def test_a_constant_output(self) -> None:
        scores = compute_proxies(NETS["constant"](), batches=batches())
        reasons = {"jacov": "constant", "epe_nas": "constant", "synflow": "depends|flows", "zen": "do not depend on the input"}
        for name, words in reasons.items():
            with pytest.raises(UndefinedProxyError, match=words):
                scores[name]

    def test_nan_inside_and_outside(self) -> None:
        hidden = compute_proxies(NETS["infected"](), ["nwot"], batches=batches())
        assert "a rectifier sees NaN" in hidden.failures["nwot"]
        x, y = batches()[0]
        x[0, 0, 0, 0] = torch.nan
        shown = compute_proxies(plain_net(), ["snip", "nwot", "params"], batches=[(x, y)])
        assert "NaN" in shown.failures["snip"]
        assert "NaN" in shown.failures["nwot"]
        assert list(shown.values) == ["params"]

    def test_equal_inputs_have_no_determinant(self) -> None:
        x = torch.randn(1, 3, 8, 8).expand(4, -1, -1, -1)
        with pytest.raises(UndefinedProxyError, match="only 1 of 4 inputs apart"):
            PROXIES.get("nwot")(plain_net(), batches=[x])

    def test_equal_batches_have_no_spread(self) -> None:
        with pytest.raises(UndefinedProxyError, match="differs between the batches"):
            PROXIES.get("zico")(plain_net(), batches=[batches()[0]] * 2)

    def test_no_pooling(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4))
        with pytest.raises(UndefinedProxyError, match="features="):
            PROXIES.get("zen")(net, input_shape=(3, 8, 8))
        assert math.isfinite(PROXIES.get("zen")(net, input_shape=(3, 8, 8), features="1"))
        with pytest.raises(InvalidOptionError, match="no submodule 'body'"):
            PROXIES.get("zen")(net, input_shape=(3, 8, 8), features="body")

    def test_tokens_have_no_jacobian(self) -> None:
        torch.manual_seed(2)  # the rectifiers tell these inputs apart, as nwot needs
        net = nn.Sequential(nn.Embedding(5, 6), nn.Flatten(), nn.ReLU(), nn.Linear(18, 4))
        given = [(torch.randint(5, (8, 3)), torch.randint(4, (8,))) for _ in range(2)]
        scores = compute_proxies(net, batches=given)
        assert {"jacov", "epe_nas", "synflow", "zen", "macs"} == set(scores.failures)
        assert all("floating point" in reason for reason in scores.failures.values())

    def test_several_outputs_are_refused(self) -> None:
        class Pair(nn.Module):
            def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return x, x

        assert "returns a tuple" in compute_proxies(Pair(), ["snip"], batches=batches()).failures["snip"]
        with pytest.raises(InvalidDataError, match="returns a tensor"):
            score_module(Pair(), (3, 8, 8))

    def test_without_weights(self) -> None:
        scores = compute_proxies(nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), batches=batches())
        assert scores["params"] == 0
        assert {"snip", "grasp", "l2_norm", "synflow"} <= set(scores.failures)

    def test_what_cannot_be_copied(self) -> None:
        net = plain_net()
        net.lock = (n for n in range(3))
        with pytest.raises(InvalidDataError, match="cannot copy Sequential"):
            compute_proxies(net, ["snip"], batches=batches())


class TestOptions:
    @pytest.mark.parametrize(
        ("proxy", "given", "words"),
        [
            ("snip", [], "needs batches"),
            ("snip", [torch.ones(2, 3, 8, 8)], "needs targets"),
            ("zico", batches(n=1), "at least two"),
            ("synflow", [], "input_shape"),
        ],
    )
    def test_needs_are_told(self, proxy: str, given: list, words: str) -> None:
        with pytest.raises(InvalidOptionError, match=words):
            compute_proxies(plain_net(), [proxy], batches=given)

    def test_names_are_checked(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'synflow'"):
            compute_proxies(plain_net(), ["sinflow"])
        with pytest.raises(UnknownNameError, match="was not computed"):
            compute_proxies(plain_net(), ["params"])["snip"]
        with pytest.raises(InvalidOptionError, match="declares"):
            Proxy("mine", lambda case: 0.0, needs=frozenset({"luck"}))

    @pytest.mark.parametrize("bad", ["text", (1, 2, 3), (torch.ones(3, 2), torch.ones(2)), (torch.ones(0, 2), None)])
    def test_batches_are_checked(self, bad: object) -> None:
        with pytest.raises(InvalidDataError, match="batch"):
            compute_proxies(plain_net(), ["params"], batches=[bad])

    def test_module_device_and_shape_are_checked(self) -> None:
        with pytest.raises(InvalidDataError, match=r"torch\.nn\.Module"):
            compute_proxies("net", ["params"])
        with pytest.raises(InvalidOptionError, match="not a device"):
            compute_proxies(plain_net(), ["params"], device="abacus")
        with pytest.raises(InvalidOptionError, match="input_shape"):
            compute_proxies(plain_net(), ["macs"], input_shape=(3, 0, 8))

    def test_inside_no_grad_and_inference_mode(self) -> None:
        net, given = plain_net(), batches()
        expected = compute_proxies(net, batches=given)
        with torch.no_grad():
            assert compute_proxies(net, batches=given) == expected
        with torch.inference_mode():
            assert compute_proxies(net, batches=given) == expected

    def test_another_package_adds_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(PROXIES._loaded, "layers", Proxy("layers", lambda case: float(len(list(case.module.modules())))))
        assert compute_proxies(plain_net(), ["layers"])["layers"] == 9
