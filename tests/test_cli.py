import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emprox import EmProx, get_space, load_table
from emprox.cli import main
from emprox.report import COSTS

SPACE = get_space("nasbench201")
ARCHS = SPACE.sample(np.random.default_rng(0), 40)
COMMAND = Path(sys.executable).with_name("emprox")
FAST = "emprox-paper:k=5,hidden_size=8,epochs=2"


def emprox(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the installed entry point as a user does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    command = [str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)


def emprox_here(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the entry point's function in this process, which saves the seconds of loading torch."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["emprox", *map(str, arguments)])
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def fails(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check for exit code 1 and one line on standard error that holds the words."""
    assert result.returncode == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with results.csv, candidates.txt and a fitted model."""
    folder = tmp_path_factory.mktemp("cli")
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "val_accuracy", "std"])
        writer.writerows([str(a), 90 - a.spec.count(1), 0.1 + a.spec.count(0)] for a in ARCHS[:30])
    (folder / "candidates.txt").write_text("# candidates\n\n" + "\n".join(map(str, ARCHS)) + "\n")
    result = emprox("fit", folder / "results.csv", "--target", "val_accuracy", "-o", folder / "model", "--estimator", FAST)
    assert result.returncode == 0, result.stderr
    assert "fitted on 30 architectures of nasbench201" in result.stdout
    return folder


def test_estimate_equals_the_python_interface(folder: Path) -> None:
    values, stds = EmProx.load(folder / "model").predict(ARCHS, return_std=True)
    as_json = json.loads(emprox("estimate", "--model", folder / "model", folder / "candidates.txt", "--json").stdout)
    assert [row["architecture"] for row in as_json] == [str(a) for a in ARCHS]
    np.testing.assert_allclose([row["estimate"] for row in as_json], values)
    np.testing.assert_allclose([row["std"] for row in as_json], stds)
    stdin = (folder / "candidates.txt").read_text()
    as_csv = emprox("estimate", "--model", folder / "model", "-", "--csv", stdin=stdin).stdout
    np.testing.assert_allclose([float(row["estimate"]) for row in csv.DictReader(io.StringIO(as_csv))], values)


def test_top_candidates(folder: Path) -> None:
    rows = json.loads(
        emprox_here("estimate", "--model", folder / "model", folder / "candidates.txt", "--top", 3, "--json").stdout
    )
    values = EmProx.load(folder / "model").predict(ARCHS)
    np.testing.assert_allclose([row["estimate"] for row in rows], sorted(values, reverse=True)[:3])
    table = emprox_here("estimate", "--model", folder / "model", folder / "candidates.txt", "--top", 3).stdout.splitlines()
    assert len(table) == 4
    assert all(row["architecture"] in line for row, line in zip(rows, table[1:], strict=True))


def test_explain(folder: Path) -> None:
    explanation = json.loads(emprox_here("explain", "--model", folder / "model", ARCHS[35], "--json").stdout)
    assert explanation == json.loads(json.dumps(EmProx.load(folder / "model").explain(ARCHS[35])))
    shown = emprox("explain", "--model", folder / "model", ARCHS[35]).stdout
    assert all(row["architecture"] in shown for row in explanation["neighbors"])


def test_std_column_and_other_estimators(folder: Path) -> None:
    options = ("--target", "val_accuracy", "--std-column", "std", "--estimator", "xgboost:n_estimators=5")
    assert emprox_here("fit", folder / "results.csv", *options, "-o", folder / "trees").returncode == 0
    rows = json.loads(emprox_here("estimate", "--model", folder / "trees", folder / "candidates.txt", "--json").stdout)
    assert list(rows[0]) == ["architecture", "estimate"]
    fails(emprox_here("explain", "--model", folder / "trees", ARCHS[0]), "holds a XGBoost, expected a EmProx")


def test_one_measured_architecture_has_an_unknown_spread(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(f"architecture,acc\n{ARCHS[0]},91.5\n")
    assert emprox_here("fit", tmp_path / "one.csv", "--target", "acc", "-o", tmp_path / "m", "--estimator", FAST).returncode == 0
    rows = json.loads(emprox_here("estimate", "--model", tmp_path / "m", "-", "--json", stdin=str(ARCHS[1])).stdout)
    assert rows == [{"architecture": str(ARCHS[1]), "estimate": 91.5, "std": None}]


def test_bench_writes_the_documented_json(tmp_path: Path) -> None:
    options = ("--estimator", "xgboost:n_estimators=5", "--train-size", 20, "--train-size", 40, "--trials", 3, "--test-size", 100)
    result = emprox("bench", "--table", "bundled", *options, "--out", tmp_path / "out.json")
    assert result.returncode == 0, result.stderr
    run = json.loads((tmp_path / "out.json").read_text())
    assert {"table", "target", "population", "split", "threads", "machine", "commit", "results", "summary"} <= set(run)
    measured = {"mae", "rmse", "pearson", "spearman", "kendall", "precision_at_10", "ndcg_at_10", "regret"}
    measured |= {"fit_seconds", "fit_cpu_seconds", "query_seconds_per_architecture", *COSTS}
    assert len(run["results"]) == 6
    assert all(set(row) == {"estimator", "train_size", "trial", *measured} for row in run["results"])
    assert f"{run['summary'][0]['kendall_mean']:.3f}" in result.stdout
    smoke = emprox_here(
        "bench", "--table", "bundled", "--table", "bundled:digits", *options, "--smoke", "--out", tmp_path / "two.json"
    )
    assert smoke.returncode == 0, smoke.stderr
    assert [run["trials"] for run in json.loads((tmp_path / "two.json").read_text())] == [2, 2]


def test_demo_needs_nothing(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([str(COMMAND), "demo"], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    table = result.stdout[result.stdout.index("2. ") :].splitlines()
    assert len([line for line in table if line.startswith("|")]) == 10
    assert result.stdout.endswith("3. The same to look at, in a browser: emprox-demo/report.html\n")
    assert [path.name for path in tmp_path.iterdir()] == ["emprox-demo"]
    assert sorted(path.name for path in (tmp_path / "emprox-demo").iterdir()) == ["model", "report.html", "results.json"]


@pytest.mark.parametrize("rows", [6, 150])
def test_demo_with_a_bundled_table_of_any_size(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_table("bundled").rows(range(rows))
    for module in ("emprox.tables", "emprox.benchmark"):
        monkeypatch.setattr(f"{module}.load_table", lambda *_: table)
    result = emprox_here("demo", "-o", tmp_path / "demo")
    assert result.returncode == 0, result.stderr
    labels = 121 if rows > 242 else rows // 2
    assert f"1. {labels} cells are treated as measured" in result.stdout
    shown = result.stdout[result.stdout.index("2. ") :]
    assert f"of the {rows - labels} cells that one split holds out" in shown
    places = [int(line.split()[4]) for line in shown.splitlines() if line.startswith("|")]
    assert len(places) == min(10, rows - labels)
    assert all(1 <= place <= rows - labels for place in places)
    assert f"{sum(place <= len(places) for place in places)} are among these {len(places)}" in shown


class TestErrors:
    def fit(self, results: Path, *options: object) -> subprocess.CompletedProcess[str]:
        return emprox_here("fit", results, "--target", "val_accuracy", "--estimator", FAST, *options)

    def test_results(self, folder: Path, tmp_path: Path) -> None:
        fails(self.fit(tmp_path / "no.csv", "-o", tmp_path / "m"), "cannot read", "No such file")
        (tmp_path / "bad.csv").write_text(f"architecture,val_accuracy\n{ARCHS[0]},nan\n")
        fails(self.fit(tmp_path / "bad.csv", "-o", tmp_path / "m"), "line 2", "'nan'", "finite")
        fails(self.fit(folder / "candidates.txt", "-o", tmp_path / "m"), "has no header")
        fails(self.fit(folder / "results.csv", "-o", tmp_path / "m", "--space", "nasbench202"), "did you mean 'nasbench201'")
        assert not (tmp_path / "m").exists()

    def test_output_that_is_taken_or_not_writable(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes").write_text("keep")
        fails(self.fit(folder / "results.csv", "-o", tmp_path / "mine"), "not a folder that emprox wrote")
        fails(self.fit(folder / "results.csv", "-o", "/proc/model"), "could not write /proc/model")
        fails(self.fit(folder / "results.csv", "-o", tmp_path / "mine" / "notes" / "model"), "could not write")
        assert (tmp_path / "mine" / "notes").read_text() == "keep"

    def test_candidates(self, folder: Path, tmp_path: Path) -> None:
        model = ("--model", folder / "model")
        fails(emprox_here("estimate", *model, "-", stdin=f"{ARCHS[0]}\n|conv~0|+|x~0|"), "architecture 1", "three groups")
        fails(emprox("estimate", *model, "-", stdin="\n# nothing\n"), "no architecture")
        fails(emprox_here("estimate", *model, tmp_path / "no.txt"), "no.txt is neither a file nor an architecture of nasbench201")
        fails(emprox_here("estimate", *model, "-", "--json", "--csv", stdin=str(ARCHS[0])), "one of --json and --csv")
        fails(emprox_here("estimate", "--model", tmp_path, "-", stdin=str(ARCHS[0])), "could not read a saved folder")

    def test_names(self, tmp_path: Path) -> None:
        sizes = ("--train-size", 10, "--trials", 1)
        fails(emprox_here("bench", "--table", "bundeld", "--estimator", "xgboost", *sizes), "did you mean 'bundled'")
        fails(emprox_here("bench", "--table", "bundled", "--estimator", "xgbost", *sizes), "did you mean 'xgboost'")
        fails(
            emprox_here("bench", "--table", "bundled", "--estimator", "emprox-paper:k=0", *sizes, "--smoke"),
            "n_neighbors",
            "got 0",
        )
        fails(
            emprox_here("bench", "--table", "bundled", "--estimator", "xgboost", *sizes, "--test-size", "all"),
            "'rest', got 'all'",
        )
        fails(
            emprox_here(
                "bench", "--table", "bundled", "--estimator", "xgboost", *sizes, "--tables-root", tmp_path / "no", "--target", "a"
            ),
            "no target 'a'",
        )
        nowhere = ("--table", "nasbench201", "--estimator", "xgboost", *sizes, "--tables-root", tmp_path)
        fails(emprox_here("bench", *nowhere), "nb201_zen.zip is in none of")

    def test_wrong_calls_have_exit_code_two(self) -> None:
        assert emprox("fit").returncode == 2
        assert emprox_here("nothing").returncode == 2
        assert emprox_here("estimate", "x", "--model", "m", "--top", 0).returncode == 2


class TestNetworks:
    """Models of any network: factories, ONNX files and cells of search spaces in one column and one call."""

    CELL = "nasbench201:|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"

    @pytest.fixture
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A working directory with a module of factories and results of some networks."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        Path("cli_nets.py").write_text(
            "from torch import nn\n\n"
            "def net(width):\n    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 8, 3))\n\n"
            "def small():\n    return net(8)\n\ndef large():\n    return net(64)\n\ndef middle():\n    return net(24)\n"
        )
        rows = ["cli_nets:small,70", "cli_nets:large,90", f"{self.CELL},93"]
        Path("results.csv").write_text("\n".join(["architecture,val_accuracy", *rows]))
        yield tmp_path
        sys.modules.pop("cli_nets", None)

    def fit(self, *more: object) -> subprocess.CompletedProcess[str]:
        return emprox_here("fit", "results.csv", "--target", "val_accuracy", "-o", "model", *more)

    def test_fit_estimate_explain(self, here: Path) -> None:
        fitted = self.fit("--input-shape", "3,32,32")
        assert "3 architectures of network:input_shape=3x32x32" in fitted.stdout, fitted.stderr
        Path("more.txt").write_text("cli_nets:large\n")
        asked = ("cli_nets:middle", self.CELL, "more.txt")
        rows = json.loads(emprox_here("estimate", "--model", "model", *asked, "--json").stdout)
        assert [row["architecture"] for row in rows] == ["cli_nets:middle", self.CELL, "cli_nets:large"]
        assert rows[1]["estimate"] > rows[0]["estimate"]
        at_another_size = json.loads(
            emprox_here("estimate", "--model", "model", "cli_nets:middle", "--input-shape", "3,64,64", "--json").stdout
        )
        assert at_another_size[0]["estimate"] != rows[0]["estimate"]
        text = emprox_here("explain", "cli_nets:middle", "--model", "model").stdout
        assert all(name in text for name in ("cli_nets:middle", "cli_nets:small", self.CELL))
        shell = emprox("estimate", "--model", "model", "cli_nets:middle", "--json")
        assert json.loads(shell.stdout)[0]["estimate"] == pytest.approx(rows[0]["estimate"]), shell.stderr

    def test_errors(self, here: Path) -> None:
        fails(self.fit(), "line 2", "without an example input", "--input-shape")
        fails(self.fit("--input-shape", "3,big"), "shape of one input")
        fails(self.fit("--space", "nasbench201", "--input-shape", "3,8,8"), "nasbench201 has no options")
        assert self.fit("--space", "network:input_shape=3x8x8").returncode == 0
        fails(emprox_here("estimate", "--model", "model", "cli_nets:none"), "has no attribute 'none'")
        fails(emprox_here("estimate", "--model", "model", "none.onnx"), "none.onnx")
        fails(self.fit("--input-shape", "3,8,8", "--estimator", "seminas"), "network is an open family")
