from pathlib import Path

import numpy as np
import pytest

from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, StorageError
from emprox.index import Record, Store
from emprox.index.exchange import export_records, import_records
from emprox.spaces import get_space
from emprox.tables import Measure
from tests.index.make_first_store import records

CELLS = [str(cell) for cell in get_space("nasbench201").sample(np.random.default_rng(0), 6)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_was_exported_is_imported_as_it_was(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    store = Store(tmp_path / "store", create=True)
    long = Record("nasbench201", CELLS[0], {"val_accuracy": 0.1 + 0.2}, source='quotes ", commas', seed=-(1 << 63))
    store.add_records([*records(), long])
    path = tmp_path / f"all{suffix}"
    export_records(store.records(), path)
    assert import_records(path) == store.records()
    other = Store(tmp_path / "other", create=True)
    assert (other.add_records(import_records(path)), other.add_records(import_records(path))) == (6, 0)
    assert other.measures() == store.measures()
    export_records([], path)
    assert import_records(path) == []


def test_fields_as_long_as_a_large_network(tmp_path: Path) -> None:
    record = Record("network", "graph#" + "x" * 300_000, {"val_accuracy": 1.0})
    export_records([record], tmp_path / "all.csv")
    assert import_records(tmp_path / "all.csv") == [record]


class TestOwnFiles:
    def write(self, path: Path, *rows: str, header: str = "arch,val_accuracy,latency_ms,run") -> Path:
        path.write_text("\n".join(["# made by hand", header, *rows]) + "\n")
        return path

    def read(self, path: Path, **options: object) -> list[Record]:
        names = ["val_accuracy", "latency_ms"]
        return import_records(path, names, **{"space": "nasbench201", "architecture": "arch", "seed": "run", **options})

    def test_importing_again_adds_what_is_new(self, tmp_path: Path) -> None:
        path = tmp_path / "own.csv"
        rows = [f'"{CELLS[0]}",90.5,,0', f'"{CELLS[0]}",90.5,,0', f'"{CELLS[1]}",80,3.5,']
        first = self.read(self.write(path, *rows))
        assert [(r.values, r.seed, r.source) for r in first] == [
            ({"val_accuracy": 90.5}, 0, "own.csv"),
            ({"val_accuracy": 90.5}, 0, "own.csv"),
            ({"val_accuracy": 80.0, "latency_ms": 3.5}, None, "own.csv"),
        ]
        store = Store(tmp_path / "store", create=True)
        assert store.add_records(first) == 3
        assert store.add_records(self.read(path)) == 0
        assert store.add_records(self.read(self.write(path, *rows, f'"{CELLS[0]}",90.5,,0'))) == 1
        assert store.add_records(self.read(path, source="elsewhere")) == 4

    @pytest.mark.parametrize(("text", "seed"), [("1.0", 1), ("-3", -3), (str(2**62 + 1), 2**62 + 1)])
    def test_seeds_as_pandas_writes_them(self, tmp_path: Path, text: str, seed: int) -> None:
        (record,) = self.read(self.write(tmp_path / "own.csv", f'"{CELLS[0]}",90,,{text}'))
        assert record.seed == seed

    def test_half_a_seed(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidDataError, match="row 1: invalid literal"):
            self.read(self.write(tmp_path / "own.csv", f'"{CELLS[0]}",90,,1.5'))

    def test_other_columns_or_values_of_a_row_that_is_there_are_refused(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "own.csv", f'"{CELLS[0]}",90.5,3.5,0')
        store = Store(tmp_path / "store", create=True)

        def add(targets: list[str], **options: object) -> int:
            return store.add_records(import_records(path, targets, space="nasbench201", architecture="arch", **options))

        assert (add(["val_accuracy"]), add(["val_accuracy"])) == (1, 0)
        for targets, options in ((["val_accuracy", "latency_ms"], {}), (["latency_ms"], {}), (["val_accuracy"], {"seed": "run"})):
            with pytest.raises(InvalidDataError, match=r"import the same columns, or give another source\. Nothing"):
                add(targets, **options)
        self.write(path, f'"{CELLS[0]}",91.5,3.5,0')
        with pytest.raises(InvalidDataError, match=r"'val_accuracy': 90\.5.*now it came with .*91\.5"):
            add(["val_accuracy"])
        assert len(store) == 1
        assert add(["latency_ms"], source="own.csv, latency") == 1

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("nonsense,90,,0", "row 1: expected three groups"),
            (f'"{CELLS[0]}",high,,0', "row 1: val_accuracy is 'high'"),
            (f'"{CELLS[0]}",nan,,0', "row 1: val_accuracy is nan"),
            (f'"{CELLS[0]}",,,0', "row 1: a record needs at least one"),
            (f'"{CELLS[0]}",90,,first', "row 1: invalid literal"),
        ],
    )
    def test_bad_rows(self, tmp_path: Path, row: str, message: str) -> None:
        with pytest.raises(InvalidDataError, match=message):
            self.read(self.write(tmp_path / "own.csv", row))

    def test_bad_files_and_options(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "own.csv", f'"{CELLS[0]}",90,,0')
        with pytest.raises(InvalidDataError, match="did you mean 'val_accuracy'"):
            import_records(path, ["val_acuracy"], architecture="arch")
        with pytest.raises(InvalidOptionError, match="name its columns of measurements"):
            import_records(path, architecture="arch")
        with pytest.raises(InvalidDataError, match="no rows"):
            self.read(self.write(path))
        with pytest.raises(StorageError, match="cannot read"):
            import_records(tmp_path / "none.csv")
        with pytest.raises(InvalidOptionError, match=r"ends in \.csv or \.parquet"):
            import_records(tmp_path / "none.json")
        for text in ("a,a\n1,2\n", 'a,b\n"1,2\n', "a,b\n1\n", "\udcff"):
            path.write_bytes(text.encode(errors="surrogateescape"))
            with pytest.raises(CorruptFileError, match=r"is no \.csv file"):
                import_records(path, ["a"], architecture="b")


def test_a_changed_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    export_records(records(), path)
    whole = path.read_text()
    with pytest.raises(InvalidOptionError, match="says itself"):
        import_records(path, ["val_accuracy"])
    for before, after in (
        ('"format": 1', '"format": 9'),
        ("cell 0", ""),
        ("90.0", "ninety"),
        ('"points"', "7"),
        ("2026-11", "2026-x"),
    ):
        assert before in whole
        path.write_text(whole.replace(before, after, 1))
        with pytest.raises(CorruptFileError, match="is not what was exported"):
            import_records(path)


def test_a_target_called_as_another_column(tmp_path: Path) -> None:
    record = Record("nasbench201", CELLS[0], {"seed": 1.0}, measures={"seed": Measure()})
    with pytest.raises(InvalidDataError, match="targets called seed cannot be exported"):
        export_records([record], tmp_path / "all.csv")
