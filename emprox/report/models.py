"""The part of a report about a fitted model: what it knows, how well it estimates, where it is sure, what to measure next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold

from emprox.estimators import ArchitectureRegressor, EmProx, load
from emprox.persistence import read_folder
from emprox.report.candidates import Candidates, candidate_items, find_candidates, quantity
from emprox.report.charts import Chart, Section, Source, Table
from emprox.report.maps import PROJECTIONS, embedding_map
from emprox.report.metrics import CALIBRATION_LEVELS, LEVEL, coverage, kendall, mae
from emprox.report.numbers import count, fixed, percent, slug, value
from emprox.report.predictions import Estimates, calibration_chart, prediction_chart, thirds

__all__ = ["PROJECTIONS", "left_out_estimates", "model_sections"]

Floats = NDArray[np.float64]
FOLDS = 10
"""Parts of the cross-validation of estimators that have no leave-one-out in closed form."""
FEWEST = 5
"""Known architectures below which there is nothing to leave out or to map."""


def model_sections(
    folder: Path, name: str, candidates: Sequence[Any] | None, larger_is_better: bool | None, projection: str
) -> tuple[list[Section], Source]:
    """Return the sections of a folder that `ArchitectureRegressor.save` wrote, under its name, and where it comes from."""
    model, key = load(folder), slug(name)
    said, larger_is_better = _direction(model, larger_is_better)
    source = _source(model, folder)
    if len(model.y_) < FEWEST:
        few = f"T{_called(name)[1:]} knows {count(len(model.y_), 'architecture')}, too few to say how well it estimates."
        return [Section(f"{key}-known", name, f"T{_called(name)[1:]}", (few,), ())], source
    found = find_candidates(model, candidates, larger_is_better)
    positions, estimates = left_out_estimates(model)
    sections = [_known(model, name, key, positions, estimates, larger_is_better, said)]
    if isinstance(model, EmProx):
        chart = embedding_map(model, f"{key}-map", positions, estimates, found, larger_is_better, projection)
        words = (_alike(model), chart.text)
        sections.append(Section(f"{key}-embedding", f"{name}: map", f"Map of {_called(name)}", words, (chart,)))
    if found is not None:
        sections.append(_next(found, name, key, quantity(model)))
    return sections, source


def left_out_estimates(model: ArchitectureRegressor) -> tuple[NDArray[np.int64], Estimates]:
    """Return positions of known architectures and their estimates without themselves, of the first target.

    EmProx leaves one out in closed form; any other estimator is fitted anew without each tenth of what it knows.
    """
    first = model.y_.reshape(len(model.y_), -1)[:, 0]
    labels = [model.space_.label(architecture) for architecture in model.architectures_]
    if not isinstance(model, EmProx):
        return np.arange(len(first)), Estimates(first, _cross_validated(model, first), labels=labels)
    positions, columns, _, _ = model.weigher_.leave_one_out(LEVEL)
    ends = {level: model.weigher_.leave_one_out(level)[2:] for level in CALIBRATION_LEVELS}
    held = {level: (lower[:, 0], upper[:, 0]) for level, (lower, upper) in ends.items()}
    measured = first[positions]
    curve = [coverage(measured, *held[level]) for level in CALIBRATION_LEVELS]
    return positions, Estimates(measured, columns[:, 0], held[LEVEL], curve, [labels[i] for i in positions])


def _direction(model: ArchitectureRegressor, larger_is_better: bool | None) -> tuple[str, bool]:
    """Return whether a larger target is better, as asked or as the model says, and a sentence about it."""
    told = None if model.target_ is None else model.target_.larger_is_better
    larger = told if larger_is_better is None else larger_is_better
    target = "its target" if model.target_ is None else model.target_.name
    if larger is None:
        return f"Nothing says whether a larger value of {target} is better; here it is taken to be.", True
    asked = "" if larger_is_better is None else ", as was asked"
    return f"A {'larger' if larger else 'smaller'} value of {target} is taken as better{asked}.", larger


def _called(name: str) -> str:
    """Return what sentences call a model: its folder's name, unless that says no more than what it is."""
    return "the model" if name.lower() == "model" else f"the model {name}"


