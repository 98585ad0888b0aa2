"""Accuracy on a folder of images, such as ImageNet's, of sub-networks that take their weights from a supernet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emprox._optional import import_optional
from emprox.errors import InvalidDataError
from emprox.spaces import Architecture, get_space
from emprox.validation import check_at_least

__all__ = ["ImageFolderAccuracy", "calibrate"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels."""
CROP = 0.875
"""Share of the shorter side that is left in the middle."""
ENDINGS = {".jpeg", ".jpg", ".png", ".webp", ".bmp"}

Images = Sequence[tuple[Path, int]]


class ImageFolderAccuracy:
    """Top-1 accuracy in percent of a sub-network of a supernet, without training: an objective for `emprox search`.

    The weights are the supernet's, batch statistics are taken anew on training images, as Once-for-all does before it
    evaluates; images are resized and cropped as its evaluation does. A sub-network of ImageNet takes minutes on a GPU.

    Parameters
    ----------
    folder : str or Path
        Has ``train`` and ``val``, each with a folder for each class, in the order of class numbers when sorted by name.
    supernet : str, Path or mapping
        Weights of the supernet.
    calibration_images : int
        Training images from which batch statistics are taken, drawn with a fixed seed.
    validation_images : int, optional
        Validation images, drawn with a fixed seed; all by default.
    batch_size : int
    device : str

    Raises
    ------
    InvalidDataError
        If a folder holds no images or the classes of the two parts differ.

    References
    ----------
    Cai et al., *Once-for-All: Train One Network and Specialize it for Efficient Deployment*, ICLR 2020.
    """

    def __init__(
        self,
        folder: str | Path,
        supernet: str | Path | Mapping[str, Tensor],
        *,
        calibration_images: int = 2000,
        validation_images: int | None = None,
        batch_size: int = 100,
        device: str = "cpu",
    ) -> None:
        from emprox.spaces.supernet import read_supernet

        for name, value in (("calibration_images", calibration_images), ("batch_size", batch_size)):
            check_at_least(name, value, 1)
        self.classes, training = _images(Path(folder) / "train")
        classes, validation = _images(Path(folder) / "val")
        if classes != self.classes:
            raise InvalidDataError(f"{folder} has other classes in train and val: {sorted(set(self.classes) ^ set(classes))[:5]}")
        self.training = _drawn(training, calibration_images)
        self.validation = validation if validation_images is None else _drawn(validation, validation_images)
        self.supernet = read_supernet(supernet)
        self.batch_size, self.device = batch_size, device

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """Return ``val_accuracy`` of an architecture of ``ofa-mobilenetv3``, in percent."""
        space: Any = get_space("ofa-mobilenetv3")
        resolution, _ = space.stages(architecture)
        module = space.to_module(architecture, supernet=self.supernet, num_classes=len(self.classes)).to(self.device)
        calibrate(module, (images for images, _ in self._batches(self.training, resolution)))
        correct = 0
        with torch.no_grad():
            for images, labels in self._batches(self.validation, resolution):
                correct += int((module(images).argmax(1) == labels).sum())
        return {"val_accuracy": 100 * correct / len(self.validation)}

    def _batches(self, images: Images, resolution: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (batch, 3, resolution, resolution) and labels (batch,)."""
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            stacked = torch.stack([_read(path, resolution) for path, _ in part])
            yield stacked.to(self.device), torch.tensor([label for _, label in part], device=self.device)


def calibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the statistics of all batch normalisations anew from batches of images, and leave the module ready to evaluate."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    module.eval()
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for images in batches:
            module(images)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()


def _images(folder: Path) -> tuple[list[str], list[tuple[Path, int]]]:
    """Return the names of the classes, and the images with the numbers of their classes."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found = [
        (path, number)
        for number, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in ENDINGS
    ]
    if not found:
        raise InvalidDataError(
            f"{folder} holds no images; expected a folder for each class with {', '.join(sorted(ENDINGS))} files"
        )
    return classes, found


def _drawn(images: Images, n: int) -> Images:
    order = np.random.default_rng(0).permutation(len(images))[:n]
    return [images[i] for i in order]


def _read(path: Path, resolution: int) -> Tensor:
    """Return an image, its shorter side resized and the middle cropped, float32 Tensor of shape (3, resolution, resolution)."""
    pillow: Any = import_optional("PIL.Image", "images")
    with pillow.open(path) as opened:
        image = opened.convert("RGB")
    shorter = math.ceil(resolution / CROP)
    scale = shorter / min(image.size)
    width, height = (max(shorter, int(length * scale)) for length in image.size)
    image = image.resize((width, height), pillow.Resampling.BILINEAR)
    left, top = round((width - resolution) / 2), round((height - resolution) / 2)
    pixels = np.asarray(image.crop((left, top, left + resolution, top + resolution)), dtype=np.float32) / 255
    return torch.from_numpy(((pixels - MEAN) / STD).astype(np.float32).transpose(2, 0, 1))
