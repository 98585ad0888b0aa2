import shutil
from pathlib import Path

import numpy as np
import pytest

from emprox.errors import (
    CorruptFileError,
    InvalidArchitectureError,
    InvalidDataError,
    InvalidOptionError,
    StorageError,
    TableNotFoundError,
    UnknownNameError,
)
from emprox.spaces import Architecture, get_space
from emprox.tables import PerformanceTable, load_table, read_csv

SPACE = get_space("nasbench201")
ARCHS = tuple(SPACE.sample(np.random.default_rng(0), 200))


@pytest.fixture
def table() -> PerformanceTable:
    return PerformanceTable("mine", "nasbench201", ARCHS, {"val_accuracy": np.arange(200.0), "latency_ms": -np.arange(200.0)})


def test_real_table(tables_root: Path) -> None:
    table = load_table("nasbench201", tables_root)
    assert len(table) == len(set(table.architectures)) == 15_625
    for variant, maximum in {"cifar10": 91.57, "cifar100": 73.26, "ImageNet16-120": 47.33}.items():
        values = load_table(f"nasbench201:{variant}", tables_root).target()[1]
        assert values.max() == pytest.approx(maximum, abs=0.005)
    assert len(table.population("no-none")) == 4_096
    assert len(table.population("connected")) == 15_284
    assert len(table.population("classes")) == 5_425


def test_bundled_table_needs_no_root() -> None:
    table = load_table("bundled")
    values = table.target("val_accuracy")[1]
    assert len(table) >= 300
    assert len(table.population("classes")) == len(table)
    assert (values > 5).all()
    assert (values <= 100).all()
    assert np.std(values) > 1


def test_split_is_the_documented_permutation(table: PerformanceTable) -> None:
    order = np.random.default_rng([7, 3]).permutation(200)
    test, train = table.split(20, 50, seed=7, trial=3)
    np.testing.assert_array_equal(test, order[:50])
    np.testing.assert_array_equal(train, order[50:70])
    more_test, more = table.split(80, 50, seed=7, trial=3)
    np.testing.assert_array_equal(more_test, test)
    np.testing.assert_array_equal(more[:20], train)


