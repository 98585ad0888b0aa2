"""No estimator goes without the contract."""

from importlib import import_module
from pathlib import Path

from emprox.estimators import ESTIMATORS, make_estimator
from emprox.testing import EstimatorContract


def test_every_estimator_has_a_contract() -> None:
    places = [f"tests.estimators.{file.stem}" for file in Path(__file__).parent.glob("test_*.py")]
    contracts = {
        member
        for place in [*places, "tests.integrations.test_naslib_host"]
        for member in vars(import_module(place)).values()
        if isinstance(member, type) and issubclass(member, EstimatorContract) and member is not EstimatorContract
    }
    assert {type(contract().make()) for contract in contracts} == {type(make_estimator(name)) for name in ESTIMATORS}
