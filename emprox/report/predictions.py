"""Estimates beside what was measured, and how often intervals hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emprox.errors import InvalidDataError
from emprox.report.charts import Axis, Chart, Panel, Series
from emprox.report.metrics import CALIBRATION_LEVELS, coverage, kendall, mae
from emprox.report.numbers import fixed, listed, percent, value
from emprox.report.runs import Run

__all__ = ["Estimates", "calibration_chart", "prediction_chart", "prediction_charts", "thirds"]

Floats = NDArray[np.float64]
MOST_BARS = 400
"""Points beyond which intervals are drawn for some only, or the picture is one blot."""


@dataclass(frozen=True)
class Estimates:
    """Estimates of architectures whose performance is known."""

    measured: Floats
    """What was measured, (n,)."""
    estimated: Floats
    """Estimates made without it, (n,)."""
    interval: tuple[Floats, Floats] | None = None
    """Lower and upper ends of 90 % intervals, (n,) each."""
    calibration: Sequence[float] = ()
    """Share of measured values inside intervals of each of `CALIBRATION_LEVELS`."""
    labels: Sequence[str] = ()
    """Names of the architectures."""

    @property
    def inside(self) -> float | None:
        """Share of measured values inside their 90 % interval."""
        return None if self.interval is None else coverage(self.measured, *self.interval)


def prediction_charts(run: Run, key: str) -> list[Chart]:
    """Return estimates against measured values and calibration of the first trial, where predictions were kept."""
    kept = [r for r in run.results if "predictions" in r]
    if not kept or not run.tested:
        return []
    kept = sorted(reversed(kept), key=lambda r: "calibration" not in r["predictions"])  # both charts open on the same estimator
    found = {f"{r['estimator']}, {r['train_size']} labels": _read(r["predictions"], run) for r in kept}
    population = f"{len(run.tested['measured']):,} test architectures of {run.table}, first trial"
    with_curve = {name: e for name, e in found.items() if e.calibration}
    charts = [prediction_chart(f"{key}-predicted", population, run.target, found)]
    return charts + ([calibration_chart(f"{key}-calibration", population, with_curve)] if with_curve else [])


def _read(kept: Mapping[str, Sequence[float]], run: Run) -> Estimates:
    interval = (np.array(kept["lower"]), np.array(kept["upper"])) if "lower" in kept else None
    measured, labels = np.array(run.tested["measured"]), run.tested["architectures"]
    if not len(measured) == len(kept["estimated"]) == len(labels):
        raise InvalidDataError(
            f"{len(measured)} measured values, {len(labels)} architectures and {len(kept['estimated'])} estimates; expected "
            "as many"
        )
    return Estimates(measured, np.array(kept["estimated"]), interval, kept.get("calibration", ()), labels)


def prediction_chart(key: str, population: str, target: str, found: Mapping[str, Estimates]) -> Chart:
    """Return estimates against measured values, one panel for each estimator."""
    sure = [name for name, e in found.items() if e.interval is not None]
    whose = "" if len(sure) == len(found) else f" of {listed(sure)}"
    bars = f"; bars are 90 % intervals{whose}" if sure else ""
    some = f" of {MOST_BARS} drawn at random" if max(len(e.measured) for e in found.values()) > MOST_BARS else ""
    return Chart(
        key,
        "Estimated against measured",
        f"{population}. On the diagonal an estimate is right{bars}{some if bars else ''}.",
        "; ".join(f"{name}: {_said(estimates)}" for name, estimates in found.items()) + ".",
        Axis(f"measured {target}"),
        Axis(f"estimated {target}"),
        tuple(Panel(name, (_cloud(estimates),)) for name, estimates in found.items()),
        diagonal=True,
    )


def _said(estimates: Estimates) -> str:
    tau, error = kendall(estimates.measured, estimates.estimated), mae(estimates.measured, estimates.estimated)
    inside = "" if estimates.inside is None else f", {percent(estimates.inside)} inside their 90 % interval"
    return f"Kendall's tau {fixed(tau)}, mean absolute error {value(error)}{inside}"


def _cloud(estimates: Estimates) -> Series:
    """Return the points; where there are too many for intervals, most of these are empty."""
    measured, estimated = estimates.measured.tolist(), estimates.estimated.tolist()
    if estimates.interval is None:
        return Series("estimates", measured, estimated, "cloud", notes=estimates.labels)
    drawn = np.isin(np.arange(len(measured)), np.random.default_rng(0).permutation(len(measured))[:MOST_BARS])
    low, high = (np.where(drawn, end, estimates.estimated).tolist() for end in estimates.interval)
    return Series("estimates", measured, estimated, "cloud", low, high, estimates.labels)


def calibration_chart(key: str, population: str, found: Mapping[str, Estimates]) -> Chart:
    """Return the share of measured values inside intervals against the share promised."""
    series = [
        Series(name, list(CALIBRATION_LEVELS), list(e.calibration), "line", colour=place)
        for place, (name, e) in enumerate(found.items())
    ]
    text = "; ".join(
        f"{s.name}: {', '.join(f'{percent(y)} for {percent(x)}' for x, y in zip(s.x, s.y, strict=True) if x in (0.5, 0.9))}"
        for s in series
    )
    return Chart(
        key,
        f"Calibration of {listed(list(found))}" if len(found) < 3 else f"Calibration of {len(found)} estimates",
        f"{population}: {listed(list(found))}. On the diagonal intervals hold as many measured values as they "
        "promise; below it they are too narrow.",
        f"Share of measured values inside intervals, beside the share promised: {text}.",
        Axis("share promised"),
        Axis("share inside the interval"),
        (Panel("all", tuple(series)),),
        diagonal=True,
    )


def thirds(estimates: Estimates) -> list[float]:
    """Return the share of measured values inside 90 % intervals in each third of the estimates, the lowest first."""
    if estimates.interval is None:
        return []
    parts = np.array_split(np.argsort(estimates.estimated, kind="stable"), 3)
    lower, upper = estimates.interval
    return [coverage(estimates.measured[part], lower[part], upper[part]) for part in parts if len(part)]
