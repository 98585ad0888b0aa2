import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from emprox.encoders import Encoder, MetricEncoder, SequenceAutoencoder
from emprox.encoders.kernel import ScalePrior
from emprox.encodings.blocks import BLOCKS, BlockEncoding
from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.spaces import Architecture, get_space
from emprox.testing import EncoderContract

SPACE = get_space("nasbench201")
ARCHS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 80)))[:60]


def convolutions(architectures: list[Architecture]) -> NDArray[np.float64]:
    return np.array([sum(op in (2, 3) for op in a.spec) for a in architectures], dtype=np.float64)


class Labelled(MetricEncoder):
    """The encoder with labels of its own, for the contract."""

    def fit(self, architectures: Any, y: Any = None, y_var: Any = None) -> "Labelled":
        architectures = list(architectures)
        return super().fit(architectures, convolutions(architectures))


class TestMetricEncoder(EncoderContract):
    def make(self) -> Encoder:
        return MetricEncoder()


class TestLabelled(EncoderContract):
    def make(self) -> Encoder:
        return Labelled(embedding_size=16)


def test_halves_have_the_weighted_distances_of_the_blocks() -> None:
    encoder = MetricEncoder(embedding_size=400).fit(ARCHS, convolutions(ARCHS))
    embedded = encoder.transform(ARCHS).astype(np.float64)
    columns = encoder.sources_[0].transform(ARCHS).astype(np.float64)
    starts = np.cumsum([0, *encoder.kernels_[0].parts])
    for scale, start, stop in zip(encoder.scales_, starts, starts[1:], strict=False):
        scaled = columns * scale
        expected = np.square(scaled[:, None] - scaled[None]).sum(-1)
        part = embedded[:, start:stop]
        np.testing.assert_allclose(np.square(part[:, None] - part[None]).sum(-1), expected, atol=1e-4)


def test_few_dimensions_keep_most_of_the_distances() -> None:
    y = convolutions(ARCHS)
    small, large = (MetricEncoder(embedding_size=size).fit(ARCHS, y) for size in (64, 400))
    assert small.dim == 64
    embedded = [np.square(e.transform(ARCHS[:30])).sum(axis=1) for e in (small, large)]
    assert (embedded[0] > 0.95 * embedded[1]).all()


@pytest.mark.parametrize("n", [1, 3, 10])
def test_a_handful_of_labels(n: int) -> None:
    encoder = MetricEncoder().fit(ARCHS[:n], convolutions(ARCHS[:n]))
    assert np.isfinite(encoder.transform(ARCHS)).all()


def test_without_labels_the_weights_are_the_priors() -> None:
    encoder = MetricEncoder().fit(ARCHS)
    for weights, (mean, _) in zip(encoder.weights_, ScalePrior().weights, strict=True):
        assert list(weights.values()) == pytest.approx([np.exp(mean)] * len(weights))
    assert set(encoder.weights_[0]) == set(BLOCKS)


def test_labels_bring_near_what_performs_alike() -> None:
    """Distances by the learned map go with differences in performance more than the prior's do."""
    layers = BlockEncoding(SPACE)
    asked = SPACE.sample(np.random.default_rng(5), 200)
    truth = layers.transform(asked)[:, 2]
    gaps = np.abs(truth[:, None] - truth[None]).ravel()

    def agreement(encoder: MetricEncoder) -> float:
        z = encoder.transform(asked)
        return float(spearmanr(np.square(z[:, None] - z[None]).sum(-1).ravel(), gaps)[0])

    assert agreement(MetricEncoder().fit(ARCHS, layers.transform(ARCHS)[:, 2])) > agreement(MetricEncoder().fit(ARCHS)) + 0.05


def test_more_labels_than_are_learned_from() -> None:
    some = MetricEncoder(max_labels=20).fit(ARCHS, convolutions(ARCHS))
    assert some.transform(ARCHS).shape == (60, some.dim)
    whole = MetricEncoder().fit(ARCHS, convolutions(ARCHS))
    assert some.weights_ != whole.weights_


