"""Architecture estimators inside scikit-learn's tools, and which of its checks they fail and why."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from emprox.encoders import MetricEncoder
from emprox.errors import InvalidDataError
from emprox.estimators import EmbeddingRegressor, EmProx, Forest, GaussianProcess, KNeighbors, OneNumber, Ridge, XGBoost
from emprox.report import kendall_scorer, spearman_scorer
from emprox.spaces import get_space

SPACE = get_space("nasbench201")
KNOWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 64)))[:60]
TEXTS = [str(a) for a in KNOWN]
Y = np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in KNOWN])
ESTIMATORS = [
    EmProx(space="nasbench201"),
    XGBoost(space="nasbench201", n_estimators=5),
    Forest(space="nasbench201", n_estimators=5),
    GaussianProcess(space="nasbench201"),
    KNeighbors(space="nasbench201"),
    Ridge(space="nasbench201"),
    OneNumber(space="nasbench201", signal="macs"),
]


NO_ARCHITECTURES = "X holds architectures, not numbers; the random rows of this check describe none, so fit refuses them"
OWN_WORDS = "expects scikit-learn's words for a bad matrix of numbers; the error says which architecture cannot be read instead"
DEVIATIONS = {
    "check_complex_data": OWN_WORDS,
    "check_dict_unchanged": NO_ARCHITECTURES,
    "check_dont_overwrite_parameters": NO_ARCHITECTURES,
    "check_dtype_object": NO_ARCHITECTURES,
    "check_estimator_sparse_array": OWN_WORDS,
    "check_estimator_sparse_matrix": OWN_WORDS,
    "check_estimators_dtypes": NO_ARCHITECTURES,
    "check_estimators_empty_data_messages": OWN_WORDS,
    "check_estimators_fit_returns_self": NO_ARCHITECTURES,
    "check_estimators_nan_inf": "puts NaN into X, where there are no numbers; NaN among the measurements is refused",
    "check_estimators_overwrite_params": NO_ARCHITECTURES,
    "check_estimators_pickle": NO_ARCHITECTURES,
    "check_f_contiguous_array_estimator": NO_ARCHITECTURES,
    "check_fit2d_1feature": OWN_WORDS,
    "check_fit2d_1sample": OWN_WORDS,
    "check_fit2d_predict1d": NO_ARCHITECTURES,
    "check_fit_check_is_fitted": NO_ARCHITECTURES,
    "check_fit_idempotent": NO_ARCHITECTURES,
    "check_fit_score_takes_y": NO_ARCHITECTURES,
    "check_methods_sample_order_invariance": NO_ARCHITECTURES,
    "check_methods_subset_invariance": NO_ARCHITECTURES,
    "check_n_features_in": "architectures have no columns, so there is no n_features_in_",
    "check_n_features_in_after_fitting": "architectures have no columns, so there is no n_features_in_",
    "check_pipeline_consistency": NO_ARCHITECTURES,
    "check_positive_only_tag_during_fit": NO_ARCHITECTURES,
    "check_readonly_memmap_input": NO_ARCHITECTURES,
    "check_regressor_data_not_an_array": "passes an object that cannot be iterated, only turned into an array of numbers",
    "check_regressors_int": NO_ARCHITECTURES,
    "check_regressors_no_decision_function": NO_ARCHITECTURES,
    "check_regressors_train": NO_ARCHITECTURES,
    "check_requires_y_none": "architectures are read before measurements, and the random rows are none",
    "check_supervised_y_2d": NO_ARCHITECTURES,
}
"""Checks that every architecture estimator fails, and why; `EstimatorContract` holds what they are after. Strict: a check that
passes has no place here."""


def deviations(estimator) -> dict[str, str]:
    own = {"check_estimators_partial_fit_n_features": NO_ARCHITECTURES} if hasattr(estimator, "partial_fit") else {}
    return DEVIATIONS | own


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=deviations, xfail_strict=True)
def test_scikit_learn_checks(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "given",
    [
        np.array(TEXTS, dtype=object),
        np.array(TEXTS)[:, None],
        pd.Series(TEXTS, index=range(100, 160)),
        pd.DataFrame({"architecture": TEXTS}),
        tuple(KNOWN),
    ],
    ids=["objects", "column", "series", "frame", "tuple"],
)
def test_every_form_of_x(given) -> None:
    expected = Ridge(space=SPACE).fit(KNOWN, Y).predict(KNOWN)
    estimator = Ridge(space=SPACE).fit(given, pd.Series(Y, index=range(200, 260)))
    np.testing.assert_array_equal(estimator.predict(given), expected)
    assert estimator.score(given, Y) > 0.9


def test_a_frame_of_several_columns_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="table of 2 columns"):
        Ridge(space=SPACE).fit(pd.DataFrame({"architecture": TEXTS, "depth": 3}), Y)


@pytest.mark.parametrize(
    "given", [KNOWN, TEXTS, pd.Series(TEXTS), pd.DataFrame({"a": TEXTS})], ids=["list", "texts", "series", "frame"]
)
def test_cross_validation(given) -> None:
    scores = cross_val_score(Ridge(space=SPACE), given, Y, scoring=kendall_scorer, cv=3)
    assert scores.shape == (3,)
    assert (scores > 0.5).all()
    assert np.corrcoef(cross_val_predict(Ridge(space=SPACE), given, Y, cv=3), Y)[0, 1] > 0.7


@pytest.mark.parametrize("search", [GridSearchCV, HalvingGridSearchCV])
def test_searches(search: type) -> None:
    grid = {"n_neighbors": [1, 8], "weights": ["inverse", "kernel"]}
    options = {"min_resources": 20, "random_state": 0} if search is HalvingGridSearchCV else {}
    found = search(EmProx(), grid, scoring=spearman_scorer, cv=2, refit=True, **options).fit(KNOWN, Y)
    assert set(found.best_params_) == set(grid)
    assert found.predict(KNOWN[:3]).shape == (3,)


def test_pipelines() -> None:
    whole = Pipeline([("read", FunctionTransformer(lambda texts: [SPACE.parse(t) for t in texts])), ("estimate", EmProx())])
    assert whole.fit(TEXTS, Y).score(TEXTS, Y) > 0.5
    parts = make_pipeline(MetricEncoder(), StandardScaler(), EmbeddingRegressor())
    tuned = GridSearchCV(parts, {"metricencoder__embedding_size": [4, 16]}, scoring=kendall_scorer, cv=2)
    assert tuned.fit(KNOWN, Y).score(KNOWN, Y) > 0.5


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_clone_and_parameters(estimator) -> None:
    other = clone(estimator.fit(KNOWN, Y))
    assert not hasattr(other, "architectures_")
    assert repr(other) == repr(clone(other))
    assert other.set_params(**other.get_params()) is other
