"""The page of claims is what the results say."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.loading import load_script

ROOT = Path(__file__).parents[2]
CONFIG = "franken2022_nb201_cifar10"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("claims")


def results(script: ModuleType, folder: Path, kendall: dict[str, float], seconds: dict[str, float]) -> str:
    """Render the page of invented results, five trials with equal noise."""
    noise = np.random.default_rng(0).normal(0, 0.01, 5)
    rows: list[dict[str, Any]] = [
        {
            "estimator": name,
            "train_size": 121,
            "trial": trial,
            "kendall": level + noise[trial] + 0.001 * (trial % 2),
            "fit_cpu_seconds": seconds.get(name, 1.0),
            "query_seconds_per_architecture": 1e-4,
        }
        for name, level in kendall.items()
        for trial in range(5)
    ]
    file = folder / CONFIG / "nasbench201.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"results": rows}))
    return script.render(folder)


NAMES = (
    "emprox-paper:k=10",
    "emprox-paper:k=10,hidden_size=64",
    "nao",
    "nao:hidden_size=32",
    "seminas",
    "xgboost",
    "mlp",
    "bananas",
)


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    assert script.PAGE.read_text() == script.render(ROOT / "benchmarks" / "results")


def test_verdicts_follow_the_figures(script: ModuleType, tmp_path: Path) -> None:
    kendall = dict.fromkeys(NAMES, 0.5) | {"seminas": 0.6, "emprox": 0.55}
    seconds = dict.fromkeys(NAMES, 9.0) | {"emprox-paper:k=10": 1.0, "emprox-paper:k=10,hidden_size=64": 1.0, "xgboost": 0.1}
    page = results(script, tmp_path, kendall, seconds)
    assert '"Comparable to NAO\'s MLP in accuracy": holds' in page
    assert '"Nearly nine times faster to train than NAO": holds' in page
    assert '"Five up to eighty times faster than others": holds for 3 of 4' in page
    assert '"Similar to better accuracy": does not hold against seminas' in page
    assert "`emprox-paper:k=10` minus `seminas`: -0.100 [-0.100, -0.100] over 5 trials, behind." in page
    assert "| .551 | `seminas` .601 | -0.050 [-0.050, -0.050] | `seminas` |" in page
    assert f"It is not ahead of all: {CONFIG}, nasbench201 at 121 labels." in page


def test_what_is_missing_is_said(script: ModuleType, tmp_path: Path) -> None:
    page = results(script, tmp_path, {"nao": 0.5}, {})
    assert page.count(": not measured yet\n\n") == 4
    assert "It is not measured yet." in page
    assert "| `seminas` | .582, 152 | .558 (.033), 54.1 | not measured yet | | |" in page


def test_reproduction_is_judged_in_standard_errors(script: ModuleType, tmp_path: Path) -> None:
    page = results(script, tmp_path, {"nao": 0.2, "mlp": 0.6, "seminas": 0.56}, {})
    assert "- `nao`: " in page
    lines = {line.split("`")[1]: line for line in page.splitlines() if "standard errors: " in line}
    assert "**worse**" in lines["nao"]
    assert lines["mlp"].endswith("better.")
    assert lines["seminas"].endswith("as the released code.")


def transfers(folder: Path, levels: dict[str, dict[str, float]], config: str = "han2023_transfer") -> None:
    """Write invented rank correlations of the second paper's tables, five trials with equal noise."""
    noise = np.random.default_rng(0).normal(0, 0.01, 5)
    (folder / config).mkdir()
    for table, estimators in levels.items():
        rows = [
            {"estimator": name, "train_size": 50, "trial": trial, "spearman": level + noise[trial] + 0.001 * (trial % 2)}
            for name, level in estimators.items()
            for trial in range(5)
        ]
        (folder / config / f"{table}.json").write_text(json.dumps({"results": rows}))


def test_second_paper(script: ModuleType, tmp_path: Path) -> None:
    tables = ("nasbench101", "nasbench201-proxies", "nasbench301", "ofa-mobilenetv3", "transnas101-micro-class_scene")
    usual = {"zerocost:proxy=synflow": 0.4, "zerocost:proxy=jacov": 0.5, "cl-paper": 0.8, "gnn": 0.7, "emprox": 0.8}
    better_proxy = usual | {"zerocost:proxy=jacov": 0.9}
    levels = {table: better_proxy if table == "nasbench101" else usual for table in tables}
    transfers(tmp_path, levels)
    page = results(script, tmp_path, {"nao": 0.5}, {})
    assert '"Positive rank correlation on every space, above synflow and jacov": holds on 4 of 5' in page
    assert '"Ahead of the same network trained on labels": holds\n' in page
    assert "- nasbench301, 50 labels: `cl-paper` minus `gnn`: +0.100 [+0.100, +0.100] over 5 trials, ahead." in page
    assert re.search(r"\| `cl-paper` \| \.80\d \(\.0\d\d\) \| \.553 ± \.090 \|", page)


def test_what_each_term_brings(script: ModuleType, tmp_path: Path) -> None:
    terms = "cl-paper:terms=contrastive"
    transfers(tmp_path, {"nasbench101": {f"{terms}+spectral": 0.8, terms: 0.6, "size": 0.7}}, "han2023_ablation")
    page = results(script, tmp_path, {"nao": 0.5}, {}).partition("### What each term")[2]
    assert re.search(r"\| `contrastive\+spectral` \| \.80\d \(\.0\d\d\) \|", page)
    assert re.search(r"\| `contrastive` \| \.60\d \(\.0\d\d\), -0\.200 \[-0\.200, -0\.200\] \|", page)
    assert re.search(r"\| `size` \| \.70\d \(\.0\d\d\) \|", page)


def test_second_paper_when_something_is_missing(script: ModuleType, tmp_path: Path) -> None:
    transfers(tmp_path, {"nasbench101": {"cl-paper": 0.8, "gnn": 0.7}})
    page = results(script, tmp_path, {"nao": 0.5}, {})
    assert page.count("**: not measured yet.") == 4 + 2  # families, tables of the ablation
    assert page.count("not measured yet on all") == 2
