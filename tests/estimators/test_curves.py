"""Estimators that read learning curves."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from emprox.errors import InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.estimators import ArchitectureRegressor, EarlyStopping, EmProx, SoTLE, ZeroCost, load, make_estimator
from emprox.proxies import KnownProxies
from emprox.spaces import Architecture, get_space
from emprox.tables import PerformanceTable, load_table
from emprox.testing import EstimatorContract

SPACE = get_space("nasbench201")
CELLS = list(dict.fromkeys(SPACE.sample(np.random.default_rng(0), 80)))[:60]
KNOWN, ASKED = CELLS[:20], CELLS[20:]
EPOCHS = 4


@cache
def curves() -> KnownProxies:
    """Return invented curves of all cells: losses fall, each at its own speed, and accuracies have another order."""
    speed, quality = np.random.default_rng(0).uniform(1, 2, size=(2, SPACE.size, 1))
    after = np.arange(1, EPOCHS + 1)
    values = {"train_loss": np.exp(-speed * after), "val_loss": 3 - quality * after, "val_accuracy": 10 + quality * after}
    return KnownProxies(SPACE.name, tuple(SPACE), {}, values)


def losses(architectures: list[Architecture]) -> NDArray[np.float64]:
    return curves().curve(architectures, "train_loss", EPOCHS)


class TestSoTLE(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return SoTLE(epochs=2, known=curves())

    @pytest.mark.parametrize(("last", "first"), [(1, 2), (2, 1), (None, 0)])
    def test_ranks_by_the_sum_of_the_last_losses_whatever_the_labels(self, last: int | None, first: int) -> None:
        expected = np.argsort(-losses(ASKED)[:, first:3].sum(axis=1))
        for labels in (np.arange(20.0), -np.arange(20.0)):
            estimator = SoTLE(epochs=3, last=last, known=curves()).fit(KNOWN, labels)
            np.testing.assert_array_equal(np.argsort(estimator.predict(ASKED)), expected)
            assert estimator.training_epochs == 3

    def test_labels_set_the_scale(self) -> None:
        estimates = SoTLE(known=curves()).fit(KNOWN, np.linspace(70, 90, 20)).predict(KNOWN)
        assert (estimates.mean(), estimates.std()) == pytest.approx((80, np.linspace(70, 90, 20).std()))

    def test_options_are_checked(self) -> None:
        for text, message in (
            ("epochs=0", "epochs must be"),
            ("last=0", "last must be"),
            ("epochs=2,last=3", "last=3 epochs cannot be summed"),
            ("epochs=9", "has 4 epochs, 9 were asked for"),
        ):
            with pytest.raises(InvalidOptionError, match=message):
                make_estimator(f"sotle:{text}", known=curves()).fit(KNOWN, np.arange(20.0))
        with pytest.raises(UnknownNameError, match="did you mean 'train_loss'"):
            SoTLE(curve="train_los", known=curves()).fit(KNOWN, np.arange(20.0))


class TestEarlyStopping(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return EarlyStopping(epoch=1, known=curves())

    def test_higher_accuracy_and_lower_loss_are_better(self) -> None:
        expected = np.argsort(curves().curve(ASKED, "val_accuracy", 2)[:, 1])
        for curve in (None, "val_accuracy", "val_loss"):
            estimator = EarlyStopping(epoch=2, curve=curve, known=curves()).fit(KNOWN, np.arange(20.0))
            np.testing.assert_array_equal(np.argsort(estimator.predict(ASKED)), expected)
            assert estimator.training_epochs == 2

    def test_reads_the_loss_where_there_is_no_accuracy(self) -> None:
        only = KnownProxies(SPACE.name, tuple(CELLS), {}, {"val_loss": curves().curve(CELLS, "val_loss", 3)})
        estimator = EarlyStopping(known=only).fit(KNOWN, np.arange(20.0))
        assert (list(estimator.curves_.curves), estimator.training_epochs) == (["val_loss"], 3)

    def test_options_are_checked(self) -> None:
        with pytest.raises(InvalidOptionError, match="epoch must be"):
            EarlyStopping(epoch=0, known=curves()).fit(KNOWN, np.arange(20.0))


@pytest.mark.parametrize("name", ["sotle", "early-stopping"])
class TestWhatIsKnown:
    def test_an_architecture_whose_curve_is_not_known_is_an_error(self, name: str) -> None:
        few = KnownProxies(SPACE.name, tuple(KNOWN), {}, {n: v[:20] for n, v in curves().curves.items()})
        estimator = make_estimator(f"{name}:", known=few).fit(KNOWN, np.arange(20.0))
        with pytest.raises(InvalidDataError, match="up to epoch 4 is not known of 40 of 40 architectures, first"):
            estimator.predict(ASKED)
        with pytest.raises(InvalidDataError, match="1 of 2"):
            make_estimator(name, known=few).fit(ASKED[:1] + KNOWN[:1], [1.0, 2.0])

    def test_a_curve_that_ends_before_is_an_error(self, name: str) -> None:
        values = {n: np.where(np.arange(EPOCHS) < 3, v[:1], np.nan) for n, v in curves().curves.items()}
        short = KnownProxies(SPACE.name, tuple(KNOWN[:1]), {}, values)
        option = "epochs" if name == "sotle" else "epoch"
        make_estimator(f"{name}:{option}=3", known=short).fit(KNOWN[:1], [1.0])
        with pytest.raises(InvalidDataError, match="train them so far"):
            make_estimator(f"{name}:{option}=4", known=short).fit(KNOWN[:1], [1.0])

    def test_without_any_curve(self, name: str) -> None:
        bare = PerformanceTable("mine", SPACE.name, tuple(KNOWN), {"val_accuracy": np.arange(20.0)})
        for known in (None, bare, KnownProxies(SPACE.name, tuple(KNOWN), {"zen": np.arange(20.0)})):
            with pytest.raises(InvalidDataError, match="needs learning curves; pass known="):
                make_estimator(name, known=known).fit(KNOWN, np.arange(20.0))

    def test_a_saved_model_holds_the_curve_it_reads(self, name: str, tmp_path: Path) -> None:
        table = load_table("bundled")
        option = "epochs" if name == "sotle" else "epoch"
        estimator = make_estimator(f"{name}:{option}=2", known=table).fit(table.architectures, table.targets["val_accuracy"])
        assert np.corrcoef(estimator.predict(table.architectures), table.targets["test_accuracy"])[0, 1] > 0.3
        estimator.save(tmp_path / "model")
        again = load(tmp_path / "model")
        assert [values.shape for values in again.known.curves.values()] == [(len(table), 2)]
        assert again.training_epochs == 2
        assert clone(again).known is again.known


def test_curves_are_no_proxies() -> None:
    table = load_table("bundled").rows(range(3))
    estimator = ZeroCost(proxy="params", known=table).fit(table.architectures, table.targets["val_accuracy"])
    assert estimator.encoding_.known is None
    assert estimator.training_epochs == 0


@pytest.mark.parametrize("spec", ["xgboost:encoding=features+curves@2,n_estimators=50", "emprox:features=structure+curves@2"])
def test_curves_beside_the_structure(spec: str, tmp_path: Path) -> None:
    architectures = list(SPACE)[::25]
    known, asked = architectures[::5], architectures[1::5]
    target = -curves().curve(architectures, "val_loss", 1)[:, 0]
    estimator = make_estimator(spec, known=curves(), random_state=0).fit(known, target[::5])
    estimates = estimator.predict(asked)
    assert np.corrcoef(estimates, target[1::5])[0, 1] > 0.9
    assert estimator.training_epochs == 2
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(asked), estimates)
    assert again.training_epochs == 2


def test_emprox_has_proxies_and_curves_at_once() -> None:
    some = KnownProxies(SPACE.name, tuple(CELLS), {"zen": np.arange(60.0)}, {"train_loss": losses(CELLS)})
    incomplete = KnownProxies(
        SPACE.name, tuple(CELLS), some.columns, {"train_loss": np.where(np.eye(60, 4) > 0, np.nan, losses(CELLS))}
    )
    estimator = EmProx(features="structure+proxies+curves", known=some).fit(KNOWN, np.arange(20.0))
    assert {"zen", "train_loss@4"} <= set(estimator.encoder_.names)
    assert np.isfinite(estimator.predict(ASKED)).all()
    columns = EmProx(features="curves@3", known=incomplete).fit(KNOWN[4:], np.arange(16.0)).encoder_
    np.testing.assert_allclose(columns.mean_, losses([*KNOWN[4:], *CELLS[3:]])[:, :3].mean(axis=0))
