"""A search that trains: NAS-Bench-201 cells on 8 x 8 digits, guided against random at equal numbers of trainings, several seeds.

python examples/07_search_with_real_training.py             a few minutes on two cores
python examples/07_search_with_real_training.py --smoke     a few short ones, to see it run
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from emprox.search import GuidedEvolution, History, RandomSearch
from emprox.search.run import Budget, run_search
from emprox.search.workers import WorkerEvaluator

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def train(architecture, **quicker):
    """Train one cell as the bundled table was made; return its validation accuracy in percent. A worker calls this."""
    import torch

    sys.path.append(str(BENCHMARKS))
    from bundled_training import CHOSEN, SETTINGS
    from bundled_training import train as train_cell

    torch.set_num_threads(1)
    return train_cell(architecture, seeds=[0], setting=replace(SETTINGS[CHOSEN], **quicker))["val_accuracy"][0]


def train_briefly(architecture):
    """Train for one epoch, to see the search run."""
    return train(architecture, epochs=1, copies=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="a few trainings of one seed")
    smoke = parser.parse_args().smoke
    objective = f"{__file__}:{'train_briefly' if smoke else 'train'}"
    seeds, trainings, initial = (1, 4, 3) if smoke else (3, 40, 10)
    searches = {"random": (RandomSearch, {}), "guided": (GuidedEvolution, {"n_initial": initial, "n_candidates": 100})}
    with tempfile.TemporaryDirectory() as folder, WorkerEvaluator(objective, workers=2, time_limit=120) as evaluator:
        for seed in range(seeds):
            for name, (search, options) in searches.items():
                history = History(Path(folder) / f"{name}-{seed}.jsonl", {"space": "nasbench201", "seed": seed})
                searched = search("nasbench201", history=history, random_state=seed, **options)
                run_search(searched, evaluator, Budget(evaluations=trainings))
                best = searched.best
                history.close()
                found = f"{best.values['val_accuracy']:.1f} % after {best.number + 1} of {trainings} trainings"
                print(f"seed {seed}, {name}: {found}: {best.architecture}")


if __name__ == "__main__":
    main()
