"""ImageNet accuracy of timm's weight sets: what their names tell of recipe and pretraining, and a table of their graphs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emprox.errors import CorruptFileError, InvalidOptionError
from emprox.spaces import Architecture, ComputationGraph
from emprox.spaces.anything import NamedGraph, Networks
from emprox.tables.base import PerformanceTable
from emprox.tables.csv_rows import read_rows
from emprox.tables.runs import table_of_runs
from emprox.tables.timm_graphs import timm_graphs
from emprox.validation import check_at_least

__all__ = ["IN1K_ONLY", "WeightSet", "choose", "read_timm", "read_timm_imagenet"]

TARGET = "val_accuracy"
FEWEST_CONVOLUTIONS = 5
"""Convolutions that a network needs to be called a CNN, beside having no product of two values."""

IN1K_ONLY = "in1k-only"
"""Value of `choose`'s ``pretrain`` for weight sets that saw no images or teacher beyond ImageNet-1k's own."""
FURTHER_DATA = re.compile(
    r"in12k|in21k|in22k|jft|ig1b|yfcc100m|laion\w*|openai|webli|seer|swag|m30m|m38m|6m|clip",
)
"""Words of a tag that name images beyond ImageNet-1k."""
TEACHER = re.compile(r"dist|distilled|ssld|usi|teacher")
"""Words of a tag, or of a name, that say that a larger network taught this one."""
PLACES = re.compile(r"in1k|ft|(r|s)?\d{3}")
"""Words of a tag that name the target, fine-tuning, or a resolution; no part of a recipe."""


@dataclass(frozen=True)
class WeightSet:
    """One row: an architecture, trained in one way, measured at one resolution."""

    architecture: str
    """Name that ``timm.create_model`` takes."""
    tag: str
    """How it was trained, as timm writes it: ``augreg_in21k_ft_in1k``."""
    img_size: int
    """Height and width of the images at the test."""
    val_accuracy: float
    """ImageNet top-1, percent."""
    params_millions: float
    """Parameters, in millions."""

    @property
    def recipe(self) -> str:
        """The tag without data and resolution: ``augreg``, '' for none."""
        words = self.tag.split("_")
        return "_".join(word for word in words if not PLACES.fullmatch(word) and not FURTHER_DATA.fullmatch(word))

    @property
    def further_data(self) -> tuple[str, ...]:
        """Images beyond ImageNet-1k that it saw: ``("in21k",)``, () for none."""
        return tuple(dict.fromkeys(word for word in self.tag.split("_") if FURTHER_DATA.fullmatch(word)))

    @property
    def taught(self) -> bool:
        """Whether a larger network taught it; what that network saw is not known."""
        return any(TEACHER.fullmatch(word) for word in (*self.tag.split("_"), *self.architecture.split("_")))


def read_timm(path: Path) -> list[WeightSet]:
    """Read timm's ``results-imagenet.csv``.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is another file.
    """
    return read_rows(path, _weight_set, "timm's results")


def choose(
    rows: Iterable[WeightSet], *, recipe: str | None = None, pretrain: str | None = None, max_img_size: int | None = None
) -> list[WeightSet]:
    """Return the weight sets of one recipe, without further data, or measured at small resolutions.

    Parameters
    ----------
    rows : iterable of WeightSet
        As `read_timm` returns them.
    recipe : str, optional
        The recipe, such as ``a1``; '' for those whose tag is ``in1k`` alone.
    pretrain : {"in1k-only"}, optional
        Leave out those with `WeightSet.further_data` or a teacher.
    max_img_size : int, optional
        Largest height and width of the test images.

    Examples
    --------
    >>> rows = [
    ...     WeightSet("vit_tiny_patch16_224", "augreg_in21k_ft_in1k", 224, 75.5, 5.72),
    ...     WeightSet("resnet18", "a1_in1k", 288, 73.2, 11.69),
    ... ]
    >>> [row.recipe for row in rows], rows[0].further_data
    (['augreg', 'a1'], ('in21k',))
    >>> [row.architecture for row in choose(rows, pretrain="in1k-only")]
    ['resnet18']
    """
    if pretrain not in (None, IN1K_ONLY):
        raise InvalidOptionError(f"expected pretrain={IN1K_ONLY!r} or none, got {pretrain!r}")
    if max_img_size is not None:
        check_at_least("max_img_size", max_img_size, 1)
    return [
        row
        for row in rows
        if recipe in (None, row.recipe)
        and (pretrain is None or not (row.further_data or row.taught))
        and (max_img_size is None or row.img_size <= max_img_size)
    ]


def read_timm_imagenet(
    path: Path, *, recipe: str | None = None, pretrain: str | None = None, max_img_size: int | None = None
) -> PerformanceTable:
    """Return ImageNet top-1 (percent) of the networks in ``results-imagenet.csv``, with their graphs; options as in `choose`.

    A row is a graph: an architecture at one image size. Weight sets of one graph are several trainings, so that targets are
    means and spreads are over recipes. Populations: ``cnn``. Columns: the architecture's ``name``, its ``family`` (the module of
    timm that defines it; those of the first of equal graphs), ``img_size`` and ``params_millions``.

    Raises
    ------
    InvalidOptionError
        If no weight set is left.
    MissingDependencyError
        If a graph has to be traced first and timm is not installed.
    """
    chosen = choose(read_timm(path), recipe=recipe, pretrain=pretrain, max_img_size=max_img_size)
    networks = timm_graphs({(row.architecture, row.img_size) for row in chosen}, (path.parent, path.parent.parent))
    traced = [(row, networks[row.architecture, row.img_size]) for row in chosen]
    kept = [(row, network.family, network.graph) for row, network in traced if network.graph is not None]
    if not kept:
        raise InvalidOptionError(f"no weight set of {path.name} has recipe={recipe!r}, pretrain={pretrain!r}, {max_img_size=}")
    architectures = [
        Architecture(Networks.name, NamedGraph(graph, f"{row.architecture}@{row.img_size}")) for row, _, graph in kept
    ]
    table = table_of_runs(
        "timm-imagenet",
        Networks.name,
        architectures,
        {TARGET: [row.val_accuracy for row, _, _ in kept]},
        {name: [getattr(row, name) for row, _, _ in kept] for name in ("img_size", "params_millions")},
    )
    first = {architecture: position for position, architecture in reversed(list(enumerate(architectures)))}
    rows = [kept[first[architecture]] for architecture in table.architectures]
    texts = {
        "name": np.array([row.architecture for row, _, _ in rows]),
        "family": np.array([family for _, family, _ in rows]),
    }
    return replace(table, columns={**table.columns, **texts}, marks={"cnn": np.array([_is_cnn(graph) for *_, graph in rows])})


def _is_cnn(graph: ComputationGraph) -> bool:
    return graph.kinds.count("conv") >= FEWEST_CONVOLUTIONS and "matmul" not in graph.kinds


def _weight_set(path: Path, line: int, record: dict[str, str]) -> WeightSet:
    try:
        name, _, tag = record["model"].partition(".")
        if not name or not 0 <= (accuracy := float(record["top1"])) <= 100:
            raise ValueError("an accuracy in percent is 0 to 100, and a network has a name")
        return WeightSet(name, tag, int(record["img_size"]), accuracy, float(record["param_count"].replace(",", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFileError(
            f"{path}, line {line} is no weight set with model, img_size, top1 and param_count: {error!r}; remove the "
            "file and get it again"
        ) from error
