import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from emprox.errors import CorruptFileError, StorageError, StoreBusyError
from emprox.index import Record, Store, recovery
from emprox.index.ledger import JOURNAL, RECORDS
from emprox.index.recovery import check_store, repair_store
from emprox.spaces import get_space

CELLS = get_space("nasbench201").sample(np.random.default_rng(0), 12)
FIRST = Path(__file__).with_name("first_store")
"""A store of the first format, as it was written then, and its records as text."""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A closed store of 12 records in 6 additions."""
    with Store(tmp_path / "store", create=True) as store:
        for start in range(0, 12, 2):
            store.add_records([Record.of(CELLS[i], {"val_accuracy": float(i)}, key=str(i)) for i in (start, start + 1)])
    return tmp_path / "store"


def keys(path: Path) -> list[str]:
    with Store(path) as store:
        return [record.key for record in store.records()]


ALL = [str(i) for i in range(12)]


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 0x20
    file.write_bytes(data)


def test_a_whole_store_stays_as_it_is(whole: Path) -> None:
    before = {name: (whole / name).read_bytes() for name in (RECORDS, JOURNAL)}
    condition = repair_store(whole)
    assert (condition.problems, condition.lost, len(condition.saved)) == ((), (), 12)
    assert {name: (whole / name).read_bytes() for name in (RECORDS, JOURNAL)} == before


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: (path / RECORDS).unlink(), "records.sqlite is missing"),
        (lambda path: os.truncate(path / RECORDS, 0), "not the record store"),
        (lambda path: os.truncate(path / RECORDS, 9000), "malformed"),
        (lambda path: (path / RECORDS).write_bytes(b"x" * 9000), "not a database"),
        (lambda path: (path / JOURNAL).unlink(), "records.journal lacks 1-12"),
        (lambda path: os.truncate(path / JOURNAL, 1500), "records.journal lacks"),
        (lambda path: (path / JOURNAL).write_bytes(b"\n" * 5), "damaged lines: 1-5 of 5"),
    ],
)
def test_one_copy_restores_the_other(whole: Path, damage: object, problem: str) -> None:
    damage(whole)
    with pytest.raises(CorruptFileError, match=r"emprox store (repair|check)"):
        Store(whole, create=True)
    assert any(problem in text for text in check_store(whole).problems)
    condition = repair_store(whole)
    assert (condition.lost, len(condition.saved)) == ((), 12)
    assert keys(whole) == ALL
    assert check_store(whole).problems == ()
    (aside,) = whole.glob("damaged-*")
    assert list(aside.iterdir())


def test_damage_in_the_middle_is_found_by_check(whole: Path) -> None:
    flip(whole / JOURNAL, 1000)
    assert check_store(whole).problems[0].startswith("records.journal has damaged lines: ")
    place = (whole / RECORDS).read_bytes().index(str(CELLS[7]).encode())
    flip(whole / RECORDS, place + 1)
    assert "records.sqlite has damaged records: 8" in check_store(whole).problems
    with pytest.raises(CorruptFileError, match="record 8 of"):
        keys(whole)
    assert repair_store(whole).lost == ()
    assert keys(whole) == ALL


def test_what_neither_copy_has_is_named(whole: Path) -> None:
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    (whole / JOURNAL).write_bytes(b"".join([*lines[:2], *lines[3:]]))
    place = (whole / RECORDS).read_bytes().index(str(CELLS[4]).encode())
    flip(whole / RECORDS, place + 1)
    condition = repair_store(whole)
    assert condition.lost == (5,)
    assert "neither copy has 5" in condition.problems
    assert keys(whole) == [key for key in ALL if key != "4"]
    assert check_store(whole).problems == ()


def test_an_addition_that_was_interrupted_is_completed(whole: Path) -> None:
    """Between the journal and the commit the power may fail: SQLite is as it was before, the journal has the line."""
    before = {name: (whole / name).read_bytes() for name in (RECORDS, JOURNAL)}
    with Store(whole) as store:
        store.add(CELLS[0], {"val_accuracy": 90.0}, key="last")
    line = (whole / JOURNAL).read_bytes()[len(before[JOURNAL]) :]
    for written in (0, 1, 100, len(line) - 1, len(line)):
        shutil.rmtree(whole)
        whole.mkdir()
        (whole / RECORDS).write_bytes(before[RECORDS])
        (whole / JOURNAL).write_bytes(before[JOURNAL] + line[:written])
        assert check_store(whole).problems == ()
        assert keys(whole) == ALL + ["last"] * (written == len(line))
        with Store(whole) as store:
            store.add(CELLS[1], {"val_accuracy": 91.0}, key="next")
        assert check_store(whole).problems == ()
        assert keys(whole) == [*ALL, *["last"] * (written == len(line)), "next"]


def test_a_last_line_that_is_not_whole_was_never_acknowledged(whole: Path) -> None:
    with (whole / JOURNAL).open("ab") as file:
        file.write(bytes(4096) + b"rest of it]\n")
    assert keys(whole) == ALL
    with Store(whole) as store:
        store.add(CELLS[0], {"val_accuracy": 90.0})
    assert check_store(whole).problems == ()


def test_open_stores_go_on_with_the_repaired_files(whole: Path) -> None:
    store = Store(whole)
    assert len(store) == 12
    flip(whole / JOURNAL, 1000)
    repair_store(whole)
    assert store.add(CELLS[0], {"val_accuracy": 90.0}) == 13
    assert len(store) == 13
    assert check_store(whole).problems == ()


def test_no_repair_while_others_write(whole: Path) -> None:
    flip(whole / JOURNAL, 1000)
    with Store(whole).ledger.database.writing(), pytest.raises(StoreBusyError):
        repair_store(whole, timeout_s=0.05)
    assert not list(whole.glob("damaged-*"))


def test_nobody_adds_between_the_steps_of_a_repair(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each flush another process tries: it opens the store anew, or goes on with the one it has."""
    flip(whole / JOURNAL, 1000)
    opened = Store(whole, timeout_s=0.05)
    opened.records()
    flush, tried = recovery.flush, []

    def try_to_add(path: Path) -> None:
        for writer in (lambda: Store(whole, timeout_s=0.05), lambda: opened):
            with pytest.raises((StoreBusyError, CorruptFileError)):
                writer().add(CELLS[0], {"val_accuracy": 90.0})
            tried.append(path)
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "flush", try_to_add)
        repair_store(whole)
    assert len(tried) == 10
    assert opened.add(CELLS[0], {"val_accuracy": 90.0}, key="later") == 13
    assert keys(whole) == [*ALL, "later"]
    assert check_store(whole).problems == ()


