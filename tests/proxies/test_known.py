"""Proxies computed before, as values, encoding and csv file."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from emprox.encodings import Encoding, get_encoding
from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, StorageError, UnknownNameError
from emprox.proxies import KnownProxies, ProxyScores, Recipe, score_architecture
from emprox.proxies.encoding import ProxyEncoding
from emprox.proxies.known import as_known
from emprox.proxies.storage import ProxyFile
from emprox.spaces import get_space
from emprox.tables import PerformanceTable
from emprox.testing import EncodingContract

SPACE = get_space("nasbench201")
CELLS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 12)))
KNOWN = KnownProxies("nasbench201", tuple(CELLS[:3]), {"snip": [1.0, np.nan, 3.0], "zen": [4.0, 5.0, 6.0]})


class TestProxyEncoding(EncodingContract):
    """With invented values of all cells."""

    def make(self) -> Encoding:
        values = np.random.default_rng(0).normal(size=(2, SPACE.size))
        return ProxyEncoding(SPACE, KnownProxies("nasbench201", tuple(SPACE), dict(zip(("snip", "zen"), values, strict=True))))


class TestEncoding:
    def test_computes_without_known_ones_and_keeps_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        encoding = ProxyEncoding(SPACE, proxies=["l2_norm", "params"])
        first = encoding.transform(CELLS[:2])
        assert first[:, 1].tolist() == SPACE.costs(CELLS[:2])[:, 0].tolist()
        monkeypatch.setattr("emprox.proxies.encoding.score_architecture", None)
        np.testing.assert_array_equal(encoding.transform(CELLS[:2]), first)

    def test_no_value_is_nan(self) -> None:
        dead = SPACE.parse((1, 1, 1, 1, 1, 1))
        row = ProxyEncoding(SPACE, proxies=["synflow", "params"]).transform([dead])[0]
        assert np.isnan(row[0])
        assert row[1] == SPACE.count_parameters(dead)

    def test_known_and_computed_are_not_mixed(self) -> None:
        with pytest.raises(InvalidDataError, match="lack 2 of 3 architectures"):
            ProxyEncoding(SPACE, KNOWN).transform(CELLS[2:5])
        with pytest.raises(UnknownNameError, match="not among the known"):
            ProxyEncoding(SPACE, KNOWN, ["nwot"]).transform(CELLS[:1])

    def test_joined_with_others(self) -> None:
        joined = get_encoding("onehot+proxies+onehot", SPACE, KNOWN)
        encoded = joined.transform(CELLS[:3])
        assert encoded.shape == (3, 62) == (3, len(joined.names))
        assert len(set(joined.names)) == 62
        np.testing.assert_array_equal(encoded[:, 30:32], KNOWN.values(CELLS[:3]))
        np.testing.assert_array_equal(encoded[:, :30], encoded[:, 32:])
        assert joined.known is KNOWN
        with pytest.raises(UnknownNameError, match="did you mean 'proxies'"):
            get_encoding("features+proxy", SPACE)


class TestKnown:
    def test_values_are_nan_where_unknown_or_undefined(self) -> None:
        np.testing.assert_array_equal(KNOWN.values([CELLS[5], CELLS[1]], ["zen", "snip"]), [[np.nan, np.nan], [5, np.nan]])
        assert KNOWN.has([CELLS[5], CELLS[1]]).tolist() == [False, True]
        assert KNOWN.values([]).shape == (0, 2)

    def test_from_a_table(self) -> None:
        columns = {"params_millions": [0.5], "flops_millions": [2.0], "synflow": [7.0], "comment": np.array(["x"]), "seed": [1.0]}
        table = PerformanceTable("mine", "nasbench201", (CELLS[0],), {"val_accuracy": [80.0]}, columns=columns)
        known = as_known(table, "nasbench201")
        assert known is not None
        assert {name: float(values[0]) for name, values in known.columns.items()} == {"params": 5e5, "flops": 2e6, "synflow": 7}
        bare = PerformanceTable("mine", "nasbench201", (CELLS[0],), {"val_accuracy": [80.0]})
        assert as_known(bare, "nasbench201") is None

    def test_json_and_back(self) -> None:
        again = KnownProxies.from_json(json.loads(json.dumps(KNOWN.to_json(), allow_nan=False)))
        assert again.architectures == KNOWN.architectures
        np.testing.assert_array_equal(again.values(CELLS[:3]), KNOWN.values(CELLS[:3]))
        assert copy.deepcopy(KNOWN) is KNOWN

    def test_checks(self) -> None:
        with pytest.raises(InvalidDataError, match="expected 2 finite numbers"):
            KnownProxies("nasbench201", tuple(CELLS[:2]), {"zen": [1.0]})
        with pytest.raises(InvalidDataError, match="with infinity"):
            KnownProxies("nasbench201", tuple(CELLS[:1]), {"zen": [np.inf]})
        with pytest.raises(InvalidDataError, match="expected darts"):
            as_known(KNOWN, "darts")
        with pytest.raises(InvalidDataError, match="got int"):
            as_known(3, "nasbench201")  # type: ignore[arg-type]

    @pytest.mark.parametrize("table", ["nasbench101", "nasbench201-proxies", "nasbench301", "transnas101-micro:class_scene"])
    def test_real_tables(self, table: str, tables_root: Path) -> None:
        from emprox.tables import load_table

        rows = load_table(table, tables_root)
        known = KnownProxies.from_table(rows)
        assert {"params", "flops", "snip", "grad_norm", "jacov"} <= set(known.names)
        counted = get_space(rows.space).costs(rows.architectures[:50])[:, 0]
        assert np.corrcoef(known.values(rows.architectures[:50], ["params"])[:, 0], counted)[0, 1] > 0.99


class TestFile:
    def test_a_stopped_run_goes_on(self, tmp_path: Path) -> None:
        path, first, second = tmp_path / "p.csv", str(CELLS[0]), str(CELLS[1])
        file = ProxyFile(path, ["snip", "zen"], "r")
        assert file.missing(first) == ["snip", "zen"]
        file.add(first, ProxyScores({"snip": 0.1}, {"zen": 'no, not\n"this"'}))
        file.add(second, ProxyScores({"snip": 0.2, "zen": 1 / 3}))
        with path.open("a") as stream:
            stream.write("cut off, in the mid")
        again = ProxyFile(path, ["snip", "nwot", "zen"], "r")
        assert (again.missing(first), again.missing(second)) == (["nwot"], ["nwot"])
        again.add(first, ProxyScores({"nwot": 5.0}))
        again.write([second])
        assert [line[:20] for line in path.read_text().splitlines() if line.startswith("|")] == [second[:20], first[:20]]
        known = KnownProxies.from_file(path, "nasbench201")
        np.testing.assert_array_equal(known.values(CELLS[:2], ["snip", "zen", "nwot"]), [[0.1, np.nan, 5], [0.2, 1 / 3, np.nan]])
        assert json.loads(again.rows[first]["failures"]) == {"zen": 'no, not\n"this"'}

    def test_another_recipe_is_refused(self, tmp_path: Path) -> None:
        ProxyFile(tmp_path / "p.csv", ["zen"], str(Recipe())).add("a", ProxyScores({"zen": 1.0}))
        with pytest.raises(InvalidOptionError, match="batch_size=64 seed=0"):
            ProxyFile(tmp_path / "p.csv", ["zen"], str(Recipe(seed=1)))

    @pytest.mark.parametrize(
        "content", ["a,b\n1,2\n", "", "architecture,recipe,zen,failures\nx,r,much,\n", "architecture,recipe,failures\nx,r,{\n"]
    )
    def test_other_files_are_refused(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text(content)
        with pytest.raises(CorruptFileError, match=r"p\.csv"):
            ProxyFile(tmp_path / "p.csv", ["zen"], "r")
        with pytest.raises(StorageError, match="cannot read"):
            KnownProxies.from_file(tmp_path, "nasbench201")


class TestArchitectures:
    def test_the_recipe_decides(self) -> None:
        names = ["l2_norm", "snip"]
        one, again = (score_architecture(CELLS[0], names, Recipe(batch_size=4)).values for _ in range(2))
        other = score_architecture(CELLS[0], names, Recipe(batch_size=4, seed=1)).values
        assert one == again
        assert all(one[name] != other[name] for name in names)
        with pytest.raises(InvalidOptionError, match="batch_size"):
            Recipe(batch_size=1)

    @pytest.mark.parametrize("space", ["darts", "nasbench101", "transnas101-micro", "ofa-mobilenetv3"])
    def test_other_spaces(self, space: str) -> None:
        arch = get_space(space).sample(np.random.default_rng(1), 1)[0]
        scores = score_architecture(arch, ["params", "macs", "synflow"], Recipe(batch_size=2))
        assert scores["params"] == get_space(space).count_parameters(arch)
        assert scores["macs"] == pytest.approx(get_space(space).to_graph(arch, "network").macs, rel=0.01)
        assert scores["synflow"] > 0
