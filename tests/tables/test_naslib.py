"""NASLib's pickles, on small files of the same layout."""

import pickle

import numpy as np
import pytest

from emprox.errors import CorruptFileError, StorageError, UnknownNameError
from emprox.spaces import get_space
from emprox.tables import read_naslib
from tests.malicious import Malicious

SPACE = get_space("nasbench201")
KEYS = {"cifar10": "cifar10-valid", "cifar100": "cifar100", "ImageNet16-120": "ImageNet16-120"}
CURVES = {
    "eval_acc1es": "val_accuracy",
    "train_acc1es": "train_accuracy",
    "eval_losses": "val_loss",
    "train_losses": "train_loss",
}


def layout(n=6, epochs=12, datasets=("cifar10-valid", "cifar100", "ImageNet16-120")):
    rng = np.random.default_rng(0)
    costs = {"train_time": 5.0, "flops": 15.6, "params": 0.129, "latency": 0.013}
    return {
        str(cell): {
            data: {**{key: rng.uniform(0, 100, epochs).tolist() for key in CURVES}, "cost_info": costs} for data in datasets
        }
        for cell in SPACE.sample(rng, n)
    }


def write(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dataset", list(KEYS))
def test_curves_and_last_values_of_the_data_set(tmp_path, dataset, protocol):
    content = layout()
    table = read_naslib(write(tmp_path / "nb201.pickle", content, protocol), dataset)
    assert [str(a) for a in table.architectures] == list(content)
    for key, name in CURVES.items():
        expected = np.array([cell[KEYS[dataset]][key] for cell in content.values()])
        np.testing.assert_array_equal(table.curves[name], expected)
        np.testing.assert_array_equal(table.targets[name], expected[:, -1])
    assert table.measures["val_loss"].larger_is_better is False
    assert table.columns["latency_seconds"].tolist() == [0.013] * 6
    assert "NAS-Bench-201" in table.citation


def test_the_form_that_naslib_hands_around(tmp_path):
    plain = read_naslib(write(tmp_path / "a.pickle", layout()))
    wrapped = read_naslib(write(tmp_path / "b.pickle", {"nb201_data": layout()}))
    np.testing.assert_array_equal(plain.curves["val_accuracy"], wrapped.curves["val_accuracy"])


def test_lists_with_one_entry_and_without_costs(tmp_path):
    content = layout(epochs=1, datasets=("cifar10-valid",))
    for cell in content.values():
        del cell["cifar10-valid"]["cost_info"]
    table = read_naslib(write(tmp_path / "a.pickle", content))
    assert table.curves["val_accuracy"].shape == (6, 1)
    assert table.columns == {}


def test_a_training_that_stopped_early_is_filled_with_nan(tmp_path):
    content = layout()
    first = next(iter(content.values()))["cifar10-valid"]
    first["eval_acc1es"] = first["eval_acc1es"][:7]
    table = read_naslib(write(tmp_path / "a.pickle", content))
    assert np.isnan(table.curves["val_accuracy"][0]).tolist() == [False] * 7 + [True] * 5
    assert table.targets["val_accuracy"][0] == first["eval_acc1es"][-1]


def test_a_malicious_pickle_does_nothing(tmp_path):
    marker = tmp_path / "marker"
    for content in (Malicious(marker), {**layout(), "x": Malicious(marker)}):
        with pytest.raises(CorruptFileError, match="not a pickle of plain data"):
            read_naslib(write(tmp_path / "a.pickle", content))
    assert not marker.exists()


@pytest.mark.parametrize(
    "content", [{}, [], 3, {"a": 1}, {"no cell": {"cifar10-valid": {"eval_acc1es": [1.0]}}}, layout(datasets=("cifar100",))]
)
def test_another_layout(tmp_path, content):
    with pytest.raises(CorruptFileError, match="NASLib"):
        read_naslib(write(tmp_path / "a.pickle", content))


def test_a_file_that_shrank(tmp_path):
    path = write(tmp_path / "a.pickle", layout())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CorruptFileError, match="ends early"):
        read_naslib(path)


def test_names_and_places(tmp_path):
    with pytest.raises(UnknownNameError, match="'cifar100'"):
        read_naslib(tmp_path / "a.pickle", "cifar1000")
    with pytest.raises(StorageError, match=r"a\.pickle"):
        read_naslib(tmp_path / "a.pickle")
