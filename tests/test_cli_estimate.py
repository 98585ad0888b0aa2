"""`emprox estimate` where there is no model, and for candidates unlike all that a model knows."""

import json
from pathlib import Path

import numpy as np
import pytest

from emprox import EmProx, get_space, load
from emprox.index import Store
from tests.test_cli import emprox_here, fails

SPACE = get_space("nasbench201")
CELLS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(3), 12)))
OPS = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect")


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EMPROX_TABLES", raising=False)


@pytest.mark.usefixtures("nothing_installed")
def test_estimate_without_a_model_ranks_what_no_table_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_mine.py").write_text(
        "from torch import nn\n"
        "def small(): return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))\n"
        "def large(): return nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(64 * 16, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    result = emprox_here("estimate", "nets_of_mine:small", "nets_of_mine:large", "--input-shape", "3,8,8", "--json")
    small, large = json.loads(result.stdout)
    assert small["estimate"] < large["estimate"]
    assert large["std"] == pytest.approx(0.8)
    assert "No table of network is on this machine: estimates are rank scores" in result.stderr


@pytest.mark.usefixtures("nothing_installed")
def test_estimate_without_a_model_takes_a_table_and_says_the_unit() -> None:
    cells = [f"nasbench201:{cell}" for cell in SPACE.sample(np.random.default_rng(5), 3)]
    result = emprox_here("estimate", *cells, "--json")
    assert "Estimates are val_accuracy in percent as in the table bundled, from its 2,010 rows." in result.stderr
    assert all(10 < row["estimate"] < 100 for row in json.loads(result.stdout))


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected candidates, or --space and --sample"),
        (["-"], "candidates from standard input need --space"),
        (["darts:x", "--table", "bundled"], "table bundled is of nasbench201, the candidates are of darts"),
        (["x", "--model", "m", "--space", "darts"], "say what is known where there is no --model"),
    ],
)
def test_estimate_without_a_model_in_the_wrong_way(arguments: list[str], message: str) -> None:
    fails(emprox_here("estimate", *arguments), message)


def test_candidates_unlike_all_known_are_named(tmp_path: Path) -> None:
    alike = [f"|nor_conv_3x3~0|+|{a}~0|{b}~1|+|skip_connect~0|{c}~1|{d}~2|" for a in OPS for b in OPS for c in OPS for d in OPS]
    model = EmProx(space=SPACE).fit(alike, np.linspace(80, 90, len(alike)))
    model.save(tmp_path / "model")
    far = "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"
    asked = [f"nasbench201:{cell}" for cell in (alike[0], alike[7], far)]
    result = emprox_here("estimate", *asked, "--model", tmp_path / "model", "--json")
    assert len(json.loads(result.stdout)) == 3
    assert list(model.unlike_known([alike[0], alike[7], far])) == [2]
    assert "warning: 1 of 3 are further from all measured architectures" in result.stderr
    assert f"the furthest is nasbench201:{far}" in result.stderr
    assert not model.unlike_known(alike)


@pytest.fixture
def model_of_losses(tmp_path: Path) -> Path:
    cells = [a for a in SPACE.sample(np.random.default_rng(1), 30) if SPACE.is_connected(a)]
    rows = "".join(f"{cell},{2 - 0.1 * cell.spec.count(2)}\n" for cell in cells)
    (tmp_path / "losses.csv").write_text("architecture,val_loss\n" + rows)
    arguments = ("--target", "val_loss", "--estimator", "params", "-o", str(tmp_path / "model"))
    assert emprox_here("fit", str(tmp_path / "losses.csv"), *arguments).returncode == 0
    return tmp_path / "model"


def test_a_loss_is_low_where_what_ranks_without_labels_is_high(model_of_losses: Path) -> None:
    large, small = ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|", str(SPACE.parse((0,) * 6)))
    rows = json.loads(emprox_here("estimate", "--model", str(model_of_losses), large, small, "--json").stdout)
    assert rows[0]["estimate"] < rows[1]["estimate"]


def test_what_is_no_file_and_no_architecture(model_of_losses: Path) -> None:
    result = emprox_here("estimate", "--model", str(model_of_losses), "candidates.tx")
    fails(result, "candidates.tx is neither a file nor an architecture of nasbench201: expected three groups")


def test_a_model_without_labels_explains_by_no_neighbour(tmp_path: Path) -> None:
    EmProx(space=SPACE, prior="size").fit([], []).save(tmp_path / "model")
    result = emprox_here("explain", "--model", str(tmp_path / "model"), str(SPACE.parse((2,) * 6)))
    assert result.returncode == 0, result.stderr
    result = emprox_here("report", str(tmp_path / "model"), "-o", str(tmp_path / "report.html"))
    assert result.returncode == 0, result.stderr


def test_a_store_has_no_columns_to_name(tmp_path: Path) -> None:
    Store(tmp_path / "runs", create=True).add(SPACE.parse((2,) * 6), {"val_accuracy": 90.0})
    arguments = ("--target", "val_accuracy", "--std-column", "sd", "-o", str(tmp_path / "model"))
    fails(emprox_here("fit", str(tmp_path / "runs"), *arguments), "is a store, which has no columns; leave out --std-column")


def test_the_best_of_losses_are_the_lowest(model_of_losses: Path) -> None:
    every = json.loads(emprox_here("estimate", "--model", str(model_of_losses), *map(str, CELLS), "--json").stdout)
    top = json.loads(emprox_here("estimate", "--model", str(model_of_losses), *map(str, CELLS), "--top", "3", "--json").stdout)
    assert [row["estimate"] for row in top] == sorted(row["estimate"] for row in every)[:3]
    drawn = emprox_here("estimate", "--model", str(model_of_losses), "--sample", "200", "--top", "5", "--json").stdout
    estimates = [row["estimate"] for row in json.loads(drawn)]
    assert estimates == sorted(estimates)


def test_a_direction_that_no_name_tells_is_asked_for(tmp_path: Path) -> None:
    rows = "".join(f"{cell},{i}\n" for i, cell in enumerate(CELLS))
    (tmp_path / "results.csv").write_text("architecture,cost\n" + rows)
    arguments = ("fit", str(tmp_path / "results.csv"), "--target", "cost", "-o", str(tmp_path / "model"))
    assert "whether cost has to be large is not known; --larger-is-better" in emprox_here(*arguments).stderr
    result = emprox_here(*arguments, "--smaller-is-better")
    assert "cost (smaller is better)" in result.stdout
    assert not result.stderr
    assert load(tmp_path / "model").target_.larger_is_better is False
    fails(emprox_here(*arguments, "--target", "other"), "expected one --target, got cost, other")
