"""Sub-networks with a supernet's weights, and their accuracy on a folder of images."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from emprox import get_space
from emprox.errors import CorruptFileError, InvalidDataError, StorageError
from emprox.search import RandomSearch
from emprox.search.images import ImageFolderAccuracy, calibrate

SPACE: Any = get_space("ofa-mobilenetv3")
LOGITS = [[-0.0263089, 0.09820191, 0.001376602, -0.09788838], [-0.02618011, 0.0981197, 0.001318897, -0.09775627]]
"""First logits of `networks` with the weights of `supernet`, from the published code: ``get_active_subnet`` of
``OFAMobileNetV3`` in mit-han-lab/once-for-all, commit f03b2673db313b9167e2a1c2b7a5cad540cc1313."""


def networks() -> list[Any]:
    return SPACE.sample(np.random.default_rng(3), 2)


@cache
def supernet(classes: int = 1000, spelling: str = ".conv.") -> dict[str, Tensor]:
    """Weights of the whole supernet by the published names: each a fixed wave, so that anyone can make them again."""
    inverted = [(16, 24, False), *[(24, 24, False)] * 3, (24, 40, True), *[(40, 40, True)] * 3, (40, 80, False)]
    inverted += [*[(80, 80, False)] * 3, (80, 112, True), *[(112, 112, True)] * 3, (112, 160, True), *[(160, 160, True)] * 3]
    shapes: dict[str, tuple[int, ...]] = {"first_conv.conv.weight": (16, 3, 3, 3), **norm("first_conv.bn", 16)}
    block = f"blocks.0{spelling}"
    shapes |= {f"{block}depth_conv.conv.weight": (16, 1, 3, 3), **norm(f"{block}depth_conv.bn", 16)}
    shapes |= {f"{block}point_linear.conv.weight": (16, 16, 1, 1), **norm(f"{block}point_linear.bn", 16)}
    for number, (before, after, gated) in enumerate(inverted, start=1):
        block, inner = f"blocks.{number}{spelling}", 6 * before
        shapes |= {f"{block}inverted_bottleneck.conv.conv.weight": (inner, before, 1, 1)}
        shapes |= {**norm(f"{block}inverted_bottleneck.bn.bn", inner), **norm(f"{block}depth_conv.bn.bn", inner)}
        shapes |= {f"{block}depth_conv.conv.conv.weight": (inner, 1, 7, 7)}
        shapes |= {f"{block}depth_conv.conv.7to5_matrix": (25, 25), f"{block}depth_conv.conv.5to3_matrix": (9, 9)}
        if gated:
            middle = (inner // 4 + 4) // 8 * 8
            shapes |= {
                f"{block}depth_conv.se.fc.reduce.weight": (middle, inner, 1, 1),
                f"{block}depth_conv.se.fc.reduce.bias": (middle,),
            }
            shapes |= {
                f"{block}depth_conv.se.fc.expand.weight": (inner, middle, 1, 1),
                f"{block}depth_conv.se.fc.expand.bias": (inner,),
            }
        shapes |= {f"{block}point_linear.conv.conv.weight": (after, inner, 1, 1), **norm(f"{block}point_linear.bn.bn", after)}
    shapes |= {"final_expand_layer.conv.weight": (960, 160, 1, 1), **norm("final_expand_layer.bn", 960)}
    shapes |= {"feature_mix_layer.conv.weight": (1280, 960, 1, 1)}
    shapes |= {"classifier.linear.weight": (classes, 1280), "classifier.linear.bias": (classes,)}
    return {name: wave(name, shape) for name, shape in shapes.items()}


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def wave(name: str, shape: tuple[int, ...]) -> Tensor:
    count = int(np.prod(shape))
    values = torch.sin(torch.arange(count, dtype=torch.float64) * 1.7 + count % 7)
    if name.endswith("matrix"):
        return (torch.eye(shape[0], dtype=torch.float64) + 0.1 * values.reshape(shape)).float()
    if name.endswith("running_var") or ("bn" in name and name.endswith("weight")):
        return (1 + 0.3 * values).reshape(shape).float()
    if len(shape) == 1:
        return (0.1 * values).reshape(shape).float()
    return (values * (2 / np.prod(shape[1:])) ** 0.5).reshape(shape).float()


def image(resolution: int) -> Tensor:
    values = torch.sin(torch.arange(3 * resolution**2, dtype=torch.float64) * 0.37)
    return values.reshape(1, 3, resolution, resolution).float()


@pytest.mark.parametrize("spelling", [".conv.", ".mobile_inverted_conv."])
def test_sub_networks_compute_what_the_published_code_computes(spelling: str) -> None:
    for network, expected in zip(networks(), LOGITS, strict=True):
        module = SPACE.to_module(network, supernet={"state_dict": supernet(spelling=spelling)}).eval()
        with torch.no_grad():
            found = module(image(SPACE.stages(network)[0]))[0, : len(expected)]
        assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_weights_from_files_are_those_from_memory(tmp_path: Path) -> None:
    state = supernet(classes=10)
    save_file(state, tmp_path / "net.safetensors")
    torch.save({"state_dict": state}, tmp_path / "net.pth")
    expected = SPACE.to_module(networks()[0], supernet=state, num_classes=10).state_dict()
    for file in ("net.safetensors", "net.pth"):
        found = SPACE.to_module(networks()[0], supernet=tmp_path / file, num_classes=10).state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_wrong_weights_say_what_is_wrong(tmp_path: Path) -> None:
    state = supernet(classes=10)
    with pytest.raises(StorageError, match="cannot read"):
        SPACE.to_module(networks()[0], supernet=tmp_path / "missing.pth")
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(CorruptFileError, match="holds no weights"):
        SPACE.to_module(networks()[0], supernet=tmp_path / "bad.pth")
    with pytest.raises(CorruptFileError, match=r"classifier.*expected \(1000, 1280\)|classifier.*too small"):
        SPACE.to_module(networks()[0], supernet=state)
    lacking = {name: value for name, value in state.items() if "5to3" not in name and "7to5" not in name}
    with pytest.raises(CorruptFileError, match="lack 'blocks"):
        SPACE.to_module(networks()[0], supernet=lacking, num_classes=10)
    with pytest.raises(CorruptFileError, match="weights by name"):
        SPACE.to_module(networks()[0], supernet={"a": 1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three classes that differ by their colour."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for label, name in enumerate(("apple", "leaf", "sky")):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 80, size=(150, 170 + number, 3), dtype=np.uint8)
                pixels[:, :, label] += 150
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.{'png' if number % 2 else 'jpeg'}")
    return tmp_path


def test_accuracy_on_a_folder_is_an_objective(folder: Path) -> None:
    small = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5, "r": [128]}
    objective = ImageFolderAccuracy(folder, supernet(classes=3), calibration_images=12, batch_size=6)
    assert (len(objective.training), len(objective.validation)) == (12, 12)
    search = RandomSearch("ofa-mobilenetv3")
    network = SPACE.parse(small)
    trial = search.tell(network, objective(network))
    assert 0 <= trial.values["val_accuracy"] <= 100
    assert objective(network) == trial.values
    assert len(ImageFolderAccuracy(folder, supernet(classes=3), validation_images=5).validation) == 5


def test_calibration_takes_the_statistics_of_the_images() -> None:
    module = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    batches = [torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(i)) * 3 + 1 for i in range(4)]
    calibrate(module, batches)
    assert not module[0].training
    assert module[0].momentum == 0.1
    seen = torch.cat(batches).permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(module[0].running_mean, seen.mean(1), atol=1e-5)
    assert torch.allclose(module[0].running_var, seen.var(1), rtol=0.05)


def test_wrong_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="no images"):
        ImageFolderAccuracy(tmp_path / "nothing", supernet(classes=3))
    (folder / "val" / "zebra").mkdir()
    with pytest.raises(InvalidDataError, match="other classes"):
        ImageFolderAccuracy(folder, supernet(classes=3))
