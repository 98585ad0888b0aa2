from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from emprox.encodings import Encoding, get_encoding
from emprox.encodings.features import feature_names, graph_features, operator_sets
from emprox.errors import InvalidArchitectureError
from emprox.spaces import SPACES, ComputationGraph, SearchSpace, get_space
from emprox.spaces.graph_batch import GraphBatch
from emprox.spaces.path_norm import log_path_norm
from emprox.tables import load_table
from emprox.testing import EncodingContract, renumbered

KINDS = ("a", "b", "c")


class FeatureContract(EncodingContract):
    space: str

    def make_space(self) -> SearchSpace:
        return get_space(self.space)

    def make(self) -> Encoding:
        return get_encoding("features", self.space)

    def test_path_norm_equals_that_of_the_network_graph(self) -> None:
        space, archs = self.make_space(), self.sample(15)
        expected = [log_path_norm(space.network(a)) for a in archs]
        np.testing.assert_allclose(space.path_norms(archs), expected, atol=1e-9)


class TestNASBench201(FeatureContract):
    space = "nasbench201"

    def test_twins_have_the_same_structure(self) -> None:
        """Parameters count dead operators too; everything else is a function of the canonical graph."""
        space, encoding = self.make_space(), self.make()
        structural = [not name.startswith(("log_param", "log_macs")) for name in encoding.names]
        rows: dict[str, np.ndarray] = {}
        for arch, row in zip(archs := list(space)[::5], encoding.transform(archs), strict=True):
            known = rows.setdefault(space.canonical_hash(arch), row)
            np.testing.assert_allclose(row[structural], known[structural], rtol=1e-5)


class TestNASBench101(FeatureContract):
    space = "nasbench101"


class TestDARTS(FeatureContract):
    space = "darts"


class TestTransNAS(FeatureContract):
    space = "transnas101-micro"


class TestMobileNetV3(FeatureContract):
    space = "ofa-mobilenetv3"


def test_every_space_has_a_contract() -> None:
    tested = {contract.space for contract in (TestNASBench201, TestNASBench101, TestDARTS, TestTransNAS, TestMobileNetV3)}
    assert tested == set(SPACES)


def features(graph: ComputationGraph, kinds: tuple[str, ...] = KINDS) -> dict[str, float]:
    row = graph_features(GraphBatch.from_graphs([graph], kinds), kinds)[0]
    return dict(zip(feature_names(kinds), row.tolist(), strict=True))


def test_a_graph_by_hand() -> None:
    """Input to output directly, through a, and through a, b, b; a is read twice by the first b."""
    graph = ComputationGraph(("input", "a", "b", "b", "output"), ((0, 4), (0, 1), (1, 4), (1, 2), (1, 2), (2, 3), (3, 4)))
    found = features(graph)
    assert {name: found[f"count:{name}"] for name in KINDS} == {"a": 1, "b": 2, "c": 0}
    assert {name: found[f"on_longest_path:{name}"] for name in KINDS} == {"a": 1, "b": 2, "c": 0}
    assert (found["shortest:a"], found["longest:a"], found["longest:a+b"], found["longest:b"]) == (0, 1, 3, 0)
    assert (found["from_input:a"], found["from_input:b+c"], found["to_output:a+b"]) == (1, 0, 2)
    assert (found["nodes"], found["edges"], found["depth"], found["max_in"], found["max_out"]) == (3, 7, 3, 3, 3)
    assert found["log_paths"] == pytest.approx(np.log1p(4))
    assert found["mean_degree"] == pytest.approx(7 / 5)


def test_where_no_path_leads_through() -> None:
    found = features(ComputationGraph(("input", "a", "output"), ((0, 1), (1, 2))))
    assert (found["shortest:b"], found["longest:b"]) == (63, -1)
    empty = features(ComputationGraph(("input", "output"), ()))
    assert (empty["shortest:a"], empty["longest:a"], empty["depth"], empty["log_paths"], empty["nodes"]) == (63, -1, -1, 0, 0)


def test_unchanged_by_renumbering() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = int(rng.integers(2, 9))
        pairs = [(i, j) for j in range(n) for i in range(j)]
        edges = tuple(pairs[i] for i in rng.integers(len(pairs), size=12))
        graph = ComputationGraph(("input", *rng.choice(KINDS, n - 2).tolist(), "output"), edges).pruned()
        assert features(graph) == pytest.approx(features(renumbered(graph, rng)))


def test_a_graph_of_ten_thousand_nodes() -> None:
    kinds = ("input", *["a", "b"] * 5000, "output")
    found = features(ComputationGraph(kinds, tuple((i, i + 1) for i in range(10_001))), ("a", "b"))
    assert (found["depth"], found["count:a"], found["longest:a+b"], found["shortest:a"]) == (10_000, 5000, 10_000, 63)


def test_unknown_operators_are_named() -> None:
    with pytest.raises(InvalidArchitectureError, match=r"operators \['z'\] are not among those looked at: a, b, c"):
        features(ComputationGraph(("input", "z", "output"), ((0, 1), (1, 2))))


def test_sets_of_operators() -> None:
    assert len(operator_sets(4)) == 15
    assert len(operator_sets(9)) == 9 + 9 + 1


@pytest.mark.parametrize("table", ["nasbench101", "nasbench301", "nasbench201-proxies"])
def test_path_norm_ranks_like_measured_synflow(table: str, tables_root: Path) -> None:
    known = load_table(table, tables_root)
    measured, ours = known.columns["synflow"], get_space(known.space).path_norms(known.architectures)
    both = np.isfinite(measured) & np.isfinite(ours)
    assert both.mean() > 0.95
    assert spearmanr(measured[both], ours[both])[0] > 0.99
