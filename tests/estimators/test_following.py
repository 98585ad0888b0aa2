from pathlib import Path

import numpy as np
import pytest

from emprox import EmProx, load
from emprox.errors import InvalidOptionError
from emprox.index import Record, Store
from emprox.spaces import Architecture, get_space

CELLS = list(dict.fromkeys(get_space("nasbench201").sample(np.random.default_rng(0), 60)))
ASKED = get_space("nasbench201").sample(np.random.default_rng(1), 20)


def accuracy(cell: Architecture) -> float:
    return 90.0 - 3 * cell.spec.count(1) + cell.spec.count(2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", create=True)
    store.add_records([Record.of(cell, {"val_accuracy": accuracy(cell)}) for cell in CELLS[:30]])
    return store


def test_fits_from_a_path_as_from_the_table(store: Store) -> None:
    table = store.table()
    expected = EmProx().fit(table.architectures, table.targets["val_accuracy"])
    for given in (store, store.path, str(store.path)):
        np.testing.assert_array_equal(EmProx.from_store(given).predict(ASKED), expected.predict(ASKED))


@pytest.mark.parametrize("options", [{}, {"weights": "inverse"}])
def test_new_records_are_learned(store: Store, options: dict[str, str]) -> None:
    estimator = EmProx.from_store(store, **options)
    assert estimator.refresh() == 0
    other = Store(store.path)
    other.add(CELLS[30], {"val_accuracy": 60.0})
    other.add(CELLS[31], {"val_accuracy": 95.0})
    before = EmProx.from_store(store, **options)
    by_hand = EmProx(**options).fit(CELLS[:30], [accuracy(cell) for cell in CELLS[:30]]).partial_fit(CELLS[30:32], [60.0, 95.0])
    assert (estimator.refresh(), len(estimator.y_), len(before.y_)) == (2, 32, 32)
    np.testing.assert_allclose(estimator.predict(ASKED), by_hand.predict(ASKED))


@pytest.mark.parametrize("options", [{}, {"weights": "inverse"}])
def test_repeated_measurements_change_the_known_value(store: Store, options: dict[str, str]) -> None:
    estimator = EmProx.from_store(store, **options)
    store.add(CELLS[0], {"val_accuracy": accuracy(CELLS[0]) + 10})
    store.add(CELLS[30], {"val_accuracy": 60.0})
    assert estimator.refresh() == 2
    assert estimator.y_[0] == accuracy(CELLS[0]) + 5
    np.testing.assert_allclose(estimator.y_std_, np.sqrt(50))
    assert estimator.explain(CELLS[0])["known"] == 31
    if options:
        assert estimator.predict(CELLS[:1])[0] == pytest.approx(accuracy(CELLS[0]) + 5)
    fresh = EmProx.from_store(store, **options)
    np.testing.assert_array_equal(fresh.y_, estimator.y_)
    np.testing.assert_array_equal(fresh.y_std_, estimator.y_std_)


def test_the_encoder_of_the_store_is_shared(store: Store) -> None:
    one, other = EmProx.from_store(store), EmProx.from_store(store)
    own = EmProx.from_store(store, features="onehot")
    version = store.reembed(one.encoder_)
    store.add_records([Record.of(cell, {"val_accuracy": accuracy(cell)}) for cell in CELLS[30:40]])
    assert [estimator.refresh() for estimator in (one, other, own)] == [10, 10, 10]
    assert (one.version_, other.version_, own.version_) == (version, version, None)
    np.testing.assert_array_equal(one.predict(ASKED), other.predict(ASKED))
    third = EmProx.from_store(store)
    np.testing.assert_allclose(third.predict(ASKED), one.predict(ASKED), rtol=1e-6)
    newer = store.reembed(EmProx.from_store(store, encoder=None, features="structure").encoder_)
    assert (one.refresh(), one.version_) == (0, newer)


def test_a_target_has_an_encoder_of_its_own(store: Store) -> None:
    store.add_records([Record.of(cell, {"latency_ms": float(i)}) for i, cell in enumerate(CELLS[:20])])
    store.reembed(EmProx.from_store(store, "val_accuracy").encoder_, "val_accuracy")
    assert EmProx.from_store(store, "latency_ms").version_ is None
    assert EmProx.from_store(store, "val_accuracy", space="nasbench201").version_ is not None


def test_a_repair_that_lost_records_is_followed(store: Store) -> None:
    estimator = EmProx.from_store(store)
    estimator.partial_fit(CELLS[50:51], [1.0])
    store.add(CELLS[40], {"val_accuracy": 80.0})
    assert estimator.refresh() == 1
    assert len(estimator.y_) == 31


def test_saved_estimators_do_not_follow(store: Store, tmp_path: Path) -> None:
    store.reembed(EmProx.from_store(store).encoder_)
    estimator = EmProx.from_store(store)
    estimator.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(ASKED), estimator.predict(ASKED))
    with pytest.raises(InvalidOptionError, match="made by from_store"):
        again.refresh()
