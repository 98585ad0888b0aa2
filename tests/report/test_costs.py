import numpy as np
import pytest

from emprox.errors import InvalidOptionError
from emprox.estimators import make_estimator
from emprox.proxies import KnownProxies
from emprox.report import training_cost
from emprox.spaces import get_space
from emprox.tables import PerformanceTable

CELLS = tuple(get_space("nasbench201"))[:10]
CURVE = np.arange(40.0).reshape(10, 4)
TRAIN, TEST = np.array([0, 1, 2]), np.array([5, 6, 7, 8])


def cost_of(spec: str, table: PerformanceTable) -> dict:
    known = KnownProxies(table.space, CELLS, {}, {"train_loss": CURVE, "val_accuracy": CURVE})
    options = {"known": known} if spec != "size" else {}
    estimator = make_estimator(spec, **options).fit(CELLS[:3], [1.0, 2.0, 3.0])
    return training_cost(estimator, table, TRAIN, TEST)


def table(**fields: object) -> PerformanceTable:
    return PerformanceTable("mine", "nasbench201", CELLS, {"val_accuracy": np.arange(10.0)}, **fields)


@pytest.mark.parametrize(
    ("spec", "each", "labels"),
    [
        ("size", 0, 0),
        ("sotle:epochs=2", 2, 0),
        ("early-stopping:epoch=3", 3, 0),
        ("ridge", 0, 12),
        ("ridge:encoding=features+curves@2", 2, 12),
        ("emprox", 0, 12),
        ("emprox:features=structure+curves", 4, 12),
        ("ridge:encoding=onehot+curves@3,tune=0", 3, 12),
    ],
)
def test_labels_and_the_beginning_of_each_candidate(spec: str, each: int, labels: int) -> None:
    expected = {"training_epochs_per_candidate": each, "label_epochs": labels, "training_epochs": labels + 4 * each}
    assert cost_of(spec, table(curves={"train_loss": CURVE})) == expected


def test_seconds_are_those_of_the_architectures() -> None:
    timed = table(curves={"train_loss": CURVE}, columns={"train_seconds": np.arange(10.0)})
    assert cost_of("emprox", timed)["training_seconds"] == 0 + 1 + 2
    assert cost_of("sotle:epochs=2", timed)["training_seconds"] == (5 + 6 + 7 + 8) / 2
    assert cost_of("emprox:features=curves@1", timed)["training_seconds"] == 3 + 26 / 4
    assert cost_of("size", timed)["training_seconds"] == 0


def test_a_table_that_does_not_know_its_epochs() -> None:
    assert cost_of("ridge", table()) == {"training_epochs_per_candidate": 0, "label_epochs": None, "training_epochs": None}
    assert cost_of("size", table())["training_epochs"] == 0
    assert cost_of("ridge", table(epochs=200))["label_epochs"] == 600
    with pytest.raises(InvalidOptionError, match="epochs must be"):
        table(epochs=0)
