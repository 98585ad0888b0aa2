"""EmProx inside NASLib on real NAS-Bench-201 accuracies: its PredictorEvaluator, Bananas and Npenas, asking theirs and ours.

    git clone -b Develop https://github.com/automl/NASLib naslib-checkout
    python benchmarks/naslib_host.py --naslib naslib-checkout --tables-root DIR --out benchmarks/results/naslib_host.json

NASLib's code runs unchanged. Its search space object is copied instead of rebuilt for each architecture, which costs it .1 s.
A run that was stopped goes on where it was; ``--markdown`` prints the tables of docs/naslib.md from the file.
"""

import argparse
import contextlib
import copy
import io
import json
import logging
import random
import time
from pathlib import Path

import naslib_checkout
import numpy as np
import torch

from emprox import load_table
from emprox.benchmark import commit, machine
from emprox.integrations import naslib as plugs
from emprox.report import Difference, paired_difference

SIZES = (20, 50, 100)
PREDICTORS = ("EmProx", "XGBoost", "MLP", "SemiNAS")
SEARCHES = [(name, ensemble) for name in ("Bananas", "Npenas") for ensemble in ("xgb", "emprox")]


def dataset_api(root: str) -> dict:
    """Return the table in the form that NASLib's NAS-Bench-201 asks."""
    table = load_table("nasbench201", root)
    rows = zip(table.architectures, table.targets["val_accuracy"].tolist(), strict=True)
    cost = {"train_time": 0.0, "flops": 0.0, "params": 0.0, "latency": 0.0}
    return {"nb201_data": {str(a): {"cifar10-valid": {"eval_acc1es": [y], "cost_info": cost}} for a, y in rows}}


def search_space():
    """Return NASLib's search space, whose clones are shallow and build no network."""
    from naslib.search_spaces import NasBench201SearchSpace

    class Light(NasBench201SearchSpace):
        def clone(self):
            return copy.copy(self)

    space = Light()
    space.instantiate_model = False
    return space


def predictor(name: str):
    from naslib.predictors import MLPPredictor, SemiNASPredictor, XGBoost
    from naslib.utils.encodings import EncodingType

    makers = {
        "EmProx": plugs.EmProxPredictor,
        "XGBoost": XGBoost,
        "MLP": MLPPredictor,
        "SemiNAS": lambda: SemiNASPredictor(encoding_type=EncodingType.SEMINAS, semi=True),
    }
    return makers[name]()


def evaluate(name: str, seed: int, space, api: dict, test_size: int, sizes: tuple[int, ...]) -> list[dict]:
    """Run NASLib's PredictorEvaluator; the seed decides its test and training architectures, for every predictor the same."""
    from fvcore.common.config import CfgNode
    from naslib.defaults.predictor_evaluator import PredictorEvaluator

    options = {"experiment_type": "vary_train_size", "test_size": test_size, "train_size_list": list(sizes)}
    unused = {"train_size_single": 1, "fidelity_single": 1, "fidelity_list": [1], "max_hpo_time": 0}
    evaluator = PredictorEvaluator(predictor(name), CfgNode({**options, **unused, "dataset": "cifar10", "uniform_random": True}))
    evaluator._log_to_json = lambda: None  # it fails on the float32 of the MLP's answers
    evaluator.adapt_search_space(space, load_labeled=False, dataset_api=api)
    set_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        results = evaluator.evaluate()[1:]
    kept = ("train_size", "kendalltau", "spearman", "mae", "fit_time", "query_time")
    checked = {"test_sum": float(np.sum(results[0]["full_ytest"]))}
    return [{"predictor": name, "seed": seed, **{key: float(row[key]) for key in kept}, **checked} for row in results]


def search(name: str, ensemble: object, seed: int, space, api: dict, queries: int) -> list[dict]:
    """Run one of NASLib's optimizers; return the best accuracy so far after each query."""
    import naslib.optimizers
    from fvcore.common.config import CfgNode

    options = {
        "epochs": queries,
        "k": 10,
        "num_init": 10,
        "num_ensemble": 3,
        "predictor_type": "xgb",
        "acq_fn_type": "its",
        "acq_fn_optimization": "mutation",
        "encoding_type": "adjacency_one_hot",
        "num_arches_to_mutate": 5,
        "max_mutations": 1,
        "num_candidates": 100,
    }
    config = CfgNode({"dataset": "cifar10", "search": CfgNode(options)})
    optimizer = getattr(naslib.optimizers, name)(config)
    optimizer.adapt_search_space(space, dataset_api=api)
    if ensemble != "xgb":
        plugs.use_in(optimizer, ensemble)
    set_seed(seed)
    start = time.perf_counter()
    for epoch in range(queries):
        optimizer.new_epoch(epoch)
    seconds = time.perf_counter() - start
    best = np.maximum.accumulate([model.accuracy for model in optimizer.train_data])
    marks = [size for size in (20, 50, 100) if size <= queries]
    return [
        {
            "optimizer": name,
            "ensemble": ensemble,
            "seed": seed,
            "seconds": seconds,
            **{f"best_{m}": float(best[m - 1]) for m in marks},
        }
    ]


