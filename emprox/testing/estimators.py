"""Contracts of encodings, encoders and estimators; every class draws its architectures from `make_space`, NAS-Bench-201."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from emprox.encoders import Encoder
from emprox.encodings import Encoding
from emprox.errors import CorruptFileError, EmproxError, InvalidArchitectureError, InvalidDataError
from emprox.estimators import ArchitectureRegressor, load
from emprox.persistence import MANIFEST
from emprox.spaces import Architecture, SearchSpace, get_space

__all__ = ["EncoderContract", "EncodingContract", "EstimatorContract"]


class _Contract:
    def make_space(self) -> SearchSpace:
        """Return the search space that architectures are drawn from."""
        return get_space("nasbench201")

    def sample(self, n: int, seed: int = 0) -> list[Architecture]:
        """Draw n distinct architectures."""
        drawn = self.make_space().sample(np.random.default_rng(seed), 4 * n)
        return list(dict.fromkeys(drawn))[:n]


class EncodingContract(_Contract):
    """What an `Encoding` must do; inherit and implement `make`."""

    def make(self) -> Encoding:
        """Return the encoding under test."""
        raise NotImplementedError("return the encoding under test")

    def test_one_named_column_each(self) -> None:
        encoding = self.make()
        encoded = encoding.transform(self.sample(7))
        assert encoded.shape == (7, len(encoding.names))
        assert len(set(encoding.names)) == len(encoding.names)
        assert np.isfinite(encoded).all()

    def test_row_depends_on_its_architecture_alone(self) -> None:
        encoding, archs = self.make(), self.sample(9)
        together = encoding.transform(archs)
        alone = np.concatenate([encoding.transform([a]) for a in archs])
        np.testing.assert_array_equal(together, alone)

    def test_empty_batch(self) -> None:
        encoding = self.make()
        assert encoding.transform([]).shape == (0, len(encoding.names))


class EncoderContract(_Contract):
    """What an `Encoder` must do; inherit and implement `make`."""

    def make(self) -> Encoder:
        """Return an unfitted encoder that is quick to fit and has a fixed ``random_state`` if it takes one."""
        raise NotImplementedError("return the encoder under test")

    def test_embeddings_are_finite_float32_of_the_declared_dimension(self) -> None:
        archs = self.sample(12)
        encoder = self.make().fit(archs)
        embedded = encoder.transform(archs)
        assert embedded.shape == (12, encoder.dim)
        assert embedded.dtype == np.float32
        assert np.isfinite(embedded).all()

    def test_same_seed_same_embedding(self) -> None:
        archs = self.sample(12)
        first, second = (self.make().fit(archs).transform(archs) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_row_depends_on_its_architecture_alone(self) -> None:
        archs = self.sample(12)
        encoder = self.make().fit(archs)
        alone = np.concatenate([encoder.transform([a]) for a in archs])
        np.testing.assert_allclose(encoder.transform(archs), alone, atol=1e-5)

    def test_clone_is_unfitted_with_equal_options(self) -> None:
        encoder = self.make().fit(self.sample(5))
        copy = clone(encoder)
        assert copy.get_params() == encoder.get_params()
        assert not [name for name in vars(copy) if name.endswith("_")]

    def test_write_and_read(self, tmp_path: Path) -> None:
        archs = self.sample(12)
        encoder = self.make().fit(archs)
        state = json.loads(json.dumps(encoder.write(tmp_path)))
        again = type(encoder).read(tmp_path, state)
        np.testing.assert_array_equal(again.transform(archs), encoder.transform(archs))
        assert again.dim == encoder.dim


class EstimatorContract(_Contract):
    """What an `ArchitectureRegressor` must do; inherit and implement `make`."""

    def make(self) -> ArchitectureRegressor:
        """Return an unfitted estimator that is quick to fit and has a fixed ``random_state`` if it takes one."""
        raise NotImplementedError("return the estimator under test")

    def measurements(self, architectures: list[Architecture]) -> NDArray[np.float64]:
        """Return invented accuracies in percent, a smooth function of the one-hot columns."""
        hashes = [int(self.make_space().canonical_hash(a), 16) % 1000 for a in architectures]
        return 80 + np.array(hashes) / 100

    def fitted(self, n: int = 20) -> tuple[ArchitectureRegressor, list[Architecture], NDArray[np.float64]]:
        """Return a fitted estimator, what it was fitted on, and the measurements."""
        archs = self.sample(n)
        y = self.measurements(archs)
        return self.make().fit(archs, y), archs, y

    def test_predicts_finite_numbers(self) -> None:
        estimator, _, _ = self.fitted()
        estimates = estimator.predict(self.sample(30, seed=1))
        assert estimates.shape == (30,)
        assert estimates.dtype == np.float64
        assert np.isfinite(estimates).all()

    def test_descriptions_and_architectures_are_the_same(self) -> None:
        archs = self.sample(20)
        y, asked = self.measurements(archs), self.sample(10, seed=1)
        from_values = self.make().fit(archs, y).predict(asked)
        prefixed = [f"{a.space}:{a}" for a in archs]
        from_texts = self.make().fit(prefixed, y).predict([str(a) for a in asked])
        np.testing.assert_array_equal(from_values, from_texts)

    def test_same_seed_same_estimates(self) -> None:
        asked = self.sample(10, seed=1)
        np.testing.assert_array_equal(self.fitted()[0].predict(asked), self.fitted()[0].predict(asked))

    def test_empty_query(self) -> None:
        assert self.fitted()[0].predict([]).shape == (0,)

    def test_one_training_architecture(self) -> None:
        arch = self.sample(1)
        estimator = self.make().fit(arch, [77.5])
        np.testing.assert_allclose(estimator.predict([*arch, *self.sample(3, seed=1)]), 77.5)

    def test_constant_measurements(self) -> None:
        archs = self.sample(8)
        estimator = self.make().fit(archs, np.full(8, 3.25))
        np.testing.assert_allclose(estimator.predict(self.sample(5, seed=1)), 3.25)

    def test_duplicates_and_spread_are_accepted(self) -> None:
        archs = self.sample(6) * 2
        y = self.measurements(archs) + np.repeat([0, 1], 6)
        estimator = self.make().fit(archs, y, y_std=np.linspace(0, 1, 12))
        assert np.isfinite(estimator.predict(archs)).all()

    def test_std_or_a_clear_error(self) -> None:
        estimator, _, _ = self.fitted()
        asked = self.sample(10, seed=1)
        if not estimator.has_std:
            with pytest.raises(EmproxError, match="no standard deviation"):
                estimator.predict(asked, return_std=True)
            return
        estimates, std = estimator.predict(asked, return_std=True)
        np.testing.assert_array_equal(estimates, estimator.predict(asked))
        assert std.shape == (10,)
        assert (std >= 0).all()

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_bad_measurement_changes_nothing(self, value: float) -> None:
        estimator, archs, y = self.fitted()
        asked = self.sample(5, seed=1)
        before = estimator.predict(asked)
        with pytest.raises(InvalidDataError, match="number 3"):
            estimator.fit(archs, np.where(np.arange(20) == 3, value, y))
        np.testing.assert_array_equal(estimator.predict(asked), before)

    def test_bad_architecture_is_named_by_position(self) -> None:
        estimator, archs, y = self.fitted()
        other = Architecture("elsewhere", archs[0].spec)
        for bad in ("no architecture", other, None, 3.5):
            with pytest.raises(InvalidArchitectureError, match="architecture 1"):
                estimator.fit([archs[0], bad], y[:2])
            with pytest.raises(InvalidArchitectureError, match="architecture 1"):
                estimator.predict([archs[0], bad])

    def test_lengths_must_agree(self) -> None:
        archs = self.sample(4)
        with pytest.raises(InvalidDataError, match="4 measurements"):
            self.make().fit(archs, [1.0, 2.0, 3.0])
        with pytest.raises(InvalidDataError, match="4 standard deviations"):
            self.make().fit(archs, [1.0, 2.0, 3.0, 4.0], y_std=[1.0])
        with pytest.raises(InvalidDataError, match="at least one"):
            self.make().fit([], [])

    def test_clone_is_unfitted_with_equal_options(self) -> None:
        estimator, _, _ = self.fitted()
        copy = clone(estimator)
        assert type(copy) is type(estimator)
        assert not [name for name in vars(copy) if name.endswith("_")]

    def test_save_and_load(self, tmp_path: Path) -> None:
        estimator, archs, y = self.fitted()
        asked = [*archs, *self.sample(20, seed=1)]
        estimator.save(tmp_path / "model")
        estimator.save(tmp_path / "model")  # a model replaces a model
        again = load(tmp_path / "model")
        assert type(again) is type(estimator)
        np.testing.assert_array_equal(again.predict(asked), estimator.predict(asked))
        np.testing.assert_array_equal(again.fit(archs, y).predict(asked), estimator.predict(asked))

    def test_damaged_folder_is_refused(self, tmp_path: Path) -> None:
        estimator, _, _ = self.fitted()
        estimator.save(tmp_path / "model")
        for file in sorted((tmp_path / "model").iterdir()):
            whole = file.read_bytes()
            cut = len(whole) // 2
            file.write_bytes(whole[:cut])
            with pytest.raises(CorruptFileError):
                load(tmp_path / "model")
            if file.name != MANIFEST:
                file.write_bytes(whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :])
                with pytest.raises(CorruptFileError, match=file.name):
                    load(tmp_path / "model")
            file.write_bytes(whole)
        load(tmp_path / "model")

    def test_can_be_sent_to_another_process(self) -> None:
        estimator, _, _ = self.fitted()
        asked = self.sample(5, seed=1)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).predict(asked), estimator.predict(asked))
