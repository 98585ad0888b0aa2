"""Trainings of the bundled table: data, recipe, and all seeds of a cell trained together as one network.

A training of a tiny network is mostly the overhead of its calls. `together` widens every layer so that one network holds
those of all seeds side by side; they share the calls and nothing else, and their weights take the same steps as alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from emprox.spaces import Architecture, get_space
from emprox.spaces._modules import GraphModule
from emprox.spaces.graph import ComputationGraph

SPACE = get_space("nasbench201")
CURVE_SIZE = 300
"""Validation examples in the accuracy after each epoch; those after the last epoch are taken on all."""


@dataclass(frozen=True)
class Setting:
    """Digits (scikit-learn's, 8 x 8 images of 10 classes) and a training recipe."""

    train_size: int = 400
    val_size: int = 600
    epochs: int = 20
    batch_size: int = 50
    learning_rate: float = 3e-3
    """Peak of the one-cycle schedule of AdamW."""
    channels: int = 4
    shift: int = 0
    """Digits are moved by up to this many pixels along both axes: a training image anew in each epoch, the others once."""
    margin: int = 0
    """Pixels that the images have more than 8 on each side; what is moved out of them is lost."""
    copies: int = 1
    """Differently moved copies of each validation and test image on which the accuracies after the last epoch are taken."""
    weight_decay: float = 1e-3
    cells_per_stage: int = 1

    def network(self, architecture: Architecture) -> ComputationGraph:
        """Return the network of one seed."""
        return SPACE.network(
            architecture,
            in_channels=1,
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            resolution=8 + 2 * self.margin,
        )


LONG = Setting(shift=1, copies=5)
SHORT = replace(LONG, epochs=10, learning_rate=1e-2, cells_per_stage=2)
SETTINGS = {
    "one-cell": LONG,
    "one-cell-rate": replace(LONG, learning_rate=1e-2),
    "one-cell-short": replace(LONG, epochs=10, learning_rate=2e-2),
    "two-cells": SHORT,
    "two-cells-rate": replace(SHORT, learning_rate=2e-2),
    "two-cells-high-rate": replace(SHORT, learning_rate=4e-2),
    "two-cells-shorter": replace(SHORT, epochs=6),
    "two-cells-large-batch": replace(SHORT, batch_size=100, learning_rate=2e-2),
    "chosen": replace(SHORT, learning_rate=2e-2, copies=2),
}
CHOSEN = "chosen"
"""As ``two-cells-rate``, with fewer copies to evaluate."""


@dataclass(frozen=True)
class Data:
    """Images with zero mean and unit variance over the training part, and their labels."""

    train: Tensor
    """(n, windows, 1, size, size): every image in all positions that it can be moved to."""
    train_labels: Tensor
    validation: tuple[Tensor, Tensor]
    """Images (copies * n, 1, size, size), labels (copies * n,); first one copy of each image, then another of each."""
    test: tuple[Tensor, Tensor]


@lru_cache(maxsize=1)
def load_data(setting: Setting) -> Data:
    """Return training, validation and test part; the split never changes."""
    digits = load_digits()
    images, labels = _windows(digits.images, setting.shift, setting.margin), digits.target
    rng = np.random.default_rng(0)
    train, validation, test = np.split(rng.permutation(len(labels)), np.cumsum([setting.train_size, setting.val_size]))
    images = (images - images[train].mean()) / images[train].std()

    def evaluated(part: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        rows = np.tile(part, setting.copies)
        moved = images[rows, rng.integers(images.shape[1], size=len(rows))]
        return torch.tensor(moved, dtype=torch.float32), torch.tensor(labels[rows])

    train_images = torch.tensor(images[train], dtype=torch.float32)
    return Data(train_images, torch.tensor(labels[train]), evaluated(validation), evaluated(test))


def _windows(images: NDArray[np.float64], shift: int, margin: int) -> NDArray[np.float64]:
    """Return each image in all positions, ndarray of shape (n, (2 * shift + 1)**2, 1, size, size); zeros come in."""
    border, size = margin + shift, images.shape[1] + 2 * margin
    padded = np.pad(images, ((0, 0), (border, border), (border, border)))
    starts = range(2 * shift + 1)
    return np.stack([padded[:, i : i + size, j : j + size] for i in starts for j in starts], axis=1)[:, :, None]


def together(graph: ComputationGraph, copies: int) -> ComputationGraph:
    """Return the network that holds several copies of a network side by side, each with channels of its own.

    Convolutions keep the copies apart as groups, the linear layer becomes a grouped 1x1 convolution; batch normalisation,
    pooling and activations treat channels one by one anyway. For networks without concatenations, as in this space.
    """
    kinds, attributes = list(graph.kinds), []
    for number, node in enumerate(graph.attributes):
        node = replace(node, channels=node.channels * copies)
        if graph.kinds[number] == "conv":
            node = replace(node, groups=copies)
        elif graph.kinds[number] == "linear":
            kinds[number], node = "conv", replace(node, kernel=(1, 1), stride=(1, 1), dilation=(1, 1), groups=copies)
        elif node.function == "flatten":
            kinds[number], node = "identity", replace(node, function="")
        attributes.append(node)
    return ComputationGraph(tuple(kinds), graph.edges, tuple(attributes))


def build(graph: ComputationGraph, seeds: Sequence[int]) -> GraphModule:
    """Return the networks of all seeds as one, each with the weights that it has alone."""
    singles = []
    with torch.random.fork_rng():
        for seed in seeds:
            torch.manual_seed(seed)
            singles.append(dict(GraphModule(graph).named_parameters()))
    network = GraphModule(together(graph, len(seeds)))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.cat([single[name] for single in singles]).view_as(parameter))
    return network.to(memory_format=torch.channels_last)


def accuracies(network: nn.Module, images: Tensor, labels: Tensor, seeds: int) -> NDArray[np.float64]:
    """Return the share of correct answers of each seed in percent, ndarray of shape (seeds,)."""
    network.eval()
    correct = torch.zeros(seeds)
    with torch.no_grad():
        for x, y in zip(images.split(100), labels.split(100), strict=True):
            scores = network(_channels_last(x.expand(-1, seeds, -1, -1))).view(len(x), seeds, -1)
            correct += (scores.argmax(2) == y[:, None]).sum(0)
    network.train()
    return 100 * correct.double().numpy() / len(labels)


def epochs(setting: Setting, data: Data, seeds: Sequence[int]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield the batches of each epoch: images (batch, seeds, size, size) and labels (batch, seeds), in each seed's own order."""
    n, windows = data.train.shape[:2]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for _ in range(setting.epochs):
        rows = torch.stack([torch.randperm(n, generator=g) for g in generators], dim=1)  # (n, seeds)
        moves = torch.stack([torch.randint(windows, (n,), generator=g) for g in generators], dim=1)
        parts = [(i, w) for i, w in zip(rows.split(setting.batch_size), moves.split(setting.batch_size), strict=True)]
        yield [(_channels_last(data.train[i, w, 0]), data.train_labels[i]) for i, w in parts if len(i) == setting.batch_size]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def train(architecture: Architecture, seeds: Sequence[int], setting: Setting) -> dict[str, object]:
    """Train one cell with all seeds; return its record: mean curves, accuracies of each seed in percent, seconds.

    ``train_seconds`` is the processor time of the steps, without evaluation, divided by the number of seeds.
    """
    data, n_seeds = load_data(setting), len(seeds)
    network = build(setting.network(architecture), seeds)
    optimizer = torch.optim.AdamW(network.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True)
    steps = setting.epochs * (len(data.train) // setting.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, setting.learning_rate, total_steps=steps)
    losses, curve, seconds = [], [], 0.0
    for batches in epochs(setting, data, seeds):
        start = time.process_time()
        losses.append(np.mean([_step(network, optimizer, schedule, *batch) for batch in batches]))
        seconds += time.process_time() - start
        curve.append(accuracies(network, *(part[:CURVE_SIZE] for part in data.validation), n_seeds).mean())
    finals = [accuracies(network, *part, n_seeds) for part in (data.validation, data.test)]
    return {
        "architecture": str(architecture),
        "train_loss_curve": np.round(losses, 4).tolist(),
        "val_accuracy_curve": np.round(curve, 2).tolist(),
        "val_accuracy": finals[0].round(2).tolist(),
        "test_accuracy": finals[1].round(2).tolist(),
        "train_seconds": round(seconds / n_seeds, 3),
    }


def _step(
    network: nn.Module, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, x: Tensor, y: Tensor
) -> float:
    """Take one step with the images (batch, seeds, size, size) and labels (batch, seeds); return the mean loss.

    The loss is summed over seeds, so that each has the gradient that it has alone.
    """
    optimizer.zero_grad()
    scores = network(x).view(y.numel(), -1)
    loss = nn.functional.cross_entropy(scores, y.flatten(), reduction="sum") / len(y)
    loss.backward()
    optimizer.step()
    schedule.step()
    return loss.item() / y.shape[1]
