"""The same work in one process, in several, on a Dask cluster and on Ray: same results, also when a worker is killed."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emprox import EmProx, Protocol, get_space, load_table, run_benchmark
from emprox.cli import app
from emprox.errors import (
    ClusterError,
    InvalidOptionError,
    MissingDependencyError,
    StorageError,
    TaskError,
    UnknownNameError,
    WorkerLostError,
)
from emprox.estimators import ranking
from emprox.parallel import Engine, Failure, run, work
from emprox.search import GuidedEvolution
from emprox.search.cluster import ClusterEvaluator
from emprox.search.run import Budget, Outcome, run_search
from tests.parallel_work import Counted, always_kills_its_worker, careless, kills_its_worker_once, scaled, square

ROOT = Path(__file__).parents[1]
SPACE = get_space("nasbench201")
TREES = "xgboost:n_estimators=5"
pytestmark = pytest.mark.filterwarnings("ignore:A worker stopped while some jobs were given:UserWarning")
"""loky replaces a worker that grows by 300 MB, which the import of torch does to one that first had small tasks, and says so."""


def started(name: str) -> Iterator[Engine]:
    if name == "loky":
        yield Engine(jobs=2)
    elif name == "dask":
        import dask
        from distributed import LocalCluster

        local = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}), LocalCluster(**local) as cluster:
            yield Engine("dask", address=cluster.scheduler_address)
    else:
        import ray

        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init("local", num_cpus=2, object_store_memory=80_000_000, **quiet)
        yield Engine("ray")
        ray.shutdown()


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("loky", "dask", "ray")]
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of two workers that can import the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        yield from started(request.param)


def options(engine: Engine) -> dict:
    return {"engine": engine.name, "jobs": engine.jobs, "address": engine.address}


def test_a_killed_worker_loses_and_repeats_nothing(engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = list(run(kills_its_worker_once, range(20), shared=log, engine=engine))
    assert sorted(found) == [(i, i * i) for i in range(20)]
    assert [line.split()[0] for line in log.read_text().splitlines()].count("7") == 2


def test_a_worker_lost_too_often_is_an_error(engine: Engine) -> None:
    with pytest.raises(WorkerLostError, match=r"lost 1 times .* expected at most 0; .* In task 0: 'poison'"):
        list(run(always_kills_its_worker, ["poison"], engine=replace(engine, retries=0)))
    assert sorted(run(square, range(3), engine=engine)) == [(0, 0), (1, 1), (2, 4)]


def test_shared_data_is_pickled_once_and_unpickled_once_in_each_worker(engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = dict(run(scaled, range(20), shared=Counted(log, 3), engine=engine))
    assert [found[i][0] for i in range(20)] == [3 * i for i in range(20)]
    happened = [line.split() for line in log.read_text().splitlines()]
    assert [pid for what, pid in happened if what == "pickled"] == [str(os.getpid())]
    workers = {str(pid) for _, pid in found.values()}
    assert str(os.getpid()) not in workers
    assert sorted(pid for what, pid in happened if what == "unpickled") == sorted(workers)


def test_a_failing_task_names_itself_and_is_not_tried_again(engine: Engine) -> None:
    with pytest.raises(TaskError, match=r"^ValueError: three is too many; in task 3: 3$") as caught:
        list(run(careless, range(5), engine=engine))
    assert "in careless" in str(caught.value.__cause__)


def test_trials(engine: Engine) -> None:
    told: list[tuple[int, int]] = []
    protocol = Protocol((20,), 50, 4, timed=1, **options(engine))
    shared = run_benchmark("bundled", [TREES, "ridge"], protocol, progress=lambda *step: told.append(step))
    alone = run_benchmark("bundled", [TREES, "ridge"], Protocol((20,), 50, 4))
    scores = ("estimator", "trial", "kendall", "mae", "rmse", "training_epochs")
    assert [[r[name] for name in scores] for r in shared["results"]] == [[r[name] for name in scores] for r in alone["results"]]
    assert told == [(i, 8) for i in range(1, 9)]


def test_proxies(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "cells.txt").write_text("\n".join(map(str, SPACE.sample(np.random.default_rng(0), 5))))
    command = [
        "proxies",
        "--space",
        "nasbench201",
        str(tmp_path / "cells.txt"),
        "--batch-size",
        "4",
        "--proxy",
        "synflow",
        "--proxy",
        "nwot",
    ]
    where = ["--engine", engine.name, "--jobs", str(engine.jobs), *(["--address", engine.address] if engine.address else [])]
    for name, more in (("here.csv", []), ("there.csv", where)):
        result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / name), *more], catch_exceptions=False)
        assert result.exit_code == 0
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()


@pytest.fixture(scope="module")
def model() -> EmProx:
    table = load_table("bundled")
    return EmProx().fit(table.architectures[:60], table.targets["val_accuracy"][:60])


def test_candidates(engine: Engine, model: EmProx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "CHUNK", 300)
    texts = [str(each) for each in SPACE.sample(np.random.default_rng(1), 2_000)]
    counts: list[int] = []
    alone = ranking.estimate_many(model, texts)
    shared = ranking.estimate_many(model, iter(texts), engine=engine, progress=counts.append)
    assert shared == alone
    assert [each.architecture for each in shared] == texts
    assert sorted(counts) == [200, *[300] * 6]
    assert ranking.estimate_many(model, texts, top=10, engine=engine) == ranking.best(alone, 10)
    drawn = ranking.estimate_samples(model, 1_000, top=5, seed=3, engine=engine)
    assert drawn == ranking.estimate_samples(model, 1_000, top=5, seed=3)


class Here:
    """Evaluates two at a time in this process, in the order in which they are asked."""

    capacity = 2

    def __init__(self) -> None:
        self.asked: list = []

    def submit(self, proposal: object) -> None:
        self.asked.append(proposal)

    def wait(self) -> list[Outcome]:
        proposal = self.asked.pop(0)
        spec = proposal.architecture.spec
        return [
            Outcome(proposal, error="RuntimeError: diverged (objective.py, line 6)")
            if spec[0] == 1
            else Outcome(proposal, float(sum(spec)))
        ]


OBJECTIVE = """
import time
def train(architecture):
    time.sleep(0.1 * architecture.spec[1])
    if architecture.spec[0] == 1:
        raise RuntimeError("diverged")
    return float(sum(architecture.spec))
