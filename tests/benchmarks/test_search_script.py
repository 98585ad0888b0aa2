"""``benchmarks/search.py``: configs name what exists, a run can be taken up, figures come from the file."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from emprox.errors import InvalidDataError
from emprox.estimators import make_estimator
from emprox.search import SEARCHES, Bound
from tests.benchmarks.loading import BENCHMARKS, load_script

CONFIGS = sorted((BENCHMARKS / "configs").glob("*_search.yaml"))
CONFIG = """
about: test
notes: test
protocol: {runs: 3, seed: 0, evaluations: 10, at_most: 15, marks: [5, 10]}
tables:
  small: {table: bundled, bounds: ["macs_millions<=20"]}
methods:
  random: {search: random}
  guided emprox: {search: guided, estimator: ridge, runs: 2}
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("search")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_name_what_exists(script: ModuleType, path: Path, tmp_path: Path) -> None:
    experiments = script.read_config(path, tmp_path)
    assert len({experiment.file for experiment in experiments}) == len(experiments) > 0
    for experiment in experiments:
        assert set(experiment.protocol) == {"runs", "seed", "evaluations", "at_most", "marks"}
        for options in experiment.methods.values():
            assert options["search"] in SEARCHES.names()
            make_estimator(options.get("estimator", "emprox"))
        for bound in experiment.bounds:
            assert str(Bound.parse(bound)) == bound


def test_runs_are_added_and_not_done_again(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "c_search.yaml").write_text(CONFIG)
    (experiment,) = script.read_config(tmp_path / "c_search.yaml", tmp_path)
    fewer = {name: {**options, "runs": 1} for name, options in experiment.methods.items()}
    script.measure(script.Experiment(**{**vars(experiment), "methods": fewer}), None, 0)
    first = json.loads(experiment.file.read_text())
    script.measure(experiment, None, 0)
    content = json.loads(experiment.file.read_text())
    runs = [(row["method"], row["seed"]) for row in content["results"]]
    assert runs == [("random", 0), ("random", 1), ("random", 2), ("guided emprox", 0), ("guided emprox", 1)]
    assert [row for row in content["results"] if row["about"] == 0] == first["results"]
    before = experiment.file.read_bytes()
    script.measure(experiment, None, 0)
    assert experiment.file.read_bytes() == before
    for row in content["results"]:
        values, ranks = [entry[1] for entry in row["improved"]], [entry[2] for entry in row["improved"]]
        assert values == sorted(values)
        assert ranks == sorted(ranks, reverse=True)
        assert row["asked"] <= 15
    shown = script.show(experiment, [5, 10])
    assert "| random | 3 |" in shown
    assert "macs_millions<=20" in shown
    with pytest.raises(InvalidDataError, match="another protocol"):
        script.measure(script.Experiment(**{**vars(experiment), "bounds": ()}), None, 0)


def test_figures_of_a_run(script: ModuleType) -> None:
    row = {"improved": [[1, 80.0, 500], [4, 90.0, 7], [30, 91.0, 1]]}
    assert script.reached(row, 7) == 4
    assert script.reached(row, 1) == 30
    assert np.isinf(script.reached({"improved": [[1, 80.0, 500]]}, 7))
    assert [script.at(row, queries, 1) for queries in (1, 3, 4, 29, 100)] == [80, 80, 90, 90, 91]
    middle, lower, upper = script.ratio([30.0, 60.0, 90.0], [10.0, 20.0, 30.0])
    assert lower <= middle == 3.0 <= upper
