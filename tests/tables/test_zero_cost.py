"""Tables of NASLib's proxy files: facts of the real files, and files that are something else."""

import json
import re

import numpy as np
import pytest
from scipy.stats import spearmanr

from emprox.errors import CorruptFileError, StorageError, UnknownNameError
from emprox.spaces import get_space
from emprox.tables import TABLES, Measure, load_table
from emprox.tables.nasbench101 import read_nasbench101
from emprox.tables.nasbench301 import read_nasbench301
from emprox.tables.transnas import TASKS, read_transnas
from emprox.tables.zero_cost import proxy_columns

CELL101 = "(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 4, 1)"
CELL301 = "[[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)], [(0, 3), (1, 3), (1, 1), (0, 5), (2, 3), (0, 2), (4, 4), (3, 1)]]"  # fmt: skip  # noqa: E501
SAME301 = CELL301.replace("[[(0, 4), (1, 3)", "[[(1, 3), (0, 4)")
OTHER301 = CELL301.replace("[[(0, 4)", "[[(0, 5)")


def write(path, content):
    path.write_text(json.dumps(content))
    return path


class TestNASBench101:
    def test_the_real_file(self, tables_root):
        table = load_table("nasbench101", tables_root)
        accuracy = table.targets["val_accuracy"]
        assert (len(table), len(set(table.architectures)), table.space) == (500, 500, "nasbench101")
        assert (accuracy.min().round(1), accuracy.max().round(1)) == (73.4, 94.7)
        assert len(table.columns) == 11
        assert not any(np.isnan(values).any() for values in table.columns.values())
        assert table.measures["val_accuracy"] == Measure("percent", True)

    def test_parameters_are_those_of_the_network_and_rank_cells(self, tables_root):
        table = load_table("nasbench101", tables_root)
        parameters = get_space("nasbench101").costs(table.architectures)[:, 0]
        assert table.columns["params_millions"].tolist() == (parameters / 1e6).tolist()
        for column, expected in {"params_millions": 0.716, "flops_millions": 0.720}.items():
            rank = spearmanr(table.columns[column], table.targets["val_accuracy"]).statistic
            assert rank == pytest.approx(expected, abs=0.002)

    def test_distinct_functions(self, tables_root):
        """As many as an isomorphism test of all pairs of pruned, labelled graphs finds."""
        networkx = pytest.importorskip("networkx")
        table = load_table("nasbench101", tables_root)
        classes: list = []
        for architecture in table.architectures:
            graph = _pruned(networkx, architecture)
            if not any(_isomorphic(networkx, graph, other) for other in classes):
                classes.append(graph)
        assert len(table.population("classes")) == len(classes) == 292

    def test_values_of_one_record(self, tmp_path):
        record = {"val_accuracy": 90.5, "params": 2.5, "jacov": -1e8, "snip": 3, "epe_nas": None}
        other = {"val_accuracy": 91, "snip": 4, "params": 3.5, "jacov": -2.0}
        path = write(tmp_path / "z.json", {"nasbench101": {"cifar10": {CELL101: record, CELL101.replace("4", "3"): other}}})
        table = read_nasbench101(path)
        assert table.targets["val_accuracy"].tolist() == [90.5, 91]
        assert {name: values.tolist() for name, values in table.columns.items() if name != "jacov"} == {
            "params_millions": [2.5, 3.5],
            "snip": [3, 4],
        }
        np.testing.assert_array_equal(table.columns["jacov"], [np.nan, -2.0])


