"""Parameters and multiply-accumulates agree with the columns of public benchmark files, and every description in them is read."""

import ast
import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from emprox.spaces import get_space


def members(path: Path):
    with zipfile.ZipFile(path) as file:
        names = [name for name in file.namelist() if name.startswith("zen/") and name.endswith(".json")]
        return [row["arch"] for name in names for row in json.loads(file.read(name))]


@pytest.fixture(scope="module")
def originals(tables_root: Path) -> Path:
    return tables_root / "originals"


def test_nasbench101_parameters_are_exact(originals: Path) -> None:
    space = get_space("nasbench101")
    rows = json.loads((originals / "zc_nasbench101.json").read_text())["nasbench101"]["cifar10"]
    architectures = [space.parse(key) for key in rows]
    costs = space.costs(architectures)
    assert len(rows) == 500
    assert [space.format(architecture) for architecture in architectures] == list(rows)
    assert costs[:, 0].tolist() == [round(row["params"] * 1e6) for row in rows.values()]
    assert spearmanr(costs[:, 1], [row["flops"] for row in rows.values()]).statistic >= 0.99
    assert [space.count_parameters(a) for a in architectures[:20]] == costs[:20, 0].tolist()


def test_nasbench301_parameters_are_exact(originals: Path) -> None:
    space = get_space("darts")
    old = json.loads((originals / "zc_nasbench301.v0.json").read_text())["nasbench301"]["cifar10"]
    new = json.loads((originals / "zc_nasbench301.v2.json").read_text())["cifar10"]
    parameters = {space.parse(key): (row["params"], row["flops"]) for key, row in old.items()}
    parameters |= {space.parse(key): (row["params"]["score"], row["flops"]["score"]) for key, row in new.items()}
    assert len(parameters) == 1218
    costs = space.costs(list(parameters))
    assert costs[:, 0].tolist() == [round(millions * 1e6) for millions, _ in parameters.values()]
    assert spearmanr(costs[:, 1], [flops for _, flops in parameters.values()]).statistic >= 0.99


@pytest.mark.parametrize(("task", "classes"), [("class_scene", 63), ("class_object", 100), ("room_layout", 9)])
def test_transnas_parameters_are_exact(originals: Path, task: str, classes: int) -> None:
    space = get_space("transnas101-micro")
    rows = json.loads((originals / "zc_transbench101_micro.json").read_text())[task]
    costs = space.costs([space.parse(key) for key in rows])
    head = 513 * (classes - 63)
    assert (costs[:, 0] + head).tolist() == [round(row["params"]["score"] * 1e6) for row in rows.values()]
    assert spearmanr(costs[:, 1], [row["flops"]["score"] for row in rows.values()]).statistic >= 0.99


@pytest.mark.parametrize("name", ["evoga_acc", "evonsga2_acc_macs", "linasga_acc"])
def test_once_for_all_parameters_and_macs_are_exact(originals: Path, name: str) -> None:
    space = get_space("ofa-mobilenetv3")
    with (originals / f"mbnv3w10_{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    architectures = [space.parse(row["Sub-network"]) for row in rows]
    columns = [[int(row["Model Parameters"]), int(row["MACs"])] for row in rows]
    np.testing.assert_array_equal(space.costs(architectures), columns)
    assert architectures == [space.parse(ast.literal_eval(row["Sub-network"])) for row in rows]


def test_nasbench201_parameters_are_exact(originals: Path) -> None:
    space = get_space("nasbench201")
    with (originals / "nb201_zc_proxies.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    costs = space.costs([space.parse(row["net"]) for row in rows])
    assert costs[:, 0].tolist() == [round(float(row["params"]) * 1e6) for row in rows]
    assert spearmanr(costs[:, 1], [float(row["flops"]) for row in rows]).statistic >= 0.99


@pytest.mark.parametrize(("file", "name"), [("nb101_zen.zip", "nasbench101"), ("nb301_zen.zip", "darts")])
def test_unlabelled_descriptions_are_read(originals: Path, file: str, name: str) -> None:
    space, descriptions = get_space(name), members(originals / file)
    architectures = [space.parse(description) for description in descriptions]
    assert len(architectures) > 10_000
    assert [space.parse(space.format(a)) for a in architectures[:200]] == architectures[:200]
    assert len(space.cells(architectures).ops) == len(architectures)
