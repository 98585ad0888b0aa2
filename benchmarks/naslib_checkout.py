"""Make a checkout of NASLib importable on a Python and on packages newer than it is, without changing a file of it.

NASLib's setup.py refuses Python 3.10 and newer, and its modules import packages for spaces, data sets and predictors that are
not used here. `prepare` puts the checkout on ``sys.path``, puts back what Python and scikit-learn have dropped, stands in for
packages that are missing, and makes the tokens of SemiNAS integers, since torch refuses others. Beside emprox with xgboost and
networkx this needs ``pip install fvcore six tqdm pyro-ppl``.
"""

import collections
import collections.abc
import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import sklearn.metrics

NOT_USED = (
    "ConfigSpace",
    "emcee",
    "gdown",
    "grakel",
    "lightgbm",
    "nasbench301",
    "nasbench_pytorch",
    "nats_bench",
    "ngboost",
    "pybnn",
    "pytorch_msssim",
    "skimage",
    "statsmodels",
    "tensorwatch",
    "torchvision",
    "transforms3d",
)
"""Packages that NASLib imports and that its NAS-Bench-201, Bananas, Npenas, XGBoost, MLP and SemiNAS do not call."""


class StandIns:
    """Finds every module of missing packages; their names are classes that do nothing."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in self.packages:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = nothing


def nothing(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {"__init__": lambda self, *args, **options: None})


def prepare(checkout: str | Path) -> None:
    """Make ``import naslib`` find the checkout."""
    folder = Path(checkout).resolve()
    if not (folder / "naslib" / "predictors").is_dir():
        raise SystemExit(f"expected a checkout of NASLib, {folder} has no folder naslib/predictors; see docs/naslib.md")
    sys.path.insert(0, str(folder))
    for name in ("Iterable", "Mapping", "MutableMapping", "Sequence"):
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    sys.meta_path.append(StandIns([name for name in NOT_USED if importlib.util.find_spec(name) is None]))
    seminas = importlib.import_module("naslib.predictors.seminas")
    tokens = seminas.convert_arch_to_seq
    seminas.convert_arch_to_seq = lambda *args, **options: [int(token) for token in tokens(*args, **options)]
    evaluator = importlib.import_module("naslib.defaults.predictor_evaluator")
    evaluator.metrics = SimpleNamespace(mean_squared_error=mean_squared_error)


def mean_squared_error(y_true: object, y_pred: object, squared: bool = True) -> float:
    """Return what scikit-learn returned up to 1.5; the evaluator turns all metrics into NaN when the call fails."""
    return float(sklearn.metrics.mean_squared_error(y_true, y_pred)) ** (1 if squared else 0.5)
