"""Searches that ask which architecture to train next.

In: a space or a table, an estimator, and what trainings return. Out: proposals, and a history that survives a crash.
Next: `emprox.report` draws it; the best architecture goes into training.
"""

from emprox.search.base import SEARCHES, Proposal, Search
from emprox.search.baselines import LocalSearch, RandomSearch, RegularizedEvolution
from emprox.search.goals import Bound, Goals, Objective
from emprox.search.guided import GuidedEvolution
from emprox.search.history import History, Trial
from emprox.search.pools import Pool, SpacePool, TablePool

__all__ = [
    "SEARCHES",
    "Bound",
    "Goals",
    "GuidedEvolution",
    "History",
    "LocalSearch",
    "Objective",
    "Pool",
    "Proposal",
    "RandomSearch",
    "RegularizedEvolution",
    "Search",
    "SpacePool",
    "TablePool",
    "Trial",
]
