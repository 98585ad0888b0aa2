"""EmProx over features beside the structure of cells."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.base import clone

from emprox.encoders import MLKREncoder, SequenceAutoencoder
from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.estimators import ArchitectureRegressor, EmProx, load, make_estimator
from emprox.proxies import KnownProxies, ProxyScores, Recipe
from emprox.spaces import Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
CELLS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 400)))[:300]
KNOWN, ASKED = CELLS[:60], CELLS[60:]


@cache
def proxies() -> KnownProxies:
    """Return two invented proxies of all cells, one of which decides the accuracies; some of the other are missing."""
    numbers = np.random.default_rng(0).normal(size=(2, SPACE.size))
    numbers[1, ::5] = np.nan
    return KnownProxies(SPACE.name, tuple(SPACE), {"snip": numbers[0], "nwot": numbers[1]})


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    return 80 + proxies().values(architectures, ["snip"])[:, 0]


def with_proxies() -> EmProx:
    return EmProx(features=("structure", "proxies"), known=proxies(), random_state=0)


class TestStructureAndProxies(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return with_proxies()


def test_proxies_are_used_beside_the_structure() -> None:
    estimator = with_proxies().fit(KNOWN, accuracies(KNOWN))
    assert spearmanr(estimator.predict(ASKED), accuracies(ASKED))[0] > 0.9
    assert EmProx().fit(KNOWN, accuracies(KNOWN)).predict(ASKED).std() < 0.5
    assert {"work", "paths", "proxies"} <= set(estimator.encoder_.weights_[0])
    assert "snip" in [column for column, *_ in estimator.encoder_.differences(ASKED[0], ASKED[1])[:3]]


def test_the_text_form_is_the_same() -> None:
    estimator = make_estimator("emprox:features=structure+proxies", known=proxies()).fit(KNOWN, accuracies(KNOWN))
    np.testing.assert_array_equal(estimator.predict(ASKED), with_proxies().fit(KNOWN, accuracies(KNOWN)).predict(ASKED))


def test_what_is_known_changes_nothing_unless_it_is_a_feature(tmp_path: Path) -> None:
    bare, told = (EmProx(known=known).fit(KNOWN, accuracies(KNOWN)) for known in (None, proxies()))
    np.testing.assert_array_equal(bare.predict(ASKED), told.predict(ASKED))
    told.save(tmp_path / "model")
    assert load(tmp_path / "model").known is None


def test_a_saved_model_holds_what_is_known(tmp_path: Path) -> None:
    estimator = with_proxies().fit(KNOWN, accuracies(KNOWN))
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.known.columns["nwot"], proxies().columns["nwot"])
    np.testing.assert_array_equal(again.predict(ASKED), estimator.predict(ASKED))
    again.partial_fit(ASKED[:5], accuracies(ASKED[:5])).refit()
    assert len(again.y_) == 65
    assert clone(estimator).known is proxies()


def test_scales_are_those_of_the_known_architectures() -> None:
    few = KnownProxies(SPACE.name, tuple(CELLS[:100]), {"snip": np.arange(100.0)})
    encoder = EmProx(features="proxies", known=few).fit(KNOWN[:1], [80.0]).encoder_
    assert encoder.mean_ == pytest.approx([np.arange(100).sum() / 101])


def test_an_architecture_that_is_not_known_is_an_error() -> None:
    few = KnownProxies(SPACE.name, tuple(KNOWN), {"snip": np.arange(60.0)})
    estimator = EmProx(features="structure+proxies", known=few).fit(KNOWN, accuracies(KNOWN))
    with pytest.raises(InvalidDataError, match="lack 240 of 240 architectures"):
        estimator.predict(ASKED)


def test_computed_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def snip_only(architecture: Architecture, names: Sequence[str], recipe: Recipe) -> ProxyScores:
        return ProxyScores({"snip": float(proxies().values([architecture], ["snip"])[0, 0])})

    monkeypatch.setattr("emprox.proxies.encoding.score_architecture", snip_only)
    estimator = EmProx(features=("proxies",)).fit(KNOWN[:2], [80.0, 90.0])
    estimates = estimator.predict(KNOWN[:2])
    assert 80 < estimates[0] < estimates[1] < 90


def test_another_encoder_takes_them_too() -> None:
    encoder = MLKREncoder(features=("blocks", "proxies"), known=proxies())
    estimator = EmProx(encoder=encoder).fit(KNOWN, accuracies(KNOWN))
    assert np.isfinite(estimator.predict(ASKED)).all()


def test_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'proxies'"):
        EmProx(features="structure+proxy").fit(KNOWN, accuracies(KNOWN))
    with pytest.raises(InvalidOptionError, match="give them to SequenceAutoencoder instead"):
        EmProx(encoder=SequenceAutoencoder(), features="proxies").fit(KNOWN, accuracies(KNOWN))
