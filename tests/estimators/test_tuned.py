from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import ParameterSampler

from emprox.errors import InvalidOptionError, UnknownNameError
from emprox.estimators import ESTIMATORS, ArchitectureRegressor, Tuned, load, make_estimator
from emprox.estimators.base import takes_option
from emprox.proxies import KnownProxies
from emprox.spaces import Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
KNOWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 60)))
ASKED = SPACE.sample(np.random.default_rng(1), 100)
LONG = 1000.0


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    return np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in architectures])


class TestTuned(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return Tuned(estimator="xgboost:n_estimators=5", seconds=LONG, max_settings=3, random_state=0)


def test_standard_deviations_are_those_of_the_tuned_estimator() -> None:
    estimator = Tuned(estimator="gp", seconds=LONG, max_settings=2, random_state=0).fit(KNOWN, accuracies(KNOWN))
    for mine, inner in zip(estimator.predict(ASKED, True), estimator.estimator_.predict(ASKED, True), strict=True):
        np.testing.assert_array_equal(mine, inner)


def test_the_best_of_what_was_tried_is_used() -> None:
    estimator = Tuned(estimator="knn:n_neighbors=30,encoding=onehot", seconds=LONG, max_settings=8, random_state=0)
    estimator.fit(KNOWN, accuracies(KNOWN))
    assert len(estimator.settings_) == 8
    assert {name: value for name, value in estimator.settings_[0].items() if name != "score"} == {}
    best = max(estimator.settings_, key=lambda tried: tried["score"])
    assert best["score"] > estimator.settings_[0]["score"]
    assert (estimator.estimator_.n_neighbors, estimator.estimator_.encoding) == (best["n_neighbors"], best["encoding"])
    plain = make_estimator(f"knn:n_neighbors={best['n_neighbors']},encoding={best['encoding']}").fit(KNOWN, accuracies(KNOWN))
    np.testing.assert_array_equal(estimator.predict(ASKED), plain.predict(ASKED))


def test_known_proxies_reach_the_tuned_estimator(tmp_path: Path) -> None:
    columns = {"snip": np.arange(SPACE.size, dtype=float)}
    known = KnownProxies(SPACE.name, tuple(SPACE), columns)
    spec = "ridge:encoding=features+proxies,tune=0"
    assert takes_option(spec, "known")
    estimator = make_estimator(spec, known=known, random_state=0).fit(KNOWN, accuracies(KNOWN))
    assert estimator.estimator_.encoding_.names[-1] == "snip"
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(ASKED), estimator.predict(ASKED))
    assert again.known.names == known.names


def test_finite_choices_are_tried_once_each() -> None:
    estimator = Tuned(estimator="ridge", seconds=LONG).fit(KNOWN, accuracies(KNOWN))
    assert sorted(str(tried.get("encoding")) for tried in estimator.settings_) == ["None", "features", "onehot"]


def test_time_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("emprox.estimators.tuned.time.perf_counter", lambda: next(clock))
    estimator = Tuned(estimator="knn", seconds=4, random_state=0).fit(KNOWN, accuracies(KNOWN))
    assert len(estimator.settings_) == 4
    none = Tuned(estimator="knn", seconds=0, random_state=0).fit(KNOWN, accuracies(KNOWN))
    assert len(none.settings_) == 1


def test_few_labels_keep_the_options() -> None:
    estimator = Tuned(estimator="ridge", seconds=LONG, folds=3).fit(KNOWN[:5], accuracies(KNOWN[:5]))
    assert estimator.settings_ == []
    np.testing.assert_array_equal(
        estimator.predict(ASKED), make_estimator("ridge").fit(KNOWN[:5], accuracies(KNOWN[:5])).predict(ASKED)
    )


def test_text_form() -> None:
    estimator = make_estimator("xgboost:encoding=features,tune=2.5,max_depth=3", random_state=7)
    assert isinstance(estimator, Tuned)
    assert (estimator.estimator, estimator.seconds, estimator.random_state) == ("xgboost:encoding=features,max_depth=3", 2.5, 7)
    assert make_estimator("ridge:tune=1").estimator == "ridge"


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if make_estimator(name).tunable])
def test_declared_options_exist_and_suit_the_estimator(name: str) -> None:
    estimator = make_estimator(name)
    for setting in ParameterSampler(estimator.tunable, 2, random_state=0):
        estimator.set_params(**{key: getattr(value, "item", lambda value=value: value)() for key, value in setting.items()})
        estimator._check_options()


def test_what_cannot_be_tuned(tmp_path: Path) -> None:
    for spec, message in (
        ("size:tune=1", "declares nothing to tune"),
        ("ridge:tune=-1", "seconds"),
        ("ridge:tune=soon", "seconds"),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            make_estimator(spec).fit(KNOWN, accuracies(KNOWN))
    with pytest.raises(UnknownNameError, match="did you mean 'ridge'"):
        make_estimator("rigde:tune=1").fit(KNOWN, accuracies(KNOWN))


@pytest.mark.parametrize("name", ["mlp:epochs=2", "emprox"])
def test_what_was_tuned_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    estimator = Tuned(estimator=name, seconds=LONG, max_settings=2, random_state=0).fit(KNOWN[:12], accuracies(KNOWN[:12]))
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.settings_ == estimator.settings_
    np.testing.assert_array_equal(again.predict(ASKED), estimator.predict(ASKED))
