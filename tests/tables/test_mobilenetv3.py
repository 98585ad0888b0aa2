"""The logs of once-for-all searches: the real ones, and files that are something else."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from emprox.errors import CorruptFileError, StorageError
from emprox.spaces import get_space
from emprox.tables import load_table, read_table, write_table
from emprox.tables.mobilenetv3 import read_mobilenetv3

SPACE = get_space("ofa-mobilenetv3")
HEADER = "Sub-network,Date,Model Parameters,Latency (ms),MACs,Top-1 Acc (%)\n"


def network(last_kernel=3, depth=2):
    return {"wid": None, "ks": [3] * 19 + [last_kernel], "e": [6] * 20, "d": [depth] * 5, "r": [224]}


def row(config, accuracy, parameters=4_000_000, macs=200_000_000):
    return f'"{config}",2022-11-01,{parameters},0,{macs},{accuracy}\n'


def write(path, *rows):
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.fixture(scope="module")
def real(tables_root):
    return load_table("ofa-mobilenetv3", tables_root)


class TestTheRealFiles:
    def test_facts(self, real):
        accuracy = real.targets["val_accuracy"]
        assert (len(real), len(set(real.architectures))) == (1203, 1203)
        assert np.bincount(real.counts["val_accuracy"]).tolist() == [0, 1144, 56, 3]
        assert (accuracy.min(), accuracy.max()) == pytest.approx((71.938, 77.466))
        assert real.spreads["val_accuracy"].max() < 0.1

    def test_costs_are_those_of_the_networks(self, real):
        costs = SPACE.costs(real.architectures) / 1e6
        columns = np.column_stack([real.columns["params_millions"], real.columns["macs_millions"]])
        np.testing.assert_allclose(columns, costs, rtol=1e-12)

    def test_operations_rank_searched_networks_better_than_initial_ones(self, real):
        initial = real.population("initial")
        assert len(initial) == 100
        for table, expected in ((real, 0.956), (initial, 0.758)):
            rank = spearmanr(table.columns["macs_millions"], table.targets["val_accuracy"]).statistic
            assert rank == pytest.approx(expected, abs=0.001)

    def test_populations_are_listed(self, real):
        assert "initial" in real.populations
        assert real.info()["populations"]["initial"] == 100

    def test_populations_are_kept_in_files(self, real, tmp_path):
        write_table(real, tmp_path / "t.csv")
        again = read_table(tmp_path / "t.csv")
        assert again.population("initial").architectures == real.population("initial").architectures


class TestMerging:
    def test_equal_networks_are_averaged_over_all_logs(self, tmp_path):
        first = write(tmp_path / "a.csv", row(network(3), 75.0), row(network(depth=4), 77.0))
        second = write(tmp_path / "b.csv", row(network(7), 75.5))
        table = read_mobilenetv3(first, second)
        assert table.architectures == (SPACE.parse(network()), SPACE.parse(network(depth=4)))
        assert table.targets["val_accuracy"].tolist() == [75.25, 77.0]
        assert table.counts["val_accuracy"].tolist() == [2, 1]
        assert table.columns["macs_millions"].tolist() == [200, 200]

    def test_the_first_fifty_rows_of_each_log_are_initial(self, tmp_path):
        sampled = SPACE.sample(np.random.default_rng(0), 102)
        rows = [row(str(architecture), 70 + i / 20) for i, architecture in enumerate(sampled)]
        zeros = write(tmp_path / "a.csv", *rows[:51]), write(tmp_path / "b.csv", *rows[51:])
        table = read_mobilenetv3(*zeros)
        assert table.population("initial").architectures == (*sampled[:50], *sampled[51:101])


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("", "no rows"),
            (row(network(4, 4), 75), "line 2 is not a sub-network.*no width multiplier, got"),
            (row(network(), 75) + row(network(), "nan"), "line 3.*0 to 100, got nan"),
            (row(network(), 175), "0 to 100, got 175"),
            (row(network(), "high"), "'high'"),
            (row(network(), 75, macs="1.5"), r"line 2.*'1\.5'"),
            (row(network(), 75, parameters=10**400), "line 2.*OverflowError"),
            (f'"{network()}",2022\n', "line 2"),
            (f'"{network()},2022', "no csv file"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, rows, message):
        with pytest.raises(CorruptFileError, match=rf"a\.csv.*{message}"):
            read_mobilenetv3(write(tmp_path / "a.csv", rows))

    def test_another_header(self, tmp_path):
        (tmp_path / "a.csv").write_text("architecture,accuracy\nx,1\n")
        with pytest.raises(CorruptFileError, match="KeyError"):
            read_mobilenetv3(tmp_path / "a.csv")

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(CorruptFileError, match="no csv file"):
            read_mobilenetv3(tmp_path / "a.csv")

    def test_a_file_that_cannot_be_read(self, tmp_path):
        with pytest.raises(StorageError, match="cannot read"):
            read_mobilenetv3(tmp_path)
