"""What an index of up to a million architectures costs: ``python benchmarks/index_scale.py [--tables-root DIR]``.

Distinct random DARTS cells as strings are read, encoded and embedded by the default encoder of EmProx, which has learned from
1,000 of them, added to an index, and made known to an EmProx; one process for each size, one thread. Labels are the logarithm of
the parameters, a fixed function of the architecture, because it is the cost that is measured here. Then the kinds of index are
compared at 100,000: on random cells and, with tables, on cells one to three changes from those of NAS-Bench-301, as searches
leave them behind.

Results are kept by size: what is there is not measured again. Clock seconds stand beside those of the processor, which a busy
machine does not stretch. The tables of `docs/scale.md` are written anew.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from emprox import load_table
from emprox.benchmark import commit, machine
from emprox.encoders import Encoder, MetricEncoder
from emprox.estimators import EmProx
from emprox.index import EmbeddingIndex
from emprox.parallel import limit_threads
from emprox.spaces import Architecture, as_architectures, get_space

RESULTS = Path(__file__).parent / "results" / "index_scale.json"
CHAPTER = Path(__file__).parent.parent / "docs" / "scale.md"
SIZES = (1000, 10_000, 100_000, 1_000_000)
LEARNED, ASKED, BATCH, K, NEW, TIMES = 1000, 1000, 1000, 10, 100, 6
"""Architectures that the encoder learns from; queries; queries in a batch; neighbours; rows of a partial_fit, and how often."""
SEED, COMPARED = 200, 100_000
PROBES = (16, 32, 64, 128)
STEPS = ("read", "embed", "add", "fit_estimator")
SPACE = get_space("darts")
Archs = list[Architecture]


class Clock:
    """Seconds of named steps, by the clock and of the processor."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        start, start_cpu = time.perf_counter(), time.process_time()
        result = call()
        self.seconds[name] = {"clock": time.perf_counter() - start, "processor": time.process_time() - start_cpu}
        print(f"  {name}: {self.seconds[name]}", flush=True)
        return result


class Remembered(Encoder):
    """A fitted encoder that looks up what it has embedded before, so that the estimator's own time can be told."""

    kind = "remembered"

    def __init__(self, encoder: MetricEncoder, known: Archs, embedded: NDArray[np.float32]) -> None:
        self.encoder, self.known, self.embedded = encoder, known, embedded
        self.kernels_ = encoder.kernels_

    def fit(self, architectures: Any, y: Any = None, y_var: Any = None) -> Remembered:
        return self

    def transform(self, architectures: Any) -> NDArray[np.float32]:
        return self.embedded if architectures == self.known else self.encoder.transform(architectures)

    @property
    def dim(self) -> int:
        return self.encoder.dim

    def write(self, folder: Path) -> dict[str, Any]:
        return self.encoder.write(folder)

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Remembered:
        raise NotImplementedError("read the encoder itself")


def drawn(n: int, seed: int) -> list[str]:
    """Return distinct random architectures as strings."""
    rng, found = np.random.default_rng(seed), dict[Architecture, None]()
    while len(found) < n:
        found |= dict.fromkeys(SPACE.sample(rng, n - len(found)))
    return [str(architecture) for architecture in found]


def labels(architectures: Archs) -> NDArray[np.float64]:
    parts = [architectures[i : i + 10_000] for i in range(0, len(architectures), 10_000)]
    return np.log(np.concatenate([SPACE.costs(part)[:, 0] for part in parts]))


def milliseconds(call: Callable[[Any], object], arguments: Sequence[Any]) -> dict[str, float]:
    """Return median and 99th percentile of a call's time, by the clock and of the processor."""
    clock, processor = [], []
    for argument in arguments:
        start, start_cpu = time.perf_counter(), time.thread_time()
        call(argument)
        clock.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.thread_time() - start_cpu))
    times = {"": clock, "_processor": processor}
    return {f"p{p}{kind}": float(np.percentile(values, p)) for kind, values in times.items() for p in (50, 99)}