class TestNASBench301:
    def test_the_real_files(self, tables_root):
        table = load_table("nasbench301", tables_root)
        accuracy = table.targets["val_accuracy"]
        assert (len(table), len(set(table.architectures)), table.space) == (1218, 1218, "darts")
        assert (accuracy.min().round(1), accuracy.max().round(1)) == (90.7, 94.5)
        assert np.bincount(table.counts["val_accuracy"]).tolist() == [0, 1211, 7]
        assert table.info()["targets"]["val_accuracy"]["trainings"] == [1, 2]
        assert np.isnan(table.columns["nwot"]).sum() == 500 - 7
        assert not any(np.isnan(values).any() for name, values in table.columns.items() if name != "nwot")

    def test_parameters_are_those_of_the_network_and_rank_cells(self, tables_root):
        table = load_table("nasbench301", tables_root)
        parameters = get_space("darts").costs(table.architectures)[:, 0]
        np.testing.assert_allclose(table.columns["params_millions"] * 1e6, parameters, rtol=0, atol=0.5)
        for column, expected in {"params_millions": 0.517, "flops_millions": 0.480, "synflow": 0.216}.items():
            rank = spearmanr(table.columns[column], table.targets["val_accuracy"]).statistic
            assert rank == pytest.approx(expected, abs=0.002)

    def test_a_cell_in_both_files_is_averaged(self, tmp_path):
        old = {CELL301: {"val_accuracy": 93.0, "snip": 1.0}, OTHER301: {"val_accuracy": 91.0, "snip": 5.0}}
        new = {SAME301: {"arch": SAME301, "idx": "1", "val_accuracy": 94.0, "snip": {"score": 2.0}, "nwot": {"score": 7.0}}}
        first = write(tmp_path / "0.json", {"nasbench301": {"cifar10": old}})
        second = write(tmp_path / "2.json", {"cifar10": new})
        table = read_nasbench301(first, second)
        assert table.architectures == (get_space("darts").parse(CELL301), get_space("darts").parse(OTHER301))
        assert table.targets["val_accuracy"].tolist() == [93.5, 91.0]
        assert table.counts["val_accuracy"].tolist() == [2, 1]
        assert table.columns["snip"].tolist() == [1.5, 5.0]
        np.testing.assert_array_equal(table.columns["nwot"], [7.0, np.nan])

    def test_files_in_the_wrong_order(self, tmp_path):
        old = write(tmp_path / "0.json", {"nasbench301": {"cifar10": {CELL301: {"val_accuracy": 93.0}}}})
        new = write(tmp_path / "2.json", {"cifar10": {CELL301: {"val_accuracy": 93.0}}})
        with pytest.raises(CorruptFileError, match=r"2\.json is not NASLib's file of darts cells.*nasbench301 > cifar10"):
            read_nasbench301(new, old)


