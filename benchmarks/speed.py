"""Seconds of the default `EmProx` from architecture strings: ``python benchmarks/speed.py --tables-root DIR``.

NAS-Bench-201, one thread: fit at 121 to 10,000 labels, 5,000 queries at once, one by one; medians of `REPEATS`. Then one by one,
with standard deviations, in every space with 121 random architectures known. The processor's seconds stand beside
the clock's, which a busy machine stretches.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emprox import load_table
from emprox.benchmark import commit, machine
from emprox.estimators import EmProx
from emprox.parallel import limit_threads
from emprox.spaces import SPACES, get_space

RESULTS = Path(__file__).parent / "results" / "speed.json"
KNOWN, ASKED, SINGLE, REPEATS = (121, 1000, 10_000), 5000, 100, 5


def seconds(call: Callable[[], object]) -> dict[str, float]:
    """Return the median seconds of a call, by the clock and of the processor."""
    clock, processor = [], []
    for _ in range(REPEATS):
        start, start_cpu = time.perf_counter(), time.process_time()
        call()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_cpu)
    return {"clock": float(np.median(clock)), "processor": float(np.median(processor))}


def single_query(name: str) -> dict[str, float]:
    """Return milliseconds of a query of one architecture, with its standard deviation."""
    space = get_space(name)
    archs = space.sample(np.random.default_rng(0), KNOWN[0] + SINGLE)
    estimator = EmProx().fit(archs[: KNOWN[0]], np.log(space.costs(archs[: KNOWN[0]])[:, 0]))
    spent = seconds(lambda: [estimator.predict([arch], return_std=True) for arch in archs[KNOWN[0] :]])
    return {kind: 1000 * value / SINGLE for kind, value in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-root")
    table = load_table("nasbench201", parser.parse_args().tables_root)
    strings, y = [str(a) for a in table.architectures], table.target(None)[1]
    order = np.random.default_rng(0).permutation(len(strings))
    asked = [strings[i] for i in order[-ASKED:]]
    results = []
    with limit_threads(1):
        for known in KNOWN:
            archs, values = [strings[i] for i in order[:known]], y[order[:known]]
            estimator = EmProx(space="nasbench201").fit(archs, values)
            fit = seconds(lambda: EmProx(space="nasbench201").fit(archs, values))  # noqa: B023
            batch = seconds(lambda: estimator.predict(asked))  # noqa: B023
            sure = seconds(lambda: estimator.predict(asked, return_std=True))  # noqa: B023
            single = seconds(lambda: [estimator.predict([a]) for a in asked[:SINGLE]])  # noqa: B023
            row = {
                "known": known,
                "fit_seconds": fit,
                "queries_per_second": {kind: ASKED / value for kind, value in batch.items()},
                "queries_with_std_per_second": {kind: ASKED / value for kind, value in sure.items()},
                "single_query_ms": {kind: 1000 * value / SINGLE for kind, value in single.items()},
            }
            results.append(row)
            print(json.dumps(row), flush=True)
        alone = {name: single_query(name) for name in SPACES}
    print(json.dumps(alone), flush=True)
    facts = {"machine": machine(), "commit": commit(), "results": results, "single_query_with_std_ms": alone}
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
