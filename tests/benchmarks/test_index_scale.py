"""The benchmark of large indexes, in small; its results on disk hold what the chapter says of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from emprox.index import embedding_index
from tests.benchmarks.loading import BENCHMARKS, load_script


def test_runs_in_small_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("index_scale")
    monkeypatch.setattr(embedding_index, "EXACT_UP_TO", 1200)
    for name, value in {"LEARNED": 50, "ASKED": 20, "BATCH": 10, "NEW": 5, "TIMES": 2, "PROBES": (4,)}.items():
        monkeypatch.setattr(script, name, value)
    measured = []

    def alone(size: int) -> dict:
        measured.append(size)
        return script.measure(size)

    monkeypatch.setattr(script, "alone", alone)
    out = tmp_path / "out.json"
    script.main(["--sizes", "600", "--compared", "0", "--out", str(out)])
    script.main(["--sizes", "1500", "600", "--compared", "1100", "--out", str(out)])
    assert measured == [600, 1500]
    results = json.loads(out.read_text())
    small, large = results["results"]
    assert (small["exact"], large["exact"]) == (True, False)
    assert small["recall"] == 1
    assert large["recall"] > 0.9
    assert large["opened_answers_alike"]
    assert 256 < large["disk_bytes_each"] < 600
    assert set(large["seconds"]) == {"read", "embed", "add", "save", "open", "fit_estimator"}
    tables = script.tables(results)
    chapter = script.with_tables(script.CHAPTER.read_text(), tables)
    assert chapter.count("| 1,500 |") == 3
    assert script.with_tables(chapter, tables) == chapter
    assert {row["kind"] for row in results["kinds"]} == {"flat", "ivf", "ivfpq", "hnsw"}
    assert set(results["exponents"]) == {"read", "embed", "add", "fit_estimator", "save", "open", "search", "partial_fit"}


def test_architectures_are_distinct_and_the_same_each_time() -> None:
    script = load_script("index_scale")
    one, other = script.drawn(200, 100), script.drawn(200, 100)
    assert one == other
    assert len(set(one)) == 200
    np.testing.assert_allclose(script.exponents([row(1, 2.0), row(10, 20.0)])["add"], 1)


def row(n: int, seconds: float) -> dict:
    spent = {"processor": seconds}
    steps = ("read", "embed", "add", "fit_estimator", "save", "open")
    search = {"batch_1": {"p50_processor": 1.0}}
    return {"n": n, "seconds": dict.fromkeys(steps, spent), "search_ms": search, "partial_fit": {"later": spent}}


def test_a_million_keeps_its_bounds() -> None:
    rows = json.loads((BENCHMARKS / "results" / "index_scale.json").read_text())["results"]
    million = next((row for row in rows if row["n"] == 10**6), None)
    if million is None:
        pytest.skip("a million is not among the results: python benchmarks/index_scale.py")
    assert million["recall"] >= 0.95
    assert million["disk_bytes_each"] + million["string_bytes_each"] < 600
    assert million["peak_memory_bytes"] < 4e9
    assert million["seconds"]["open"]["processor"] < 1
    assert sum(million["seconds"][step]["processor"] for step in ("read", "embed", "add", "fit_estimator")) < 600
