"""What emprox relies on in NASLib, recorded from branch Develop, commit 0b51bc18: names, arguments, shapes.

`test_naslib_host.py` runs against this, and checks it against the real package where that can be imported.
"""

from __future__ import annotations

import enum
import importlib
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


class EncodingType(enum.Enum):
    ADJACENCY_ONE_HOT = "adjacency_one_hot"
    ADJACENCY_MIX = "adjacency_mix"
    PATH = "path"
    GCN = "gcn"
    BONAS = "bonas"
    SEMINAS = "seminas"
    COMPACT = "compact"


class Predictor:
    def __init__(self, ss_type=None, encoding_type=None):
        self.ss_type, self.encoding_type = ss_type, encoding_type

    def set_ss_type(self, ss_type):
        self.ss_type = ss_type

    def pre_process(self):
        pass

    def pre_compute(self, xtrain, xtest, unlabeled=None):
        pass

    def fit(self, xtrain, ytrain, info=None):
        pass

    def query(self, xtest, info):
        pass

    def get_data_reqs(self):
        return {
            "requires_partial_lc": False,
            "metric": None,
            "requires_hyperparameters": False,
            "hyperparams": {},
            "unlabeled": False,
            "unlabeled_factor": 0,
        }

    def set_hyperparams(self, hyperparams):
        self.hyperparams = hyperparams

    def get_hyperparams(self):
        return self.hyperparams

    def reset_hyperparams(self):
        self.hyperparams = None

    def get_hpo_wrapper(self):
        return getattr(self, "hpo_wrapper", None)


class XGBoost(Predictor):
    """Stands for NASLib's predictors: it asks graphs for their encoding, divides by the spread and squeezes its answer."""

    def fit(self, xtrain, ytrain, train_info=None):
        self.mean, self.std = np.mean(ytrain), np.std(ytrain)
        columns = np.array([arch.encode(encoding_type=EncodingType.ADJACENCY_ONE_HOT) for arch in xtrain])
        self.slope = np.linalg.lstsq(columns, (np.array(ytrain) - self.mean) / self.std, rcond=1e-6)[0]
        print("fitted")  # noqa: T201

    def query(self, xtest, info=None):
        columns = np.array([arch.encode(encoding_type=EncodingType.ADJACENCY_ONE_HOT) for arch in xtest])
        return np.squeeze(columns @ self.slope) * self.std + self.mean


class NasBench201SearchSpace:
    kind, options = "nasbench201", 5

    def __init__(self):
        self.op_indices, self.instantiate_model = None, True

    def get_type(self):
        return self.kind

    def get_op_indices(self):
        return self.op_indices

    def get_hash(self):
        return tuple(self.get_op_indices())

    def set_spec(self, op_indices, dataset_api=None):
        assert not self.instantiate_model, "no network is needed"
        self.op_indices = op_indices

    def encode(self, encoding_type=EncodingType.ADJACENCY_ONE_HOT):
        return np.eye(self.options)[list(self.op_indices)].ravel().tolist()


class TransBench101SearchSpaceMicro(NasBench201SearchSpace):
    kind, options = "transbench101_micro", 4

    def __init__(self):
        super().__init__()
        self.create_graph = False


class NasBench101SearchSpace(NasBench201SearchSpace):
    kind = "nasbench101"
    ops = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")

    def __init__(self):
        super().__init__()
        self.spec = None

    def get_spec(self):
        return self.spec

    def get_hash(self):
        return (*self.spec["matrix"].flatten(), *(self.ops.index(op) for op in self.spec["ops"]))

    def set_spec(self, spec, dataset_api=None):
        assert not self.instantiate_model, "no network is needed"
        self.spec = spec

    def convert_to_cell(self, matrix, ops):
        n, padded = len(matrix), np.zeros((7, 7), dtype="int8")
        padded[:n, : n - 1], padded[:n, 6] = matrix[:, :-1], matrix[:, -1]
        return {"matrix": padded, "ops": [*ops[:-1], *["conv3x3-bn-relu"] * (7 - n), "output"]}

    def encode(self, encoding_type=EncodingType.ADJACENCY_ONE_HOT):
        return self.get_hash()


class NasBench301SearchSpace(NasBench201SearchSpace):
    kind = "nasbench301"

    def __init__(self):
        super().__init__()
        self.compact = None

    def get_compact(self):
        return self.compact

    def get_hash(self):
        return self.get_compact()

    def set_spec(self, compact, dataset_api=None):
        assert not self.instantiate_model, "no network is needed"
        self.compact = compact

    def encode(self, encoding_type=EncodingType.ADJACENCY_ONE_HOT):
        return np.ravel(self.compact).tolist()


SPACES = (NasBench101SearchSpace, NasBench201SearchSpace, NasBench301SearchSpace, TransBench101SearchSpaceMicro)


class Bananas:
    """What Bananas and Npenas do with an ensemble: fit it on all, ask it one architecture at a time, take mean and deviation."""

    def __init__(self, config, zc_api=None):
        self.zc, self.semi, self.train_data, self.asked = config.get("zc"), config.get("semi", False), [], []

    def adapt_search_space(self, search_space, scope=None, dataset_api=None):
        self.ss_type = search_space.get_type()

    def _get_ensemble(self):
        raise AssertionError("the optimizer's own ensemble was asked")

    def new_epoch(self, epoch):
        archs, accuracies = zip(*self.train_data, strict=True)
        ensemble = self._get_ensemble()
        ensemble.fit(list(archs), list(accuracies))
        self.asked = [ensemble.query([arch], None) for arch in archs]


class Npenas(Bananas):
    pass


def modules() -> dict[str, ModuleType]:
    """Return modules by name that hold the above where NASLib has it."""
    places = {
        "naslib": (),
        "naslib.predictors": (Predictor, XGBoost),
        "naslib.predictors.predictor": (Predictor,),
        "naslib.search_spaces": SPACES,
        "naslib.utils": (),
        "naslib.utils.encodings": (EncodingType,),
        "naslib.optimizers": (Bananas, Npenas),
    }
    made = {}
    for name, members in places.items():
        made[name] = ModuleType(name)
        made[name].__path__ = []
        vars(made[name]).update({member.__name__: member for member in members})
    return made


def install(patch) -> None:
    """Let ``import naslib`` find the above for as long as the patch lasts."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "naslib"]:
        patch.delitem(sys.modules, name)
    for name, module in modules().items():
        patch.setitem(sys.modules, name, module)


def import_real() -> None:
    """Import NASLib itself, from the checkout that the environment variable NASLIB names, or skip with a reason."""
    if "NASLIB" in os.environ and "naslib" not in sys.modules:
        sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("naslib_checkout").prepare(os.environ["NASLIB"])
    pytest.importorskip("naslib", reason="NASLib is not installed; set NASLIB to a checkout, see docs/naslib.md")
