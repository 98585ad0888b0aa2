"""The scripts of ``benchmarks/``: configs are sound, a run can be taken up, and everything runs small."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from emprox.errors import InvalidDataError
from emprox.estimators import make_estimator
from emprox.parallel import Engine
from tests.benchmarks.loading import load_script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CONFIGS = sorted(path for path in (BENCHMARKS / "configs").glob("*.yaml") if not path.stem.endswith("_search"))
SMALL = """
protocol: {train_sizes: [20, 30], test_size: 50, trials: 2, seed: 0}
tables: {bundled: }
estimators: {"xgboost:n_estimators=5": , params: {trials: 1}}
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("run")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_name_what_exists(script: ModuleType, path: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    assert config["about"]
    assert config["notes"]
    for experiment in script.read_config(path, tmp_path):
        assert len({make_estimator(spec).kind for spec in experiment.trials}) > 1
        for spec in experiment.trials:
            make_estimator(script.quick(spec))
        facts = config["estimators"].values()
        assert all(set(fact or {}) <= {"trials", "published", "released"} for fact in facts)


def test_smoke(tmp_path: Path) -> None:
    path = BENCHMARKS / "configs" / "bundled.yaml"
    command = [sys.executable, str(BENCHMARKS / "run.py"), str(path), "--smoke", "--out", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (file,) = (tmp_path / path.stem).iterdir()
    content = json.loads(file.read_text())
    assert len(content["results"]) == len(yaml.safe_load(path.read_text())["estimators"])
    (run,) = content["runs"]
    assert run["machine"]["packages"]["torch"]
    assert (run["threads"], run["jobs"], run["engine"], run["address"]) == (1, 1, "loky", None)
    assert {result["run"] for result in content["results"]} == {0}


def test_a_rerun_measures_what_is_missing(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    (experiment,) = script.read_config(path, tmp_path)
    script.measure(experiment, ["params"], Engine(), None)
    script.measure(experiment, list(experiment.trials), Engine(), None)
    content = json.loads(experiment.file.read_text())
    whole = [(r["estimator"], r["train_size"], r["trial"], r["run"]) for r in content["results"]]
    trees = "xgboost:n_estimators=5"
    assert whole == [("params", 20, 0, 0), ("params", 30, 0, 0), *((trees, n, t, 1) for t in (0, 1) for n in (20, 30))]
    assert len(content["runs"]) == 2
    assert [(row["estimator"], row["train_size"], row["trials"]) for row in content["summary"]] == [
        ("params", 20, 1),
        ("params", 30, 1),
        (trees, 20, 2),
        (trees, 30, 2),
    ]
    before = experiment.file.read_bytes()
    script.measure(experiment, list(experiment.trials), Engine(), None)
    assert experiment.file.read_bytes() == before
    assert "0 new, 4 in all" in capsys.readouterr().out


def test_results_of_other_splits_do_not_mix(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    script.measure(script.read_config(path, tmp_path)[0], ["params"], Engine(), None)
    path.write_text(SMALL.replace("seed: 0", "seed: 1"))
    with pytest.raises(InvalidDataError, match="move it or change the config"):
        script.measure(script.read_config(path, tmp_path)[0], ["params"], Engine(), None)


def test_what_a_run_did_is_kept_when_it_fails(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    (experiment,) = script.read_config(path, tmp_path)
    monkeypatch.setattr(script, "SAVE_EVERY", 0.0)
    original = script.run_benchmark

    def fail(*arguments, on_result, **options):
        def once(result):
            on_result(result)
            raise KeyboardInterrupt

        return original(*arguments, on_result=once, **options)

    monkeypatch.setattr(script, "run_benchmark", fail)
    with pytest.raises(KeyboardInterrupt):
        script.measure(experiment, ["params"], Engine(), None)
    monkeypatch.setattr(script, "run_benchmark", original)
    script.measure(experiment, ["params"], Engine(), None)
    content = json.loads(experiment.file.read_text())
    assert [(r["train_size"], r["run"]) for r in content["results"]] == [(20, 0), (30, 1)]
