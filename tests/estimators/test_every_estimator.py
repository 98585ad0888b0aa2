"""No estimator goes without the contract."""

from emprox.estimators import ESTIMATORS, make_estimator
from emprox.testing import EstimatorContract
from tests.estimators import (
    test_curves,
    test_emprox,
    test_feedforward,
    test_graph_transfer,
    test_nao,
    test_tabular,
    test_tuned,
    test_universal,
)
from tests.integrations import test_naslib_host

FILES = (
    test_curves,
    test_emprox,
    test_feedforward,
    test_graph_transfer,
    test_nao,
    test_tabular,
    test_tuned,
    test_universal,
    test_naslib_host,
)


def test_every_estimator_has_a_contract() -> None:
    contracts = [
        member
        for file in FILES
        for member in vars(file).values()
        if isinstance(member, type) and issubclass(member, EstimatorContract) and member is not EstimatorContract
    ]
    assert {type(contract().make()) for contract in contracts} == {type(make_estimator(name)) for name in ESTIMATORS}
