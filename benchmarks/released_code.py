"""The released code of EmProx in turn with `EmProx.paper`, on the same splits.

    git clone https://github.com/GideonFr/EmProx released-checkout
    python benchmarks/released_code.py --released released-checkout --tables-root DIR

NAS-Bench-201, CIFAR-10 validation accuracy, 121 labels, 1,000 test cells, hidden size 32, one thread. Its predictor runs
unchanged; its fork of NASLib is not imported, so that sequences come from our adjacency and operations, which are the same.
Seconds of its fit are without the query of the training cells that ends it. ``--show`` prints the means of the results.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from scipy.stats import kendalltau

from emprox import EmProx, get_space, load_table
from emprox.benchmark import commit, machine

RESULTS = Path(__file__).parent / "results" / "released_code.json"
SPACE = get_space("nasbench201")
LABELS, TEST, HIDDEN, NEIGHBORS = 121, 1000, 32, (10, 60)


class Meter:
    """Mean of what it was given, as NASLib's AverageMeter."""

    def __init__(self) -> None:
        self.sum = self.count = self.avg = 0.0

    def update(self, value: float, n: int) -> None:
        self.sum, self.count = self.sum + float(value) * n, self.count + n
        self.avg = self.sum / self.count


def released(checkout: str) -> ModuleType:
    """Import the predictor, with stand-ins for the few names that it takes from its fork of NASLib."""

    def encode(arch: tuple, encoding_type: object = None, ss_type: object = None) -> dict:
        return {"adjacency": SPACE.topology.tolist(), "operations": [0, *[op + 1 for op in arch], 6]}

    names = {
        "naslib.utils.utils": {"AverageMeterGroup": Meter, "AverageMeter": Meter},
        "naslib.predictors.utils.encodings": {"encode": encode},
        "naslib.predictors.predictor": {"Predictor": object},
        "naslib.predictors.trees.ngb": {"loguniform": None},
        "numpy.core.fromnumeric": {"shape": np.shape},
        "matplotlib.pyplot": {},
    }
    for name, members in names.items():
        parts = name.split(".")
        for package in (".".join(parts[: i + 1]) for i in range(len(parts))):
            sys.modules.setdefault(package, ModuleType(package))
        vars(sys.modules[name]).update(members)
    path = Path(checkout) / "naslib" / "predictors" / "emprox_score.py"
    if not path.is_file():
        raise SystemExit(f"expected a checkout of GideonFr/EmProx, {checkout} has no naslib/predictors/emprox_score.py")
    spec = importlib.util.spec_from_file_location("released_emprox", path)
    module = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(module)
    return module


def seconds(call: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        found = call()
    return time.perf_counter() - start, found


def measure(theirs: ModuleType, root: str | None, trials: int) -> list[dict]:
    table = load_table("nasbench201", root)
    y, rows = table.target(None)[1], []
    for trial in range(trials):
        test, train = table.split(LABELS, TEST, 0, trial)
        known, asked = ([table.architectures[i] for i in part] for part in (train, test))
        for k in NEIGHBORS:
            torch.manual_seed(trial)
            predictor = theirs.EmProxPredictor(k_nn=k, hidden_lay=HIDDEN, ss_type="nasbench201")
            fit, _ = seconds(lambda: predictor.fit([a.spec for a in known], y[train]))  # noqa: B023
            query, estimates = seconds(lambda: predictor.query([a.spec for a in asked]))  # noqa: B023
            again, _ = seconds(lambda: predictor.query([a.spec for a in known]))  # noqa: B023
            ours = EmProx.paper(k=k, space="nasbench201", random_state=trial)
            texts = [[str(a) for a in part] for part in (known, asked)]
            our_fit, _ = seconds(lambda: ours.fit(texts[0], y[train]))  # noqa: B023
            our_query, our_estimates = seconds(lambda: ours.predict(texts[1]))  # noqa: B023
            released = {"fit": fit - again, "query_ms": 1000 * query / TEST, "kendall": kendalltau(y[test], estimates)[0]}
            mine = {"fit": our_fit, "query_ms": 1000 * our_query / TEST, "kendall": kendalltau(y[test], our_estimates)[0]}
            rows.append({"k": k, "trial": trial, "released": released, "ours": mine})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def show(rows: list[dict]) -> None:
    for k in NEIGHBORS:
        for who in ("released", "ours"):
            found = [row[who] for row in rows if row["k"] == k]
            means = {name: round(float(np.mean([row[name] for row in found])), 3) for name in found[0]}
            print(f"k={k} {who}: {means}, {len(found)} trials")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--released", help="folder of a checkout of GideonFr/EmProx")
    parser.add_argument("--tables-root")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    if not arguments.show:
        warnings.filterwarnings("ignore")
        torch.set_num_threads(1)
        rows = measure(released(arguments.released), arguments.tables_root, arguments.trials)
        RESULTS.write_text(json.dumps({"machine": machine(), "commit": commit(), "rows": rows}, indent=1) + "\n")
    show(json.loads(RESULTS.read_text())["rows"])


if __name__ == "__main__":
    main()
