"""EmProx over the kinds of index, and at sizes at which not all is looked at."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from emprox.encoders import MetricEncoder, columns
from emprox.errors import InvalidOptionError
from emprox.estimators import EmProx, processes, warp
from emprox.estimators.warp import Warp
from emprox.spaces import get_space

SPACE = get_space("transnas101-micro")
ARCHS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(100), 3500)))[:2000]
Y = np.log(SPACE.costs(ARCHS)[:, 0].astype(float)) + 0.01 * np.random.default_rng(101).standard_normal(2000)


@pytest.fixture(scope="module")
def frozen() -> FrozenEstimator:
    return FrozenEstimator(MetricEncoder().fit(ARCHS[:300], Y[:300]))


def made(frozen: FrozenEstimator, **options: object) -> EmProx:
    return EmProx(encoder=frozen, exact_up_to=100, **options)


def test_estimates_over_an_approximate_index_are_nearly_those_over_an_exact_one(frozen: FrozenEstimator, tmp_path: Path) -> None:
    exact = made(frozen, index="flat").fit(ARCHS[:1500], Y[:1500])
    quick = made(frozen, index="ivf").fit(ARCHS[:1500], Y[:1500])
    assert exact.index_.is_exact
    assert not quick.index_.is_exact
    theirs, mine = exact.predict(ARCHS[1500:]), quick.predict(ARCHS[1500:])
    assert np.mean(np.isclose(mine, theirs, rtol=1e-3)) > 0.95
    quick.save(tmp_path / "model")
    again = EmProx.load(tmp_path / "model")
    assert (again.index, again.index_.is_exact) == ("ivf", False)
    np.testing.assert_allclose(again.predict(ARCHS[1500:], True), quick.predict(ARCHS[1500:], True))
    again.partial_fit(ARCHS[1500:1600], Y[1500:1600])
    assert len(again.index_) == 1600
    assert again.kneighbors(ARCHS[1500:1600], 1)[0].max() == 0


def test_added_later_is_as_if_it_had_been_there(frozen: FrozenEstimator) -> None:
    at_once = made(frozen).fit(ARCHS, Y)
    grown = made(frozen).fit(ARCHS[:1500], Y[:1500])
    for start, end in ((1500, 1501), (1501, 1700), (1700, 2000)):
        grown.partial_fit(ARCHS[start:end], Y[start:end])
    assert grown.index_.to_bytes() == at_once.index_.to_bytes()
    one, other = at_once.weigher_.process, grown.weigher_.process
    for name in ("landmarks", "_drawn"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.places.of, other.places.of)


def test_what_is_not_remembered_is_worked_out(frozen: FrozenEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made(frozen).fit(ARCHS[:1500], Y[:1500]).predict(ARCHS[1500:], True)
    monkeypatch.setattr(processes, "KEPT", 300)
    few = made(frozen).fit(ARCHS[:1500], Y[:1500])
    assert few.weigher_.process._told.shape[1] == 300
    for _ in range(2):
        np.testing.assert_allclose(few.predict(ARCHS[1500:], True), expected, rtol=1e-5)


def test_of_many_known_some_set_the_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_SEEN", 400)
    monkeypatch.setattr(columns, "AT_ONCE", 150)
    drawn = np.sort(np.random.default_rng(0).permutation(1000)[:400])
    many, some = MetricEncoder(), MetricEncoder()
    embedded = many.fit_transform(ARCHS[:1000], Y[:1000], np.full(1000, 0.01))
    some.fit([ARCHS[i] for i in drawn], Y[drawn], np.full(400, 0.01))
    np.testing.assert_array_equal(many.projection_, some.projection_)
    np.testing.assert_allclose(embedded, some.transform(ARCHS[:1000]), rtol=1e-5, atol=1e-6)


def test_warps_of_many_values_have_few_knots(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Warp.fit(Y)
    monkeypatch.setattr(warp, "MOST_KNOTS", 500)
    thinned = Warp.fit(Y)
    assert 100 < len(thinned.values) <= 500
    assert (thinned.values[0], thinned.values[-1]) == (whole.values[0], whole.values[-1])
    np.testing.assert_allclose(thinned.forward(Y), whole.forward(Y), atol=0.02)


def test_unknown_kinds_of_index() -> None:
    with pytest.raises(InvalidOptionError, match="index must be one of auto"):
        EmProx(index="exact").fit(ARCHS[:5], Y[:5])
