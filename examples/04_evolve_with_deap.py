"""An evolutionary loop from DEAP whose fitness is a scorer: thousands of candidates, none of them trained.

python examples/04_evolve_with_deap.py        needs pip install deap
"""

import random

import numpy as np
from deap import algorithms, base, tools

from emprox import EmProx, get_space, load_table

table = load_table("bundled")
name, accuracy = table.target("val_accuracy")
space = get_space("nasbench201")
scorer = EmProx().fit(table.architectures[:100], accuracy[:100]).as_scorer()


class Best(base.Fitness):
    weights = (1.0,)


class Cell(list):
    """Six op numbers, which `parse` reads."""

    def __init__(self, numbers=()):
        super().__init__(numbers)
        self.fitness = Best()


random.seed(0)
toolbox = base.Toolbox()
toolbox.register("population", lambda n: [Cell(a.spec) for a in space.sample(np.random.default_rng(0), n)])
toolbox.register("mate", tools.cxTwoPoint)
toolbox.register("mutate", tools.mutUniformInt, low=0, up=4, indpb=0.2)
toolbox.register("select", tools.selTournament, tournsize=3)
toolbox.register("evaluate", lambda cell: (scorer(space.parse(cell)),))

population, hall = toolbox.population(n=40), tools.HallOfFame(3)
first = np.mean(scorer.many(population))
population, _ = algorithms.eaSimple(population, toolbox, cxpb=0.5, mutpb=0.3, ngen=8, halloffame=hall, verbose=False)
print(f"mean estimate of {name}: {first:.1f} at first, {np.mean(scorer.many(population)):.1f} after 8 generations")
for cell in hall:
    print(f"{space.parse(cell)}  estimate {scorer(cell):.1f}")
