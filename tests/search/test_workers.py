"""Evaluations in other processes: whatever one does, the others and the search go on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emprox.errors import InvalidOptionError
from emprox.search import RandomSearch
from emprox.search.run import Budget, run_search
from emprox.search.workers import WorkerEvaluator

OBJECTIVE = """
import os, sys, time
def train(architecture):
    print("on standard output")
    first, second = architecture.spec[:2]
    if second == 0:
        time.sleep(1000)
    if first == 0:
        raise RuntimeError("diverged")
    if first == 1:
        os.kill(os.getpid(), 9)
    if first == 2:
        return float("nan")
    if first == 3:
        return {"val_accuracy": "ninety"}
    return {"val_accuracy": 80 + sum(architecture.spec)}
def leave(architecture):
    sys.exit(3)
def slow(architecture):
    open(f"{os.getpid()}.pid", "w").close()
    time.sleep(1000)
number = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "objectives.py").write_text(OBJECTIVE)
    return tmp_path


def test_crashes_hangs_and_nonsense_lose_nothing() -> None:
    search = RandomSearch("nasbench201", random_state=2)
    with WorkerEvaluator("objectives:train", workers=2, time_limit=1.0) as evaluator:
        run_search(search, evaluator, Budget(evaluations=16))
    outcomes = {
        0: "RuntimeError: diverged (objectives.py, line 9)",
        1: "the worker ended with signal SIGKILL",
        2: "the objective returned nan, expected a finite number",
        3: "the objective returned str 'ninety', expected a number",
        4: None,
    }
    assert len(search.history) == 16
    for trial in search.history:
        first, second = trial.architecture.spec[:2]
        assert trial.error == ("time limit of 1 seconds" if second == 0 else outcomes[first])
        assert trial.seconds < 30
        if trial.error is None:
            assert trial.values == {"val_accuracy": 80 + sum(trial.architecture.spec)}
    seen = [trial.architecture.spec[0] if trial.architecture.spec[1] else "hang" for trial in search.history]
    assert set(seen) == {0, 1, 2, 3, 4, "hang"}


def test_a_file_is_an_objective_too(here: Path) -> None:
    search = RandomSearch("nasbench201")
    with WorkerEvaluator(f"{here}/objectives.py:leave") as evaluator:
        run_search(search, evaluator, Budget(evaluations=1))
    assert search.history[0].error.startswith("SystemExit: 3")


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("objectives:nothing", "cannot import"),
        ("objectives:number", "is a int"),
        ("objectives", "package.module:function"),
        ("missing.py:train", "no file"),
        ("broken:train", "SyntaxError"),
    ],
)
def test_what_cannot_be_called_is_an_error(objective: str, words: str, here: Path) -> None:
    (here / "broken.py").write_text("def")
    search = RandomSearch("nasbench201")
    with WorkerEvaluator(objective, workers=2) as evaluator, pytest.raises(InvalidOptionError, match=words):
        run_search(search, evaluator, Budget(evaluations=2))
    assert len(search.history) == 0


def test_workers_end_with_the_search_that_started_them(here: Path) -> None:
    code = (
        "from emprox.search import RandomSearch; from emprox.search.workers import WorkerEvaluator\n"
        "from emprox.search.run import Budget, run_search\n"
        "run_search(RandomSearch('nasbench201'), WorkerEvaluator('objectives:slow'), Budget(evaluations=1))"
    )
    search = subprocess.Popen([sys.executable, "-c", code])
    while not (files := list(here.glob("*.pid"))):
        assert search.poll() is None
        time.sleep(0.05)
    search.kill()
    search.wait()
    worker = int(files[0].stem)
    for _ in range(600):
        if not _runs(worker):
            break
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_budget_of_seconds_starts_nothing_after_it() -> None:
    search = RandomSearch("nasbench201")

    class Slow:
        capacity = 1

        def submit(self, proposal: object) -> None:
            self.proposal = proposal

        def wait(self) -> list:
            from emprox.search.run import Outcome

            time.sleep(0.06)
            return [Outcome(self.proposal, 90.0)]

    run_search(search, Slow(), Budget(seconds=0.1))
    assert 1 <= len(search.history) <= 2
    before = len(search.history)
    run_search(search, Slow(), Budget(seconds=0.05))  # those of before count
    assert len(search.history) == before


@pytest.mark.parametrize("options", [{}, {"evaluations": 0}, {"seconds": -1.0}])
def test_wrong_budgets(options: dict) -> None:
    with pytest.raises(InvalidOptionError):
        Budget(**options)
