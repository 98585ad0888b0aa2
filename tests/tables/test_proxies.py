"""NAS-Bench-201 with proxies: two real files joined, and files that are something else."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from emprox.errors import CorruptFileError, StorageError
from emprox.tables import load_table
from emprox.tables.proxies import read_nasbench201_proxies

CELL = '"(4, 0, 3, 1, 4, 3)",text'


@pytest.fixture(scope="module")
def accuracies(tables_root):
    return tables_root / "originals" / "nb201_zen.zip"


@pytest.fixture(scope="module")
def real(tables_root):
    return load_table("nasbench201-proxies", tables_root)


class TestTheRealFiles:
    def test_facts(self, real):
        assert (len(real), len(set(real.architectures)), len(real.columns)) == (9445, 9445, 13)
        missing = {name: int(np.isnan(values).sum()) for name, values in real.columns.items()}
        assert {name: n for name, n in missing.items() if n} == {"epe_nas": 1, "jacov": 1, "nwot": 1, "zen": 1}

    def test_the_accuracies_are_those_of_the_main_table(self, real, tables_root):
        main = load_table("nasbench201", tables_root)
        of = dict(zip(main.architectures, main.targets["val_accuracy"], strict=True))
        assert real.targets["val_accuracy"].tolist() == [of[architecture] for architecture in real.architectures]

    @pytest.mark.parametrize(
        ("proxy", "expected"), [("jacov", 0.82), ("nwot", 0.79), ("params_millions", 0.75), ("synflow", 0.73)]
    )
    def test_known_ranks(self, real, proxy, expected):
        known = np.isfinite(real.columns[proxy])
        rank = spearmanr(real.columns[proxy][known], real.targets["val_accuracy"][known]).statistic
        assert rank == pytest.approx(expected, abs=0.005)


def test_columns_of_a_row(tmp_path, accuracies):
    path = tmp_path / "p.csv"
    path.write_text(f"net,net_str,params,jacov\n{CELL},0.5,-1e8\n" + CELL.replace("4, 0", "4, 2") + ",0.25,-3\n")
    table = read_nasbench201_proxies(path, accuracies)
    assert table.columns["params_millions"].tolist() == [0.5, 0.25]
    np.testing.assert_array_equal(table.columns["jacov"], [np.nan, -3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 rows"),
        ("net,net_str,snip\n", "0 rows"),
        ("cell,snip\nx,1\n", r"KeyError\('net'\)"),
        (f"net,net_str,snip\n{CELL},1\n{CELL},2\n", "2 rows of 1 cells"),
        (f"net,net_str,snip\n{CELL}\n", "fewer columns"),
        (f"net,net_str,snip\n{CELL},1,2\n", "TypeError"),
        (f"net,net_str,snip\n{CELL},\n", "could not convert"),
        ("net,net_str,snip\n(9),x,1\n", "InvalidArchitectureError"),
        (f"net,net_str,snip\n{CELL},1\n\"(4", "Error"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, accuracies, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(CorruptFileError, match=rf"p\.csv.*{message}"):
        read_nasbench201_proxies(tmp_path / "p.csv", accuracies)


def test_files_in_the_wrong_order(tmp_path, accuracies):
    (tmp_path / "p.csv").write_text("net,net_str,snip\n")
    with pytest.raises(CorruptFileError, match="no zip file"):
        read_nasbench201_proxies(accuracies, tmp_path / "p.csv")
    with pytest.raises(CorruptFileError, match=r"nb201_zen\.zip is not the table"):
        read_nasbench201_proxies(accuracies, accuracies)


def test_a_file_that_cannot_be_read(tmp_path, accuracies):
    with pytest.raises(StorageError, match="cannot read"):
        read_nasbench201_proxies(tmp_path, accuracies)
