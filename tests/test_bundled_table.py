"""The scripts that train the bundled table, and the table against the records of its trainings."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from emprox import get_space, load_table
from emprox.tables import read_table, write_table

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


def record(cell, accuracies, loss):
    return {
        "architecture": cell,
        "train_loss_curve": [2.0, loss],
        "val_accuracy_curve": [20.0, 70.0],
        "val_accuracy": accuracies,
        "test_accuracy": [value - 10 for value in accuracies],
        "train_seconds": 0.5,
    }


class TestCollect:
    def test_means_spreads_counts_curves_and_costs(self, script, tmp_path):
        table = script.table_of([record(CELLS[0], [70.0, 74.0], 0.25), record(CELLS[1], [50.0, 51.0, 52.0], 0.5)])
        write_table(table, tmp_path / "t.csv")
        table = read_table(tmp_path / "t.csv")
        assert [str(architecture) for architecture in table.architectures] == CELLS
        assert table.targets["val_accuracy"].tolist() == [72, 51]
        assert table.targets["test_accuracy"].tolist() == [62, 41]
        np.testing.assert_allclose(table.spreads["val_accuracy"], [8**0.5, 1], atol=1e-3)
        assert table.counts["test_accuracy"].tolist() == [2, 3]
        assert table.curves["train_loss"].tolist() == [[2, 0.25], [2, 0.5]]
        networks = [script.SETTINGS[script.CHOSEN].network(cell) for cell in table.architectures]
        assert table.columns["parameters"].tolist() == [network.parameters for network in networks]
        assert table.columns["macs"].tolist() == [network.macs for network in networks]

    def test_proxies_are_columns(self, script, tmp_path):
        cells = [SPACE.parse(cell) for cell in CELLS]
        found = script.complete(cells, script.proxies_of, tmp_path / "proxies.jsonl", processes=1)
        assert found[0] == script.proxies_of(cells[0])
        assert None not in found[0]["proxies"].values()
        assert found[1]["proxies"]["grad_norm"] is not None
        assert found[1]["proxies"]["jacov"] is None  # nothing reaches the output
        records = [record(CELLS[0], [70.0, 74.0], 0.25), record(CELLS[1], [50.0, 51.0], 0.5)]
        write_table(script.table_of(records, {r["architecture"]: r["proxies"] for r in found}), tmp_path / "t.csv")
        columns = read_table(tmp_path / "t.csv").columns
        assert columns["snip"].tolist() == [r["proxies"]["snip"] for r in found]
        assert np.isnan(columns["jacov"]).tolist() == [False, True]

    def test_a_line_cut_short_is_trained_again(self, script, setting, tmp_path):
        cells, path = [SPACE.parse(cell) for cell in CELLS], tmp_path / "cells.jsonl"
        both = script.train_missing(cells, setting, 2, path, processes=1)
        path.write_text(path.read_text()[:-40])
        again = script.train_missing(cells, setting, 2, path, processes=1)
        assert [r["architecture"] for r in again] == CELLS
        assert [r["val_accuracy"] for r in again] == [r["val_accuracy"] for r in both]

    def test_the_shipped_table_is_what_was_trained(self, script):
        table = load_table("bundled")
        first = script.table_of(script.read_records(script.RESULTS / "bundled" / "cells.jsonl")[:40])
        for name, values in first.targets.items():
            assert table.targets[name][:40].tolist() == values.tolist()
        np.testing.assert_array_equal(table.curves["train_loss"][:40], first.curves["train_loss"])
        assert table.architectures[:40] == first.architectures


class TestAgreement:
    def test_seeds_that_rank_alike_and_seeds_that_do_not(self, script):
        quality, noise = np.linspace(50, 90, 40)[:, None], np.random.default_rng(0).normal(size=(40, 4))
        assert set(script.agreement(quality + 0.01 * noise).values()) == {1.0}
        tau = script.agreement(noise)
        assert abs(tau["kendall_between_seeds"]) < 0.3
        assert abs(tau["kendall_between_halves"]) < 0.3

    def test_expected_and_ceiling_are_what_further_seeds_show(self, script):
        rng = np.random.default_rng(1)
        quality = rng.normal(size=(1000, 1))
        seeds, others = quality + rng.normal(size=(1000, 4)), quality + rng.normal(size=(1000, 4))
        tau = script.agreement(seeds)
        assert tau["kendall_expected"] == pytest.approx(kendalltau(seeds.mean(1), others.mean(1))[0], abs=0.03)
        assert tau["kendall_ceiling"] == pytest.approx(kendalltau(seeds.mean(1), quality[:, 0])[0], abs=0.03)


class TestCheck:
    def test_the_same_trainings_differ_by_nothing(self, script):
        records = [record(CELLS[0], [70.0, 74.0], 0.25), record(CELLS[1], [50.0, 53.0], 0.5)]
        assert script.errors_of(script.table_of(records), records) == {"val_accuracy": 0, "test_accuracy": 0}

    def test_a_difference_counts_in_standard_errors(self, script):
        stored = [record(CELLS[0], [70.0, 74.0], 0.25)]
        again = [record(CELLS[0], [78.0, 82.0], 0.25)]
        assert script.errors_of(script.table_of(stored), again)["val_accuracy"] == pytest.approx(8 / 8**0.5, rel=1e-3)