"""


def test_a_search(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "objective.py").write_text(OBJECTIVE)
    here, there = (GuidedEvolution(SPACE, n_initial=6, n_candidates=20, random_state=1) for _ in range(2))
    run_search(here, Here(), Budget(evaluations=9))
    with ClusterEvaluator(f"{tmp_path}/objective.py:train", engine, time_limit=30.0) as evaluator:
        assert evaluator.capacity == 2
        run_search(there, evaluator, Budget(evaluations=9))
    assert [(t.architecture, t.values, t.error) for t in there.history] == [
        (t.architecture, t.values, t.error) for t in here.history
    ]
    assert {trial.error is None for trial in there.history} == {True, False}


def test_one_process_takes_tasks_in_order() -> None:
    assert list(run(square, iter(range(4)))) == [(0, 0), (1, 1), (2, 4), (3, 9)]
    with pytest.raises(TaskError, match="in task 3: 3") as caught:
        list(run(careless, range(5)))
    assert isinstance(caught.value.__cause__, ValueError)


def test_tasks_that_cannot_be_drawn_are_an_error() -> None:
    def drawn() -> Iterator[int]:
        yield from range(6)
        raise StorageError("the disk is gone")

    for engine in (Engine(), Engine(jobs=2)):
        found = []
        with pytest.raises(StorageError, match="the disk is gone"):
            found.extend(run(square, drawn(), engine=engine))


def test_lost_data_is_sent_again_on_a_cluster_of_ones_own(tmp_path: Path) -> None:
    found = list(run(kills_its_worker_once, range(6, 9), shared=tmp_path / "log", engine=Engine("dask")))
    assert sorted(found) == [(0, 36), (1, 49), (2, 64)]


def test_workers_with_several_threads_are_refused() -> None:
    from distributed import LocalCluster

    local = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**local) as cluster, pytest.raises(InvalidOptionError, match=r"has 2 threads, expected one.*--nthreads 1"):
        list(run(square, [1], engine=Engine("dask", address=cluster.scheduler_address)))


def test_a_cluster_that_does_not_answer() -> None:
    import dask

    quick = {"distributed.comm.timeouts.connect": "0.1s"}
    with (
        dask.config.set(quick),
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1: .*dask scheduler"),
    ):
        list(run(square, [1], engine=Engine("dask", address="tcp://127.0.0.1:1")))


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_missing_extras(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"'{package}'.*pip install 'emprox\[{name}\]'"):
        list(run(square, [1], engine=Engine(name)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jobs": 0}, "jobs must be an integer of at least 1, got 0"),
        ({"retries": -1}, "retries"),
        ({"address": "tcp://host:8786"}, "loky is this machine, got the address 'tcp://host:8786'; choose dask or ray"),
        ({"name": "dask", "jobs": 2, "address": "tcp://host:8786"}, "workers of its own, got jobs=2"),
    ],
)
def test_wrong_engines(given: dict, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Engine(**given)


def test_a_wrong_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no engine is called 'dusk'; did you mean 'dask'"):
        Protocol((10,), engine="dusk")


def test_a_shared_object_that_was_changed_on_its_way_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "shared.pickle"
    file.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    found = work(square, 3, "0" * 64, file)
    assert isinstance(found, Failure)
    assert "not the one that was sent" in found.error
