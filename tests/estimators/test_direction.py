"""What ranks without labels is turned round where smaller measurements are better, and nothing else changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from emprox.estimators import EmProx, OneNumber, Target, load, make_estimator
from emprox.index import Store
from emprox.spaces import get_space

SPACE = get_space("nasbench201")
CELLS = [a for a in dict.fromkeys(SPACE.sample(np.random.default_rng(0), 300)) if SPACE.is_connected(a)]
KNOWN, ASKED = CELLS[:20], CELLS[100:200]
LOSS = Target("val_loss", larger_is_better=False)


def loss(cells: list[Any]) -> np.ndarray:
    return 2 - 0.1 * OneNumber.size(space=SPACE).fit([], []).predict(cells)


@pytest.mark.parametrize("name", ["params", "macs", "size", "universal", "zerocost:proxy=nwot", "emprox:prior=universal"])
def test_a_loss_is_estimated_low_where_an_accuracy_is_high(name: str, tmp_path: Path) -> None:
    cells = KNOWN[:3] if name.startswith(("zerocost", "emprox")) else KNOWN
    asked = ASKED[:6] if name.startswith("zerocost") else ASKED
    options = {"random_state": 0}
    upward = make_estimator(name, **options).fit(cells, -loss(cells))
    downward = make_estimator(name, **options).fit(cells, loss(cells), target=LOSS)
    np.testing.assert_allclose(downward.predict(asked), -upward.predict(asked), rtol=1e-5)
    downward.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(asked), downward.predict(asked))
    assert load(tmp_path / "model").target_ == LOSS


def test_a_prior_helps_with_a_loss_as_with_an_accuracy() -> None:
    estimator = EmProx(prior="size").fit(KNOWN[:2], loss(KNOWN[:2]), target=LOSS)
    assert kendalltau(estimator.predict(ASKED), loss(ASKED))[0] > 0.8
    estimator.partial_fit(KNOWN[2:], loss(KNOWN[2:])).refit()
    assert estimator.target_ == LOSS
    assert kendalltau(estimator.predict(ASKED), loss(ASKED))[0] > 0.8


def test_the_target_may_be_told_before_there_is_a_label() -> None:
    estimator = EmProx(space=SPACE, prior="size").fit([], [], target=LOSS)
    assert kendalltau(estimator.predict(ASKED), loss(ASKED))[0] < -0.9  # ranks are larger if better
    estimator.partial_fit(KNOWN[:2], loss(KNOWN[:2]))
    assert kendalltau(estimator.predict(ASKED), loss(ASKED))[0] > 0.8


def test_fine_tuning_turns_a_loss_round(tmp_path: Path) -> None:
    pytest.importorskip("torch_geometric")
    few: dict[str, Any] = {"graphs": 20, "epochs": 1, "tuning_steps": 4, "random_state": 0}
    pretrained = make_estimator("gnn", space=SPACE, source=[], **few).fit([], []).pretrained_
    upward, downward = (make_estimator("gnn", pretrained=pretrained, **few) for _ in range(2))
    upward.fit(KNOWN, -loss(KNOWN))
    downward.fit(KNOWN, loss(KNOWN), target=LOSS)
    np.testing.assert_allclose(downward.predict(ASKED[:10]), -upward.predict(ASKED[:10]), rtol=1e-5)
    downward.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(ASKED[:10]), downward.predict(ASKED[:10]))


def test_a_store_tells_the_direction(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    for cell, value in zip(KNOWN[:3], loss(KNOWN[:3]), strict=True):
        store.add(cell, {"val_loss": float(value)})
    estimator = EmProx.from_store(store, prior="size")
    assert estimator.target_ is not None
    assert estimator.target_.larger_is_better is False
    assert kendalltau(estimator.predict(ASKED), loss(ASKED))[0] > 0.8
