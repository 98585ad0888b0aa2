"""Properties that hypothesis looks for counterexamples of, in all registered spaces."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emprox.encodings import SequenceEncoding
from emprox.errors import EmproxError, InvalidArchitectureError
from emprox.spaces import SPACES, get_space

BUILTIN = ["darts", "nasbench101", "nasbench201", "ofa-mobilenetv3", "transnas101-micro"]


@pytest.mark.parametrize("name", BUILTIN)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_a_walk_through_the_space_stays_readable(name: str, seed: int, steps: int) -> None:
    space, rng = get_space(name), np.random.default_rng(seed)
    (architecture,) = space.sample(rng, 1)
    for _ in range(steps):
        architecture = space.crossover(space.mutate(architecture, rng), space.sample(rng, 1)[0], rng)
    assert space.parse(str(architecture)) == architecture
    cells = space.cells([architecture])
    assert space.from_cell(cells.adjacency[0], cells.ops[0]) == architecture
    encoding = SequenceEncoding(space)
    assert encoding.inverse_transform(encoding.transform([architecture])) == [architecture]


@pytest.mark.parametrize("name", BUILTIN)
@given(description=st.one_of(st.text(), st.lists(st.integers(-3, 9)), st.recursive(st.integers(), st.lists, max_leaves=9)))
@settings(max_examples=50, deadline=None)
def test_nothing_but_our_error_comes_from_parse(name: str, description) -> None:
    space = get_space(name)
    try:
        architecture = space.parse(description)
    except EmproxError as error:
        assert isinstance(error, InvalidArchitectureError)  # noqa: PT017
    else:
        assert space.parse(str(architecture)) == architecture


@pytest.mark.parametrize("name", ["nasbench201", "transnas101-micro"])
def test_small_spaces_are_enumerated_in_full(name: str) -> None:
    space = get_space(name)
    assert len(set(space)) == space.size


def test_samples_are_uniform() -> None:
    space = get_space("transnas101-micro")
    drawn = np.array([a.spec for a in space.sample(np.random.default_rng(0), 20_000)])
    shares = np.stack([(drawn == op).mean(axis=0) for op in range(4)])
    assert abs(shares - 0.25).max() < 0.02


def test_registered_names_are_these() -> None:
    assert set(BUILTIN) <= set(SPACES)
    assert all(get_space(name).name == name for name in SPACES)


def test_descriptions_of_few_vertices_are_counted_right() -> None:
    from emprox.spaces.nasbench101 import DESCRIPTIONS

    space = get_space("nasbench101")
    few = itertools.islice(space, sum(DESCRIPTIONS[n] for n in range(2, 6)) + 1)
    counts = dict.fromkeys(DESCRIPTIONS, 0)
    for architecture in few:
        counts[len(architecture.spec[0]) + 2] += 1
    assert counts == {2: 1, 3: 15, 4: 423, 5: 22_680, 6: 1, 7: 0}
    assert space.size == sum(DESCRIPTIONS.values())
