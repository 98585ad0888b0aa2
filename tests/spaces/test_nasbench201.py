import contextlib
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces import Architecture, get_space
from emprox.spaces.nasbench201 import EDGES, OPS

SPACE = get_space("nasbench201")
specs = st.tuples(*[st.integers(0, 4)] * 6)
architectures = specs.map(lambda spec: Architecture("nasbench201", spec))


@given(architectures)
def test_text_and_architecture_are_inverse(arch: Architecture) -> None:
    assert SPACE.parse(str(arch)) == arch
    assert SPACE.parse(f" nasbench201:{arch}\n") == arch
    assert SPACE.parse(str(arch.spec)) == SPACE.parse(arch.spec) == SPACE.parse(np.array(arch.spec)) == arch


def test_text_order_is_target_by_target() -> None:
    arch = SPACE.parse("(4, 0, 3, 1, 4, 3)")
    assert str(arch) == "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "three groups"),
        ("|none~0|+|none~0|none~1|", "three groups joined by '\\+'.*got 2"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "expected 2 edges between bars in group 2"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2", "group 3"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "edge 1->2 reads 'none~0', expected op~1"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|conv_7x7~2|", "edge 2->3 reads 'conv_7x7~2', expected op~2 with op one of"),
        ("(1, 2, 3)", "six op numbers"),
        ("(1, 2, 3, 4, 5, 6)", "six op numbers from 0 to 4"),
        ("(1, 2, 3, 4, 0", "six op numbers"),
        ("[" * 10_000, "six op numbers"),
        ((0, 0, 0, 0, 0, 0.5), "six op numbers"),
        (None, "six op numbers"),
    ],
)
def test_malformed_descriptions_say_where(text: object, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArchitectureError):
        assert SPACE.parse(text).space == "nasbench201"


def test_another_spaces_architecture_is_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="architecture of darts, expected one of nasbench201"):
        SPACE.to_graph(Architecture("darts", (0,) * 6))


@pytest.fixture(scope="module")
def hashes() -> dict[Architecture, str]:
    return {arch: SPACE.canonical_hash(arch) for arch in SPACE}


def test_classes_over_the_whole_space(hashes: dict[Architecture, str]) -> None:
    assert len(hashes) == SPACE.size == 15_625
    assert len(set(hashes.values())) == 5_425
    disconnected = [arch for arch in hashes if not SPACE.is_connected(arch)]
    assert len(disconnected) == 341
    assert len({hashes[arch] for arch in disconnected}) == 1
    assert hashes[disconnected[0]] not in {hashes[arch] for arch in hashes if SPACE.is_connected(arch)}


def string_rule(spec: tuple[int, ...]) -> str:
    """Return the string by which the benchmark's paper counts unique cells: expand each feature map, sort its terms."""
    ops = {edge: OPS[op] for edge, op in zip(EDGES, spec, strict=True)}
    terms = {0: "0"}
    for target in range(1, 4):
        parts = []
        for source in range(target):
            op, inner = ops[source, target], terms[source]
            if op == "none" or inner == "#":
                parts.append("#")
            else:
                parts.append(inner if op == "skip_connect" else f"({inner})@{op}")
        terms[target] = "+".join(sorted(parts))
    return terms[3]


def test_the_papers_count_comes_from_its_string_rule(hashes: dict[Architecture, str]) -> None:
    by_rule: dict[str, set[str]] = {}
    by_graph: dict[str, set[str]] = {}
    for arch, graph in hashes.items():
        rule = string_rule(arch.spec)
        by_rule.setdefault(rule, set()).add(graph)
        by_graph.setdefault(graph, set()).add(rule)
    assert len(by_rule) == 6_466
    assert sum(len(graphs) > 1 for graphs in by_rule.values()) == 644
    assert sum(len(rules) > 1 for rules in by_graph.values()) == 721


def test_sample_covers_the_space_uniformly() -> None:
    drawn = SPACE.sample(np.random.default_rng(0), 20_000)
    counts = np.array([[sum(a.spec[edge] == op for a in drawn) for op in range(5)] for edge in range(6)])
    assert len(drawn) == 20_000
    assert np.abs(counts - 4000).max() < 4 * np.sqrt(20_000 * 0.2 * 0.8)


@given(architectures, st.integers(0, 2**32 - 1))
def test_mutation_is_a_neighbour(arch: Architecture, seed: int) -> None:
    neighbors = SPACE.neighbors(arch)
    assert len(set(neighbors)) == 24
    assert all(sum(a != b for a, b in zip(n.spec, arch.spec, strict=True)) == 1 for n in neighbors)
    assert SPACE.mutate(arch, np.random.default_rng(seed)) in neighbors


def test_populations() -> None:
    no_none = SPACE.populations["no-none"]
    assert sum(no_none(a) for a in SPACE) == 4_096
    assert sum(SPACE.populations["connected"](a) for a in SPACE) == 15_625 - 341


def test_parameter_formula_equals_the_published_column(tables_root: Path) -> None:
    with (tables_root / "originals" / "nb201_zc_proxies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9_445
    differ = [r["net_str"] for r in rows if SPACE.count_parameters(SPACE.parse(r["net_str"])) != round(float(r["params"]) * 1e6)]
    assert differ == []


def parameters(tensors: Iterable[torch.nn.Parameter]) -> int:
    return sum(p.numel() for p in tensors)


@pytest.mark.parametrize("options", [{}, {"in_channels": 1, "num_classes": 7, "channels": 4, "cells_per_stage": 2}])
def test_module_has_the_parameters_of_the_formula(options: dict[str, int]) -> None:
    for arch in SPACE.sample(np.random.default_rng(3), 8):
        module = SPACE.to_module(arch, **options)
        assert parameters(module.parameters()) == SPACE.count_parameters(arch, **options)


@pytest.mark.parametrize("spec", [(1,) * 6, (0,) * 6, (2, 3, 4, 0, 1, 2), (1, 2, 1, 3, 1, 4)])
def test_module_computes_what_the_graph_says(spec: tuple[int, ...]) -> None:
    arch = SPACE.parse(spec)
    torch.manual_seed(0)
    module = SPACE.to_module(arch, channels=4, cells_per_stage=1).eval()
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        logits, other = module(x), module(x + 1)
    assert logits.shape == (2, 10)
    assert torch.isfinite(logits).all()
    assert torch.equal(logits, other) == (not SPACE.is_connected(arch))


def test_sequences_and_bad_options() -> None:
    arch = SPACE.parse((2, 3, 4, 0, 1, 2))
    logits = SPACE.to_module(arch, in_channels=1, channels=4, cells_per_stage=1, spatial_dims=1)(torch.randn(2, 1, 11))
    assert logits.shape == (2, 10)
    with pytest.raises(InvalidOptionError, match="spatial_dims"):
        SPACE.to_module(arch, spatial_dims=3)
    with pytest.raises(InvalidOptionError, match="channels must be at least 1"):
        SPACE.to_module(arch, channels=0)
