"""Draw many candidates, estimate all, keep the best: in one process here, and with --engine and --address on a cluster."""

import argparse

from emprox import EmProx, load_table
from emprox.estimators.ranking import estimate_samples
from emprox.parallel import ENGINES, Engine

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--candidates", type=int, default=4_000)
parser.add_argument("--jobs", type=int, default=1)
parser.add_argument("--engine", default="loky", choices=list(ENGINES))
parser.add_argument("--address", help="Dask scheduler or Ray head")
arguments = parser.parse_args()

if __name__ == "__main__":  # processes import this file
    table = load_table("bundled")
    estimator = EmProx().fit(table.architectures[:121], table.targets["val_accuracy"][:121])
    engine = Engine(arguments.engine, arguments.jobs, arguments.address)
    for each in estimate_samples(estimator, arguments.candidates, top=5, seed=0, engine=engine):
        print(f"{each.estimate:.2f} ({each.std:.2f})  {each.architecture}  candidate {each.position}")
