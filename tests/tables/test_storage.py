"""Tables as csv, parquet and data frames: what is written reads back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, MissingDependencyError, StorageError
from emprox.spaces import get_space
from emprox.tables import Measure, PerformanceTable, read_csv, read_table, write_table

SPACE = get_space("nasbench201")
CELLS = tuple(SPACE.sample(np.random.default_rng(0), 3))
KINDS = ("targets", "spreads", "counts", "curves", "columns", "marks")


def table(**fields):
    given = {
        "targets": {"val_accuracy": [90.1, 1 / 3, 1e-300], "reward": [3.0, -1.0, 2.0]},
        "spreads": {"val_accuracy": [0.1, 0.2, 0.3]},
        "counts": {"val_accuracy": [3, 1, 2]},
        "curves": {"val_loss": [[5.0, 0.1], [6.0, np.nan], [np.nan, np.nan]]},
        "columns": {"params": [1.0, np.nan, 3.0], "recipe": ['a,"b"\n', "", "# é"]},
        "marks": {"early": [True, False, True]},
        "citation": "Somebody, “Things”, 2020.",
        "epochs": 50,
        "measures": {"reward": Measure("points", False)},
    }
    return PerformanceTable("mine", "nasbench201", CELLS, **{**given, **fields})


def assert_equal(came, expected):
    for field in ("name", "space", "architectures", "citation", "measures", "epochs"):
        assert getattr(came, field) == getattr(expected, field)
    for kind in KINDS:
        ours, theirs = getattr(came, kind), getattr(expected, kind)
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name].dtype.kind == theirs[name].dtype.kind
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
class TestRoundTrip:
    def test_everything(self, tmp_path, ending):
        write_table(table(), tmp_path / f"t.{ending}")
        assert_equal(read_table(tmp_path / f"t.{ending}"), table())

    def test_no_rows(self, tmp_path, ending):
        empty = table().rows([])
        write_table(empty, tmp_path / f"t.{ending}")
        assert_equal(read_table(tmp_path / f"t.{ending}"), empty)

    def test_one_target_only(self, tmp_path, ending):
        small = PerformanceTable("small", "nasbench201", CELLS, {"val_accuracy": [1.0, 2.0, 3.0]})
        write_table(small, tmp_path / f"t.{ending}")
        assert_equal(read_table(tmp_path / f"t.{ending}"), small)

    @settings(max_examples=30)
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), st.text(max_size=20))
    def test_any_number_and_text(self, tmp_path_factory, ending, numbers, text):
        path = tmp_path_factory.mktemp("any") / f"t.{ending}"
        text = text.replace("\x00", "").encode("utf-8", "ignore").decode()
        some = table(targets={"x": numbers}, spreads={}, counts={}, measures={}, columns={"t": [text, "b", "c"]})
        write_table(some, path)
        assert_equal(read_table(path), some)

    def test_something_else_in_the_file(self, tmp_path, ending):
        path = tmp_path / f"t.{ending}"
        for data in (b"", b"architecture,val_accuracy\n", b"\xff\xfe", b"# emprox-table {}\n", b"# emprox-table [1]\nx\n"):
            path.write_bytes(data)
            with pytest.raises(CorruptFileError, match="not a table that emprox wrote"):
                read_table(path)

    def test_a_file_that_shrank(self, tmp_path, ending):
        path = tmp_path / f"t.{ending}"
        write_table(table(), path)
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(CorruptFileError):
            read_table(path)

    def test_a_missing_file_and_a_missing_folder(self, tmp_path, ending):
        with pytest.raises(StorageError):
            read_table(tmp_path / f"t.{ending}")
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError):
            write_table(table(), tmp_path / "file" / f"t.{ending}")

    def test_two_columns_of_one_name(self, tmp_path, ending):
        with pytest.raises(InvalidDataError, match="val_accuracy_std"):
            write_table(table(columns={"val_accuracy_std": [1, 2, 3]}), tmp_path / f"t.{ending}")
        assert list(tmp_path.iterdir()) == []


def test_a_file_of_before_there_were_marks(tmp_path):
    write_table(table(marks={}), tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    assert text.count(', "marks": []') == 1
    (tmp_path / "t.csv").write_text(text.replace(', "marks": []', ""))
    assert_equal(read_table(tmp_path / "t.csv"), table(marks={}))


def test_the_ending_chooses_the_format(tmp_path):
    for call in (lambda path: write_table(table(), path), read_table):
        with pytest.raises(InvalidOptionError, match=r"\.csv or \.parquet"):
            call(tmp_path / "t.xlsx")


def test_a_csv_of_ours_is_a_csv_for_the_command_line_and_for_pandas(tmp_path):
    path = tmp_path / "t.csv"
    write_table(table(columns={}), path)
    again = read_csv(path, "nasbench201", "val_accuracy", std="val_accuracy_std")
    assert again.architectures == CELLS
    assert again.targets["val_accuracy"].tolist() == table().targets["val_accuracy"].tolist()
    frame = pytest.importorskip("pandas").read_csv(path, comment="#")
    assert frame.reward.tolist() == [3, -1, 2]


def test_lines_are_counted_with_the_comment(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# one\n# two\narchitecture,val_accuracy\n(9 9),3\n")
    with pytest.raises(InvalidDataError, match="line 4"):
        read_csv(path, "nasbench201", "val_accuracy")


def test_a_data_frame_has_every_column():
    pytest.importorskip("pandas")
    frame = table().to_pandas()
    assert list(frame.columns) == [
        "architecture", "val_accuracy", "reward", "val_accuracy_std", "val_accuracy_count", "params", "recipe",
        "val_loss@1", "val_loss@2", "early?",
    ]  # fmt: skip
    assert frame.architecture.tolist() == [str(cell) for cell in CELLS]
    assert frame.attrs["targets"] == {"val_accuracy": ["percent", True], "reward": ["points", False]}


def test_missing_packages_name_the_extra(tmp_path, monkeypatch):
    for module in ("pandas", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    calls = (
        table().to_pandas,
        lambda: write_table(table(), tmp_path / "new.parquet"),
        lambda: read_table(tmp_path / "t.parquet"),
    )
    for call in calls:
        with pytest.raises(MissingDependencyError, match=r"emprox\[tables\]"):
            call()
