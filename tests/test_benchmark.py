import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from emprox import PerformanceTable, Protocol, get_space, load_table, run_benchmark
from emprox.benchmark import _intervals
from emprox.errors import InvalidOptionError, UnknownNameError
from emprox.estimators import GaussianProcess, XGBoost
from emprox.report import score, score_interval

QUICK = "xgboost:n_estimators=5"


def test_results_are_those_of_the_documented_splits() -> None:
    run = run_benchmark("bundled", [QUICK], Protocol((20, 50), test_size=100, trials=2, seed=3))
    table = load_table("bundled")
    values = table.target()[1]
    assert [(r["train_size"], r["trial"]) for r in run["results"]] == [(20, 0), (20, 1), (50, 0), (50, 1)]
    for result in run["results"]:
        order = np.random.default_rng([3, result["trial"]]).permutation(len(table))
        test, train = order[:100], order[100 : 100 + result["train_size"]]
        estimator = XGBoost(n_estimators=5).fit([table.architectures[i] for i in train], values[train])
        expected = score(values[test], estimator.predict([table.architectures[i] for i in test]))
        assert {name: result[name] for name in expected} == pytest.approx(expected)
        assert result["fit_seconds"] > 0
        assert result["fit_cpu_seconds"] > 0
        assert result["query_seconds_per_architecture"] > 0
    json.dumps(run, allow_nan=False)


def test_facts_and_summary() -> None:
    run = run_benchmark("bundled", [QUICK], Protocol((30,), test_size="rest", trials=3))
    table = load_table("bundled")
    facts = {name: run[name] for name in ("table", "target", "population", "split", "threads", "trials", "seed", "jobs")}
    assert facts == {
        "table": "bundled",
        "target": table.target()[0],
        "population": len(table),
        "split": "row",
        "threads": 1,
        "trials": 3,
        "seed": 0,
        "jobs": 1,
    }
    assert run["machine"]["packages"]["torch"]
    kendalls = [r["kendall"] for r in run["results"]]
    (row,) = run["summary"]
    assert (row["estimator"], row["train_size"], row["trials"]) == (QUICK, 30, 3)
    assert (row["kendall_mean"], row["kendall_std"]) == pytest.approx((np.mean(kendalls), np.std(kendalls, ddof=1)))


def test_without_labels_only_what_needs_none_is_measured() -> None:
    run = run_benchmark("bundled", ["size", QUICK], Protocol((0, 20), 50, 2))
    measured = [(r["estimator"], r["train_size"]) for r in run["results"]]
    assert measured == [("size", 0), ("size", 0), ("size", 20), ("size", 20), (QUICK, 20), (QUICK, 20)]
    with pytest.raises(InvalidOptionError, match="without labels none of"):
        run_benchmark("bundled", [QUICK], Protocol((0,), 50, 2))


def test_sources_are_handed_over_and_pretraining_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    from emprox.estimators.graph_transfer import GraphTransfer

    pretrained = []
    pretrain = GraphTransfer._pretrain
    monkeypatch.setattr(GraphTransfer, "_pretrain", lambda self: pretrained.append(self.random_state) or pretrain(self))
    tiny = "gnn:graphs=8,epochs=1,hidden_size=8,layers=1,tuning_steps=1"
    protocol = Protocol((0, 4), 10, 3, source=("bundled",), trainings=2)
    monkeypatch.setattr(
        "emprox.benchmark.load_table", lambda name, root=None: load_table("bundled") if name == "bundled" else darts()
    )
    run = run_benchmark("darts", [tiny, "size"], protocol)
    assert pretrained == [0, 1]
    assert (run["source"], run["trainings"]) == (["bundled"], 2)
    assert len(run["results"]) == 2 * 2 * 3


def darts() -> PerformanceTable:
    cells = get_space("darts").sample(np.random.default_rng(0), 20)
    return PerformanceTable("darts", "darts", tuple(cells), {"val_accuracy": np.arange(20.0)})


def test_learning_curves_are_handed_over_and_counted() -> None:
    run = run_benchmark("bundled", ["sotle:epochs=3", "ridge:encoding=features+curves@2"], Protocol((20,), 50, 2))
    first, _, second, _ = run["results"]
    costs = ("training_epochs_per_candidate", "label_epochs", "training_epochs")
    assert [first[name] for name in costs] == [3, 0, 150]
    assert [second[name] for name in costs] == [2, 200, 300]
    seconds = load_table("bundled").targets["train_seconds"].mean() * np.array([50 * 0.3, 20 + 50 * 0.2])
    assert [first["training_seconds"], second["training_seconds"]] == pytest.approx(seconds, rel=0.2)
    assert [row["training_epochs_mean"] for row in run["summary"]] == [150, 300]


