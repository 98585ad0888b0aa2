"""Pickles: what plain data says, and that nothing else is ever done."""

import hashlib
import io
import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emprox.errors import CorruptFileError, StorageError
from emprox.tables import minibench
from emprox.tables.allow_list import unpickle_allowed
from emprox.tables.minibench import read_nasbench201_12epochs
from emprox.tables.plain_pickle import read_plain_pickle
from tests.malicious import Malicious


def plain(value):
    """Return the value with arrays as lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if isinstance(value, (list, tuple)) else value


numbers = st.floats(allow_nan=False) | st.integers(-(2**200), 2**200)
leaves = numbers | st.booleans() | st.none() | st.text(max_size=300)
keys = st.text(max_size=5) | numbers | st.tuples(st.text(max_size=3), st.integers())
values = st.recursive(
    leaves | st.lists(st.floats(allow_nan=False), max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)


@given(values, st.integers(2, 5), st.booleans())
def test_plain_data_reads_as_it_was_written(value, protocol, optimized):
    written = pickle.dumps([value, value, 1.5], protocol)
    data = pickletools.optimize(written) if optimized else written
    assert plain(read_plain_pickle(io.BytesIO(data), "it")) == [value, value, 1.5]


@pytest.mark.parametrize("length", [1, 2, 999, 1000, 1001, 2000, 2001, 200_000])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_list_of_floats_comes_as_an_array(length, protocol):
    floats = np.random.default_rng(0).normal(size=length)
    came = read_plain_pickle(io.BytesIO(pickle.dumps({"a": floats.tolist()}, protocol)), "it")["a"]
    assert isinstance(came, np.ndarray)
    np.testing.assert_array_equal(came, floats)


@pytest.mark.parametrize(
    "value", [[1.0] * 5 + ["a"], [1.0] * 1000 + ["a"], ["a", 1.0, 2.0], [(1.0, 2.0), (3.0, 4.0)], [[1.0], [2.0]], [1.0, 2]]
)
def test_floats_among_others_stay_a_list(value):
    assert plain(read_plain_pickle(io.BytesIO(pickle.dumps(value)), "it")) == value


def test_what_is_left_out_is_left_out_everywhere():
    cell = {"wanted": [1.0, 2.0], "unwanted": {"deep": [[3.0], {"x": 4.0}]}}
    came = read_plain_pickle(io.BytesIO(pickle.dumps({"a": cell, "b": [cell["wanted"]]})), "it", {"unwanted"}.__contains__)
    assert plain(came) == {"a": {"wanted": [1.0, 2.0]}, "b": [[1.0, 2.0]]}


@pytest.mark.parametrize("shared", [[3.0, 4.0], ["a"], {"x": [1.0], "y": {}}])
def test_what_is_left_out_and_wanted_elsewhere_is_never_empty(shared):
    for value in ({"unwanted": shared, "wanted": shared}, {"wanted": shared, "unwanted": [shared, shared]}):
        came = read_plain_pickle(io.BytesIO(pickle.dumps(value)), "it", {"unwanted"}.__contains__)
        assert plain(came) == {"wanted": shared}
    apart = [{"unwanted": {"z": shared}}, {"unwanted": shared}, {"wanted": 1}]
    assert read_plain_pickle(io.BytesIO(pickle.dumps(apart)), "it", {"unwanted"}.__contains__) == [{}, {}, {"wanted": 1}]
    with pytest.raises(CorruptFileError, match="left out"):
        read_plain_pickle(io.BytesIO(pickle.dumps([{"unwanted": shared}, shared])), "it", {"unwanted"}.__contains__)


@pytest.mark.parametrize(
    "value", [print, {1, 2}, b"bytes", np.float64(1), np.ones(3), io.BytesIO, range(3), 1j], ids=lambda value: str(type(value))
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_anything_else_is_an_error(value, protocol):
    with pytest.raises(CorruptFileError, match="plain data"):
        read_plain_pickle(io.BytesIO(pickle.dumps([value], protocol)), "it")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_malicious_pickle_does_nothing(tmp_path, protocol):
    marker = tmp_path / "marker"
    data = pickle.dumps({"a": Malicious(marker)}, protocol)
    with pytest.raises(CorruptFileError):
        read_plain_pickle(io.BytesIO(data), "it")
    with pytest.raises(CorruptFileError, match="open"):
        unpickle_allowed(data, minibench.ALLOWED, "it")
    assert not marker.exists()
    with pickle.loads(data)["a"]:
        assert marker.exists()  # it would have


@pytest.mark.parametrize("pickled", [b"K\x01r\x22\x22\x33\x32.", b"K\x01p842150450\n.", b"K\x01p-1\n."])
def test_places_beyond_the_file_are_not_remembered(pickled: bytes) -> None:
    with pytest.raises(CorruptFileError, match="cannot be unpickled safely"):
        unpickle_allowed(pickled, {}, "it")


@pytest.mark.parametrize("module", ["os.system", "builtins.eval", "pandas.core.frame.os", "numpy.load", "builtins.getattr"])
def test_the_allow_list_knows_no_other_globals(module):
    name, _, attribute = module.rpartition(".")
    with pytest.raises(CorruptFileError, match=f"{module}, which is not allowed"):
        unpickle_allowed(f"c{name}\n{attribute}\n.".encode(), minibench.ALLOWED, "it")


@given(st.binary(max_size=60))
def test_noise_is_an_error_of_ours(noise):
    for read in (lambda: read_plain_pickle(io.BytesIO(noise), "it"), lambda: unpickle_allowed(noise, {}, "it")):
        try:
            read()
        except CorruptFileError:
            continue


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_pickle_is_read_or_an_error_of_ours(position, byte):
    data = bytearray(DAMAGED)
    data[position % len(data)] = byte
    try:
        read_plain_pickle(io.BytesIO(bytes(data)), "it")
    except CorruptFileError:
        return


DAMAGED = pickle.dumps([{"a": [1.0] * 30, "b": ("x", 2, None, True)}, [[1.5], {"c": 2**70}]] * 3)


@pytest.mark.parametrize("length", [0, 1, 5, -1])
def test_a_pickle_that_shrank(length):
    with pytest.raises(CorruptFileError, match="it ends early"):
        read_plain_pickle(io.BytesIO(pickle.dumps({"a": [1.0, 2.0]})[:length]), "it")


def test_a_text_longer_than_any_is_not_allocated():
    with pytest.raises(CorruptFileError, match="expected at most"):
        read_plain_pickle(io.BytesIO(b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"abc"), "it")


class TestTwelveEpochs:
    def test_any_other_file_is_not_unpickled(self, tmp_path):
        path, marker = tmp_path / "mini-bench-arch-cell-accs.pd", tmp_path / "marker"
        path.write_bytes(pickle.dumps(Malicious(marker)))
        with pytest.raises(CorruptFileError, match="not the published file"):
            read_nasbench201_12epochs(path, "cifar10")
        assert not marker.exists()

    def test_even_with_the_right_hash_only_ten_globals_may_appear(self, tmp_path, monkeypatch):
        path, marker = tmp_path / "mini-bench-arch-cell-accs.pd", tmp_path / "marker"
        path.write_bytes(pickle.dumps(Malicious(marker)))
        monkeypatch.setattr(minibench, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        with pytest.raises(CorruptFileError, match="not allowed"):
            read_nasbench201_12epochs(path, "cifar10")
        assert not marker.exists()

    def test_the_allow_list_is_what_the_file_holds(self, tables_root):
        data = (tables_root / "originals" / "mini-bench-arch-cell-accs.pd").read_bytes()
        assert len(minibench.ALLOWED) == 10
        unpickle_allowed(data, minibench.ALLOWED, "it")
        for missing in minibench.ALLOWED:
            allowed = {key: value for key, value in minibench.ALLOWED.items() if key != missing}
            with pytest.raises(CorruptFileError, match="not allowed"):
                unpickle_allowed(data, allowed, "it")

    def test_the_values_are_those_that_pandas_reads(self, tables_root):
        pandas = pytest.importorskip("pandas")
        path = tables_root / "originals" / "mini-bench-arch-cell-accs.pd"
        frame = pandas.read_pickle(path)
        for dataset, prefix in (("cifar10", "cifar10"), ("cifar100", "cifar100"), ("ImageNet16-120", "imagenet")):
            table = read_nasbench201_12epochs(path, dataset)
            assert [str(a) for a in table.architectures] == frame.cellstr.tolist()
            np.testing.assert_array_equal(table.targets["val_accuracy"], frame[f"{prefix}-val"])
            np.testing.assert_array_equal(table.targets["test_accuracy"], frame[f"{prefix}-test"])

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(StorageError):
            read_nasbench201_12epochs(tmp_path / "none", "cifar10")
