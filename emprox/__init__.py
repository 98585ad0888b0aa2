"""Estimate how good an architecture is before training it, from the nearest architectures already measured.

Stages, left to right: `spaces`, `encodings`, `encoders`, `tables`, `index`, `proxies`, `estimators`, `search`, `report`.
Every name below is loaded when it is first used, so that ``import emprox`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emprox.benchmark import Protocol, run_benchmark
    from emprox.errors import EmproxError
    from emprox.estimators import EmProx, XGBoost, load, make_estimator
    from emprox.spaces import Architecture, get_space
    from emprox.tables import PerformanceTable, load_table, read_csv

__all__ = [
    "Architecture",
    "EmProx",
    "EmproxError",
    "PerformanceTable",
    "Protocol",
    "XGBoost",
    "get_space",
    "load",
    "load_table",
    "make_estimator",
    "read_csv",
    "run_benchmark",
]

_HOMES = {
    "Architecture": "emprox.spaces",
    "EmProx": "emprox.estimators",
    "EmproxError": "emprox.errors",
    "PerformanceTable": "emprox.tables",
    "Protocol": "emprox.benchmark",
    "XGBoost": "emprox.estimators",
    "get_space": "emprox.spaces",
    "load": "emprox.estimators",
    "load_table": "emprox.tables",
    "make_estimator": "emprox.estimators",
    "read_csv": "emprox.tables",
    "run_benchmark": "emprox.benchmark",
}

__version__ = version("emprox")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'emprox' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