def test_several_targets_share_the_embedding() -> None:
    y = np.column_stack([convolutions(ARCHS), [a.spec.count(4) for a in ARCHS]])
    encoder = MetricEncoder().fit(ARCHS, y)
    assert len(encoder.kernels_) == 2
    assert encoder.kernels_[0] != encoder.kernels_[1]
    assert encoder.kernels_[0].parts == encoder.kernels_[1].parts


def test_noisy_labels_leave_less_to_learned_noise() -> None:
    rng = np.random.default_rng(0)
    y = convolutions(ARCHS) + rng.normal(size=60)
    blind, told = MetricEncoder().fit(ARCHS, y), MetricEncoder().fit(ARCHS, y, np.ones(60))
    assert told.kernels_[0].noise < 0.7 * blind.kernels_[0].noise


def test_differences_are_shares_of_the_distance() -> None:
    encoder = MetricEncoder(embedding_size=400).fit(ARCHS, convolutions(ARCHS))
    found = encoder.differences(ARCHS[0], str(ARCHS[1]))
    assert sum(share for *_, share in found) == pytest.approx(1)
    assert [share for *_, share in found] == sorted((share for *_, share in found), reverse=True)
    columns = dict(zip(encoder.names, encoder.sources_[0].transform(ARCHS[:2]).T.tolist(), strict=True))
    assert all(columns[name] == pytest.approx([one, other]) for name, one, other, _ in found)
    assert encoder.differences(ARCHS[0], ARCHS[0]) == []


def test_encoders_and_encodings_beside_the_blocks(tmp_path) -> None:
    y = convolutions(ARCHS)
    trained = FrozenEstimator(SequenceAutoencoder(hidden_size=8, epochs=2, random_state=0).fit(ARCHS))
    unfitted = MetricEncoder(features=("blocks", "onehot", trained), prior=ScalePrior(noise=(-3.0, 0.5)))
    encoder = clone(unfitted).fit(ARCHS, y)
    assert {"autoencoder", "onehot"} <= set(encoder.weights_[0])
    state = json.loads(json.dumps(encoder.write(tmp_path)))
    again = MetricEncoder.read(tmp_path, state)
    np.testing.assert_array_equal(again.transform(ARCHS), encoder.transform(ARCHS))
    assert again.prior == encoder.prior
    assert again.kernels_ == encoder.kernels_
    twice = MetricEncoder(features=(trained, trained)).fit(ARCHS)
    with pytest.raises(InvalidOptionError, match="two encoders of one kind"):
        twice.write(tmp_path)


def test_fewer_blocks_and_a_single_distance() -> None:
    prior = ScalePrior(amplitudes=((0.0, 1.5),), weights=((-3.0, 1.0),))
    encoder = MetricEncoder(without=("reach", "ends"), prior=prior).fit(ARCHS, convolutions(ARCHS))
    assert [set(weights) for weights in encoder.weights_] == [set(BLOCKS) - {"reach", "ends"}]
    assert encoder.kernels_[0].parts == (encoder.dim,)
    with pytest.raises(InvalidOptionError, match="as many priors"):
        ScalePrior(weights=((-3.0, 1.0),))


def test_damaged_arrays_are_reported(tmp_path) -> None:
    state = MetricEncoder().fit(ARCHS[:5]).write(tmp_path)
    (tmp_path / "columns.safetensors").write_bytes(b"nothing")
    with pytest.raises(CorruptFileError, match="does not hold the arrays"):
        MetricEncoder.read(tmp_path, state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_size": 1}, "embedding_size must be"),
        ({"max_labels": 0}, "max_labels must be"),
        ({"features": ()}, "at least one encoding"),
        ({"features": ("bloks",)}, "did you mean 'blocks'"),
        ({"without": ("roots",)}, "expected some of work"),
        ({"without": tuple(BLOCKS)}, "leaves no block"),
        ({"features": (3,)}, "names of encodings, or fitted encoders"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidOptionError, UnknownNameError), match=message):
        MetricEncoder(**options).fit(ARCHS)


def test_labels_of_another_length() -> None:
    with pytest.raises(InvalidDataError, match="expected 60 measurements"):
        MetricEncoder().fit(ARCHS, np.zeros(59))
