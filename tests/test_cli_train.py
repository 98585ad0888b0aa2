"""``emprox train`` as a user calls it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from emprox import get_space, load
from tests.test_cli import emprox_here, fails

TINY = "gnn:graphs=10,epochs=2,hidden_size=8,layers=1"
COMMAND = ("train", "--space", "darts", "--source", "bundled", "--estimator", TINY, "-o", "model", "--losses", "losses.csv")


def test_trained_model_ranks_and_is_the_start_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = emprox_here(*COMMAND)
    assert result.returncode == 0, result.stderr
    assert "learned from bundled for darts" in result.stdout
    with Path("losses.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["losses.csv", "model"]
    cells = [str(a) for a in get_space("darts").sample(np.random.default_rng(0), 3)]
    Path("archs.txt").write_text("\n".join(cells))
    ranked = emprox_here("estimate", "--model", "model", "archs.txt", "--csv")
    assert ranked.returncode == 0, ranked.stderr
    estimates = [float(row["estimate"]) for row in csv.DictReader(ranked.stdout.splitlines())]
    np.testing.assert_array_equal(estimates, load("model").predict(cells))


def test_an_interrupted_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emprox.estimators.graph_transfer import GraphTransfer

    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GraphTransfer, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert emprox_here(*COMMAND).returncode != 0
    assert (tmp_path / ".model.checkpoint").exists()
    result = emprox_here(*COMMAND)
    assert "going on from .model.checkpoint" in result.stdout
    assert load("model").losses_


def test_estimators_that_learn_nothing_elsewhere(tmp_path: Path) -> None:
    fails(emprox_here("train", "--space", "darts", "--source", "bundled", "--estimator", "ridge", "-o", tmp_path / "m"), "ridge")
