import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emprox.encodings import SequenceEncoding
from emprox.errors import InvalidOptionError
from emprox.estimators import NAO, ArchitectureRegressor, SemiNAS
from emprox.spaces import SPACES, Architecture, get_space
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
KNOWN = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 60)))
SMALL = {"hidden_size": 8, "head_size": 4, "epochs": 2}


def accuracies(architectures: list[Architecture]) -> NDArray[np.float64]:
    return np.array([90 - 3.0 * a.spec.count(1) + a.spec.count(2) for a in architectures])


class TestNAO(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return NAO(**SMALL, random_state=0)


class TestSemiNAS(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return SemiNAS(**SMALL, repeats=2, random_state=0)


@pytest.fixture(scope="module")
def trained() -> NAO:
    return NAO(hidden_size=32, epochs=60, batch_size=20, learning_rate=5e-3, random_state=0).fit(KNOWN, accuracies(KNOWN))


def test_learns_a_simple_function(trained: NAO) -> None:
    asked = SPACE.sample(np.random.default_rng(1), 300)
    assert np.corrcoef(trained.predict(asked), accuracies(asked))[0, 1] > 0.8
    assert trained.losses_[-1] < 0.5 * trained.losses_[0]


def test_improved_cells_are_new_valid_and_estimated_higher(trained: NAO) -> None:
    starts = [KNOWN[i] for i in np.argsort(accuracies(KNOWN))[:20]]
    improved = trained.improve(starts)
    assert len(improved) >= 5
    assert len(set(improved)) == len(improved)
    assert not set(improved) & {*KNOWN, *starts}
    assert [SPACE.parse(str(a)) for a in improved] == improved
    lowest = trained.predict(starts).min()
    assert (trained.predict(improved) > lowest).all()
    assert accuracies(improved).mean() > accuracies(starts).mean()  # what it climbed is what it learned


def test_each_improved_cell_beats_its_own_start(trained: NAO) -> None:
    for start in KNOWN[:10]:
        for better in trained.improve([start]):
            assert trained.predict([better])[0] > trained.predict([start])[0]


def test_a_step_must_lead_somewhere(trained: NAO) -> None:
    assert trained.improve([]) == []
    for step in (0, -1.0, np.nan):
        with pytest.raises(InvalidOptionError, match="step"):
            trained.improve(KNOWN[:1], step)


@pytest.mark.parametrize("space", list(SPACES))
def test_every_space(space: str) -> None:
    drawn = get_space(space).sample(np.random.default_rng(0), 30)
    estimator = NAO(**SMALL, random_state=0).fit(drawn[:20], np.arange(20.0))
    assert np.isfinite(estimator.predict(drawn)).all()
    known = set(drawn[:20])
    assert all(a.space == space and a not in known for a in estimator.improve(drawn[:20], 10.0))


@pytest.mark.parametrize("space", list(SPACES))
def test_every_token_that_occurs_is_allowed(space: str) -> None:
    encoding = SequenceEncoding(space)
    tokens = encoding.transform(get_space(space).sample(np.random.default_rng(0), 200))
    assert encoding.allowed[np.arange(tokens.shape[1]), tokens].all()


def test_in_a_fixed_topology_every_allowed_sequence_is_a_cell() -> None:
    encoding, rng = SequenceEncoding("nasbench201"), np.random.default_rng(0)
    rows = np.array([[rng.choice(np.nonzero(row)[0]) for row in encoding.allowed] for _ in range(50)])
    np.testing.assert_array_equal(encoding.transform(encoding.inverse_transform(rows)), rows)


def test_joint_loss_is_a_mixture() -> None:
    network = NAO(**SMALL, random_state=0).fit(KNOWN, accuracies(KNOWN)).network_
    tokens = torch.from_numpy(SequenceEncoding(SPACE).transform(KNOWN)).long()
    targets, weights = torch.randn(len(KNOWN)), torch.ones(len(KNOWN))
    with torch.no_grad():
        error = ((network.predict(tokens)[0] - targets) ** 2).mean()
        mixed = network.joint_loss(tokens, targets, weights, 0.8)
        torch.testing.assert_close(mixed, 0.8 * error + 0.2 * network.loss(tokens))


def test_pseudo_labels_come_from_the_first_training_and_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = NAO._train

    def spy(self: NAO, inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> list[float]:
        losses = original(self, inputs, targets, weights)
        seen.append((inputs, targets, self._outputs(KNOWN)[0]))
        return losses

    monkeypatch.setattr(NAO, "_train", spy)
    estimator = SemiNAS(**SMALL, unlabelled=7, repeats=3, random_state=0).fit(KNOWN, accuracies(KNOWN))
    (first, labels, _), (second, targets, _) = seen
    assert len(second) == 3 * len(KNOWN) + 7
    torch.testing.assert_close(second[: 3 * len(KNOWN)], first.repeat(3, 1))
    torch.testing.assert_close(targets[: 3 * len(KNOWN)], labels.repeat(3))
    drawn = SequenceEncoding(SPACE).inverse_transform(second[3 * len(KNOWN) :].numpy())
    alone = NAO(**SMALL, random_state=0).fit(KNOWN, accuracies(KNOWN))
    np.testing.assert_allclose(targets[3 * len(KNOWN) :], alone._outputs(drawn)[0], rtol=1e-5)
    assert len(estimator.losses_) == 2 * SMALL["epochs"]


@pytest.mark.parametrize(
    ("estimator", "option", "value"),
    [
        (NAO, "hidden_size", 0),
        (NAO, "epochs", 1.5),
        (NAO, "dropout", 1.0),
        (NAO, "trade_off", 1.1),
        (NAO, "learning_rate", -1.0),
        (SemiNAS, "repeats", 0),
        (SemiNAS, "unlabelled", 0),
    ],
)
def test_options_out_of_range(estimator: type[NAO], option: str, value: float) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        estimator(**{option: value}).fit(KNOWN, accuracies(KNOWN))
