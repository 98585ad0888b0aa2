"""A NASLib predictor as an emprox estimator."""

from __future__ import annotations

import contextlib
import copy
import io
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from emprox.errors import InvalidOptionError
from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.integrations.naslib import SPACES, import_naslib
from emprox.spaces import Architecture, ArchitectureFamily, get_space

__all__ = ["NASLibEstimator"]

GRAPHS = {
    "nasbench101": "NasBench101SearchSpace",
    "nasbench201": "NasBench201SearchSpace",
    "nasbench301": "NasBench301SearchSpace",
    "transbench101_micro": "TransBench101SearchSpaceMicro",
}
"""NASLib's name of a search space to its class."""


class NASLibEstimator(ArchitectureRegressor):
    """A predictor of NASLib with its default hyperparameters, fitted and asked through NASLib's own graph objects.

    A saved one holds its data and seed and is fitted again when loaded. NASLib draws from the global generators; they are
    seeded while it fits and answers, and put back afterwards. What it prints is dropped. Predictors that learn from unlabelled
    architectures get a random sample of the space. Equal measurements, which NASLib divides by the spread of, are answered
    here. ``y_std`` is not used.

    Parameters
    ----------
    predictor : str or Predictor
        Name of a class in ``naslib.predictors`` (``XGBoost``, ``MLPPredictor``, ``SemiNASPredictor``), or an unfitted predictor,
        of which every ``fit`` takes a copy. One given as an object cannot be saved.
    encoding : str or None
        Name of NASLib's encoding type, such as ``adjacency_one_hot``, ``path`` or ``seminas``; None is the predictor's own.
    space : str, SearchSpace or None
        The search space; None takes it from the architectures.
    random_state : int or None
        Seed.

    References
    ----------
    White et al., *How Powerful are Performance Predictors in Neural Architecture Search?*, NeurIPS 2021.
    """

    kind = "naslib"

    def __init__(
        self,
        *,
        predictor: Any = "XGBoost",
        encoding: str | None = None,
        space: str | ArchitectureFamily | None = None,
        random_state: int | None = None,
    ) -> None:
        self.predictor = predictor
        self.encoding = encoding
        self.space = space
        self.random_state = random_state

    def _check_options(self) -> None:
        if isinstance(self.predictor, str):
            self._class()

    def _class(self) -> Any:
        predictors = import_naslib("naslib.predictors")
        if not hasattr(predictors, self.predictor):
            known = [name for name in vars(predictors) if name[0].isupper()]
            raise InvalidOptionError(f"naslib.predictors has no {self.predictor!r}; it has {', '.join(sorted(known))}")
        return getattr(predictors, self.predictor)

    def _fit(self) -> None:
        fresh = np.random.default_rng().integers(2**31)
        self.seed_ = int(fresh) if self.random_state is None else self.random_state
        self._train()

    def _train(self) -> None:
        self.ss_type_ = next((name for name, (space, _) in SPACES.items() if space == self.space_.name), "")
        if not self.ss_type_:
            raise InvalidOptionError(f"NASLib has no counterpart of the search space {self.space_.name!r}")
        self.predictor_ = copy.deepcopy(self.predictor) if not isinstance(self.predictor, str) else self._class()()
        self.predictor_.set_ss_type(self.ss_type_)
        if self.encoding is not None:
            self.predictor_.encoding_type = import_naslib("naslib.utils.encodings").EncodingType(self.encoding)
        if np.ptp(self.y_) > 0:
            with _seeded(self.seed_):
                self.predictor_.pre_process()
                known = self._graphs(self.architectures_)
                self.predictor_.pre_compute(known, [], self._unlabelled())
                self.predictor_.fit(known, self.y_.tolist())

    def _unlabelled(self) -> list[Any] | None:
        """Return as many unlabelled architectures as the predictor asks for."""
        wants = self.predictor_.get_data_reqs()
        if wants["requires_partial_lc"] or wants["requires_hyperparameters"]:
            raise InvalidOptionError(
                f"{type(self.predictor_).__name__} needs learning curves or training settings, there are none"
            )
        if not wants["unlabeled"]:
            return None
        count = len(self.architectures_) * wants["unlabeled_factor"]
        return self._graphs(get_space(self.space_).sample(np.random.default_rng(self.seed_), count))

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        if not architectures:
            return np.empty(0), None
        if np.ptp(self.y_) == 0:
            return np.full(len(architectures), self.y_[0]), None
        with _seeded(self.seed_):
            found = np.asarray(self.predictor_.query(self._graphs(architectures), None), dtype=np.float64)
        members = found.reshape(-1, len(architectures))  # NASLib squeezes: one answer has shape (), an ensemble's (M, n)
        return members.mean(axis=0), None

    def _graphs(self, architectures: list[Architecture]) -> list[Any]:
        """Return NASLib's objects: shallow copies of one, since building or cloning one takes a tenth of a second."""
        graphs = []
        for architecture in architectures:
            graph = copy.copy(self._empty())
            graph.set_spec(self._spec(architecture))
            graphs.append(graph)
        return graphs

    def _empty(self) -> Any:
        return _empty_graph(getattr(import_naslib("naslib.search_spaces"), GRAPHS[self.ss_type_]))

    def _spec(self, architecture: Architecture) -> Any:
        """Return what the search space's ``set_spec`` takes."""
        if self.ss_type_ == "nasbench101":
            space = get_space(self.space_)
            cell = space.cells([architecture])
            present = cell.ops[0] >= 0
            matrix = cell.adjacency[0][present][:, present].astype(int)
            names = ("input", *space.ops, "output")
            return self._empty().convert_to_cell(matrix, [names[op] for op in cell.ops[0][present]])
        if self.ss_type_ == "nasbench301":
            return tuple(tuple(pairs) for pairs in self.space_.pairs(architecture))  # type: ignore[attr-defined]
        return architecture.spec

    def _options(self) -> dict[str, Any]:
        if not isinstance(self.predictor, str):
            raise InvalidOptionError("a NASLib predictor given as an object cannot be saved; give the name of its class")
        return super()._options()

    def _write(self, folder: Path) -> dict[str, Any]:
        return {"seed": self.seed_}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self.seed_ = state["seed"]
        self._train()


@cache
def _empty_graph(graph_type: Any) -> Any:
    """Return NASLib's object of a search space that takes a description and builds nothing."""
    graph = graph_type()
    graph.instantiate_model = False
    return graph


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators for a while, and drop what is printed."""
    import torch

    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (NASLib uses them)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        torch.set_rng_state(kept[2])
