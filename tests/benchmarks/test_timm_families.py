"""One family left out, on a small table."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from emprox import PerformanceTable
from emprox.spaces import ComputationGraph, NodeAttributes, get_family
from tests.benchmarks.loading import load_script

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "timm_families.json"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("timm_families")


def chain(width: int, depth: int) -> ComputationGraph:
    node = NodeAttributes(channels=width, size=(8, 8), kernel=(3, 3), parameters=9 * width**2, macs=576 * width**2)
    edges = tuple((i, i + 1) for i in range(depth + 1))
    return ComputationGraph(("input", *["conv"] * depth, "output"), edges, (node,) * (depth + 2))


@pytest.fixture
def table() -> PerformanceTable:
    """A table in which accuracy follows width, in three families by depth."""
    family = get_family("network")
    sizes = [(width, depth) for depth in (2, 3, 4) for width in range(4, 14)]
    return PerformanceTable(
        "small",
        "network",
        tuple(family.parse(chain(*size)) for size in sizes),
        {"val_accuracy": np.array([50.0 + 2 * width for width, _ in sizes])},
        columns={"family": np.array([f"depth{depth}" for _, depth in sizes])},
    )


def test_one_family_is_left_out(script: ModuleType, table: PerformanceTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SEEDS", range(2))
    monkeypatch.setattr(script, "DRAWN", 15)
    rows = [row for family in ("depth2", "depth4") for row in script.run(table, family)]
    assert len(rows) == 2 * (1 + 2) * len(script.ESTIMATORS)
    assert all(row["tested"] == 10 for row in rows)
    assert min(row["kendall"] for row in rows if row["estimator"] != "xgboost:encoding=network") > 0.9
    lines = script.summary(rows)
    assert {line["families"] for line in lines} == {2}
    assert [line["mean"] for line in lines if line["estimator"] == "params"] == [1.0] * 4
    assert script.show(lines).count("\n") == 1 + len(lines)


def test_the_recorded_summary_follows_from_its_results(script: ModuleType) -> None:
    recorded = json.loads(RESULTS.read_text())
    assert recorded["summary"] == script.summary(recorded["results"])
    assert {row["family"] for row in recorded["results"]} == set(recorded["families"])
    chapter = (ROOT / "docs" / "tracing.md").read_text()
    for line in script.show(recorded["summary"]).splitlines():
        assert line in chapter
