"""Print results of `emprox bench` as a Markdown table: ``python benchmarks/show.py results.json --metric spearman``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--metric", default="spearman")
    arguments = parser.parse_args()
    runs = [run for path in arguments.results for run in _runs(path)]
    names = list(dict.fromkeys(row["estimator"] for run in runs for row in run["summary"]))
    print(f"| table (rows) | labels | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for run in runs:
        rows = {(row["estimator"], row["train_size"]): row for row in run["summary"]}
        for size in sorted({size for _, size in rows}):
            values = {name: rows[name, size][f"{arguments.metric}_mean"] for name in names if (name, size) in rows}
            best = max(values.values())
            shown = [_cell(values.get(name), best) for name in names]
            print(f"| {run['table']} ({run['population']}) | {size} | {' | '.join(shown)} |")


def _runs(path: Path) -> list[dict]:
    content = json.loads(path.read_text())
    return content if isinstance(content, list) else [content]


def _cell(value: float | None, best: float) -> str:
    if value is None:
        return ""
    text = f"{value:.3f}".replace("0.", ".")
    return f"**{text}**" if value == best else text


if __name__ == "__main__":
    main()
