"""What scoring a candidate costs, and what two workers are worth: ``python benchmarks/cluster_speed.py --out FILE``.

EmProx is fitted on 121 architectures of a space, drawn at random, with the logarithm of their parameters for an accuracy: what is
learned does not change what scoring costs. Costs are seconds of the processor for one
architecture, the median of repeats; speed-ups compare two workers with one of the same engine by the clock, once they are warm.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from emprox import EmProx
from emprox.benchmark import commit, machine
from emprox.estimators.ranking import CHUNK, estimate_many, estimate_samples
from emprox.parallel import ENGINES, Engine, limit_threads
from emprox.persistence import write_file
from emprox.spaces import get_space

LABELS, TOP = 121, 1_000
SPACES = ("nasbench201", "darts", "ofa-mobilenetv3")
TIMED = "darts"
"""Space of the runs on workers."""


def fitted(name: str) -> EmProx:
    space = get_space(name)
    known = space.sample(np.random.default_rng(0), LABELS)
    return EmProx().fit(known, np.log(1 + space.costs(known)[:, 0]))


def microseconds(call: Callable[[], Any], count: int, repeats: int) -> float:
    """Return the processor's time for one of `count` architectures, median of repeats, after one call that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return round(1e6 * statistics.median(taken) / count, 2)


def costs(model: EmProx, repeats: int) -> dict[str, Any]:
    """Return what one architecture costs, and what a worker is sent and sends back."""
    space = get_space(model.space_)
    cells = space.sample(np.random.default_rng(2), CHUNK)
    texts = [str(cell) for cell in cells]
    return {
        "sample_us": microseconds(lambda: space.sample(np.random.default_rng(1), CHUNK), CHUNK, repeats),
        "predict_from_strings_us": microseconds(lambda: model.predict(texts, return_std=True), CHUNK, repeats),
        "predict_from_architectures_us": microseconds(lambda: model.predict(cells, return_std=True), CHUNK, repeats),
        "best_of_strings_us": microseconds(lambda: estimate_many(model, texts, top=TOP), CHUNK, repeats),
        "best_of_samples_us": microseconds(lambda: estimate_samples(model, CHUNK, top=TOP), CHUNK, repeats),
        "model_bytes": len(pickle.dumps(model)),
        "best_bytes": len(pickle.dumps(estimate_samples(model, CHUNK, top=TOP))),
        "string_bytes": round(statistics.mean(len(text) + 1 for text in texts), 1),
        "resident_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


@contextmanager
def workers(name: str, jobs: int) -> Iterator[Engine]:
    """Start so many workers, which `Engine` then finds."""
    with ExitStack() as stack:
        if name == "dask":
            from distributed import Client, LocalCluster

            options = {"n_workers": jobs, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
            stack.enter_context(Client(stack.enter_context(LocalCluster(**options))))
        if name == "ray":
            import ray

            ray.init("local", num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            stack.callback(ray.shutdown)
        yield Engine(name, jobs)


def seconds(model: EmProx, name: str, jobs: int, count: int, repeats: int) -> list[float]:
    """Return the seconds of each repeat."""
    taken = []
    with workers(name, jobs) as engine:
        estimate_samples(model, 4 * jobs * CHUNK, top=TOP, seed=1, engine=engine)
        for _ in range(repeats):
            start = time.perf_counter()
            estimate_samples(model, count, top=TOP, engine=engine)
            taken.append(round(time.perf_counter() - start, 3))
    return taken


def speed_ups(model: EmProx, engines: list[str], count: int, repeats: int) -> list[dict[str, Any]]:
    rows = []
    for name in engines:
        load = round(os.getloadavg()[0], 1)
        one, two = (seconds(model, name, jobs, count, repeats) for jobs in (1, 2))
        ratio = round(statistics.median(one) / statistics.median(two), 2)
        rows.append({"engine": name, "architectures": count, "one": one, "two": two, "speed_up": ratio, "load_before": load})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--architectures", type=int, default=50_000, help="how many a timed run scores")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="only this one; may be repeated")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"labels": LABELS, "top": TOP, "chunk": CHUNK, "load_before": os.getloadavg()[0]}
    with limit_threads(1):
        found["costs"] = {name: costs(fitted(name), arguments.repeats) for name in SPACES}
    print(found["costs"], flush=True)
    names = arguments.engine or list(ENGINES)
    found["speed_ups"] = speed_ups(fitted(TIMED), names, arguments.architectures, arguments.repeats)
    about = {"commit": commit(), "machine": machine(), "threads": 1, "cores": len(os.sched_getaffinity(0))}
    write_file(arguments.out, (json.dumps(found | about, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
