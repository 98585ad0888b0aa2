"""Reading stays under 500 MB, measured in a process of its own."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from emprox.spaces import get_space

SPACE = get_space("nasbench201")
BOUND_MB = 500
MEASURE = """
import json, re, sys
from emprox.tables import load_table, read_naslib, read_nats_bench
table = eval(sys.argv[1])
status = open("/proc/self/status").read()
print(json.dumps([int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) / 1024, len(table)]))
"""


def peak_mb(expression):
    """Return the largest resident memory of a process that reads a table, in MB, and the table's rows."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, expression],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


# getrusage would do elsewhere, but on Linux its maximum includes the process that this one was started from.
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
class TestMemory:
    @pytest.mark.parametrize("name", ["nasbench201", "nasbench201:ImageNet16-120", "nasbench201-12epochs:cifar100"])
    def test_tables_of_the_catalogue(self, tables_root, name):
        peak, rows = peak_mb(f"load_table({name!r}, {str(tables_root)!r})")
        assert rows == 15625
        assert peak < BOUND_MB

    def test_naslib_with_all_cells_and_all_epochs(self, tmp_path):
        floats = np.random.default_rng(0).uniform(0, 100, (SPACE.size, 4, 200))
        keys = ("eval_acc1es", "train_acc1es", "eval_losses", "train_losses")
        path = tmp_path / "nb201_cifar10_full_training.pickle"
        cells = ((str(cell), dict(zip(keys, row.tolist(), strict=True))) for cell, row in zip(SPACE, floats, strict=True))
        path.write_bytes(pickle.dumps({text: {"cifar10-valid": cell} for text, cell in cells}))
        peak, rows = peak_mb(f"read_naslib({str(path)!r})")
        assert rows == SPACE.size
        assert peak < BOUND_MB
        path.unlink()

    def test_nats_bench_does_not_grow_with_the_number_of_architectures(self, tmp_path):
        nats_bench = pytest.importorskip("nats_bench")
        cells = SPACE.sample(np.random.default_rng(0), 200)
        for index, cell in enumerate(cells):
            nats_bench.pickle_save({"200": _nats_state(nats_bench, index, str(cell))}, tmp_path / f"{index:06d}.pickle")
        peak, rows = peak_mb(f"read_nats_bench({str(tmp_path)!r})")
        assert rows == len(cells)
        assert peak < BOUND_MB


def _nats_state(package, index, text):
    results = package.ArchResults(index, text)
    for name, part in (("cifar10-valid", "x-valid"), ("cifar10", "ori-test")):
        for seed in (777, 888):
            curve = {epoch: epoch / 2 for epoch in range(200)}
            result = package.ResultsCount(name, None, curve, curve, 1.0, 1.0, {"arch_str": text}, seed, 200, [0.01])
            result.eval_names = [part]
            result.eval_acc1es = {f"{part}@{epoch}": value for epoch, value in curve.items()}
            result.eval_losses = dict(result.eval_acc1es)
            results.update(name, seed, result)
    return results.state_dict()
