"""Networks of timm as computation graphs: fifteen families, and the same graph in three ways."""

import importlib.util
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from emprox.spaces.tracing import from_module, from_onnx

STAND_IN = Path(__file__).parents[2] / "benchmarks" / "torchvision_stand_in.py"
PLAIN = {
    "resnet": ("resnet10t", {}),
    "mobilenetv2": ("mobilenetv2_035", {}),
    "mobilenetv3": ("mobilenetv3_small_050", {}),
    "efficientnet": ("test_efficientnet", {}),
}
FAMILIES = [
    *("resnet10t", "regnety_002", "mobilenetv3_small_050", "efficientnet_b0", "densenet121", "ghostnet_050", "repvgg_a0"),
    *("dla46_c", "res2net50_14w_8s", "nf_regnet_b0", "convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"),
    *("mixer_s32_224", "efficientformer_l1"),
]


@pytest.fixture(scope="module")
def timm():
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install --no-deps timm")
    spec = importlib.util.spec_from_file_location("torchvision_stand_in", STAND_IN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

        return timm


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_and_operations_of_fifteen_families(timm, name):
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(name).eval()
    x = torch.zeros(1, *model.default_cfg["input_size"], device="meta")
    graph = from_module(model, x, tracers=("fx",))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert graph.parameters == sum(p.numel() for p in model.parameters())
    assert graph.macs == pytest.approx(counter.get_total_flops() / 2, rel=0.02)


def made(timm, family):
    if family == "vgg":
        plan = [*[16, "M"] * 4, 512, "M"]
        model = timm.models.vgg.VGG(plan, num_classes=10, mlp_ratio=0.01, norm_layer=torch.nn.BatchNorm2d)
    elif family == "densenet":
        model = timm.models.densenet.DenseNet(growth_rate=8, block_config=(2, 2))
    else:
        name, options = PLAIN[family]
        model = timm.create_model(name, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)  # the exporter keeps one copy of weights that are equal
    return model.eval()


@pytest.mark.parametrize("family", [*PLAIN, "vgg", "densenet"])
def test_three_ways_give_the_same_graph(timm, family, tmp_path):
    pixels = 224 if family == "vgg" else 64
    model, x, path = made(timm, family), torch.zeros(1, 3, pixels, pixels), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unfolded = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
        torch.onnx.export(model, (x,), str(path), dynamo=False, **unfolded)
    graphs = [from_module(model, x, tracers=(tracer,)) for tracer in ("fx", "export")] + [from_onnx(path)]
    assert len({graph.canonical_hash() for graph in graphs}) == 1
    assert {(graph.parameters, graph.macs) for graph in graphs} == {(sum(p.numel() for p in model.parameters()), graphs[0].macs)}
