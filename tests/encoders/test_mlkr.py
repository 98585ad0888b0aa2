import numpy as np
import pytest
from scipy.optimize import approx_fprime

from emprox.encoders import Encoder, MLKREncoder
from emprox.encoders.mlkr import _LeaveOneOut
from emprox.encodings.blocks import BlockEncoding
from emprox.errors import InvalidOptionError
from emprox.estimators import EmProx
from emprox.spaces import get_space
from emprox.testing import EncoderContract

SPACE = get_space("nasbench201")
ARCHS = SPACE.sample(np.random.default_rng(0), 80)


class TestMLKREncoder(EncoderContract):
    def make(self) -> Encoder:
        return MLKREncoder()


def test_gradient() -> None:
    rng = np.random.default_rng(0)
    x, y, start = rng.normal(size=(9, 4)), rng.normal(size=(9, 2)), rng.normal(size=(4, 2)) / 2
    objective = _LeaveOneOut(x, y, rng.uniform(0.5, 1, (9, 2)), start, pull=0.3)
    theta = rng.normal(size=8) / 2
    np.testing.assert_allclose(objective(theta)[1], approx_fprime(theta, lambda at: objective(at)[0], 1e-7), atol=1e-5)


def test_learning_lowers_the_error_of_kernel_regression() -> None:
    y = BlockEncoding(SPACE).transform(ARCHS)[:, 2]
    plain, learned = (MLKREncoder(pull=pull).fit(ARCHS, y) for pull in (1e9, 0.1))

    def error(encoder: MLKREncoder) -> float:
        z = encoder.transform(ARCHS).astype(float)
        return _LeaveOneOut(z, y[:, None], np.ones((80, 1)), np.eye(z.shape[1]), 0.0)(np.eye(z.shape[1]).ravel())[0]

    assert error(learned) < 0.7 * error(plain)


def test_under_emprox_it_gets_a_kernel_of_its_own() -> None:
    y = BlockEncoding(SPACE).transform(ARCHS)[:, 2]
    estimator = EmProx(encoder=MLKREncoder()).fit(ARCHS[:60], y[:60])
    assert len(estimator.kernels_) == 1
    assert np.corrcoef(estimator.predict(ARCHS[60:]), y[60:])[0, 1] > 0.8
    assert estimator.explain(ARCHS[70])["neighbors"][0]["differs"]


def test_bad_pull() -> None:
    with pytest.raises(InvalidOptionError, match="pull must be"):
        MLKREncoder(pull=-1).fit(ARCHS)
