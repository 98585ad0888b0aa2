"""The scripts that train the bundled table, and the table against the records of its trainings."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from emprox import get_space

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SPACE = get_space("nasbench201")
CELLS = [
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|",  # nothing reaches the cell's output
]
SEEDS = (3, 5, 8)


@pytest.fixture
def training(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("bundled_training")


@pytest.fixture
def script(training):
    return importlib.import_module("build_bundled_table")


@pytest.fixture
def setting(training):
    return training.Setting(train_size=100, epochs=2, shift=1, copies=2)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class TestTogether:
    @pytest.mark.parametrize("cell", CELLS)
    def test_same_outputs_and_gradients_as_alone(self, training, setting, double, cell):
        graph = setting.network(SPACE.parse(cell))
        side_by_side, x = training.build(graph, SEEDS), torch.randn(6, len(SEEDS), 1, 8, 8)
        scores = side_by_side(x.flatten(1, 2)).view(6, len(SEEDS), 10)
        scores.pow(2).sum().backward()
        for i, seed in enumerate(SEEDS):
            alone = training.build(graph, [seed])
            expected = alone(x[:, i]).view(6, 10)
            expected.pow(2).sum().backward()
            torch.testing.assert_close(scores[:, i], expected)
            for wide, single in zip(side_by_side.parameters(), alone.parameters(), strict=True):
                if single.grad is None:
                    assert wide.grad is None
                else:
                    torch.testing.assert_close(wide.grad.chunk(len(SEEDS))[i], single.grad)

    def test_a_seed_has_the_weights_of_the_published_network(self, training, setting):
        torch.manual_seed(5)
        alone = SPACE.to_module(SPACE.parse(CELLS[0]), in_channels=1, channels=4, cells_per_stage=1)
        wide = training.build(setting.network(SPACE.parse(CELLS[0])), SEEDS)
        for (name, single), (same_name, of_all) in zip(alone.named_parameters(), wide.named_parameters(), strict=True):
            assert name == same_name
            assert torch.equal(of_all.chunk(3)[1].flatten(), single.flatten())

    def test_trains_as_alone(self, training, setting):
        cell = SPACE.parse(CELLS[0])
        record = training.train(cell, SEEDS, setting)
        alone = [training.train(cell, [seed], setting) for seed in SEEDS]
        np.testing.assert_allclose(record["train_loss_curve"], np.mean([r["train_loss_curve"] for r in alone], 0), atol=2e-3)
        for name in ("val_accuracy", "test_accuracy"):
            np.testing.assert_allclose(record[name], [r[name][0] for r in alone], atol=0.5)
            assert len(set(record[name])) > 1


def test_moved_images_stay_with_their_labels(training):
    still, moved = (training.load_data(training.Setting(shift=shift, copies=3)) for shift in (0, 1))
    assert moved.train.shape == (400, 9, 1, 8, 8)
    middle, alone = (x / x.std() - (x / x.std()).mean() for x in (moved.train[:, 4], still.train[:, 0]))
    torch.testing.assert_close(middle, alone)
    assert torch.equal(moved.train_labels, still.train_labels)
    labels = moved.validation[1].view(3, 600)
    assert torch.equal(labels[0], labels[2])
    assert torch.equal(labels[0], still.validation[1][:600])
