import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from emprox.errors import InvalidOptionError
from emprox.estimators import EmProx, XGBoost
from emprox.spaces import get_space

SPACE = get_space("nasbench201")
KNOWN = SPACE.sample(np.random.default_rng(0), 40)
ASKED = SPACE.sample(np.random.default_rng(1), 60)
Y = np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in KNOWN])


@pytest.mark.parametrize("estimator", [EmProx(), XGBoost(n_estimators=10)], ids=["emprox", "xgboost"])
def test_scores_are_the_estimates(estimator) -> None:
    scorer = estimator.fit(KNOWN, Y).as_scorer()
    expected = estimator.predict(ASKED)
    np.testing.assert_array_equal(scorer.many(ASKED), expected)
    one = scorer(str(ASKED[0]))
    assert isinstance(one, float)
    assert one == pytest.approx(expected[0])
    assert scorer.many([]).shape == (0,)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scorer)).many(ASKED), expected)


def test_threads_may_share_it() -> None:
    estimator = EmProx().fit(KNOWN, Y)
    scorer, alone = estimator.as_scorer(), [estimator.predict([a])[0] for a in ASKED]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(scorer, ASKED * 3)) == alone * 3


def test_keeps_what_was_known_when_it_was_made() -> None:
    estimator = EmProx(weights="kernel").fit(KNOWN, Y)
    scorer = estimator.as_scorer()
    before = scorer.many(ASKED)
    estimator.partial_fit(ASKED, np.zeros(60))
    np.testing.assert_array_equal(scorer.many(ASKED), before)
    assert estimator.as_scorer()(ASKED[0]) < before[0]


def test_what_it_refuses() -> None:
    with pytest.raises(NotFittedError):
        EmProx().as_scorer()
    with pytest.raises(InvalidOptionError, match="2 targets"):
        EmProx().fit(KNOWN, np.column_stack([Y, Y])).as_scorer()