def test_a_repair_that_fails_loses_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped before each of its steps; another one finishes."""
    os.truncate(whole / RECORDS, 9000)
    saved = {name: (whole / name).read_bytes() for name in (RECORDS, JOURNAL)}
    for steps in range(1, 6):
        left = steps

        def flush(path: Path) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(recovery, "flush", flush)
            with pytest.raises(StorageError, match="could not repair"):
                repair_store(whole)
        repair_store(whole)
        assert keys(whole) == ALL
        assert check_store(whole).problems == ()
        shutil.rmtree(whole)
        whole.mkdir()
        for name, data in saved.items():
            (whole / name).write_bytes(data)


@pytest.mark.parametrize("stop", [JOURNAL, RECORDS])
def test_a_repair_that_lost_a_record_is_finished_by_another(whole: Path, monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """Stopped after one copy has new numbers and the other still has the old ones."""
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    (whole / JOURNAL).write_bytes(b"".join([*lines[:1], *lines[2:]]))
    flip(whole / RECORDS, (whole / RECORDS).read_bytes().index(str(CELLS[2]).encode()) + 1)
    replace = Path.replace

    def replace_until(self: Path, target: Path) -> Path:
        if target.name == stop:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_until)
        with pytest.raises(StorageError, match="could not repair"):
            repair_store(whole)
    assert repair_store(whole).lost == (3,)
    assert keys(whole) == [key for key in ALL if key != "2"]
    assert check_store(whole).problems == ()


def test_two_records_of_one_number_are_both_saved(whole: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "other", create=True) as store:
        store.add(CELLS[0], {"val_accuracy": 50.0}, key="other")
    (whole / JOURNAL).write_bytes((tmp_path / "other" / JOURNAL).read_bytes())
    repair_store(whole)
    assert sorted(keys(whole)) == sorted([*ALL, "other"])


def test_errors_of_sqlite_are_ours(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.IntegrityError("UNIQUE constraint failed")

    flip(whole / JOURNAL, 1000)
    monkeypatch.setattr(recovery, "insert", fail)
    with pytest.raises(StorageError, match="could not repair"):
        repair_store(whole)


def test_nothing_to_check(tmp_path: Path) -> None:
    for call in (check_store, repair_store):
        with pytest.raises(StorageError, match="there is no store"):
            call(tmp_path)


def test_numbers_that_cannot_be_are_not_counted_up_to(whole: Path) -> None:
    from emprox.index.journal import Line

    line = Line.of(10**14, [Record.of(CELLS[0], {"val_accuracy": 1.0}, key="far")])
    with (whole / JOURNAL).open("ab") as file:
        file.write(line.encode())
    with pytest.raises(CorruptFileError):
        Store(whole)
    condition = repair_store(whole)
    assert len(condition.lost) < 1000
    assert keys(whole) == [*ALL, "far"]


def test_the_first_format_opens(tmp_path: Path) -> None:
    for copy, present in (("both", (RECORDS, JOURNAL)), ("journal", (JOURNAL,)), ("sqlite", (RECORDS,))):
        place = tmp_path / copy
        place.mkdir()
        for name in present:
            shutil.copy(FIRST / name, place / name)
        if copy != "both":
            repair_store(place)
        with Store(place) as store:
            lines = [" ".join(map(str, record.row)) for record in store.records()]
            assert store.add(CELLS[0], {"val_accuracy": 90.0}) == len(lines) + 1
        assert lines == (FIRST / "records.txt").read_text().splitlines()
