"""The table itself: columns and their checks, seeds, filters, joins, datasheet."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.spaces import get_space
from emprox.tables import Measure, PerformanceTable, table_of_runs
from emprox.tables.runs import average

SPACE = get_space("nasbench201")
A, B, C = (SPACE.parse(spec) for spec in ((2, 2, 2, 2, 2, 2), (3, 3, 3, 3, 3, 3), (0, 1, 2, 3, 4, 0)))
TWINS = SPACE.parse((2, 1, 1, 1, 1, 0)), SPACE.parse((0, 1, 1, 1, 1, 2))
"""One convolution and one skip connection in a row, in either order: the same function."""


def table(**fields):
    given = {
        "targets": {"val_accuracy": [90.0, 80.0, 85.0], "latency_ms": [3.0, 1.0, 2.0]},
        "spreads": {"val_accuracy": [0.1, 0.2, 0.3]},
        "counts": {"val_accuracy": [3, 1, 2]},
        "curves": {"val_accuracy": [[50.0, 90.0], [60.0, np.nan], [40.0, 85.0]]},
        "columns": {"params": [1.0, np.nan, 3.0], "recipe": ["a", "b", "a"]},
        "citation": "Somebody, 2020.",
    }
    return PerformanceTable("mine", "nasbench201", (A, B, C), **{**given, **fields})


class TestColumns:
    def test_units_and_directions_are_read_from_names(self):
        assert table().measures == {"val_accuracy": Measure("percent", True), "latency_ms": Measure("ms", False)}

    def test_a_measure_that_is_given_counts(self):
        mine = table(targets={"reward": [1, 2, 3]}, spreads={}, counts={}, measures={"reward": Measure("points", False)})
        assert mine.measures["reward"] == Measure("points", False)
        assert mine.best().architectures == (A,)

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"targets": {}}, "no target"),
            ({"targets": {"val_accuracy": [1, 2]}, "spreads": {}, "counts": {}}, "shape"),
            ({"targets": {"val_accuracy": [1, 2, np.nan]}, "spreads": {}, "counts": {}}, "finite"),
            ({"spreads": {"val_accuracy": [1, 1, -1]}}, "0 or more"),
            ({"spreads": {"top1": [1, 1, 1]}}, "no target"),
            ({"counts": {"val_accuracy": [1, 0, 1]}}, "at least 1"),
            ({"counts": {"val_accuracy": [1, 1.5, 1]}}, "whole"),
            ({"counts": {"top1": [1, 1, 1]}}, "no target"),
            ({"curves": {"x": [1, 2, 3]}}, "epochs"),
            ({"curves": {"x": [[1], [2]]}}, "epochs"),
            ({"curves": {"x": np.ones((3, 0))}}, "epochs"),
            ({"curves": {"x": [[1], [np.inf], [2]]}}, "infinite"),
            ({"curves": {"x": [[1], ["a"], [2]]}}, "numbers"),
            ({"columns": {"x": [1, 2]}}, "shape"),
            ({"columns": {"x": [object()] * 3}}, "numbers or texts"),
            ({"columns": {"latency_ms": [1, 2, 3]}}, "rename"),
            ({"marks": {"early": [True, False]}}, "3 truth values"),
            ({"marks": {"early": [0, 1, 2]}}, "3 truth values"),
            ({"marks": {"early": [0, 1, np.nan]}}, "3 truth values"),
            ({"marks": {"early": ["yes", "no", "no"]}}, "3 truth values"),
            ({"marks": {"connected": [True, False, True]}}, "'connected' is a population of every nasbench201 table"),
            ({"marks": {"classes": [True, False, True]}}, "'classes' is a population"),
            ({"measures": {"top1": Measure()}}, "no target"),
        ],
    )
    def test_what_cannot_be_is_an_error(self, fields, word):
        with pytest.raises(InvalidDataError, match=word) as caught:
            table(**fields)
        assert "mine" in str(caught.value)

    def test_measures_are_checked(self):
        with pytest.raises(InvalidDataError, match="direction"):
            Measure("percent", "up")

    def test_a_target_or_column_by_name(self):
        assert table().column("latency_ms").tolist() == [3, 1, 2]
        assert table().column("recipe").tolist() == ["a", "b", "a"]
        with pytest.raises(UnknownNameError, match="'params'"):
            table().column("param")

    def test_a_table_goes_to_other_processes(self):
        again = pickle.loads(pickle.dumps(table()))
        np.testing.assert_array_equal(again.curves["val_accuracy"], table().curves["val_accuracy"])
        assert again.architectures == (A, B, C)


class TestRows:
    def test_rows_take_every_column_along(self):
        part = table().rows([2, 0])
        assert part.architectures == (C, A)
        assert part.targets["latency_ms"].tolist() == [2, 3]
        assert part.spreads["val_accuracy"].tolist() == [0.3, 0.1]
        assert part.counts["val_accuracy"].tolist() == [2, 3]
        assert part.curves["val_accuracy"].tolist() == [[40, 85], [50, 90]]
        assert part.columns["recipe"].tolist() == ["a", "a"]
        assert (part.name, part.citation, part.measures) == ("mine", "Somebody, 2020.", table().measures)

    def test_marks_are_populations_and_go_along(self):
        marked = table(marks={"early": [True, False, True]})
        assert marked.populations == [*table().populations, "early"]
        assert marked.population("early").architectures == (A, C)
        assert marked.rows([1, 2]).population("early").architectures == (C,)
        assert marked.join(table()).population("early").architectures == (A, C)
        assert marked.info()["populations"]["early"] == 2
        with pytest.raises(UnknownNameError, match="did you mean 'early'"):
            marked.population("earlier")

    def test_where_bounds_are_included_and_missing_numbers_are_not(self):
        assert table().where("params", at_least=1).architectures == (A, C)
        assert table().where("params", at_least=1.5, at_most=3).architectures == (C,)
        assert table().where("recipe", equals="a").architectures == (A, C)
        assert len(table().where("val_accuracy", at_least=99)) == 0

    def test_where_needs_a_bound_that_fits(self):
        with pytest.raises(InvalidOptionError, match="at_least"):
            table().where("params")
        with pytest.raises(InvalidOptionError, match="equals"):
            table().where("recipe", at_most=3)

    def test_best_follows_the_direction(self):
        assert table().best(2).architectures == (A, C)
        assert table().best(2, "latency_ms").architectures == (B, C)
        with pytest.raises(InvalidDataError, match="Measure"):
            table(targets={"reward": [1, 2, 3]}, spreads={}, counts={}).best()


class TestRuns:
    def test_mean_spread_and_count(self):
        runs = table_of_runs("mine", "nasbench201", [A, B, A, C, A, B], {"val_accuracy": [1.0, 5.0, 2.0, 9.0, 6.0, 7.0]})
        assert runs.architectures == (A, B, C)
        assert runs.targets["val_accuracy"].tolist() == [3, 6, 9]
        assert runs.counts["val_accuracy"].tolist() == [3, 2, 1]
        deviations = [np.std([1, 2, 6], ddof=1), np.std([5, 7], ddof=1)]
        pooled = np.sqrt((2 * deviations[0] ** 2 + deviations[1] ** 2) / 3)
        np.testing.assert_allclose(runs.spreads["val_accuracy"], [*deviations, pooled])

    def test_further_numbers_are_averaged_where_they_are_known(self):
        further = {"params": [1.0, 5.0, 3.0, np.nan], "jacov": [np.nan, np.nan, 2.0, np.nan]}
        runs = table_of_runs("mine", "nasbench201", [A, B, A, C], {"val_accuracy": [1, 2, 3, 4]}, further)
        np.testing.assert_array_equal(runs.columns["params"], [2, 5, np.nan])
        np.testing.assert_array_equal(runs.columns["jacov"], [2, np.nan, np.nan])

    def test_curves_are_averaged_epoch_by_epoch(self):
        curves = {"train_loss": [[4.0, 2.0], [3.0, np.nan], [2.0, 1.0]]}
        runs = table_of_runs("mine", "nasbench201", [A, B, A], {"val_accuracy": [1.0, 5.0, 3.0]}, curves=curves)
        np.testing.assert_array_equal(runs.curves["train_loss"], [[3.0, 1.5], [3.0, np.nan]])
        assert runs.epochs == 2

    def test_without_a_second_seed_there_is_no_spread(self):
        runs = table_of_runs("mine", "nasbench201", [A, B], {"val_accuracy": [1.0, 5.0]}, citation="Me.")
        assert runs.spreads == {}
        assert runs.citation == "Me."

    def test_no_training(self):
        with pytest.raises(InvalidDataError, match="no training"):
            table_of_runs("mine", "nasbench201", [], {"val_accuracy": []})

    @given(st.lists(st.tuples(st.integers(0, 4), st.floats(-1e3, 1e3)), min_size=1, max_size=30))
    def test_averages_agree_with_numpy(self, runs):
        present = sorted({group for group, _ in runs})
        groups = np.array([present.index(group) for group, _ in runs])
        values = np.array([value for _, value in runs])
        came = average(values, groups)
        for group in range(len(present)):
            own = values[groups == group]
            assert came.count[group] == len(own)
            assert came.mean[group] == pytest.approx(own.mean(), abs=1e-9)
            if len(own) > 1:
                assert came.spread is not None
                assert came.spread[group] == pytest.approx(own.std(ddof=1), abs=1e-6)


class TestJoin:
    def test_rows_of_the_same_function_meet(self):
        left = PerformanceTable("left", "nasbench201", (A, TWINS[0], B), {"val_accuracy": [1, 2, 3]})
        right = PerformanceTable(
            "right", "nasbench201", (TWINS[1], C, A), {"synflow": [10, 20, 30]}, columns={"recipe": ["t", "c", "a"]}
        )
        both = left.join(right)
        assert both.architectures == (A, TWINS[0])
        assert both.targets["val_accuracy"].tolist() == [1, 2]
        assert both.columns["synflow"].tolist() == [30, 10]
        assert both.columns["recipe"].tolist() == ["a", "t"]

    def test_the_same_description_comes_before_a_twin(self):
        left = PerformanceTable("left", "nasbench201", (TWINS[1],), {"val_accuracy": [1]})
        right = PerformanceTable("right", "nasbench201", TWINS, {"synflow": [10, 20]})
        assert left.join(right).columns["synflow"].tolist() == [20]

    def test_names_that_are_taken_say_their_table(self):
        other = PerformanceTable("other", "nasbench201", (A,), {"val_accuracy": [70]}, curves={"val_accuracy": [[1, 2, 3]]})
        both = table().join(other)
        assert both.columns["other:val_accuracy"].tolist() == [70]
        assert both.curves["other:val_accuracy"].tolist() == [[1, 2, 3]]
        assert both.curves["val_accuracy"].shape == (1, 2)

    def test_nothing_in_common(self):
        with pytest.raises(InvalidDataError, match="in common"):
            table().join(PerformanceTable("other", "nasbench201", (TWINS[0],), {"val_accuracy": [70]}))

    def test_real_tables(self, tables_root):
        from emprox.tables import load_table

        long, short = load_table("nasbench201", tables_root), load_table("nasbench201-12epochs", tables_root)
        both = long.join(short)
        assert both.architectures == long.architectures
        by_cell = dict(zip(short.architectures, short.targets["val_accuracy"], strict=True))
        joined = both.columns["nasbench201-12epochs:val_accuracy"]
        assert joined.tolist() == [by_cell[a] for a in long.architectures]
        assert "12 epochs" in both.citation


def test_the_datasheet():
    sheet = table().info()
    assert sheet["rows"] == 3
    assert sheet["populations"] == {"all": 3, "connected": 3, "no-none": 2, "classes": 3}
    assert sheet["targets"]["val_accuracy"] == {
        "unit": "percent",
        "larger_is_better": True,
        "min": 80.0,
        "median": 85.0,
        "max": 90.0,
        "trainings": [1, 3],
        "median_spread": 0.2,
    }
    assert sheet["targets"]["latency_ms"]["trainings"] is None
    assert sheet["curves"] == {"val_accuracy": {"epochs": 2, "complete": 2}}
    assert sheet["columns"]["params"] == {"kind": "number", "min": 1.0, "median": 2.0, "max": 3.0, "missing": 1}
    assert sheet["columns"]["recipe"] == {"kind": "text", "distinct": 2, "missing": 0}
    assert sheet["citation"] == "Somebody, 2020."


def test_the_datasheet_of_no_rows():
    sheet = table().rows([]).info()
    assert sheet["targets"]["val_accuracy"]["min"] is None
    assert sheet["rows"] == 0


def test_a_mask_is_no_list_of_rows() -> None:
    cells = tuple(get_space("nasbench201").sample(np.random.default_rng(0), 4))
    table = PerformanceTable("mine", "nasbench201", cells, {"val_accuracy": [90, 85, 80, 75]})
    with pytest.raises(InvalidDataError, match=r"numpy\.flatnonzero turns a mask into numbers"):
        table.rows(table.targets["val_accuracy"] > 80)
