"""Write ``docs/benchmarks.md`` from the committed results: ``python benchmarks/chapter.py``.

Nothing is measured here; a test holds the page to the results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from evidence import mean, spread

from emprox.report.numbers import fixed
from emprox.report.runs import Run, read_run

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
SHOWN = 121
"""Labels of the tables, the nearest number to it that was measured."""
TEXT = """# Benchmarks

Everything that `benchmarks/run.py` has measured, one table for each config. This page is written by
`python benchmarks/chapter.py` from `benchmarks/results/`, and a test fails when it is not what the results say.

Kendall's tau-b, mean (standard deviation) over trials; seconds of one fit by the processor's clock, milliseconds of one query by
the wall clock, one thread. Population, splits, seeds and published figures are in each config, commit, machine and versions in
each result. `emprox report benchmarks/results/CONFIG/TABLE.json -o report.html` shows any of them.

![Learning curves on NAS-Bench-201](pictures/learning-curves.svg)

*NAS-Bench-201, CIFAR-10, 15,625 rows, 1,000 tested, 20 trials; bars are 95 % intervals of the mean
(`python benchmarks/pictures.py`).*

{configs}
"""


def main() -> None:
    PAGE.write_text(render(HERE / "results"))


def render(results: Path) -> str:
    """Return the page."""
    parts = []
    for path in sorted((HERE / "configs").glob("*.yaml")):
        runs = [read_run(json.loads(file.read_text()), file) for file in sorted((results / path.stem).glob("*.json"))]
        if runs:
            parts.append("\n".join(section(path, yaml.safe_load(path.read_text()), runs)))
    return TEXT.format(configs="\n\n".join(parts))


def section(path: Path, config: dict[str, Any], runs: list[Run]) -> Iterator[str]:
    """Yield the lines about one config."""
    yield f"## {path.stem}\n"
    yield f"{' '.join(str(config['about']).split())}\n"
    yield f"`python benchmarks/run.py benchmarks/configs/{path.name} --tables-root DIR`\n"
    yield "| table (rows), labels | estimator | trials | Kendall (sd) | fit, s | query, ms |\n|---|---|---|---|---|---|"
    for run in runs:
        size = min(run.sizes, key=lambda size: abs(size - SHOWN))
        for place, name in enumerate(run.measured(size)):
            title = f"{run.table} ({run.population:,}), {size}" if place == 0 else ""
            taus = run.values(name, size)
            fit, query = (mean(run.values(name, size, m)) for m in ("fit_cpu_seconds", "query_seconds_per_architecture"))
            cells = f"{len(taus)} | {fixed(mean(taus))} ({fixed(spread(taus))}) | {two(fit)} | {two(1000 * query)}"
            yield f"| {title} | `{name}` | {cells} |"


def two(value: float) -> str:
    """Return a number with two significant digits, nothing for one that was not measured."""
    return "" if value != value else f"{value:.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    main()
