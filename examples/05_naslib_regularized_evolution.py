"""NASLib's regularized evolution with a scorer as its fitness: the search space answers queries with estimates.

python examples/05_naslib_regularized_evolution.py        needs NASLib, see docs/naslib.md
"""

import copy

import numpy as np
from fvcore.common.config import CfgNode
from naslib.optimizers import RegularizedEvolution
from naslib.search_spaces import NasBench201SearchSpace

from emprox import EmProx, load_table
from emprox.integrations.naslib import read_naslib

table = load_table("bundled")
name, accuracy = table.target("val_accuracy")
scorer = EmProx().fit(table.architectures[:100], accuracy[:100]).as_scorer()


class Estimated(NasBench201SearchSpace):
    """NASLib's space; a query is an estimate, a clone costs nothing since no network is built."""

    def query(self, metric=None, dataset=None, path=None, epoch=-1, full_lc=False, dataset_api=None):
        return scorer(read_naslib(self))

    def clone(self):
        return copy.copy(self)


space = Estimated()
space.instantiate_model = False
config = CfgNode({"dataset": "cifar10", "search": CfgNode({"epochs": 150, "sample_size": 10, "population_size": 30})})
optimizer = RegularizedEvolution(config)
optimizer.adapt_search_space(space)
np.random.seed(0)  # noqa: NPY002 (NASLib draws from it)
for epoch in range(config.search.epochs):
    optimizer.new_epoch(epoch)

first, last = (np.mean([model.accuracy for model in part]) for part in (list(optimizer.history)[:30], optimizer.population))
print(f"mean estimate of {name}: {first:.1f} at first, {last:.1f} in the last population")
best = optimizer.get_final_architecture()
print(f"{read_naslib(best)}  estimate {best.query():.1f}")
