"""NATS-Bench's official layout, on small files that the package itself writes."""

import bz2
import pickle
import sys
from collections import OrderedDict

import numpy as np
import pytest

from emprox.errors import CorruptFileError, InvalidDataError, MissingDependencyError, StorageError, UnknownNameError
from emprox.spaces import get_space
from emprox.tables import read_nats_bench
from tests.malicious import Malicious

nats_bench = pytest.importorskip("nats_bench")
SPACE = get_space("nasbench201")
CELLS = SPACE.sample(np.random.default_rng(1), 3)
SEEDS = {0: [777, 888, 999], 1: [777], 2: [777, 888]}
PARTS = {"cifar10-valid": ["x-valid", "ori-test"], "cifar10": ["ori-test"], "cifar100": ["x-valid", "x-test", "ori-test"]}
EPOCHS = 5


def accuracy(index, name, part, seed, epoch):
    return 50 + index + len(name) / 10 + len(part) / 100 + seed / 1e4 + epoch


def run(index, name, seed, number=float):
    every = {part: range(EPOCHS) if part == "x-valid" else [EPOCHS - 1] for part in PARTS[name]}
    result = nats_bench.ResultsCount(
        name,
        None,
        OrderedDict((epoch, number(90.0)) for epoch in range(EPOCHS)),
        OrderedDict((epoch, number(0.1)) for epoch in range(EPOCHS)),
        1.5,
        120.0,
        {"channel": 16, "num_cells": 5, "arch_str": str(CELLS[index]), "class_num": 10},
        seed,
        EPOCHS,
        [0.01, 0.03],
    )
    result.eval_names = PARTS[name]
    result.eval_acc1es = {f"{p}@{e}": number(accuracy(index, name, p, seed, e)) for p in every for e in every[p]}
    result.eval_losses = {key: number(1.0) for key in result.eval_acc1es}
    return result


def state(index, number=float):
    results = nats_bench.ArchResults(index, str(CELLS[index]))
    for name in PARTS:
        for seed in SEEDS[index]:
            results.update(name, seed, run(index, name, seed, number))
    return {"200": results.state_dict()}


@pytest.fixture
def folder(tmp_path):
    nats_bench.pickle_save({"meta_archs": [str(c) for c in CELLS]}, tmp_path / "meta.pickle")
    for index in range(len(CELLS)):
        nats_bench.pickle_save(state(index), tmp_path / f"{index:06d}.pickle")
    return tmp_path


def check(table, name, part, curve):
    assert table.architectures == tuple(CELLS)
    values = {i: [accuracy(i, name, part, seed, EPOCHS - 1) for seed in seeds] for i, seeds in SEEDS.items()}
    np.testing.assert_allclose(table.targets["val_accuracy"], [np.mean(v) for v in values.values()])
    assert table.counts["val_accuracy"].tolist() == [3, 1, 2]
    np.testing.assert_allclose(table.spreads["val_accuracy"][[0, 2]], [np.std(values[0], ddof=1), np.std(values[2], ddof=1)])
    assert table.curves["val_accuracy"].shape == (3, EPOCHS)
    expected = [[np.mean([accuracy(i, name, part, s, e) for s in seeds]) for e in range(EPOCHS)] for i, seeds in SEEDS.items()]
    np.testing.assert_allclose(table.curves["val_accuracy"], expected)
    assert table.columns["latency_seconds"] == pytest.approx([0.02] * 3)
    assert table.columns["params_millions"].tolist() == [1.5] * 3


def test_the_folder_with_a_file_for_each_architecture(folder):
    table = read_nats_bench(folder, "cifar10")
    check(table, "cifar10-valid", "x-valid", True)
    expected = [np.mean([accuracy(i, "cifar10", "ori-test", s, EPOCHS - 1) for s in seeds]) for i, seeds in SEEDS.items()]
    np.testing.assert_allclose(table.targets["test_accuracy"], expected)


def test_one_file(tmp_path):
    content = {
        "meta_archs": [str(c) for c in CELLS],
        "arch2infos": {i: state(i) for i in (2, 0, 1)},
        "evaluated_indexes": [0, 1, 2],
    }
    nats_bench.pickle_save(content, tmp_path / "all.pickle")
    check(read_nats_bench(tmp_path / "all.pickle.pbz2", "cifar100"), "cifar100", "x-valid", True)


def test_the_package_reads_the_same_values(folder):
    api = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    table = read_nats_bench(folder, "cifar100")
    for index in range(len(CELLS)):
        more = api.get_more_info(index, "cifar100", hp="200", is_random=False)
        assert table.targets["val_accuracy"][index] == pytest.approx(more["valid-accuracy"])
        assert table.targets["test_accuracy"][index] == pytest.approx(more["test-accuracy"])


@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_numbers_of_numpy(tmp_path, number):
    nats_bench.pickle_save(state(0, number), tmp_path / "000000.pickle")
    expected = np.mean([accuracy(0, "cifar10-valid", "x-valid", s, EPOCHS - 1) for s in SEEDS[0]])
    assert read_nats_bench(tmp_path).targets["val_accuracy"] == pytest.approx([expected], rel=1e-6)


def test_a_malicious_file_does_nothing(folder):
    marker = folder / "marker"
    nats_bench.pickle_save({"200": Malicious(marker)}, folder / "000001.pickle")
    with pytest.raises(CorruptFileError, match="not allowed"):
        read_nats_bench(folder)
    nats_bench.pickle_save(Malicious(marker), folder / "all.pickle")
    with pytest.raises(CorruptFileError, match="not allowed"):
        read_nats_bench(folder / "all.pickle.pbz2")
    assert not marker.exists()


def test_a_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "000000.pickle.pbz2").write_bytes(bz2.compress(bytes(100_000_000)))
    with pytest.raises(CorruptFileError, match="unpacks to more than"):
        read_nats_bench(tmp_path)


@pytest.mark.parametrize("content", [3, {}, {"200": 3}, {"200": {}}, {"200": {"all_results": {}}}])
def test_another_content(tmp_path, content):
    nats_bench.pickle_save(content, tmp_path / "000000.pickle")
    with pytest.raises((CorruptFileError, UnknownNameError)):
        read_nats_bench(tmp_path)
    with pytest.raises(CorruptFileError):
        read_nats_bench(tmp_path / "000000.pickle.pbz2")


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"no" + data, lambda data: data[:-9] + b"123456789"]
)
def test_a_damaged_file(folder, damage):
    path = folder / "000002.pickle.pbz2"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptFileError, match="000002"):
        read_nats_bench(folder)


def test_names_and_places(folder, tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="'cifar100'"):
        read_nats_bench(folder, "cifar1000")
    with pytest.raises(UnknownNameError, match="200"):
        read_nats_bench(folder, epochs=12)
    with pytest.raises(StorageError):
        read_nats_bench(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDataError, match="no architecture"):
        read_nats_bench(tmp_path / "empty")
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    with pytest.raises(MissingDependencyError, match=r"emprox\[nats\]"):
        read_nats_bench(folder)


def test_nothing_is_said(folder, capfd):
    read_nats_bench(folder)
    assert capfd.readouterr() == ("", "")
    assert pickle.loads(pickle.dumps(read_nats_bench(folder))).name == "nats-bench:cifar10"
