"""Print results of `emprox bench` as a Markdown table: ``python benchmarks/show.py results.json --metric spearman``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--metric", default="spearman")
    parser.add_argument("--spread", action="store_true", help="show the standard deviation over trials too")
    arguments = parser.parse_args()
    runs = [run for path in arguments.results for run in _runs(path)]
    measured = [_by_line(run, arguments.metric) for run in runs]
    names = list(dict.fromkeys(name for lines in measured for name, _ in lines))
    print(f"| table (rows) | labels | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for run, lines in zip(runs, measured, strict=True):
        for size in sorted({size for _, size in lines}):
            values = {name: lines[name, size] for name in names if (name, size) in lines}
            best = max(float(np.mean(v)) for v in values.values())
            shown = [_cell(values.get(name), best, spread=arguments.spread) for name in names]
            print(f"| {run['table']} ({run['population']}) | {size} | {' | '.join(shown)} |")


def _by_line(run: dict, metric: str) -> dict[tuple[str, int], list[float]]:
    """Return the metric of every trial that has it, by estimator and training size."""
    lines: dict[tuple[str, int], list[float]] = {}
    for row in run["results"]:
        if row.get(metric) is not None:
            lines.setdefault((row["estimator"], row["train_size"]), []).append(row[metric])
    return lines


def _runs(path: Path) -> list[dict]:
    content = json.loads(path.read_text())
    return content if isinstance(content, list) else [content]


def _cell(values: list[float] | None, best: float, *, spread: bool) -> str:
    if values is None:
        return ""
    text = f"{np.mean(values):.3f}".replace("0.", ".")
    if spread:
        text += f" ({np.std(values, ddof=1):.3f})".replace("0.", ".")
    return f"**{text}**" if np.mean(values) == best else text


if __name__ == "__main__":
    main()
