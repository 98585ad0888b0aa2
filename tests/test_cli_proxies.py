"""``emprox proxies`` as a user calls it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emprox import get_space
from emprox.cli import app
from emprox.errors import EmproxError, InvalidOptionError
from tests.test_cli import emprox, emprox_here, fails

SPACE = get_space("nasbench201")
CELLS = [str(a) for a in SPACE.sample(np.random.default_rng(0), 3)]
FACTORY = """
from torch import nn
def net(): return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
def text(): return "no network"
"""
FAST = ("--batch-size", 4, "--proxy", "params", "--proxy", "synflow")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archs.txt").write_text("# cells\n" + "\n".join([*CELLS, "nonsense", "(1, 1, 1, 1, 1, 1)"]) + "\n")
    (tmp_path / "factories_of_tests.py").write_text(FACTORY)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_architectures_failures_and_a_rerun(here: Path) -> None:
    command = ("proxies", "--space", "nasbench201", "archs.txt", "-o", "p.csv", *FAST)
    result = emprox_here(*command)
    assert result.returncode == 0, result.stderr
    assert "5 networks in p.csv, 5 computed now, 2 with failures" in result.stdout
    written = rows(here / "p.csv")
    assert [row["architecture"] for row in written] == [*CELLS, "nonsense", "(1, 1, 1, 1, 1, 1)"]
    assert [float(row["params"]) for row in written[:3]] == SPACE.costs(list(map(SPACE.parse, CELLS)))[:, 0].tolist()
    assert "expected three groups" in json.loads(written[3]["failures"])["params"]
    assert "no logarithm" in json.loads(written[4]["failures"])["synflow"]
    before = (here / "p.csv").read_bytes()
    assert "0 computed now" in emprox_here(*command).stdout
    assert (here / "p.csv").read_bytes() == before
    assert "5 computed now" in emprox_here(*command, "--proxy", "l2_norm").stdout  # that line's failures know of no l2_norm yet
    assert "l2_norm" in json.loads(rows(here / "p.csv")[3]["failures"])


def test_several_processes_give_the_same_file(here: Path) -> None:
    for jobs in (1, 2):
        result = emprox("proxies", "--space", "nasbench201", here / "archs.txt", "-o", f"{jobs}.csv", "--jobs", jobs, *FAST)
        assert result.returncode == 0, result.stderr
    assert (here / "1.csv").read_bytes() == (here / "2.csv").read_bytes()


def test_a_factory(here: Path) -> None:
    result = emprox_here("proxies", "factories_of_tests:net", "--input-shape", "3,8,8", "--batch-size", 4, "--proxy", "macs")
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split()[-1]) == pytest.approx(8 * 27 * 36 + 40, rel=1e-5)
    emprox_here("proxies", "factories_of_tests:net", "--input-shape", "3,8,8", "-o", "net.csv", *FAST)
    assert rows(here / "net.csv")[0]["architecture"] == "factories_of_tests:net"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["factories_of_tests:net"], "--input-shape"),
        (["factories_of_tests:net", "--input-shape", "3,x"], "--input-shape"),
        (["factories_of_tests:net", "--input-shape", "3,0,3"], "at least 1"),
        (["factories_of_tests:nothing", "--input-shape", "3,8,8"], "cannot import"),
        (["factories_of_tests", "--input-shape", "3,8,8"], "module:factory"),
        (["factories_of_tests:text", "--input-shape", "3,8,8"], "returned a str"),
        (["missing.txt", "--space", "nasbench201"], "cannot read missing.txt"),
        (["archs.txt", "--space", "nasbench20"], "did you mean"),
        (["archs.txt", "--space", "nasbench201", "--input-shape", "3,8,8"], "have their own"),
        (["archs.txt", "--space", "nasbench201", "--proxy", "sinflow"], "did you mean 'synflow'"),
        (["archs.txt", "--space", "nasbench201", "--batch-size", "1"], "batch_size"),
    ],
)
def test_wrong_calls_say_what_is_wrong(arguments: list[str], words: str, here: Path) -> None:
    fails(emprox_here("proxies", *arguments), words)


def test_what_was_computed_is_known_to_estimators(here: Path) -> None:
    emprox_here("proxies", "--space", "nasbench201", "archs.txt", "-o", "p.csv", *FAST)
    (here / "results.csv").write_text(
        "architecture,val_accuracy\n" + "".join(f"{cell},{80 + i}\n" for i, cell in enumerate(CELLS))
    )
    spec = "forest:encoding=features+proxies,known=p.csv,n_estimators=5"
    result = emprox_here("fit", "results.csv", "--target", "val_accuracy", "--estimator", spec, "-o", "model")
    assert result.returncode == 0, result.stderr
    (here / "p.csv").unlink()
    assert emprox_here("estimate", "--model", "model", "-", stdin=CELLS[0]).returncode == 0
    fails(emprox_here("estimate", "--model", "model", "-", stdin="(2, 2, 2, 2, 2, 0)"), "lack 1 of 1")


def test_inputs_of_another_shape_are_another_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ("from torch import nn", "def net(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())", "")
    (tmp_path / "one_convolution.py").write_text("\n".join(lines))
    arguments = ("proxies", "one_convolution:net", "--proxy", "macs", "--batch-size", "2", "-o", "scores.csv")
    assert CliRunner().invoke(app, [*arguments, "--input-shape", "3,8,8"]).exit_code == 0
    result = CliRunner().invoke(app, [*arguments, "--input-shape", "3,16,16"])
    assert isinstance(result.exception, InvalidOptionError)
    assert "input_shape=3x8x8" in str(result.exception)


def test_a_device_that_is_not_there_is_no_failure_of_a_network(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["proxies", "x:y", "--input-shape", "3,8,8", "--device", "cpuu"])
    assert isinstance(result.exception, InvalidOptionError)
    assert "device 'cpuu' cannot be used here" in str(result.exception)


def test_what_cannot_be_made_or_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["from torch import nn", "def needs(width): return nn.Conv2d(3, width, 3)"]
    lines += ["made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())", ""]
    (tmp_path / "awkward_nets.py").write_text("\n".join(lines))
    wrong = (("needs", "3,8,8", "needs() raised TypeError"), ("made", "4,8,8", "does not take inputs of shape (4, 8, 8)"))
    for what, shape, words in wrong:
        options = ["--input-shape", shape, "--proxy", "synflow", "--batch-size", "2"]
        result = CliRunner().invoke(app, ["proxies", f"awkward_nets:{what}", *options])
        assert isinstance(result.exception, EmproxError)
        assert words in str(result.exception)
    arguments = ["proxies", "awkward_nets:made", "--input-shape", "3,8,8", "--proxy", "macs", "--batch-size", "2"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
