"""Is anything lost? Kills writers of a store at random moments, and cuts the files of a store at every length.

``python benchmarks/store_crash.py --kills 1000`` forks a writer, ends it with SIGKILL after a random time, opens the store,
checks it, and compares it with what the writer was told is safe. ``--cuts 1`` cuts each file of a small store at every length
(``--cuts 50``: at every fiftieth), opens it, repairs it where it is reported as damaged, and compares likewise. Both stop at the
first thing that is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from emprox.errors import CorruptFileError
from emprox.index import Record, Store
from emprox.index.ledger import JOURNAL, RECORDS
from emprox.index.recovery import check_store, repair_store
from emprox.spaces import get_space

FILES = (RECORDS, RECORDS + "-wal", JOURNAL)
CELLS = [str(cell) for cell in get_space("nasbench201").sample(np.random.default_rng(0), 200)]
NEW_STORE_EVERY = 25
"""Kills after which a new folder is taken, so that the making of a store is interrupted too."""


def batch(writer: int, number: int) -> list[Record]:
    """Return an addition of one to four records that can be told from half of it and from any other."""
    size = 1 + number % 4
    return [
        Record("nasbench201", CELLS[(7 * number + i) % len(CELLS)], value(writer, number, i), key=f"{writer}.{number}.{i}.{size}")
        for i in range(size)
    ]


def value(writer: int, number: int, i: int) -> dict[str, float]:
    return {"val_accuracy": writer + number / 1000 + i / 1e6}


def write(path: Path, writer: int, acknowledged: int) -> None:
    """Add without end; say after each addition that it is done."""
    with Store(path, create=True) as store:
        for number in range(10**6):
            store.add_records(batch(writer, number))
            os.write(acknowledged, b"%d\n" % number)


def killed(path: Path, writer: int, delay: float, is_at_work: bool) -> list[int]:
    """Run a writer, kill it some time after its start or after its first addition, and return what it was told is safe."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(reading)
            write(path, writer, writing)
        os._exit(1)  # it never ends by itself
    os.close(writing)
    first = os.read(reading, 1) if is_at_work else b""
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        lines = (first.decode() + pipe.read()).splitlines()
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the writer {writer} ended by itself")
    return [int(line) for line in lines]


