"""``emprox search`` as a user calls it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from emprox.cli import app
from emprox.errors import EmproxError

OBJECTIVE = """
import time
def train(architecture):
    if architecture.spec[0] == 1:
        raise RuntimeError("diverged")
    return {"val_accuracy": 90 - sum(architecture.spec), "latency_ms": 1 + sum(architecture.spec)}
def other(architecture):
    return {"val_loss": 1}
def slow(architecture):
    open("started", "a").write(".")
    time.sleep(0.02 if len(open("started").read()) < 4 else 1000)
    return 90
"""
SIMULATED = ("search", "nasbench201", "--table", "bundled", "--method", "random", "--evaluations", 12)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_objective.py").write_text(OBJECTIVE)
    return tmp_path


def call(*arguments: object) -> Result:
    """Run the command line in this process, which has imported what it needs."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeeds(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def fails(result: Result, words: str) -> None:
    assert isinstance(result.exception, EmproxError)
    assert words in str(result.exception)


def read_result(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_a_simulated_search_of_several_runs(here: Path) -> None:
    printed = succeeds(*SIMULATED, "--runs", 2, "-o", "out")
    content = read_result(here / "out" / "result.json")
    assert content["population"] == 2010
    assert [run["seed"] for run in content["runs"]] == [0, 1]
    for run in content["runs"]:
        values = [trial["values"]["val_accuracy"] for trial in run["trials"]]
        assert run["best_so_far"] == [max(values[: i + 1]) for i in range(12)]
        assert run["regret"][-1] == pytest.approx(content["best_known"] - max(values))
        assert run["trials"][run["best"]]["values"]["val_accuracy"] == max(values)
        assert f"rank {run['rank'][-1]} of 2010" in printed
    assert len(content["summary"]) == 12
    last = content["summary"][-1]["best_so_far"]
    assert last["lower"] <= last["mean"] <= last["upper"]
    fails(call(*SIMULATED, "--runs", 2, "-o", "out"), "--resume")
    succeeds(*SIMULATED[:-1], 15, "--runs", 2, "-o", "out", "--resume")
    longer = read_result(here / "out" / "result.json")
    assert [run["trials"][:12] for run in longer["runs"]] == [run["trials"] for run in content["runs"]]
    assert [run["evaluations"] for run in longer["runs"]] == [15, 15]
    assert "regret" in (here / "out" / "report.html").read_text()
    fails(call(*SIMULATED[:-1], 15, "--runs", 2, "-o", "out", "--resume", "--method", "local"), "belongs to another search")


def test_a_search_that_trains(here: Path) -> None:
    command = ("search", "nasbench201", "--objective", "my_objective:train", "--evaluations", 16, "--workers", 2)
    options = ("--method", "guided:n_initial=6,n_candidates=30", "--estimator", "gp", "--bound", "macs_millions<=150")
    succeeds(*command, *options, "--bound", "latency_ms<=12", "-o", "out")
    content = read_result(here / "out" / "result.json")
    (run,) = content["runs"]
    assert run["evaluations"] == 16
    assert run["failures"] == sum("diverged" in (trial["error"] or "") for trial in run["trials"])
    assert content["options"] == {"n_initial": 6, "n_candidates": 30, "estimator": "gp"}
    assert content["goals"]["bounds"] == ["macs_millions<=150", "latency_ms<=12"]
    assert content["table"] is None
    assert set(run["trials"][-1]["belief"]) == {"val_accuracy", "latency_ms"}
    assert content["command"].startswith("emprox")
    assert (here / "out" / "report.html").exists()


def test_several_objectives_have_a_front(here: Path) -> None:
    options = ("--maximize", "val_accuracy", "--minimize", "macs_millions")
    succeeds(*SIMULATED, *options, "-o", "out")
    content = read_result(here / "out" / "result.json")
    run = content["runs"][0]
    volumes = run["hypervolume"]
    assert volumes == sorted(volumes)
    assert len(content["goals"]["reference_point"]) == 2
    assert "hypervolume" in (here / "out" / "report.html").read_text()


def test_an_interrupted_search_goes_on(here: Path) -> None:
    command = [
        "search",
        "nasbench201",
        "--objective",
        "my_objective:slow",
        "--method",
        "random",
        "--evaluations",
        "5",
        "-o",
        "out",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "emprox.cli", *command],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )
    while not (here / "started").exists() or len((here / "started").read_text()) < 4:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on" in stderr
    assert len(read_result(here / "out" / "result.json")["runs"][0]["trials"]) == 3
    with (here / "out" / "history-0.jsonl").open("r+b") as file:
        file.truncate(os.path.getsize(file.name) - 10)
    (here / "my_objective.py").write_text("def slow(architecture): return 91")
    result = call(*command, "--resume")
    assert result.exit_code == 0, result.output
    assert "in the middle of a line" in result.stderr
    values = [trial["values"]["val_accuracy"] for trial in read_result(here / "out" / "result.json")["runs"][0]["trials"]]
    assert values == [90, 90, 91, 91, 91]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one of --table and --objective"),
        (("--table", "bundled"), "expected a budget"),
        (("--table", "bundled", "--evaluations", 5, "--objective", "a:b"), "one of --table and --objective"),
        (("--table", "bundled", "--evaluations", 5, "--method", "gided"), "did you mean 'guided'"),
        (("--table", "bundled", "--evaluations", 5, "--method", "random:size=3"), "no option 'size'"),
        (("--table", "bundled", "--evaluations", 5, "--estimator", "xgbost"), "did you mean 'xgboost'"),
        (("--table", "bundled", "--evaluations", 5, "--maximize", "val_acc"), "did you mean 'val_accuracy'"),
        (("--table", "bundled", "--evaluations", 5, "--bound", "macs"), "expected a bound"),
        (("--objective", "my_objective:nothing", "--evaluations", 5), "cannot import"),
    ],
)
def test_wrong_calls_say_what_is_wrong(arguments: tuple[object, ...], words: str, here: Path) -> None:
    extra = ("--evaluations", 5) if not arguments else ()
    fails(call("search", "nasbench201", *arguments, *extra, "-o", "out"), words)


def test_a_table_of_another_space(here: Path) -> None:
    fails(call("search", "darts", "--table", "bundled", "--evaluations", 5, "-o", "out"), "architectures of nasbench201")


def test_a_call_that_was_wrong_leaves_room_for_the_right_one(here: Path) -> None:
    fails(call(*SIMULATED[:-2], "--evaluations", 3, "--method", "guided:foo=1", "-o", "out"), "no option 'foo'")
    fails(call("search", "nasbench201", "--objective", "no_such:train", "--evaluations", 3, "-o", "out"), "no_such")
    succeeds("search", "nasbench201", "--objective", "my_objective:train", "--method", "random", "--evaluations", 3, "-o", "out")
    assert call(*SIMULATED, "--seed", -1, "-o", "negative").exit_code == 2


def test_a_bound_that_no_row_keeps(here: Path) -> None:
    succeeds(*SIMULATED, "--bound", "val_accuracy>=200", "-o", "out")
    assert read_result(here / "out" / "result.json")["best_known"] is None


def test_a_search_of_failures_is_one(here: Path) -> None:
    result = call(
        "search", "nasbench201", "--objective", "my_objective:other", "--method", "random", "--evaluations", 2, "-o", "out"
    )
    fails(result, "every evaluation failed, the first with: ")
    assert "named by --maximize and --minimize" in str(result.exception)
