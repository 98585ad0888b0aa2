"""Recurrent cells of NAS-Bench-NLP."""

import json
from typing import Any

import pytest

from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.spaces import Architecture, ArchitectureFamily, get_family, get_space, infer_space
from emprox.testing import FamilyContract

FAMILY = get_family("nasbench-nlp")
PLAIN = "f=linear(x,h_prev_0); h_new_0=activation_tanh(f)"
GRU = (
    "z=linear(x,h_prev_0); r=linear(x,h_prev_0); gate=activation_sigm(z); reset=activation_sigm(r); "
    "kept=elementwise_prod(reset,h_prev_0); c=linear(x,kept); candidate=activation_tanh(c); "
    "h_new_0=blend(gate,h_prev_0,candidate)"
)
TWO = "a=linear(x,h_prev_0,h_prev_1); h_new_0=activation_leaky_relu(a); h_new_1=elementwise_sum(a,h_prev_1)"
CELLS = [FAMILY.parse(text) for text in (PLAIN, GRU, TWO)]


class TestContract(FamilyContract):
    def make_family(self) -> ArchitectureFamily:
        return FAMILY

    def make_architectures(self) -> list[Architecture]:
        return CELLS


def test_all_forms_are_the_same() -> None:
    for cell in CELLS:
        recipe = FAMILY.recipe(cell)
        for form in (str(cell), f"nasbench-nlp:{cell}", recipe, json.dumps(recipe), f"nasbench-nlp:{json.dumps(recipe)}"):
            assert FAMILY.parse(form) == cell
    assert infer_space([f"nasbench-nlp:{PLAIN}"], None) is FAMILY


def test_nodes_come_after_their_inputs() -> None:
    assert str(FAMILY.parse("h_new_0=activation_tanh(f); f = linear(x, h_prev_0)")) == PLAIN


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (None, "expected a recipe"),
        (3.5, "expected a recipe"),
        ([], "expected a recipe"),
        (b"x", "expected a recipe"),
        ("", "expected name=op"),
        ("nonsense", "expected name=op"),
        ("{", "expected the JSON"),
        ("[" * 100_000, "expected name=op"),
        ('{"a":' * 100_000, "expected the JSON"),
        ({"a": 1}, "for node 'a', got 1"),
        ({"a": {"op": "linear", "input": "x"}}, "for node 'a'"),
        ({"a": {"op": "linear", "input": [3]}}, "for node 'a'"),
        ({}, "without a gap, got \\[\\]"),
        ("h_new_1=linear(x)", "without a gap, got \\['h_new_1'\\]"),
        ("x=linear(x); h_new_0=linear(x)", "other than"),
        ("h_new_0=linear(x); h_new_0=linear(x)", "expected different names"),
        ("h_new_0=linea(x)", "expected one of"),
        ("h_new_0=activation_tanh(x,x)", "expected one of"),
        ("h_new_0=blend(x,x)", "expected one of"),
        ("h_new_0=linear(y)", r"takes \['y'\]"),
        ("h_new_0=linear(h_prev_1)", r"takes \['h_prev_1'\]"),
        ("a=linear(b); b=linear(a); h_new_0=linear(x)", r"without cycles, got one through \['a', 'b'\]"),
    ],
)
def test_strange_descriptions_are_errors(strange: Any, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        FAMILY.parse(strange)


def test_other_families_are_errors() -> None:
    for method in (FAMILY.format, FAMILY.to_graph, FAMILY.network, FAMILY.canonical_hash):
        with pytest.raises(InvalidArchitectureError, match="elsewhere"):
            method(Architecture("elsewhere", ()))
    with pytest.raises(InvalidOptionError, match="encoding 'recurrent'"):
        get_space("nasbench-nlp")
    assert FAMILY.references(5) == []


class TestFunction:
    def hashes(self, *texts: str) -> int:
        return len({FAMILY.canonical_hash(FAMILY.parse(text)) for text in texts})

    def test_names_and_order_do_not_matter(self) -> None:
        assert self.hashes(PLAIN, "q=linear(h_prev_0,x); h_new_0=activation_tanh(q)") == 1
        assert self.hashes(PLAIN, GRU, TWO) == 3

    def test_what_the_output_never_depends_on_does_not_matter(self) -> None:
        assert self.hashes(PLAIN, f"{PLAIN}; dead=linear(f)", f"{PLAIN}; h_new_1=linear(f,h_prev_1)") == 1

    def test_a_state_matters_by_way_of_later_words(self) -> None:
        later = "f=linear(x,h_prev_1); h_new_0=activation_tanh(f); h_new_1={}(x,h_prev_2); h_new_2=linear(x,h_prev_2)"
        assert self.hashes(later.format("elementwise_sum"), later.format("elementwise_prod")) == 2

    def test_the_places_in_a_blend_matter(self) -> None:
        blend = "g=activation_sigm(x); h_new_0=blend({})"
        assert self.hashes(*(blend.format(order) for order in ("g,x,h_prev_0", "g,h_prev_0,x", "x,g,h_prev_0"))) == 3

    def test_the_output_may_not_depend_on_the_word(self) -> None:
        assert FAMILY.is_connected(CELLS[1])
        graph = FAMILY.to_graph(FAMILY.parse("h_new_0=linear(h_prev_0)"), "cell")
        assert "x" not in graph.kinds


def test_costs_are_those_of_the_network() -> None:
    for cell, (parameters, macs) in zip(CELLS, FAMILY.costs(CELLS).tolist(), strict=True):
        network = FAMILY.network(cell)
        assert (network.parameters, network.macs) == (parameters, macs)
        assert network.is_connected
        assert FAMILY.to_graph(cell).parameters == parameters


def test_parameters_by_hand() -> None:
    cells = sum((entering + hidden) * hidden + hidden for entering, hidden in ((400, 600), (600, 600), (600, 400)))
    assert FAMILY.count_parameters(CELLS[0]) == 33_278 * 400 + 33_278 + cells
