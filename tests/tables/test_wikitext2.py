"""NAS-Bench-NLP's logs."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emprox.benchmark import Protocol, run_benchmark
from emprox.errors import CorruptFileError
from emprox.estimators import EmProx, load
from emprox.spaces import get_family
from emprox.tables import load_table
from emprox.tables.nasbench_nlp import read_wikitext2

RECIPE = '{"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", "input": ["f"]}}'


def log(last: float, epochs: int = 50, **fields: Any) -> str:
    losses = {name: np.linspace(7, last, epochs).tolist() for name in ("train_losses", "val_losses", "test_losses")}
    return json.dumps({"recepie": RECIPE, "num_params": 5, "wall_times": [2.0] * epochs, **losses, **fields})


def write(path: Path, *logs: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, text in enumerate(logs):
            archive.writestr(f"log_{number}.json", text)
    return path


def test_trainings_of_one_recipe_are_averaged_and_stopped_ones_left_out(tmp_path: Path) -> None:
    table = read_wikitext2(write(tmp_path / "a.zip", log(4), log(float("nan"), 19), log(5)))
    assert len(table) == 1
    assert (table.targets["test_loss"][0], table.counts["test_loss"][0], table.epochs) == (4.5, 2, 50)
    np.testing.assert_allclose(table.curves["train_loss"][0], np.linspace(7, 4.5, 50))
    assert table.columns["train_seconds"][0] == 100
    assert table.measures["test_loss"].larger_is_better is False


@pytest.mark.parametrize(
    "broken", ["{", "[]", "{}", log(4, train_losses=3), log(4, recepie="{}"), log(4, val_losses=["a"]), log(4, num_params="a")]
)
def test_anything_else_is_refused(broken: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"a\.zip"):
        read_wikitext2(write(tmp_path / "a.zip", log(4), broken))


class TestRealFile:
    def test_parameters_are_those_that_were_counted_in_training(self, tables_root: Path) -> None:
        table = load_table("nasbench-nlp", tables_root)
        assert (len(table), int(table.counts["test_loss"].sum()), len(table.population("classes"))) == (289, 341, 258)
        counted = get_family("nasbench-nlp").costs(table.architectures)[:, 0]
        np.testing.assert_array_equal(counted, table.columns["parameters"])

    def test_estimators(self, tables_root: Path, tmp_path: Path) -> None:
        specs = ["sotle:epochs=10", "early-stopping:epoch=10", "params", "emprox", "forest:encoding=recurrent,n_estimators=50"]
        run = run_benchmark("nasbench-nlp", specs, Protocol((100,), 150, 1, target="test_loss"), tables_root=tables_root)
        tau = {row["estimator"]: row["kendall"] for row in run["results"]}
        assert tau["early-stopping:epoch=10"] > tau["emprox"] > 0.1
        assert tau["sotle:epochs=10"] > 0.7
        table = load_table("nasbench-nlp", tables_root)
        estimator = EmProx(features="structure+curves@5", known=table).fit(
            table.architectures[:50], -table.targets["test_loss"][:50]
        )
        estimator.save(tmp_path / "model")
        asked = table.architectures[50:]
        np.testing.assert_array_equal(load(tmp_path / "model").predict(asked), estimator.predict(asked))
