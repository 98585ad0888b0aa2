import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.estimators import EmbeddingRegressor, EmProx
from emprox.spaces import get_space

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = np.column_stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] ** 2])
ASKED = RNG.normal(size=(20, 4))


@parametrize_with_checks(
    [
        EmbeddingRegressor(),
        EmbeddingRegressor(exact_up_to=5, n_neighbors=8),
        EmbeddingRegressor(weights="inverse", n_neighbors=5),
        EmbeddingRegressor(weights="kernel", n_neighbors=5),
    ]
)
def test_scikit_learn_to_the_letter(estimator, check) -> None:
    check(estimator)


def test_is_what_emprox_does_after_it_embedded() -> None:
    archs = get_space("nasbench201").sample(np.random.default_rng(0), 90)
    y = np.array([90.0 - a.spec.count(1) for a in archs])
    whole = EmProx(weights="inverse", n_neighbors=7).fit(archs[:60], y[:60])
    embedded = whole.encoder_.transform(archs)
    part = EmbeddingRegressor(weights="inverse", n_neighbors=7).fit(embedded[:60], y[:60])
    np.testing.assert_allclose(part.predict(embedded[60:]), whole.predict(archs[60:]))


@pytest.mark.parametrize("weights", ["kriging", "inverse"])
def test_each_target_and_its_std(weights: str) -> None:
    both = EmbeddingRegressor(weights=weights).fit(X, Y)
    estimates, std = both.predict(ASKED, return_std=True)
    assert estimates.shape == std.shape == (20, 2)
    assert (std > 0).all()
    np.testing.assert_array_equal(estimates, both.predict(ASKED))
    distances, rows = both.kneighbors(X[:3], 1)
    assert (distances == 0).all()
    assert rows[:, 0].tolist() == [0, 1, 2]


def test_noise_is_smoothed() -> None:
    sure = EmbeddingRegressor().fit(X, Y[:, 0], y_std=np.zeros(60))
    unsure = EmbeddingRegressor().fit(X, Y[:, 0], y_std=np.full(60, 5.0))
    assert np.ptp(unsure.predict(ASKED)) < np.ptp(sure.predict(ASKED))


def test_options_are_checked() -> None:
    with pytest.raises(InvalidOptionError, match="did you mean 'kriging'"):
        EmbeddingRegressor(weights="krigin").fit(X, Y)
    with pytest.raises(InvalidOptionError, match="n_neighbors"):
        EmbeddingRegressor(n_neighbors=0).fit(X, Y)
    with pytest.raises(InvalidDataError, match="shape of y"):
        EmbeddingRegressor().fit(X, Y, y_std=Y[:, 0] ** 2)
