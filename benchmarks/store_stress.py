"""Do readers and writers of one store get along? ``python benchmarks/store_stress.py --seconds 120 --readers 3 --writers 3``.

Writers add without pause; readers ask for records, entries, tables and estimates. Whatever a reader has seen once it must see
again, additions are seen whole, and at the end everything that a writer was told is safe is there. The one error that may occur
is `StoreBusyError`, after the time limit.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np

from emprox.errors import StoreBusyError
from emprox.index import Record, Store
from emprox.index.recovery import check_store
from emprox.spaces import get_space

CELLS = [str(cell) for cell in get_space("nasbench201").sample(np.random.default_rng(0), 300)]


def batch(writer: int, number: int) -> list[Record]:
    """Return an addition of one to three records; half of it can be told from the whole."""
    size = 1 + number % 3
    return [
        Record(
            "nasbench201",
            CELLS[(31 * writer + 7 * number + i) % len(CELLS)],
            {"val_accuracy": 50 + (writer * 7 + number + i) % 40},
            key=f"{writer}.{number}.{i}.{size}",
        )
        for i in range(size)
    ]


def write(path: Path, writer: int, until: float, timeout_s: float, results: Queue[Any]) -> None:
    """Add until the time is over; report what was acknowledged."""
    facts: dict[str, Any] = {"acknowledged": [], "busy": 0, "slowest_s": 0.0}
    try:
        with Store(path, create=True, timeout_s=timeout_s) as store:
            number = 0
            while time.time() < until:
                start = time.perf_counter()
                try:
                    store.add_records(batch(writer, number))
                    facts["acknowledged"].append(number)
                    number += 1
                except StoreBusyError:
                    facts["busy"] += 1
                facts["slowest_s"] = max(facts["slowest_s"], time.perf_counter() - start)
        results.put(("writer", writer, facts))
    except BaseException as error:
        results.put(("failure", f"writer {writer}", repr(error)))


def read(path: Path, reader: int, until: float, results: Queue[Any]) -> None:
    """Ask until the time is over; report how often, or the first inconsistent answer."""
    try:
        asked, keys = 0, []
        store = Store(path, create=True)
        while time.time() < until:
            if asked % 20 == 19:  # sometimes as a new process would
                store.close()
                store = Store(path)
            records = store.records()
            found = [record.key for record in records]
            assert found[: len(keys)] == keys, "what was seen once has changed"
            keys = found
            seen = Counter(key.rsplit(".", 2)[0] for key in keys)
            sizes = {key.rsplit(".", 2)[0]: int(key.rsplit(".", 1)[1]) for key in keys}
            assert seen == Counter(sizes), "half of an addition is visible"
            if keys:
                assert store.table().counts["val_accuracy"].sum() >= len(keys)
            asked += 1
        results.put(("reader", reader, {"answers": asked, "records": len(keys)}))
    except BaseException as error:
        results.put(("failure", f"reader {reader}", repr(error)))


def search(path: Path, until: float, results: Queue[Any]) -> None:
    """Follow the store with an estimator; now and then give the store another embedding."""
    from emprox.estimators import EmProx

    try:
        store = Store(path, create=True)
        while len(store) < 10:
            time.sleep(0.05)
        estimator, learned, switches = EmProx.from_store(store), 0, 0
        while time.time() < until:
            learned += estimator.refresh()
            assert np.isfinite(estimator.predict(CELLS[:20])).all()
            if switches < 3 and learned > 100 * (switches + 1):
                version = store.reembed(EmProx().fit(estimator.architectures_, estimator.y_).encoder_)
                estimator.refresh()
                assert estimator.version_ == version
                switches += 1
        results.put(("search", 0, {"learned": learned, "switches": switches}))
    except BaseException as error:
        results.put(("failure", "search", repr(error)))


def stress(path: Path, seconds: float, readers: int, writers: int, timeout_s: float, searches: int = 1) -> dict[str, Any]:
    """Run all processes, and verify the store at the end."""
    context = multiprocessing.get_context("fork")
    results: Queue[Any] = context.Queue()
    until = time.time() + seconds
    processes = [context.Process(target=write, args=(path, w, until, timeout_s, results)) for w in range(writers)]
    processes += [context.Process(target=read, args=(path, r, until, results)) for r in range(readers)]
    processes += [context.Process(target=search, args=(path, until, results)) for _ in range(searches)]
    for process in processes:
        process.start()
    reports = [results.get(timeout=seconds + 120) for _ in processes]
    for process in processes:
        process.join()
    failures = [report[1:] for report in reports if report[0] == "failure"]
    assert not failures, failures
    with Store(path) as store:
        found = {record.key for record in store.records()}
    safe = {record.key for kind, w, facts in reports if kind == "writer" for n in facts["acknowledged"] for record in batch(w, n)}
    assert safe <= found, f"lost: {len(safe - found)}"
    assert check_store(path).problems == ()
    written = [facts for kind, _, facts in reports if kind == "writer"]
    return {
        "records": len(found),
        "additions": sum(len(facts["acknowledged"]) for facts in written),
        "busy": sum(facts["busy"] for facts in written),
        "slowest_addition_s": round(max(facts["slowest_s"] for facts in written), 2),
        "answers": sum(facts["answers"] for kind, _, facts in reports if kind == "reader"),
        "search": next((facts for kind, _, facts in reports if kind == "search"), None),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        print(json.dumps(stress(path, arguments.seconds, arguments.readers, arguments.writers, arguments.timeout)))


if __name__ == "__main__":
    main()
