"""The topology space of NATS-Bench (the cells of NAS-Bench-201) from the official files, read with the package ``nats_bench``.

The files are passed around without a fixed address, so they are in no catalogue; get them from the benchmark's page. The package
knows what the results mean, but it would unpickle whatever it is given: the unpickling is done here, with a list of what may
appear, and the package gets plain values.
"""

from __future__ import annotations

import bz2
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox._optional import import_optional
from emprox.errors import CorruptFileError, InvalidDataError, StorageError, UnknownNameError
from emprox.registry import nearest
from emprox.spaces import Architecture, get_space
from emprox.tables.allow_list import unpickle_allowed
from emprox.tables.base import PerformanceTable
from emprox.tables.runs import average, columns_of

__all__ = ["read_nats_bench"]

EXTENSION = ".pickle.pbz2"
MOST_BYTES = 32 << 20
"""Of one file, unpacked; Python objects take about seven times as much."""
SETS = {
    "cifar10": {"val_accuracy": ("cifar10-valid", "x-valid"), "test_accuracy": ("cifar10", "ori-test")},
    "cifar100": {"val_accuracy": ("cifar100", "x-valid"), "test_accuracy": ("cifar100", "x-test")},
    "ImageNet16-120": {"val_accuracy": ("ImageNet16-120", "x-valid"), "test_accuracy": ("ImageNet16-120", "x-test")},
}
"""Data set and part, in the package's names, of each target."""
CITATION = (
    "Dong, Liu, Musial and Gabrys, NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size, "
    "IEEE Transactions on Pattern Analysis and Machine Intelligence 2021."
)


def read_nats_bench(path: str | Path, dataset: str = "cifar10", epochs: int = 200) -> PerformanceTable:
    """Read one data set: validation and test accuracy (percent), mean, spread and count over seeds, learning curves, costs.

    Parameters
    ----------
    path : str or Path
        The folder ``NATS-tss-v1_0-3ffb9-simple`` with a file for each architecture, which is read one architecture at a time;
        or one file of the same content, if it is small enough to be read at once.
    dataset : {"cifar10", "cifar100", "ImageNet16-120"}
        The data set.
    epochs : {12, 200}
        The training schedule.

    Raises
    ------
    MissingDependencyError
        If ``nats_bench`` is not installed (extra ``nats``).
    UnknownNameError
        If there is no such data set or schedule.
    StorageError
        If a file cannot be read.
    CorruptFileError
        If a file is damaged, too large, or holds anything but plain results.
    """
    if dataset not in SETS:
        raise UnknownNameError(f"no data set {dataset!r}; {nearest(dataset, list(SETS))}")
    package = import_optional("nats_bench", "nats")
    space = get_space("nasbench201")
    architectures: list[Architecture] = []
    found: list[_Results] = []
    for name, state in _states(Path(path)):
        try:
            results = package.ArchResults.create_from_state_dict(_schedule(state, epochs))
            found.append(_Results(results, dataset))
            architectures.append(space.parse(results.arch_str))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise CorruptFileError(f"{name} is not an architecture of NATS-Bench with {dataset}: {error!r}") from error
    if not found:
        raise InvalidDataError(f"{path} holds no architecture of NATS-Bench")
    return _table(f"nats-bench:{dataset}", tuple(architectures), found)


class _Results:
    """What is kept of one architecture."""

    def __init__(self, results: Any, dataset: str) -> None:
        sets = SETS[dataset]
        self.runs: dict[str, list[float]] = {}
        for target, (name, part) in sets.items():
            seeds = results.get_dataset_seeds(name)
            self.runs[target] = [results.get_metrics(name, part, is_random=seed)["accuracy"] for seed in seeds]
        name, part = sets["val_accuracy"]
        self.curve = np.mean([_curve(run, part) for run in results.query(name).values()], axis=0)
        costs = results.get_compute_costs(name)
        self.costs = {"params_millions": costs["params"], "flops_millions": costs["flops"], "latency_seconds": costs["latency"]}


def _curve(run: Any, part: str) -> NDArray[np.float64]:
    """Return the accuracy after each epoch, NaN where it was not taken, ndarray of shape (epochs,)."""
    return np.array([run.eval_acc1es.get(f"{part}@{epoch}", np.nan) for epoch in range(run.epochs)], dtype=np.float64)


def _table(name: str, architectures: tuple[Architecture, ...], found: list[_Results]) -> PerformanceTable:
    averages = {}
    for target in found[0].runs:
        runs = [results.runs[target] for results in found]
        averages[target] = average(np.concatenate(runs), np.repeat(np.arange(len(runs)), [len(values) for values in runs]))
    costs = {key: [results.costs[key] for results in found] for key in found[0].costs}
    return PerformanceTable(
        name,
        "nasbench201",
        architectures,
        **columns_of(averages),
        citation=CITATION,
        curves={"val_accuracy": np.stack([results.curve for results in found])},
        columns={key: np.array([np.nan if v is None else v for v in values], dtype=np.float64) for key, values in costs.items()},
    )


def _states(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield a name and the state of each architecture, in the order of their numbers."""
    if not path.is_dir():
        content = _load(path)
        try:
            states = [(f"{path}, architecture {i}", content["arch2infos"][i]) for i in sorted(content["arch2infos"])]
        except (KeyError, TypeError) as error:
            raise CorruptFileError(f"{path} is not a file of NATS-Bench: {error!r}") from error
        yield from states
        return
    numbered = {file.name.removesuffix(EXTENSION): file for file in path.glob(f"*{EXTENSION}")}
    for number in sorted(filter(str.isdecimal, numbered), key=int):
        yield str(numbered[number]), _load(numbered[number])


def _load(path: Path) -> Any:
    try:
        with bz2.open(path) as file:
            data = file.read(MOST_BYTES + 1)
    except EOFError as error:
        raise CorruptFileError(f"{path} is cut short: {error}; get it again") from error
    except OSError as error:  # bz2 reports damage as OSError without a number
        kind = CorruptFileError if error.errno is None else StorageError
        raise kind(f"cannot read {path}: {error}") from error
    if len(data) > MOST_BYTES:
        raise CorruptFileError(
            f"{path} unpacks to more than {MOST_BYTES} bytes, too much to be read at once; use the folder with one file for each "
            "architecture (NATS-tss-v1_0-3ffb9-simple)"
        )
    return unpickle_allowed(data, ALLOWED, str(path))


def _schedule(state: Any, epochs: int) -> Any:
    if str(epochs) not in state:
        raise UnknownNameError(f"no schedule of {epochs} epochs; {nearest(str(epochs), [str(key) for key in state])}")
    return state[str(epochs)]


class _Dtype:
    """Stands for numpy's class of that name: keeps the code of a number type and its byte order."""

    def __init__(self, code: str, *options: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1].replace("|", "=")


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    """Stand for numpy's function of that name; numbers only."""
    if dtype.code not in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "b1"):
        raise ValueError(f"a scalar of type {dtype.code}")
    return np.frombuffer(data, np.dtype(dtype.order + dtype.code))[0].item()


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}
"""Besides plain data, results hold ordered dicts and numbers of numpy."""