def test_a_smaller_target_may_be_better(monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_table("bundled")
    error = {"test_error": 100 - table.targets["test_accuracy"]}
    monkeypatch.setattr(
        "emprox.benchmark.load_table", lambda *_: replace(table, targets=error, measures={}, spreads={}, counts={})
    )
    protocol = Protocol((20,), 200, 1)
    of_errors = run_benchmark("bundled", ["early-stopping:epoch=9", QUICK], protocol)["results"]
    assert of_errors[0]["kendall"] > 0.5
    monkeypatch.undo()
    of_accuracies = run_benchmark("bundled", [QUICK], replace(protocol, target="test_accuracy"))["results"]
    for name in ("kendall", "regret", "precision_at_10"):
        assert of_errors[1][name] == pytest.approx(of_accuracies[0][name], abs=0.05)


def test_processes_give_the_same_scores() -> None:
    one, two = (
        run_benchmark("bundled", [QUICK, "emprox-paper:epochs=1"], Protocol((20,), 50, 3, jobs=n, timed=1)) for n in (1, 2)
    )
    names = ("estimator", "trial", "kendall", "mae")
    assert [[r[n] for n in names] for r in one["results"]] == [[r[n] for n in names] for r in two["results"]]
    assert all(r["fit_seconds"] > 0 for r in one["results"])
    assert [r["fit_seconds"] is not None for r in two["results"]] == [True, False, False] * 2
    alone = [r["fit_seconds"] for r in two["results"] if r["trial"] == 0]
    assert [row["fit_seconds_mean"] for row in two["summary"]] == alone


def test_what_is_known_is_not_measured_again() -> None:
    protocol, new = Protocol((10, 20), 50, 2), []
    whole = run_benchmark("bundled", [QUICK], protocol)
    known = [result | {"kept": True} for result in whole["results"] if result["trial"] == 0]
    other = {"estimator": "forest", "train_size": 10, "trial": 0}
    again = run_benchmark("bundled", [QUICK], protocol, known=[*known, other], on_result=new.append)
    assert [(r["train_size"], r["trial"]) for r in new] == [(10, 1), (20, 1)]
    assert [r.get("kept", False) for r in again["results"]] == [True, False, True, False]
    assert [r["kendall"] for r in again["results"]] == [r["kendall"] for r in whole["results"]]


def test_intervals_are_normal_unless_the_estimator_has_its_own() -> None:
    run = run_benchmark("bundled", ["gp", QUICK], Protocol((50,), 100, 1))
    gp, trees = run["results"]
    assert "coverage" not in trees
    table = load_table("bundled")
    values = table.target()[1]
    test, train = table.split(50, 100, 0, 0)
    estimator = GaussianProcess().fit([table.architectures[i] for i in train], values[train])
    estimates, std = estimator.predict([table.architectures[i] for i in test], return_std=True)
    inside = np.abs(values[test] - estimates) <= 1.6448536269514722 * std
    assert gp["coverage"] == pytest.approx(inside.mean())
    assert run["summary"][0]["interval_score_mean"] == gp["interval_score"] > 0

    estimator.predict_interval = lambda asked, level: (np.full(len(asked), -np.inf), np.zeros(len(asked)))
    assert _intervals(estimator, ["(0, 0, 0, 0, 0, 0)"], 0.9) is None
    estimator.predict_interval = lambda asked, level: (np.full(len(asked), -level), np.full(len(asked), level))
    lower, upper = _intervals(estimator, ["(0, 0, 0, 0, 0, 0)"] * 2, 0.9)
    assert score_interval([0.0, 2.0], lower, upper)["coverage"] == 0.5


def test_population_and_class_split(tables_root: Path) -> None:
    protocol = Protocol((20,), 50, 1, split="class", population="no-none")
    run = run_benchmark("nasbench201", [QUICK], protocol, tables_root=tables_root)
    expected = len(load_table("nasbench201", tables_root).population("no-none").population("classes"))
    assert run["population"] == expected < 4_096


def test_progress_counts_every_fit() -> None:
    told: list[tuple[int, int]] = []
    run_benchmark("bundled", [QUICK], Protocol((10, 20), 50, 2), progress=lambda *step: told.append(step))
    assert told == [(i, 4) for i in range(1, 5)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_sizes": ()}, "at least one training size"),
        ({"train_sizes": (-1,)}, "train_size"),
        ({"trials": 0}, "trials"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"timed": -1}, "timed"),
        ({"test_size": 0}, "test_size"),
        ({"split": "column"}, "split must be"),
    ],
)
def test_impossible_protocols(options: dict, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Protocol(**{"train_sizes": (10,), **options})


def test_names_are_checked_before_anything_runs() -> None:
    for table, estimator in (("bundle", QUICK), ("bundled", "xgbost"), ("bundled:cifar", QUICK)):
        with pytest.raises(UnknownNameError):
            run_benchmark(table, [estimator], Protocol((10,), 50, 1))
    with pytest.raises(InvalidOptionError, match="test rows and 10 training rows were asked"):
        run_benchmark("bundled", [QUICK], Protocol((10,), 100_000, 1))


def test_a_tables_proxies_are_handed_over_and_not_computed(tables_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emprox.proxies.encoding.score_architecture", None)
    specs = ["zerocost:proxy=jacov", "forest:encoding=features+proxies,n_estimators=5", "xgboost:encoding=onehot,n_estimators=5"]
    protocol = Protocol((20,), test_size=200, trials=1)
    run = run_benchmark("nasbench201-proxies", specs, protocol, tables_root=tables_root)
    table = load_table("nasbench201-proxies", tables_root)
    test, _ = table.split(20, 200, 0)
    expected = spearmanr(table.columns["jacov"][test], table.targets["val_accuracy"][test]).statistic
    assert run["summary"][0]["spearman_mean"] == pytest.approx(expected)
    assert run["summary"][1]["spearman_mean"] > 0.5


def test_an_estimator_named_twice_is_measured_once() -> None:
    run = run_benchmark("bundled", ["size", "size"], Protocol((10,), 50, 3))
    assert [row["trials"] for row in run["summary"]] == [3]
