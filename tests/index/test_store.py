import os
import pickle
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from emprox.errors import (
    CorruptFileError,
    InvalidArchitectureError,
    InvalidDataError,
    StorageError,
    StoreBusyError,
)
from emprox.index import Record, Store
from emprox.index.ledger import JOURNAL, RECORDS
from emprox.index.recovery import check_store
from emprox.spaces import ComputationGraph, NodeAttributes, get_family, get_space
from emprox.tables import Measure
from tests.index.children import in_child, limited, on_read_only_disk, on_small_disk

SPACE = get_space("nasbench201")
CELLS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 40)))
TWINS = (
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
)
"""The first node leads nowhere, so its operator does not matter."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", create=True, timeout_s=5)


def accuracy(value: float, **fields: object) -> Record:
    return Record.of(CELLS[0], {"val_accuracy": value}, **fields)


class TestRecord:
    def test_a_row_is_the_record(self) -> None:
        record = Record.of(
            CELLS[0],
            {"val_accuracy": 0.1 + 0.2, "latency_ms": -1e300, "reward": 3},
            measures={"reward": Measure("points", False)},
            seed=-5,
            source="Käthe, run 7",
            time="2024-05-01T12:00:00+02:00",
            embedding="abc",
        )
        again = Record.from_row(record.row)
        assert again == record
        assert again.measures == {
            "val_accuracy": Measure("percent", True),
            "latency_ms": Measure("ms", False),
            "reward": Measure("points", False),
        }
        assert record.time == "2024-05-01T10:00:00.000000+00:00"

    @pytest.mark.parametrize("place", range(9))
    def test_a_changed_row_is_refused(self, place: int) -> None:
        row = list(accuracy(90.0, seed=1, source="x").row)
        row[place] = 2 if row[place] == 1 else f"{row[place]}x"
        with pytest.raises(CorruptFileError, match="checksum"):
            Record.from_row(row)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"values": {}}, "at least one measured value"),
            ({"values": {"val_accuracy": float("nan")}}, "finite"),
            ({"values": {"val_accuracy": float("inf")}}, "finite"),
            ({"values": {"val_accuracy": "90"}}, "finite"),
            ({"values": {"val_accuracy": True}}, "finite"),
            ({"values": {"": 1.0}}, "a name is a text of 1 to 500"),
            ({"values": {"a\nb": 1.0}}, "printable"),
            ({"values": {"a": 1.0}, "measures": {"b": Measure()}}, "measures of"),
            ({"seed": 1.5}, "a seed is an integer"),
            ({"seed": 1 << 63}, "64 bits"),
            ({"source": "x" * 501}, "source is a text of 0 to 500"),
            ({"source": "\0"}, "printable"),
            ({"time": "2024-05-01T12:00:00"}, "no zone"),
            ({"time": "yesterday"}, "ISO 8601"),
            ({"architecture": ""}, "text of an architecture"),
        ],
    )
    def test_what_cannot_be_a_record(self, fields: dict[str, object], message: str) -> None:
        good = {"space": "nasbench201", "architecture": str(CELLS[0]), "values": {"val_accuracy": 90.0}}
        with pytest.raises(InvalidDataError, match=message):
            Record(**{**good, **fields})


class TestEntries:
    def test_repeated_measurements_are_one_entry(self, store: Store) -> None:
        for seed, value in enumerate((90.0, 92.0, 94.0)):
            assert store.add(CELLS[0], {"val_accuracy": value}, seed=seed) == seed + 1
        store.add(str(CELLS[1]), {"val_accuracy": 80.0}, space="nasbench201")
        first, second = store.entries()
        assert [record.seed for record in first.records] == [0, 1, 2]
        assert first.summary("val_accuracy") == {"mean": 92.0, "spread": 2.0, "count": 3}
        assert second.summary("val_accuracy") == {"mean": 80.0, "spread": None, "count": 1}
        table = store.table()
        assert table.architectures == (CELLS[0], CELLS[1])
        assert table.targets["val_accuracy"].tolist() == [92.0, 80.0]
        assert table.spreads["val_accuracy"].tolist() == [2.0, 2.0]
        assert table.counts["val_accuracy"].tolist() == [3, 1]

    def test_what_does_not_name_its_space_belongs_to_the_only_one(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})
        store.add(CELLS[1].spec, {"val_accuracy": 91.0})
        assert store.table().architectures == (CELLS[0], CELLS[1])

    def test_targets_measured_apart(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})
        store.add(CELLS[1], {"val_accuracy": 80.0, "latency_ms": 4.0})
        store.add(CELLS[0], {"latency_ms": 3.0})
        store.add(CELLS[2], {"latency_ms": 2.0})
        assert store.table("latency_ms").targets["latency_ms"].tolist() == [3.0, 4.0, 2.0]
        both = store.table(["val_accuracy", "latency_ms"])
        assert both.architectures == (CELLS[0], CELLS[1])
        assert both.targets["latency_ms"].tolist() == [3.0, 4.0]
        with pytest.raises(InvalidDataError, match=r"has 2 targets in nasbench201: val_accuracy, latency_ms"):
            store.table()
        with pytest.raises(InvalidDataError, match="did you mean 'val_accuracy'"):
            store.table("val_acuracy")

    def test_twins_are_told_and_stay_apart(self, store: Store) -> None:
        for text, value in zip(TWINS, (90.0, 91.0), strict=True):
            store.add(text, {"val_accuracy": value}, space="nasbench201")
        store.add(CELLS[0], {"val_accuracy": 70.0})
        ((one, other),) = store.twins()
        assert [str(one.architecture), str(other.architecture)] == list(TWINS)
        assert len(store.entries()) == 3
        assert store.stats()["spaces"]["nasbench201"]["twins"] == 2

    def test_several_spaces_and_networks(self, store: Store) -> None:
        nodes = tuple(NodeAttributes(channels=3, size=(8, 8)) for _ in range(2))
        graph = ComputationGraph(("input", "output"), ((0, 1),), nodes)
        networks = get_family("network")
        for name in ("mine", "yours"):
            store.add(networks.named(graph, name), {"val_accuracy": 10.0})
        store.add(CELLS[0], {"val_accuracy": 90.0})
        with pytest.raises(InvalidDataError, match="records of network, nasbench201; name one"):
            store.entries()
        (entry,) = store.entries("network")
        assert (entry.architecture.spec.name, len(entry.records)) == ("mine", 2)
        assert store.table(space="nasbench201").architectures == (CELLS[0],)

    def test_one_unit_for_a_target(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})
        with pytest.raises(InvalidDataError, match="convert the values"):
            store.add(CELLS[1], {"val_accuracy": 0.9}, measures={"val_accuracy": Measure("fraction", True)})
        assert len(store) == 1

    def test_an_empty_store(self, store: Store) -> None:
        assert (len(store), store.spaces()) == (0, [])
        with pytest.raises(InvalidDataError, match="no records yet"):
            store.table()
        assert store.stats() == {"records": 0, "first": None, "last": None, "sources": {}, "spaces": {}}


class TestAdding:
    def test_a_key_makes_adding_repeatable(self, store: Store) -> None:
        first = store.add(CELLS[0], {"val_accuracy": 90.0}, key="run 7")
        assert store.add(CELLS[0], {"val_accuracy": 90.0}, key="run 7") == first
        with pytest.raises(InvalidDataError, match="'run 7' is that of another record"):
            store.add(CELLS[0], {"val_accuracy": 91.0}, key="run 7")
        twice = [accuracy(1.0, key="a"), accuracy(2.0, key="a")]
        with pytest.raises(InvalidDataError, match="another record"):
            store.add_records(twice)
        assert len(store) == 1

    def test_all_or_none(self, store: Store) -> None:
        with pytest.raises(InvalidArchitectureError):
            store.add_records([accuracy(1.0), Record("nasbench201", "no cell", {"val_accuracy": 1.0})])
        with pytest.raises(InvalidDataError, match="not how nasbench201 writes it"):
            store.add_records([accuracy(1.0), Record("nasbench201", f" {CELLS[0]} ", {"val_accuracy": 1.0})])
        assert len(store) == 0

    def test_records_cannot_be_changed_or_removed(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})
        with sqlite3.connect(store.path / RECORDS) as connection:
            for statement in ("UPDATE records SET seed = 1", "DELETE FROM records"):
                with pytest.raises(sqlite3.IntegrityError, match="records are never"):
                    connection.execute(statement)
        connection.close()

    def test_merging_is_repeatable(self, store: Store, tmp_path: Path) -> None:
        other = Store(tmp_path / "other", create=True)
        for cell in CELLS[:3]:
            store.add(cell, {"val_accuracy": 80.0})
            other.add(cell, {"val_accuracy": 90.0})
        assert store.merge(other.path) == 3
        assert (store.merge(other), other.merge(store), len(other)) == (0, 3, 6)
        assert {record.key for record in store.records()} == {record.key for record in other.records()}
        assert store.entries()[0].summary("val_accuracy")["mean"] == 85.0

    def test_more_than_one_addition_holds(self, store: Store) -> None:
        assert store.add_records([accuracy(float(i)) for i in range(2500)]) == 2500
        assert [record.values["val_accuracy"] for record in Store(store.path).records()] == list(range(2500))
        assert [len(line.records) for line in store.ledger.journal.lines()] == [1000, 1000, 500]

    def test_nothing_is_added_if_a_later_one_cannot_be(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0}, key="taken")
        many = [accuracy(float(i)) for i in range(1500)]
        wrong_unit = Record.of(CELLS[0], {"val_accuracy": 0.9}, measures={"val_accuracy": Measure("fraction", True)})
        for wrong in (wrong_unit, accuracy(91.0, key="taken")):
            with pytest.raises(InvalidDataError, match="Nothing was added"):
                store.add_records([*many, wrong])
            assert len(store) == 1
        with pytest.raises(InvalidDataError, match="Nothing was added"):
            store.add_records([*many, accuracy(91.0, key="new"), accuracy(92.0, key="new")])
        assert len(store) == 1

    def test_what_went_in_before_a_failure_is_said(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        many = [accuracy(float(i)) for i in range(1500)]
        append, left = store.ledger.append, [1]

        def fail_later(records: list[Record]) -> object:
            if not left:
                raise StorageError("No space left on device; nothing was added")
            left.pop()
            return append(records)

        with monkeypatch.context() as patch:
            patch.setattr(store.ledger, "append", fail_later)
            with pytest.raises(StorageError, match=r"1000 new records were added; of the next 1000: No space"):
                store.add_records(many)
        assert len(store) == 1000
        assert store.add_records(many) == 500

    def test_full_sync(self, store: Store) -> None:
        with store.ledger.database.reading() as connection:
            settings = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
        assert settings == {"journal_mode": "wal", "synchronous": 2}


class TestSharing:
    def test_others_see_what_was_added(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})
        other = Store(store.path)
        assert in_child(lambda: other.add(CELLS[1], {"val_accuracy": 91.0})) == 2
        assert [str(e.architecture) for e in store.entries()] == [str(e.architecture) for e in other.entries()]
        assert len(pickle.loads(pickle.dumps(store))) == 2

    def test_threads(self, store: Store) -> None:
        def work(start: int) -> None:
            for i in range(5):
                store.add(CELLS[start + i], {"val_accuracy": 90.0})
                assert len(store.entries()) > 0
            store.close()

        threads = [threading.Thread(target=work, args=(5 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.entries()) == 20

    def test_a_second_writer_waits_and_then_says_so(self, store: Store) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})
        impatient = Store(store.path, timeout_s=0.05)
        with store.ledger.database.writing():
            assert len(impatient) == 1  # readers do not wait
            with pytest.raises(StoreBusyError, match=r"more than 0\.05 s; try again, or give a longer timeout"):
                impatient.add(CELLS[1], {"val_accuracy": 90.0})
        assert impatient.add(CELLS[1], {"val_accuracy": 90.0}) == 2

    def test_of_several_that_make_a_store_all_get_the_same(self, tmp_path: Path) -> None:
        def work(i: int) -> None:
            with Store(tmp_path / "new", create=True) as store:
                store.add(CELLS[i], {"val_accuracy": 90.0})

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(Store(tmp_path / "new")) == 8
        assert sorted(p.name for p in (tmp_path / "new").iterdir() if p.name.startswith(".")) == []


class TestFullAndReadOnly:
    @staticmethod
    def fill(path: Path) -> list[str]:
        """Add until it fails; return the keys that were acknowledged."""
        store, keys = Store(path, create=True), []
        with suppress(StorageError):
            for i in range(10_000):
                record = accuracy(float(i), source="x" * 400)
                store.add_records([record])
                keys.append(record.key)
        assert len(keys) < 10_000
        assert [record.key for record in store.records()] == keys
        with pytest.raises(StorageError):
            store.add_records([accuracy(float(i), source="x" * 400) for i in range(100)])
        return keys

    @pytest.mark.parametrize("largest_file", [50_000, 80_001, 140_000])
    def test_files_that_cannot_grow(self, tmp_path: Path, largest_file: int) -> None:
        keys = limited(self.fill, tmp_path / "store", largest_file=largest_file)
        store = Store(tmp_path / "store")
        assert [record.key for record in store.records()] == keys
        assert check_store(store.path).problems == ()
        store.add(CELLS[0], {"val_accuracy": 90.0})
        assert len(store) == len(keys) + 1

    def test_a_full_disk(self, tmp_path: Path) -> None:
        def fill() -> int:
            keys = self.fill(tmp_path / "store")
            assert [record.key for record in Store(tmp_path / "store").records()] == keys
            assert check_store(tmp_path / "store").problems == ()
            with pytest.raises(StorageError):
                Store(tmp_path / "another", create=True)
            return len(keys)

        assert on_small_disk(tmp_path, 400_000, fill) > 10

    def test_a_failed_commit_leaves_no_trace(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        store.add(CELLS[0], {"val_accuracy": 90.0})

        def fail(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(StorageError, match=r"No space left on device; nothing was added"):
                store.add(CELLS[1], {"val_accuracy": 91.0})
        assert len(store) == 1
        assert check_store(store.path).problems == ()
        assert store.add(CELLS[1], {"val_accuracy": 91.0}) == 2

    @pytest.mark.parametrize("closed", [True, False])
    def test_a_read_only_disk(self, store: Store, closed: bool) -> None:
        for cell in CELLS[:3]:
            store.add(cell, {"val_accuracy": 90.0})
        if closed:
            store.close()

        def read() -> int:
            reader = Store(store.path)
            with pytest.raises(StorageError, match="read-only"):
                reader.add(CELLS[4], {"val_accuracy": 90.0})
            assert check_store(store.path).problems == ()
            return len(reader.table())

        assert on_read_only_disk(store.path, read) == 3


class TestOpening:
    def test_no_store(self, tmp_path: Path) -> None:
        for place in (tmp_path, tmp_path / "none"):
            with pytest.raises(StorageError, match="there is no store at"):
                Store(place)
        (tmp_path / "file").write_text("x")
        with pytest.raises(StorageError):
            Store(tmp_path / "file", create=True)

    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            ("PRAGMA user_version = 99", "has format 99, this emprox reads 1"),
            ("PRAGMA application_id = 7", "is not the record store of emprox"),
            ("CREATE TABLE other (x)", "other tables than a record store"),
            ("CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM targets; END", "other tables than a record store"),
        ],
    )
    def test_a_database_that_is_none_of_ours(self, store: Store, statement: str, message: str) -> None:
        store.close()
        connection = sqlite3.connect(store.path / RECORDS, isolation_level=None)
        connection.execute(statement)
        connection.close()
        with pytest.raises(CorruptFileError, match=message):
            Store(store.path)

    def test_another_database(self, tmp_path: Path) -> None:
        (tmp_path / RECORDS).write_bytes(b"SQLite format 3\0" + bytes(200))
        (tmp_path / JOURNAL).touch()
        with pytest.raises(CorruptFileError, match="emprox store check"):
            Store(tmp_path)