def measure(n: int) -> dict[str, Any]:
    """Return what n architectures cost."""
    strings, clock = drawn(n + ASKED + NEW * TIMES, SEED), Clock()
    known = clock("read", lambda: as_architectures(strings[:n], SPACE))
    others = as_architectures(strings[n:], SPACE)
    y, new_y = labels(known), labels(others)
    encoder = MetricEncoder().fit(known[:LEARNED], y[:LEARNED])
    embedded = clock("embed", lambda: encoder.transform(known))
    asked = encoder.transform(others[:ASKED])
    row: dict[str, Any] = {"n": n, **indexed(embedded, asked, clock)}
    model = EmProx(space=SPACE, encoder=FrozenEstimator(Remembered(encoder, known, embedded)), exact_up_to=LEARNED // 2)
    clock("fit_estimator", lambda: model.fit(known, y))
    row["query_ms"] = queries(model, encoder, strings[n : n + ASKED], asked)
    row["partial_fit"] = partial_fits(model, others[ASKED:], new_y[ASKED:])
    row["seconds"] = clock.seconds
    row["string_bytes_each"] = float(np.mean([len(text) for text in strings[:n]]))
    row["peak_memory_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return row


def indexed(embedded: NDArray[np.float32], asked: NDArray[np.float32], clock: Clock) -> dict[str, Any]:
    """Return what an index of embeddings costs in memory, time and on disk, and what it finds."""
    before, index = memory(), EmbeddingIndex(embedded.shape[1])
    clock("add", lambda: index.add(embedded))
    held = (memory() - before) / len(embedded)
    found = {"memory_bytes_each": held, "exact": index.is_exact, "recall": index.recall(asked, K)}
    return {**found, "search_ms": searches(index, asked), **filed(index, asked, clock)}


def searches(index: EmbeddingIndex, asked: NDArray[np.float32]) -> dict[str, Any]:
    """Return milliseconds of searches one by one, and of batches."""
    index.search(asked[:1], K)
    batches = [np.roll(asked, shift, axis=0)[:BATCH] for shift in range(10)]
    single = milliseconds(lambda q: index.search(q, K), list(asked[:, None]))
    return {"batch_1": single, f"batch_{BATCH}": milliseconds(lambda q: index.search(q, K), batches)}


def filed(index: EmbeddingIndex, asked: NDArray[np.float32], clock: Clock) -> dict[str, Any]:
    """Return bytes on disk and whether the file opened gives the same answers; saving and opening are timed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        clock("save", lambda: index.save(path))
        again = clock("open", lambda: EmbeddingIndex.load(path))
        same = all(np.array_equal(a, b) for a, b in zip(index.search(asked, K), again.search(asked, K), strict=True))
        return {"disk_bytes_each": path.stat().st_size / len(index), "opened_answers_alike": same}


def queries(model: EmProx, encoder: MetricEncoder, strings: list[str], asked: NDArray[np.float32]) -> dict[str, Any]:
    """Return milliseconds of an estimate from a string, and of its parts: embedding, search, search and kriging."""
    nearest = model.weigher_.process.places.nearest
    model.predict(strings[:1])
    single, few = list(asked[:, None]), [[text] for text in strings[:200]]
    return {
        "from_string": milliseconds(lambda text: model.predict(text), few),
        "embed": milliseconds(lambda text: encoder.transform(as_architectures(text, SPACE)), few),
        "search": milliseconds(lambda q: nearest(q, K), single),
        "search_and_kriging": milliseconds(lambda q: model.weigher_.predict(q, False), single),
    }


def partial_fits(model: EmProx, new: Archs, y: NDArray[np.float64]) -> dict[str, Any]:
    """Return seconds of each partial_fit of 100 rows; the first makes room for those to come."""
    clock = Clock()
    for i in range(TIMES):
        rows = slice(NEW * i, NEW * (i + 1))
        clock(f"partial_fit {i}", lambda: model.partial_fit(new[rows], y[rows]))  # noqa: B023
    spent = list(clock.seconds.values())
    return {"first": spent[0], "later": {kind: float(np.median([s[kind] for s in spent[1:]])) for kind in ("clock", "processor")}}


def memory() -> int:
    """Return the bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def compare(name: str, embedded: NDArray[np.float32]) -> Iterator[dict[str, Any]]:
    """Yield recall and time of every kind of index; the last 1,000 are the queries."""
    held, asked = embedded[:-ASKED], embedded[-ASKED:]
    for kind in ("flat", "ivf", "ivfpq", "hnsw"):
        clock, index = Clock(), EmbeddingIndex(embedded.shape[1], kind=kind)
        clock("add", lambda: index.add(held))  # noqa: B023
        finder = index._finder
        for probes in PROBES if hasattr(getattr(finder, "index", None), "nprobe") else (None,):
            if probes and finder:
                finder.index.nprobe = probes
            start = time.process_time()
            index.search(asked, K)
            spent = {"ms": 1000 * (time.process_time() - start) / len(asked), "recall": index.recall(asked, K)}
            yield {"data": name, "n": len(held), "kind": kind, "probes": probes, "add": clock.seconds["add"], **spent}


def mutants(n: int, tables_root: str) -> Archs:
    """Return architectures one to three changes from those of NAS-Bench-301."""
    table, rng = load_table("nasbench301", tables_root), np.random.default_rng(SEED + 1)
    found: dict[Architecture, None] = {}
    while len(found) < n:
        one = table.architectures[rng.integers(len(table))]
        for _ in range(rng.integers(1, 4)):
            one = SPACE.mutate(one, rng)
        found[one] = None
    return list(found)


def comparisons(n: int, tables_root: str | None) -> list[dict[str, Any]]:
    archs = {"random cells": as_architectures(drawn(n + ASKED, SEED + 2), SPACE)}
    if tables_root is not None:
        archs["near NAS-Bench-301"] = mutants(n + ASKED, tables_root)
    rows = []
    for name, cells in archs.items():
        order = np.random.default_rng(SEED).permutation(len(cells))
        encoder = MetricEncoder().fit([cells[i] for i in order[:LEARNED]], labels([cells[i] for i in order[:LEARNED]]))
        rows += list(compare(name, encoder.transform([cells[i] for i in order])))
    return rows


def exponents(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the power of n that each step grows with, between the two largest sizes."""
    if len(rows) < 2:
        return {}
    one, two = rows[-2:]
    steps = {step: [row["seconds"][step]["processor"] for row in (one, two)] for step in (*STEPS, "save", "open")}
    steps["search"] = [row["search_ms"]["batch_1"]["p50_processor"] for row in (one, two)]
    steps["partial_fit"] = [row["partial_fit"]["later"]["processor"] for row in (one, two)]
    return {step: float(np.log(b / a) / np.log(two["n"] / one["n"])) for step, (a, b) in steps.items()}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the chapter, in processor time, by name."""
    rows, steps = results["results"], (*STEPS, "save", "open")
    cells = [[f"{row['n']:,}", *(shown(row["seconds"][step]["processor"]) for step in steps)] for row in rows]
    if power := results.get("exponents"):
        last = rows[-1]
        more = [last["seconds"][step]["processor"] * 10 ** power[step] for step in steps]
        cells += [["exponent", *(f"{power[step]:.2f}" for step in steps)]]
        cells += [[f"{10 * last['n']:,}, by the exponents", *map(shown, more)]]
    kinds = [
        [row["data"], row["kind"], str(row["probes"] or ""), *map(shown, (row["add"]["processor"], row["ms"], row["recall"]))]
        for row in results["kinds"]
    ]
    found = {
        "costs": table(["architectures", "read s", "encode, embed s", "add s", "estimator s", "save s", "open s"], cells),
        "searches": table(SEARCHED, [[f"{row['n']:,}", *map(shown, searched(row))] for row in rows]),
        "estimates": table(ESTIMATED, [[f"{row['n']:,}", *map(shown, estimated(row))] for row in rows]),
    }
    if kinds:
        found["kinds"] = table(["data", "kind", "lists searched", "add s", "ms per query", "recall@10"], kinds)
    return found


def with_tables(text: str, found: dict[str, str]) -> str:
    """Return a chapter with tables in place of those that stand after ``<!-- name -->`` up to ``<!-- end -->``."""
    for name, lines in found.items():
        head, start, rest = text.partition(f"<!-- {name} -->\n")
        if not start:
            raise ValueError(f"the chapter has no place <!-- {name} --> for a table")
        text = f"{head}{start}\n{lines}\n\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return text


SEARCHED = [
    "architectures",
    "ms, p50",
    "p99",
    f"ms per {BATCH:,}, p50",
    "p99",
    "recall@10",
    "bytes each on disk",
    "with the string",
    "in memory",
    "peak of the process, GB",
]
ESTIMATED = [
    "architectures",
    "embed ms",
    "search ms",
    "kriging ms",
    "string to estimate ms, p99",
    f"{NEW} more: first s",
    "then s",
]


def searched(row: dict[str, Any]) -> list[float]:
    times = [row["search_ms"][batch][f"p{p}_processor"] for batch in ("batch_1", f"batch_{BATCH}") for p in (50, 99)]
    disk = row["disk_bytes_each"]
    return [
        *times,
        row["recall"],
        disk,
        disk + row["string_bytes_each"],
        row["memory_bytes_each"],
        row["peak_memory_bytes"] / 1e9,
    ]


def estimated(row: dict[str, Any]) -> list[float]:
    parts, more = row["query_ms"], row["partial_fit"]
    embed, search, both = (parts[name]["p50_processor"] for name in ("embed", "search", "search_and_kriging"))
    return [
        embed,
        search,
        both - search,
        parts["from_string"]["p99_processor"],
        more["first"]["processor"],
        more["later"]["processor"],
    ]


def shown(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--compared", type=int, default=COMPARED, help="size at which kinds are compared, 0: not")
    parser.add_argument("--tables-root")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    with limit_threads(1):
        if options.one:
            options.out.write_text(json.dumps(measure(options.one)))
            return
        results = json.loads(options.out.read_text()) if options.out.exists() else {"results": [], "kinds": []}
        results = {"machine": machine(), "threads": 1, "seed": SEED, "k": K, **results}
        for size in sorted({*options.sizes} - {row["n"] for row in results["results"]}):
            print(size, flush=True)
            results["results"] = sorted([*results["results"], alone(size)], key=lambda row: row["n"])
            results["exponents"] = exponents(results["results"])
            options.out.write_text(json.dumps(results, indent=1) + "\n")
        if options.compared and not results["kinds"]:
            results["kinds"] = comparisons(options.compared, options.tables_root)
            options.out.write_text(json.dumps(results, indent=1) + "\n")
    for name, lines in tables(results).items():
        print(f"{name}\n\n{lines}\n")
    if options.out == RESULTS:
        CHAPTER.write_text(with_tables(CHAPTER.read_text(), tables(results)))


def alone(size: int) -> dict[str, Any]:
    """Measure one size in a process of its own, so that its memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "row.json"
        subprocess.run([sys.executable, __file__, "--one", str(size), "--out", str(file)], check=True)
        return {**json.loads(file.read_text()), "commit": commit()}


if __name__ == "__main__":
    main()