class TestTransNAS:
    @pytest.mark.parametrize("task", TASKS)
    def test_the_real_file(self, tables_root, task):
        table = load_table(f"transnas101-micro:{task}", tables_root)
        assert (len(table), len(set(table.architectures)), table.space) == (711, 711, "transnas101-micro")
        assert len(table.columns) == (11 if task == "jigsaw" else 10)
        assert np.isnan(table.columns["jacov"]).sum() == 711 - len(table.population("connected")) == 20

    def test_all_tasks_know_the_same_cells(self, tables_root):
        cells = [set(load_table(f"transnas101-micro:{task}", tables_root).architectures) for task in TASKS]
        assert all(other == cells[0] for other in cells)

    def test_the_default_task_and_wrong_ones(self, tables_root):
        assert load_table("transnas101-micro", tables_root).targets["val_accuracy"].max() == pytest.approx(54.797, abs=0.001)
        with pytest.raises(UnknownNameError, match="'room_layout'"):
            load_table("transnas101-micro:room-layout", tables_root)
        with pytest.raises(UnknownNameError, match="'normal'"):
            read_transnas(tables_root / "none", "normals")

    @pytest.mark.parametrize(
        ("task", "target", "unit", "low", "high"),
        [
            ("class_scene", "val_accuracy", "percent", 14.152, 54.797),
            ("class_object", "val_accuracy", "percent", 23.447, 45.730),
            ("jigsaw", "val_accuracy", "percent", 0.139, 94.994),
            ("room_layout", "val_loss_negated", "", -1.090, -0.609),
            ("segmentsemantic", "val_accuracy", "percent", 91.891, 94.755),
            ("autoencoder", "val_ssim", "", 0.055, 0.572),
            ("normal", "val_ssim", "", 0.306, 0.578),
        ],
    )
    def test_metrics(self, tables_root, task, target, unit, low, high):
        table = load_table(f"transnas101-micro:{task}", tables_root)
        name, values = table.target()
        assert name == target
        assert table.measures == {target: Measure(unit, True)}
        assert (values.min(), values.max()) == pytest.approx((low, high), abs=0.001)

    @pytest.mark.parametrize("task", TASKS)
    def test_larger_is_better(self, tables_root, task):
        """Cells that do not look at their input are among the lowest."""
        table = load_table(f"transnas101-micro:{task}", tables_root)
        connected = np.array([get_space(table.space).is_connected(a) for a in table.architectures])
        values = table.target()[1]
        assert values[~connected].max() <= np.quantile(values, 0.05)
        assert connected[values.argmax()]


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("{", "JSONDecodeError"),
            ("[]", "TypeError"),
            ("{}", "KeyError('nasbench101')"),
            ('{"nasbench101": {"cifar10": {}}}', "no cells"),
            ('{"nasbench101": {"cifar10": [1]}}', "nasbench101 cells"),
            ('{"nasbench101": {"cifar10": {"(1, 2)": {"val_accuracy": 1}}}}', "InvalidArchitectureError"),
            (f'{{"nasbench101": {{"cifar10": {{"{CELL101}": {{}}}}}}}}', "KeyError('val_accuracy')"),
            (f'{{"nasbench101": {{"cifar10": {{"{CELL101}": {{"val_accuracy": NaN}}}}}}}}', "must be finite"),
            (f'{{"nasbench101": {{"cifar10": {{"{CELL101}": {{"val_accuracy": "high"}}}}}}}}', "'high'"),
            (f'{{"nasbench101": {{"cifar10": {{"{CELL101}": {{"val_accuracy": 1, "snip": {{}}}}}}}}}}', "KeyError('score')"),
            (f'{{"nasbench101": {{"cifar10": {{"{CELL101}": {{"val_accuracy": 1{"0" * 400}}}}}}}}}', "OverflowError"),
            (
                f'{{"nasbench101": {{"cifar10": {{"{CELL101}": {{"val_accuracy": 1}}, " {CELL101}": {{"val_accuracy": 2}}}}}}}}',
                "2 descriptions stand for 1 cells",
            ),
            ("[" * 100_000, "RecursionError"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, content, reason):
        (tmp_path / "z.json").write_text(content)
        with pytest.raises(CorruptFileError, match=rf"(?s)z\.json.*{re.escape(reason)}"):
            read_nasbench101(tmp_path / "z.json")

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "z.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(CorruptFileError, match=r"z\.json"):
            read_transnas(tmp_path / "z.json", "normal")

    def test_a_task_that_is_not_there(self, tmp_path):
        with pytest.raises(CorruptFileError, match="under normal: KeyError"):
            read_transnas(write(tmp_path / "z.json", {"jigsaw": {}}), "normal")

    def test_a_file_that_cannot_be_read(self, tmp_path):
        with pytest.raises(StorageError, match="cannot read"):
            read_nasbench101(tmp_path)


def test_a_proxy_that_failed_everywhere_is_left_out():
    assert list(proxy_columns([{"a": -1e8, "b": 1.0}, {"a": {"score": -1e8}}])) == ["b"]


def test_the_variants_of_the_tasks():
    assert list(TABLES.get("transnas101-micro").variants) == list(TASKS)


def _pruned(networkx, architecture):
    names, edges = architecture.spec
    graph = networkx.DiGraph()
    for vertex, label in enumerate(("input", *names, "output")):
        graph.add_node(vertex, label=label)
    graph.add_edges_from(edges)
    last = len(names) + 1
    live = (networkx.descendants(graph, 0) | {0}) & (networkx.ancestors(graph, last) | {last})
    return graph.subgraph(live)


def _isomorphic(networkx, a, b):
    if (len(a), a.number_of_edges()) != (len(b), b.number_of_edges()):
        return False
    return networkx.is_isomorphic(a, b, node_match=lambda left, right: left == right)
