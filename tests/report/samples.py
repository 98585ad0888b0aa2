"""Small inputs of reports, as `emprox bench`, `emprox search` and benchmarks/ablation.py write them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from emprox import EmProx, Protocol, load_table, run_benchmark

BLOCKS = ("default", "without paths", "without ends", "and an autoencoder's embedding")


def bench(folder: Path) -> Path:
    """Write a real run with predictions."""
    protocol = Protocol((20, 40), test_size=60, trials=3)
    run = run_benchmark("bundled", ["knn", "emprox"], protocol, keep_predictions=True)
    return _write(folder / "results.json", run)


def model(folder: Path, known: int = 40) -> Path:
    """Write a real model."""
    table = load_table("bundled")
    target = table.targets["val_accuracy"][:known]
    EmProx(random_state=0).fit(table.architectures[:known], target).save(folder / "model")
    return folder / "model"


def ablation(folder: Path) -> Path:
    """Write taus of four lines, two tables, three sizes and five trials."""
    rng = np.random.default_rng(0)
    content = {
        line: {table: (0.7 - 0.02 * worse + rng.normal(0, 0.002, (3, 5))).tolist() for table in ("bundled", "nasbench301")}
        for worse, line in enumerate(BLOCKS)
    }
    return _write(folder / "ablation.json", content)


def search(folder: Path, method: str = "random", objectives: tuple[str, ...] = ("val_accuracy",), runs: int = 2) -> Path:
    """Write a search in the format of docs/search.md, four evaluations a run, the third of the first run failed."""
    rng = np.random.default_rng(len(method))
    content = {
        "format": 1,
        "kind": "search",
        "space": "nasbench201",
        "population": 2010,
        "table": "bundled",
        "objective": None,
        "method": method,
        "options": {"estimator": "emprox"} if method == "guided" else {},
        "machine": {"processor": "Xeon", "cores": 2, "python": "3.11", "packages": {}},
        "commit": "0123456789abcdef",
        "citation": "whom to cite",
        "goals": {
            "objectives": [{"name": name, "larger_is_better": name == "val_accuracy"} for name in objectives],
            "bounds": [],
            "reference_point": None,
        },
        "best_known": 91.0 if len(objectives) == 1 else None,
        "budget": {"evaluations": 4, "seconds": None},
        "runs": [_search_run(seed, method, objectives, rng) for seed in range(runs)],
    }
    steps = ("best_so_far", "regret", "rank") if len(objectives) == 1 else ("hypervolume",)
    content["summary"] = [
        {"evaluations": n + 1} | {s: _spread([r[s][n] for r in content["runs"]]) for s in steps} for n in range(4)
    ]
    return _write(folder / f"{method}-{len(objectives)}" / "result.json", content)


def _search_run(seed: int, method: str, objectives: tuple[str, ...], rng: np.random.Generator) -> dict[str, Any]:
    values = rng.uniform(80, 91, 4)
    trials = [
        {
            "number": n,
            "architecture": f"|cell {seed}.{n}|",
            "hash": f"{seed}{n}",
            "values": None if (seed, n) == (0, 2) else {name: float(values[n]) * 1000**i for i, name in enumerate(objectives)},
            "error": "out of memory" if (seed, n) == (0, 2) else None,
            "origin": "sample",
            "belief": {"val_accuracy": {"estimate": float(values[n]) + 1, "std": 1.0}} if method == "guided" else {},
            "seconds": None,
            "at": 0.1,
        }
        for n in range(4)
    ]
    found = np.array([t["values"]["val_accuracy"] if t["values"] else -np.inf for t in trials])
    best = np.maximum.accumulate(found)
    reached = {"best_so_far": best, "regret": 91 - best, "rank": 92 - np.floor(best), "hypervolume": best * 10}
    run = {"seed": seed, "evaluations": 4, "failures": int(seed == 0), "choosing_seconds": 0.4, "best": int(found.argmax())}
    return run | {"front": [int(found.argmax())], "trials": trials} | {name: column.tolist() for name, column in reached.items()}


def _spread(values: list[float]) -> dict[str, float]:
    middle = float(np.mean(values))
    return {"mean": middle, "lower": min(values), "upper": max(values), "median": middle}


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
