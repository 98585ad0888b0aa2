"""The proofs of the store, in small: `benchmarks/store_crash.py` and `benchmarks/store_stress.py` run the same at length."""

from pathlib import Path

import pytest

from tests.benchmarks.loading import load_script


def test_killed_writers_lose_nothing(tmp_path: Path) -> None:
    counts = load_script("store_crash").kill_writers(tmp_path, kills=15, longest=0.1, seed=1, start=20)
    assert counts["kills"] == 15
    assert counts["acknowledged"] > 0


def test_files_cut_at_lengths_lose_nothing(tmp_path: Path) -> None:
    crash = load_script("store_crash")
    assert sum(crash.interrupted_additions(tmp_path, additions=2, step=1499).values()) > 10
    assert sum(crash.cut_files(tmp_path, additions=2, step=3001).values()) > 10


def test_the_proof_can_fail(tmp_path: Path) -> None:
    crash = load_script("store_crash")
    with crash.Store(tmp_path / "store", create=True) as store:
        store.add_records(crash.batch(0, 2)[:2])  # two of three
    with pytest.raises(AssertionError, match="half of addition"):
        crash.verify(tmp_path / "store", set())
    crash.Store(tmp_path / "other", create=True).close()
    with pytest.raises(AssertionError, match="lost"):
        crash.verify(tmp_path / "other", {(0, 0)})


def test_readers_and_writers(tmp_path: Path) -> None:
    facts = load_script("store_stress").stress(tmp_path / "store", 4, readers=2, writers=2, timeout_s=30, searches=0)
    assert facts["busy"] == 0
    assert facts["records"] > 0
    assert facts["answers"] > 0
