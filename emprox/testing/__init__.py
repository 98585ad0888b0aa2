"""Contracts: what every search space, encoding, encoder and estimator must do, as test classes to inherit.

A third party's test of a new estimator is one method::

    class TestMine(EstimatorContract):
        def make(self) -> ArchitectureRegressor:
            return Mine()

Needs pytest (extra ``test``).
"""

from emprox.testing.estimators import EncoderContract, EncodingContract, EstimatorContract
from emprox.testing.families import FamilyContract
from emprox.testing.spaces import SpaceContract, renumbered

__all__ = ["EncoderContract", "EncodingContract", "EstimatorContract", "FamilyContract", "SpaceContract", "renumbered"]
