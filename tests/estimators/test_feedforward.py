import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emprox.errors import InvalidOptionError
from emprox.estimators import BANANAS, MLP, ArchitectureRegressor
from emprox.estimators.feedforward import Ensemble
from emprox.spaces import Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
KNOWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 100)))
ASKED = SPACE.sample(np.random.default_rng(1), 200)


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    return np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in architectures])


class TestMLP(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return MLP(layers=2, width=5, epochs=5, random_state=0)


class TestBANANAS(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return BANANAS(layers=2, width=5, epochs=5, random_state=0)


def test_learns_an_additive_function() -> None:
    estimator = MLP(layers=3, epochs=100, learning_rate=0.01, random_state=0).fit(KNOWN, accuracies(KNOWN))
    assert np.corrcoef(estimator.predict(ASKED), accuracies(ASKED))[0, 1] > 0.9


def test_an_ensemble_is_its_networks_side_by_side() -> None:
    torch.manual_seed(0)
    network = Ensemble(members=3, inputs=4, layers=3, width=6)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
        inputs = torch.randn(7, 4)
        for m, outputs in enumerate(network.predict(inputs)):
            x = torch.relu(inputs @ network.first[m] + network.biases[0, m])
            for weight, bias in zip(network.hidden[:, m], network.biases[1:, m], strict=True):
                x = torch.relu(x @ weight + bias)
            torch.testing.assert_close(outputs, (x @ network.out[m])[:, 0] + network.shift[m])


def test_spread_is_that_of_the_networks() -> None:
    estimator = BANANAS(layers=2, width=5, epochs=5, random_state=0).fit(KNOWN, accuracies(KNOWN))
    outputs = estimator.mean_ + estimator.scale_ * estimator._outputs(ASKED)
    assert outputs.shape == (3, len(ASKED))
    values, std = estimator.predict(ASKED, return_std=True)
    np.testing.assert_allclose(values, outputs.mean(0))
    np.testing.assert_allclose(std, outputs.std(0))
    assert (std > 0).all()


def test_one_layer_is_possible() -> None:
    estimator = MLP(layers=1, epochs=20, learning_rate=0.01, random_state=0).fit(KNOWN, accuracies(KNOWN))
    assert np.ptp(estimator.predict(ASKED)) > 0


def test_where_paths_are_too_many_another_encoding_is_named() -> None:
    drawn = get_space("darts").sample(np.random.default_rng(0), 20)
    with pytest.raises(InvalidOptionError, match="use the encoding 'onehot'"):
        BANANAS().fit(drawn, np.arange(20.0))
    estimator = BANANAS(encoding="onehot", epochs=1, random_state=0).fit(drawn, np.arange(20.0))
    assert np.isfinite(estimator.predict(drawn)).all()


@pytest.mark.parametrize("option", ["layers", "width", "epochs", "batch_size", "members", "penalty", "learning_rate"])
def test_options_out_of_range(option: str) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        BANANAS(**{option: -1}).fit(KNOWN, accuracies(KNOWN))