def set_seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (NASLib draws from it)
    torch.manual_seed(seed)


def run(args: argparse.Namespace) -> dict:
    naslib_checkout.prepare(args.naslib)
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    api, space = dataset_api(args.tables_root), search_space()
    out = Path(args.out)
    done = (
        json.loads(out.read_text()) if out.exists() else {"machine": machine(), "commit": commit(), "evaluator": [], "search": []}
    )
    have = {(r["predictor"], r["seed"]) for r in done["evaluator"]} | {
        (r["optimizer"], r["ensemble"], r["seed"]) for r in done["search"]
    }
    done |= {"test_size": args.test_size, "queries": args.queries}

    def add(part: str, rows: list[dict]) -> None:
        done[part] += rows
        out.write_text(json.dumps(done, indent=1) + "\n")
        for row in rows:
            print(json.dumps(row), flush=True)

    for seed in range(args.searches):
        for name, ensemble in SEARCHES:
            if (name, ensemble, seed) not in have:
                add("search", search(name, ensemble, seed, space, api, args.queries))
    sizes = tuple(size for size in SIZES if size <= args.queries)
    for seed in range(args.seeds):
        for name in PREDICTORS:
            if (name, seed) not in have:
                add("evaluator", evaluate(name, seed, space, api, args.test_size, sizes))
    return done


def markdown(done: dict) -> str:
    """Return the tables of docs/naslib.md."""
    lines = [
        "| labels | predictor | Kendall (sd) | EmProx better by (95 % interval) | fit, s | query, ms |",
        "|" + "---|" * 6,
    ]
    for size in sorted({int(r["train_size"]) for r in done["evaluator"]}):
        ours = {r["seed"]: r for r in done["evaluator"] if r["predictor"] == "EmProx" and r["train_size"] == size}
        for name in PREDICTORS:
            rows = {r["seed"]: r for r in done["evaluator"] if r["predictor"] == name and r["train_size"] == size}
            if any(rows[seed]["test_sum"] != ours[seed]["test_sum"] for seed in rows):
                raise SystemExit(f"{name} was scored on other test architectures than EmProx")
            tau = np.array([r["kendalltau"] for r in rows.values()])
            gain = "" if name == "EmProx" else shown(paired_difference([ours[seed]["kendalltau"] for seed in rows], tau), 3)
            fit, query = (np.median([r[key] for r in rows.values()]) for key in ("fit_time", "query_time"))
            lines.append(
                f"| {size} | {name} | {tau.mean():.3f} ({tau.std(ddof=1):.3f}) | {gain} | {fit:.2f} | {1000 * query:.2f} |"
            )
    marks = [key for key in done["search"][0] if key.startswith("best_")]
    titles = [f"best of {mark[5:]} (sd)" for mark in marks]
    lines += ["", f"| optimizer | asks | {' | '.join(titles)} | last: better by (95 % interval) | s for a run |"]
    lines.append("|" + "---|" * (len(marks) + 4))
    for name, ensemble in SEARCHES:
        rows = runs(done, name, ensemble)
        cells = [np.array([row[mark] for row in rows.values()]) for mark in marks]
        best = " | ".join(f"{cell.mean():.2f} ({cell.std(ddof=1):.2f})" for cell in cells)
        theirs = [runs(done, name, "xgb")[seed][marks[-1]] for seed in rows]
        gain = "" if ensemble == "xgb" else shown(paired_difference(cells[-1], theirs), 2)
        lines.append(f"| {name} | {ensemble} | {best} | {gain} | {np.mean([r['seconds'] for r in rows.values()]):.0f} |")
    return "\n".join(lines)


def shown(difference: Difference, digits: int) -> str:
    return f"{difference.mean:.{digits}f} ({difference.low:.{digits}f} to {difference.high:.{digits}f})"


def runs(done: dict, name: str, ensemble: str) -> dict[int, dict]:
    """Return the runs of one optimizer by seed."""
    return {row["seed"]: row for row in done["search"] if (row["optimizer"], row["ensemble"]) == (name, ensemble)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--naslib", help="folder of a NASLib checkout")
    parser.add_argument("--tables-root", help="folder of the table files")
    parser.add_argument("--out", default="benchmarks/results/naslib_host.json")
    parser.add_argument("--seeds", type=int, default=5, help="splits of the PredictorEvaluator")
    parser.add_argument("--searches", type=int, default=10, help="runs of each optimizer")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--test-size", type=int, default=500)
    parser.add_argument("--markdown", action="store_true", help="print the tables of a finished file and run nothing")
    given = parser.parse_args()
    print(markdown(json.loads(Path(given.out).read_text()) if given.markdown else run(given)))