def _cross_validated(model: ArchitectureRegressor, first: Floats) -> Floats:
    estimates = np.empty(len(first))
    for kept, left_out in KFold(min(FOLDS, len(first)), shuffle=True, random_state=0).split(first):
        known = [model.architectures_[i] for i in kept]
        spread = None if model.y_std_ is None else model.y_std_[kept]
        fold = clone(model).fit(known, first[kept], spread, target=model.target_)
        estimates[left_out] = fold.predict([model.architectures_[i] for i in left_out])
    return estimates


def _known(
    model: ArchitectureRegressor,
    name: str,
    key: str,
    positions: NDArray[np.int64],
    estimates: Estimates,
    larger_is_better: bool,
    direction: str,
) -> Section:
    way = "left out one by one" if isinstance(model, EmProx) else f"left out in {FOLDS} parts, the rest fitted anew"
    population = f"{count(len(positions), 'measured architecture')} of {_called(name)}, {way}"
    items: list[Chart | Table] = [prediction_chart(f"{key}-left-out", population, quantity(model), {name: estimates})]
    if estimates.calibration:
        items.append(calibration_chart(f"{key}-calibration", population, {name: estimates}))
    return Section(
        f"{key}-known",
        f"{name}: known",
        f"What {_called(name)} knows",
        (*_said(model, name, estimates, way, larger_is_better), direction),
        tuple(items),
    )


def _said(model: ArchitectureRegressor, name: str, estimates: Estimates, way: str, larger_is_better: bool) -> Iterator[str]:
    first = model.y_.reshape(len(model.y_), -1)[:, 0]
    best = int(first.argmax() if larger_is_better else first.argmin())
    tau, error = kendall(estimates.measured, estimates.estimated), mae(estimates.measured, estimates.estimated)
    span = f"from {value(first.min())} to {value(first.max())}"
    yield (
        f"T{_called(name)[1:]} knows {count(len(first), 'measured architecture')} of {model.space_.name}, {span}. Estimates of "
        f"known ones, {way}, have Kendall's tau {fixed(tau)}: of two that differ they name the "
        f"better one about {percent((1 + tau) / 2)} of the time; they are off by {value(error)} on average."
    )
    yield f"The best that it knows is {model.space_.label(model.architectures_[best])}, with {value(first[best])}."
    if estimates.inside is not None:
        low, *_, high = thirds(estimates)
        yield (
            f"Its 90 % intervals hold {percent(estimates.inside)} of these values, {percent(low)} in the lowest third of the "
            f"estimates and {percent(high)} in the highest. Their width is set by the same values, so that new architectures "
            "are the harder test."
        )
    if model.y_.ndim == 2:
        yield f"It has {model.y_.shape[1]} targets; all figures are of the first."


def _alike(model: EmProx) -> str:
    """Say how much alike nearest neighbours perform, beside any two architectures."""
    first = model.y_.reshape(len(model.y_), -1)[:, 0]
    known = np.arange(len(first))
    found = model.index_.search(model.index_.reconstruct(known), 2)[1]
    nearest = np.where(found[:, 0] == known, found[:, 1], found[:, 0])
    gap, any_two = np.abs(first - first[nearest]).mean(), np.abs(first[:, None] - first).sum() / (len(first) * (len(first) - 1))
    return (
        f"Near means alike: nearest neighbours in the embedding differ by {value(gap)} on average in what was measured, "
        f"any two of the known architectures by {value(any_two)}."
    )


def _next(found: Candidates, name: str, key: str, what: str) -> Section:
    return Section(
        f"{key}-next",
        f"{name}: next",
        f"What {_called(name)} would measure next",
        found.sentences,
        candidate_items(found, key, what),
    )


def _source(model: ArchitectureRegressor, folder: Path) -> Source:
    manifest = read_folder(folder)
    options = ", ".join(f"{name}={given!r}" for name, given in sorted(manifest["options"].items()) if given is not None)
    facts = {
        "estimator": f"{type(model).__name__}({options})",
        "space": model.space_.setting,
        "target": quantity(model),
        "known": count(len(model.y_), "measured architecture"),
        "versions": f"written by emprox {manifest['emprox']}",
    }
    return Source(str(folder), f"emprox report {folder}", facts)
