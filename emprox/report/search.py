"""Plots of searches from their result files (extra ``plots``): best so far, regret, front, and what the estimator believed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emprox._optional import import_optional
from emprox.errors import CorruptFileError, InvalidDataError, StorageError
from emprox.search.results import FORMAT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_beliefs", "draw_curves", "draw_front", "plot_search", "read_result"]

Result = Mapping[str, Any]
LABELS = {
    "best_so_far": "best {name} so far",
    "regret": "regret in {name}",
    "hypervolume": "hypervolume",
    "rank": "rank of the best {name}",
}
LOGARITHMIC = ("regret", "rank")


def read_result(path: str | Path) -> dict[str, Any]:
    """Return the result that `emprox search` wrote.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is no such result.
    """
    try:
        content = json.loads(Path(path).read_text())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        raise CorruptFileError(f"{path} is not the result of a search: {error}") from error
    if not isinstance(content, dict) or content.get("kind") != "search" or content.get("format") != FORMAT:
        raise CorruptFileError(
            f"{path} is not the result of a search in format {FORMAT}; give the result.json of `emprox search`"
        )
    return content


def plot_search(results: Sequence[Result], folder: str | Path) -> list[Path]:
    """Draw what results have into PNG files of a folder; curves are of all, front and beliefs of the first.

    Raises
    ------
    InvalidDataError
        If the results are of other objectives or bounds.
    """
    for other in results[1:]:
        for part in ("objectives", "bounds"):
            if other["goals"][part] != results[0]["goals"][part]:
                raise InvalidDataError(f"results of other {part} cannot be compared: {other['goals']}, {results[0]['goals']}")
    figures = {
        name.replace("_", "-"): draw_curves(results, name)
        for name in ("best_so_far", "regret", "hypervolume")
        if all(any(name in row for row in result["summary"]) for result in results)
    }
    if len(results[0]["goals"]["objectives"]) > 1:
        figures["front"] = draw_front(results[0])
    if any(trial["belief"] for run in results[0]["runs"] for trial in run["trials"]):
        figures["beliefs"] = draw_beliefs(results[0])
    files = []
    for name, figure in figures.items():
        files.append(Path(folder) / f"{name}.png")
        figure.savefig(files[-1], dpi=120)
        import_optional("matplotlib.pyplot", "plots").close(figure)
    return files


def draw_curves(results: Sequence[Result], name: str) -> Figure:
    """Draw the mean over runs of a list of each run, with the 90 % bootstrap interval of the mean as a band."""
    figure, axes = _figure()
    for result in results:
        rows = [row for row in result["summary"] if name in row]
        x = np.array([row["evaluations"] for row in rows])
        mean, lower, upper = (np.array([row[name][each] for row in rows]) for each in ("mean", "lower", "upper"))
        (line,) = axes.step(x, mean, where="post", label=_title(result))
        if len(result["runs"]) > 1:
            axes.fill_between(x, lower, upper, step="post", alpha=0.2, color=line.get_color(), linewidth=0)
    first = results[0]["goals"]["objectives"][0]["name"]
    axes.set_xlabel("evaluations")
    axes.set_ylabel(LABELS[name].format(name=_words(first)))
    if name in LOGARITHMIC:
        axes.set_yscale("symlog" if name == "regret" else "log", **({"linthresh": 0.01} if name == "regret" else {}))
        axes.set_ylim(bottom=0 if name == "regret" else None)
    axes.legend(frameon=False, title="mean, 90 % interval" if any(len(r["runs"]) > 1 for r in results) else None)
    return figure


def draw_front(result: Result) -> Figure:
    """Draw the trials of the first run by the first two objectives, and those that no other dominates."""
    figure, axes = _figure()
    run = result["runs"][0]
    (x, y), larger = _names(result)[:2][::-1], [each["larger_is_better"] for each in result["goals"]["objectives"][:2]][::-1]
    valid = [trial for trial in run["trials"] if trial["values"] is not None]
    points = axes.scatter(
        [t["values"][x] for t in valid], [t["values"][y] for t in valid], c=[t["number"] for t in valid], s=16, cmap="viridis"
    )
    front = sorted(([run["trials"][i]["values"][name] for name in (x, y)] for i in run["front"]), reverse=larger[0])
    axes.step(*np.array(front).T, where="post", color="tab:red", linewidth=1.2, label="front")
    axes.plot(*np.array(front).T, "o", color="tab:red", markersize=5, fillstyle="none")
    for name, better, label in ((x, larger[0], axes.set_xlabel), (y, larger[1], axes.set_ylabel)):
        label(f"{_words(name)} ({'larger' if better else 'smaller'} is better)")
    figure.colorbar(points, label="evaluation", ax=axes)
    axes.legend(frameon=False)
    return figure


def draw_beliefs(result: Result) -> Figure:
    """Draw for the first run what the estimator expected when it chose, with its standard deviation, and what training gave."""
    figure, axes = _figure()
    name = next(name for run in result["runs"] for trial in run["trials"] for name in trial["belief"])
    trials = [trial for trial in result["runs"][0]["trials"] if trial["values"] is not None]
    chosen = [trial for trial in trials if name in trial["belief"]]
    x = [trial["number"] + 1 for trial in chosen]
    estimates = [trial["belief"][name]["estimate"] for trial in chosen]
    spread = [trial["belief"][name].get("std", 0.0) for trial in chosen]
    axes.errorbar(x, estimates, yerr=spread, fmt="o", markersize=3, linewidth=0.8, color="tab:blue", label="believed, ± 1 sd")
    drawn = [trial for trial in trials if name not in trial["belief"]]
    axes.plot(
        [t["number"] + 1 for t in drawn], [t["values"][name] for t in drawn], "x", markersize=4, color="grey", label="drawn"
    )
    axes.plot(x, [t["values"][name] for t in chosen], "x", markersize=5, color="tab:orange", label="measured")
    values = [*estimates, *(t["values"][name] for t in chosen)]
    if values and drawn:  # a few very bad draws must not hide the rest
        low, high = min(values), max(*values, *(t["values"][name] for t in drawn))
        margin = 0.1 * (high - low) + max(spread, default=0)
        axes.set_ylim(low - margin, high + margin)
    axes.set_xlabel("evaluation")
    axes.set_ylabel(_words(name))
    axes.legend(frameon=False)
    return figure


def _figure() -> tuple[Figure, Any]:
    pyplot = import_optional("matplotlib.pyplot", "plots")
    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _names(result: Result) -> list[str]:
    return [each["name"] for each in result["goals"]["objectives"]]


def _title(result: Result) -> str:
    options = ", ".join(str(value) for value in result["options"].values())
    return result["method"] + (f" ({options})" if options else "")


def _words(name: str) -> str:
    return name.replace("_", " ")
