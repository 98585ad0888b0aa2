"""The best of parts merged are the best of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emprox import EmProx, get_space
from emprox.errors import EmproxError, InvalidOptionError
from emprox.estimators import ranking
from emprox.estimators.ranking import Estimate, best, estimate_many, estimate_samples

SPACE = get_space("nasbench201")
KNOWN = SPACE.sample(np.random.default_rng(0), 40)


@pytest.fixture(scope="module")
def model() -> EmProx:
    return EmProx().fit(KNOWN, [90.0 - a.spec.count(1) for a in KNOWN])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6))), st.integers(1, 8), st.randoms())
def test_the_order_and_size_of_parts_do_not_matter(drawn: list[tuple[int, int]], top: int, random) -> None:
    everything = [Estimate(i, f"cell {i}", float(value)) for i, (value, _) in enumerate(drawn)]
    parts = [[each for each, (_, part) in zip(everything, drawn, strict=True) if part == number] for number in range(7)]
    random.shuffle(parts)
    kept: list[Estimate] = []
    for part in parts:
        kept = best([*kept, *best(part, top)], top)
    assert kept == sorted(everything, key=lambda each: (-each.estimate, each.position))[:top]


def test_the_best_of_a_file_are_those_of_all_its_estimates(model: EmProx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "CHUNK", 64)
    texts = [str(each) for each in SPACE.sample(np.random.default_rng(1), 500)]
    values, stds = model.predict(texts, return_std=True)
    found = estimate_many(model, texts, top=20)
    order = np.argsort(-values, kind="stable")[:20]
    np.testing.assert_allclose([each.estimate for each in found], values[order])
    np.testing.assert_allclose([each.std for each in found], stds[order])


def test_the_best_of_samples_are_those_of_everything_drawn_each_once(model: EmProx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "CHUNK", 200)
    sizes = (200, 200, 100)
    drawn = [str(a) for i, size in enumerate(sizes) for a in SPACE.sample(np.random.default_rng([7, i]), size)]
    assert len(set(drawn)) < len(drawn)
    counts: list[int] = []
    found = estimate_samples(model, 500, top=12, seed=7, progress=counts.append)
    assert counts == list(sizes)
    expected = dict(zip(drawn, model.predict(drawn), strict=True))
    assert len({each.architecture for each in found}) == 12
    assert [each.architecture for each in found] == [drawn[each.position] for each in found]
    np.testing.assert_allclose([each.estimate for each in found], sorted(expected.values(), reverse=True)[:12])
    assert all(drawn.index(each.architecture) == each.position for each in found)


def test_estimates_far_from_all_known_say_what_is_nearest() -> None:
    """Of a file, where only the best are kept, and of samples."""
    alike = [a for a in SPACE.sample(np.random.default_rng(0), 300) if a.spec[0] == 2 and a.spec[5] == 2]
    model = EmProx().fit(alike[1:], np.arange(len(alike) - 1.0))
    texts = [str(alike[0]), "nasbench201:|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"]
    expected = model.unlike_known(texts)
    assert list(expected) == [1]
    nearest, distance = expected[1]
    for found in (estimate_many(model, texts), estimate_many(model, texts, top=2)):
        unlike = {each.architecture: each.unlike for each in found}
        assert unlike == {texts[0]: None, texts[1]: (SPACE.label(nearest), distance)}
    samples = estimate_samples(model, 400, top=50)
    far = model.unlike_known([each.architecture for each in samples])
    assert {i for i, each in enumerate(samples) if each.unlike} == set(far) != set()


def test_an_estimator_without_standard_deviation() -> None:
    from emprox.estimators import make_estimator

    size = make_estimator("params", space="nasbench201").fit([], [])
    assert [each.std for each in estimate_many(size, [str(KNOWN[0])])] == [None]


@pytest.mark.parametrize("options", [{"n": 0, "top": 1}, {"n": 1, "top": 0}, {"n": 1, "top": 1, "seed": -1}])
def test_wrong_numbers(model: EmProx, options: dict) -> None:
    with pytest.raises(InvalidOptionError, match="must be"):
        estimate_samples(model, **options)


def test_a_candidate_that_cannot_be_read_is_named_by_its_place(model: EmProx) -> None:
    candidates = [str(KNOWN[0])] * 2010 + ["junk"]
    with pytest.raises(EmproxError, match=r"architecture 2010: .*in task 1: candidates 2000 to 2010$"):
        estimate_many(model, candidates)


def test_several_targets_cannot_be_ranked() -> None:
    model = EmProx().fit(KNOWN, np.ones((len(KNOWN), 2)))
    with pytest.raises(InvalidOptionError, match="fitted on 2 targets; fit one on a single column"):
        estimate_many(model, map(str, KNOWN))
    with pytest.raises(InvalidOptionError, match="fitted on 2 targets"):
        estimate_samples(model, 10, top=1)