def verify(path: Path, acknowledged: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Raise unless the store has every addition that was acknowledged, and whole ones only; return what it has."""
    with Store(path) as store:
        found = {record.key: record for record in store.records()}
        table = store.table() if found else None
    seen: Counter[tuple[int, int]] = Counter()
    for key, record in found.items():
        writer, number, i, size = map(int, key.split("."))
        assert record.values == value(writer, number, i), f"{key} has {record.values}"
        assert size == 1 + number % 4
        seen[writer, number] += 1
    for (writer, number), count in seen.items():
        assert count == 1 + number % 4, f"half of addition {writer}.{number} is visible"
    assert acknowledged <= seen.keys(), f"lost: {sorted(acknowledged - seen.keys())}"
    if table is not None:
        assert table.counts["val_accuracy"].sum() == len(found)
    return set(seen)


def kill_writers(folder: Path, kills: int, longest: float, seed: int, start: int = 0) -> dict[str, int]:
    """Kill so many writers at random moments and verify the store after each."""
    rng = np.random.default_rng(seed)
    safe: set[tuple[int, int]] = set()
    counts: Counter[str] = Counter()
    for writer in range(start, start + kills):
        if writer % NEW_STORE_EVERY == 0:
            safe = set()
        path = folder / f"store{writer // NEW_STORE_EVERY}"
        done = killed(path, writer, rng.uniform(0, longest), is_at_work=bool(rng.integers(2)))
        counts["kills"] += 1
        counts["acknowledged"] += len(done)
        safe |= {(writer, number) for number in done}
        if not (path / RECORDS).exists():
            assert not safe
            counts["kills before there was a store"] += 1
            continue
        found = verify(path, safe)
        assert check_store(path).problems == ()
        counts["complete, not yet acknowledged"] += len({addition for addition in found if addition[0] == writer} - safe)
        safe = found  # what has been seen once must stay
        if counts["kills"] % 100 == 0:
            print(json.dumps(counts), flush=True)
    return dict(counts)


def cut_files(folder: Path, additions: int, step: int) -> dict[str, int]:
    """Cut each file of an open and of a closed store at every `step`-th length and verify what can be opened or repaired."""
    counts: Counter[str] = Counter()
    source = folder / "whole"
    with Store(source, create=True) as store:
        for number in range(additions):
            store.add_records(batch(0, number))
        live = {name: (source / name).read_bytes() for name in FILES}
    closed = {name: (source / name).read_bytes() for name in (RECORDS, JOURNAL)}
    whole = {(0, number) for number in range(additions)}
    for label, files in (("open", live), ("closed", closed)):
        for name, data in files.items():
            for length in range(0, len(data) + 1, step):
                counts[f"{label} {name}: {try_cut(folder, files, name, length, whole)}"] += 1
            print(json.dumps(counts), flush=True)
    return dict(counts)


def try_cut(folder: Path, files: dict[str, bytes], name: str, length: int, whole: set[tuple[int, int]]) -> str:
    """Write a store with one file cut, open it or repair it, verify it, and say which it was."""
    path = folder / "cut"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for other, data in files.items():
        (path / other).write_bytes(data[:length] if other == name else data)
    how = "opened"
    try:
        verify(path, whole)
        if check_store(path).problems:
            how = "opened, reported by check, repaired"
    except CorruptFileError:
        how = "reported at opening, repaired"
    if how != "opened":
        assert repair_store(path).problems
        verify(path, whole)
        assert check_store(path).problems == ()
    return how


def interrupted_additions(folder: Path, additions: int, step: int) -> dict[str, int]:
    """Cut what each addition has written, at every `step`-th length, in the order of writing; nothing may need repair."""
    counts: Counter[str] = Counter()
    source = folder / "growing"
    states = []
    with Store(source, create=True) as store:
        for number in range(additions):
            states.append({name: (source / name).read_bytes() for name in FILES if (source / name).exists()})
            store.add_records(batch(0, number))
        states.append({name: (source / name).read_bytes() for name in FILES})
    for number, (before, after) in enumerate(pairwise(states)):
        safe = {(0, earlier) for earlier in range(number)}
        for files, name in growing(before, after):
            for length in range(len(before.get(name, b"")), len(after[name]) + 1, step):
                how = try_cut(folder, files, name, length, safe)
                assert how == "opened", f"addition {number}, {name} cut at {length}: {how}"
                counts[f"{name} cut while it was written"] += 1
        print(json.dumps(counts), flush=True)
    return dict(counts)


def growing(before: dict[str, bytes], after: dict[str, bytes]) -> Iterator[tuple[dict[str, bytes], str]]:
    """Yield the files while the journal is written, and then while SQLite's log is."""
    yield {**before, JOURNAL: after[JOURNAL]}, JOURNAL
    yield after, RECORDS + "-wal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="writers to kill")
    parser.add_argument("--longest", type=float, default=0.15, help="seconds that a writer lives at most")
    parser.add_argument("--cuts", type=int, default=0, help="cut at every this many bytes; 0 not at all")
    parser.add_argument("--additions", type=int, default=4, help="additions to the store whose files are cut")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.kills:
            print(json.dumps(kill_writers(Path(folder), arguments.kills, arguments.longest, arguments.seed)))
        if arguments.cuts:
            print(json.dumps(interrupted_additions(Path(folder), arguments.additions, arguments.cuts)))
            print(json.dumps(cut_files(Path(folder), arguments.additions, arguments.cuts)))
    print(f"nothing lost, nothing half-written; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
