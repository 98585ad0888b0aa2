"""What choosing costs a guided search that knows a thousand: ``python benchmarks/search_cost.py --tables-root DIR --out FILE``.

1,000 architectures are told, then 222 are asked and told one by one, so that one new fit is among them. In a space the values
are the logarithm of the parameters, in a table its first target.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from emprox.benchmark import commit, machine
from emprox.parallel import limit_threads
from emprox.persistence import write_file
from emprox.search import GuidedEvolution, Pool, SpacePool, TablePool
from emprox.spaces import Architecture, get_space
from emprox.tables import load_table

KNOWN, ASKED = 1000, 222


def measure(pool: Pool) -> dict[str, Any]:
    """Return milliseconds of the processor and of the clock for each query: mean, median and the largest."""
    values = table_values(pool) if isinstance(pool, TablePool) else {}

    def value(architecture: Architecture) -> float:
        if values:
            return values[architecture]
        return float(np.log(pool.space.costs([architecture])[0, 0]))

    search = GuidedEvolution(pool, random_state=0)
    for architecture in pool.sample(np.random.default_rng(0), KNOWN, ()):
        search.tell(architecture, value(architecture))
    search.ask()  # the first fit is not a query's
    clock, processor = [], []
    for _ in range(ASKED):
        start, start_cpu = time.perf_counter(), time.process_time()
        (proposal,) = search.ask()
        found, found_cpu = time.perf_counter() - start, time.process_time() - start_cpu
        measured = value(proposal.architecture)
        start, start_cpu = time.perf_counter(), time.process_time()
        search.tell(proposal, measured)
        clock.append(1000 * (found + time.perf_counter() - start))
        processor.append(1000 * (found_cpu + time.process_time() - start_cpu))
    return {name: summary(times) for name, times in (("clock_ms", clock), ("cpu_ms", processor))}


def table_values(pool: TablePool) -> dict[Architecture, float]:
    _, column = pool.table.target()
    return dict(zip(pool.table.architectures, column.tolist(), strict=True))


def summary(times: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(times)), "median": float(np.median(times)), "largest": float(np.max(times))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-root", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    pools: dict[str, Pool] = {"table nasbench201": TablePool(load_table("nasbench201", arguments.tables_root))}
    pools |= {f"space {name}": SpacePool(get_space(name)) for name in ("nasbench201", "darts", "ofa-mobilenetv3")}
    content: dict[str, Any] = {
        "known": KNOWN,
        "asked": ASKED,
        "threads": 1,
        "commit": commit(),
        "machine": machine(),
        "results": {},
    }
    with limit_threads(1):
        for name, pool in pools.items():
            content["results"][name] = measure(pool)
            print(name, content["results"][name], flush=True)
            if arguments.out is not None:
                write_file(arguments.out, (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
