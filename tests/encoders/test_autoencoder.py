import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from emprox.encoders import ENCODERS, Encoder, MetricEncoder, MLKREncoder, SequenceAutoencoder
from emprox.encoders.gnn import GraphEncoder
from emprox.errors import CorruptFileError, InvalidOptionError
from emprox.spaces import get_space
from emprox.testing import EncoderContract

SPACE = get_space("nasbench201")


class TestSequenceAutoencoder(EncoderContract):
    def make(self) -> Encoder:
        return SequenceAutoencoder(hidden_size=8, epochs=2, random_state=0)

    def test_embeddings_have_unit_length(self) -> None:
        embedded = self.make().fit(self.sample(12)).transform(self.sample(30, seed=1))
        np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)

    def test_weights_of_another_size_are_refused(self, tmp_path) -> None:
        encoder = self.make().fit(self.sample(5))
        state = encoder.write(tmp_path)
        state["options"]["hidden_size"] = 9
        with pytest.raises(CorruptFileError, match="does not hold the weights"):
            SequenceAutoencoder.read(tmp_path, state)


def test_every_encoder_has_a_contract() -> None:
    tested = {type(TestSequenceAutoencoder().make()), GraphEncoder, MetricEncoder, MLKREncoder}
    assert tested == {ENCODERS.get(name) for name in ENCODERS}


def test_greedy_decoding_reproduces_held_out_cells() -> None:
    everything = list(SPACE)
    order = np.random.default_rng(0).permutation(len(everything))
    train, held_out = ([everything[i] for i in part] for part in (order[:6000], order[-500:]))
    options = {"epochs": 4, "batch_size": 32, "learning_rate": 5e-3, "weight_decay": 0.0, "dropout": 0.0}
    encoder = SequenceAutoencoder(**options, random_state=0).fit(train)
    accuracy = encoder.reconstruction_accuracy(held_out)
    assert accuracy["token"] > 0.999
    assert accuracy["sequence"] > 0.98
    untrained = SequenceAutoencoder(epochs=1, random_state=0).fit(train[:1])
    assert untrained.reconstruction_accuracy(held_out)["sequence"] == 0


def test_losses_fall_and_progress_is_told() -> None:
    told = []
    archs = SPACE.sample(np.random.default_rng(0), 100)
    encoder = SequenceAutoencoder(
        hidden_size=8, epochs=10, learning_rate=0.01, random_state=0, progress=lambda *a: told.append(a)
    ).fit(archs)
    assert told == list(enumerate(encoder.losses_, start=1))
    assert encoder.losses_[-1] < 0.9 * encoder.losses_[0]


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    SequenceAutoencoder(hidden_size=8, epochs=1).fit(SPACE.sample(np.random.default_rng(0), 5))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_trainings_differ() -> None:
    archs = SPACE.sample(np.random.default_rng(0), 5)
    first, second = (SequenceAutoencoder(hidden_size=8, epochs=1).fit(archs).transform(archs) for _ in range(2))
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("hidden_size", 0),
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", -1),
        ("learning_rate", np.nan),
        ("dropout", 1.0),
        ("dropout", -0.1),
    ],
)
def test_options_out_of_range(option: str, value: float) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        SequenceAutoencoder(**{option: value}).fit(SPACE.sample(np.random.default_rng(0), 5))


def test_unfitted() -> None:
    with pytest.raises(NotFittedError):
        SequenceAutoencoder().transform(SPACE.sample(np.random.default_rng(0), 2))