def test_rest_is_the_same_for_nested_training_sets(table: PerformanceTable) -> None:
    small_test, small = table.split(20, "rest", seed=0, largest_train_size=60)
    large_test, large = table.split(60, "rest", seed=0, largest_train_size=60)
    np.testing.assert_array_equal(small_test, large_test)
    np.testing.assert_array_equal(large[:20], small)
    assert sorted([*large_test, *large]) == list(range(200))


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (-1, 10, "train_size"),
        (10, 0, "test_size"),
        (150, 51, "51 test rows and 150"),
        (200, "rest", "test_size"),
        (1.5, 10, "train_size"),
    ],
)
def test_impossible_splits(table: PerformanceTable, train: int, test: int, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        table.split(train, test, seed=0)


def test_columns_are_checked() -> None:
    with pytest.raises(InvalidDataError, match="column 'accuracy': expected 200 measurements"):
        PerformanceTable("mine", "nasbench201", ARCHS, {"accuracy": np.zeros(3)})
    with pytest.raises(InvalidDataError, match="column 'accuracy': measurements must be finite; number 1 is nan"):
        PerformanceTable("mine", "nasbench201", ARCHS[:2], {"accuracy": np.array([1, np.nan])})
    with pytest.raises(InvalidDataError, match="no target"):
        PerformanceTable("mine", "nasbench201", ARCHS, {})
    with pytest.raises(InvalidArchitectureError, match="expected one of nasbench201"):
        PerformanceTable("mine", "nasbench201", (Architecture("darts", (1,)),), {"a": np.zeros(1)})


def test_rows_and_targets(table: PerformanceTable) -> None:
    part = table.rows([5, 3])
    assert part.architectures == (ARCHS[5], ARCHS[3])
    assert part.target("latency_ms")[1].tolist() == [-5, -3]
    assert table.target()[0] == "val_accuracy"
    with pytest.raises(UnknownNameError, match="did you mean 'latency_ms'"):
        table.target("latency")
    with pytest.raises(UnknownNameError, match="did you mean 'connected'"):
        table.population("conected")


def test_names_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        load_table("nasbench-201")
    with pytest.raises(UnknownNameError, match="did you mean 'cifar100'"):
        load_table("nasbench201:cifar-100")


class TestSearchForFiles:
    @pytest.fixture(autouse=True)
    def _nowhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("EMPROX_TABLES", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        (tmp_path / "a" / "originals").mkdir(parents=True)
        (tmp_path / "b").mkdir()

    def test_every_place_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            TableNotFoundError, match=r"nb201_zen.zip is in none of: .*/a, .*/a/originals, .*cache.*Get it from https"
        ):
            load_table("nasbench201", tmp_path / "a")

    def test_order_of_places(self, tmp_path: Path, tables_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = tables_root / "originals" / "nb201_zen.zip"
        monkeypatch.setenv("EMPROX_TABLES", str(tmp_path / "b"))
        shutil.copy(real, tmp_path / "b")
        assert len(load_table("nasbench201")) == 15_625
        (tmp_path / "a" / "originals" / "nb201_zen.zip").write_bytes(b"wrong")
        with pytest.raises(CorruptFileError, match=r"a/originals/nb201_zen.zip is not the catalogue's file: 5 bytes"):
            load_table("nasbench201", tmp_path / "a")

    def test_right_length_wrong_bytes(self, tmp_path: Path, tables_root: Path) -> None:
        data = bytearray((tables_root / "originals" / "nb201_zen.zip").read_bytes())
        data[1000] ^= 1
        (tmp_path / "a" / "nb201_zen.zip").write_bytes(data)
        with pytest.raises(CorruptFileError, match="sha256"):
            load_table("nasbench201", tmp_path / "a")

    def test_a_folder_that_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(StorageError, match="missing or no folder"):
            load_table("nasbench201", tmp_path / "no")
        monkeypatch.setenv("EMPROX_TABLES", str(tmp_path / "no"))
        with pytest.raises(StorageError, match="missing or no folder"):
            load_table("nasbench201")


class TestOwnResults:
    def write(self, folder: Path, text: str) -> Path:
        path = folder / "results.csv"
        path.write_text(text, encoding="utf-8")
        return path

    def test_reads_architectures_targets_and_spread(self, tmp_path: Path) -> None:
        rows = "".join(f'"{a.spec}",{i},{i / 10}\n' if i % 2 else f"{a},{i},{i / 10}\n" for i, a in enumerate(ARCHS[:6]))
        path = self.write(tmp_path, "\ufeffarchitecture,acc,sd\n" + rows)
        table = read_csv(path, "nasbench201", "acc", std="sd")
        assert table.architectures == ARCHS[:6]
        assert table.targets["acc"].tolist() == [0, 1, 2, 3, 4, 5]
        np.testing.assert_allclose(table.spreads["acc"], np.arange(6) / 10)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("architecture,accuracy\n", "has no column 'acc'; did you mean 'accuracy'"),
            ("", "has no header; its first line has to name columns"),
            ("architecture;acc\nx;1\n", "expected commas between columns and decimal points, got 'architecture;acc'"),
            ("architecture,acc,acc\nx,1,2\n", "has 2 columns 'acc'; rename all but one"),
            (
                f"architecture,acc\n{ARCHS[0]},91\n{ARCHS[0]},91,53\n",
                "line 3: more cells than the header has; .*write 91.5, not 91,5",
            ),
            ("architecture,acc\n", "no rows"),
            ("architecture,acc\nwrong,1\n", "line 2: expected three groups"),
            (f"architecture,acc\n{ARCHS[0]},1\n{ARCHS[0]},\n", "line 3: acc is '', expected a finite number"),
            (f"architecture,acc\n{ARCHS[0]}\n", "line 2: acc is None"),
            (f"architecture,acc\n{ARCHS[0]},nan\n", "line 2: acc is 'nan'"),
            (f"architecture,acc\n{ARCHS[0]},-inf\n", "line 2: acc is '-inf'"),
            (f"architecture,acc\n{ARCHS[0]},good\n", "line 2: acc is 'good'"),
            ('architecture,acc\n"x,1\n', "not a csv file"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(InvalidDataError, match=message):
            read_csv(self.write(tmp_path, text), "nasbench201", "acc")

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot read"):
            read_csv(tmp_path / "no.csv", "nasbench201", "acc")
        (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
        with pytest.raises(StorageError, match="cannot read"):
            read_csv(tmp_path / "binary.csv", "nasbench201", "acc")
