"""Every registered space keeps the contract; a space without a class here fails `test_every_space_has_a_contract`."""

from emprox.spaces import SPACES, SearchSpace, get_space
from emprox.testing import SpaceContract


class TestNASBench201(SpaceContract):
    module_options = {"channels": 4, "cells_per_stage": 1}

    def make_space(self) -> SearchSpace:
        return get_space("nasbench201")


class TestNASBench101(SpaceContract):
    module_options = {"channels": 8, "cells_per_stack": 1}

    def make_space(self) -> SearchSpace:
        return get_space("nasbench101")


class TestDARTS(SpaceContract):
    module_options = {"channels": 4, "cells": 3}
    too_many_paths = True

    def make_space(self) -> SearchSpace:
        return get_space("darts")


class TestTransNASBench101Micro(SpaceContract):
    module_options = {"channels": 4}
    input_shape = (2, 3, 64, 64)

    def make_space(self) -> SearchSpace:
        return get_space("transnas101-micro")


class TestOFAMobileNetV3(SpaceContract):
    module_options = {"num_classes": 10}
    too_many_paths = True

    def make_space(self) -> SearchSpace:
        return get_space("ofa-mobilenetv3")


def test_every_space_has_a_contract() -> None:
    tested = {contract().make_space().name for contract in SpaceContract.__subclasses__() if contract.__module__ == __name__}
    assert tested >= set(SPACES), "every registered space needs a SpaceContract in this file"
