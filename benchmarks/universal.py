"""Print what `benchmarks/run.py` measured of universal.yaml, for docs/universal.md: ``python benchmarks/universal.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from evidence import Results, cell, interval, mean, read

from emprox.report import paired_difference
from emprox.report.numbers import fixed

HERE = Path(__file__).parent
CONFIG = "universal"
LABEL_FREE = ("params", "macs", "size", "universal:shrinkage=1e9", "zerocost:proxy=synflow", "zerocost:proxy=jacov")
PRIOR, TARGET_ONLY, PUBLISHED = "emprox:prior=universal", "emprox", "cl-paper"
SIZE = {"timm-imagenet": "universal:shrinkage=1e9"}
"""Where ranks cannot be taken among samples: the same score with weights that are not learned."""


def families(results: Path) -> dict[str, Results]:
    """Return the results of each family by the table's name."""
    config = yaml.safe_load((HERE / "configs" / f"{CONFIG}.yaml").read_text())
    found = {}
    for table in config["tables"]:
        name = table.partition(":")[0]
        found[name] = read(results / CONFIG, table, name)
    return found


def without_labels(found: dict[str, Results]) -> list[str]:
    """Return the table of rank correlations where nothing is labelled, and of their mean over families."""
    lines = [f"| Spearman, no labels | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for name in (*LABEL_FREE, PUBLISHED, "universal"):
        cells = [cell(each, name, 0, "spearman") for each in found.values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    best = [(each, best_proxy(each)) for each in found.values()]
    cells = [f"{name.partition('=')[2]} {cell(each, name, 0, 'spearman')}".strip() for each, name in best]
    return [*lines[:-1], f"| the best proxy of each, in hindsight | {' | '.join(cells)} |", lines[-1]]


def best_proxy(results: Results) -> str:
    """Return the zero-cost proxy that ranks this family best, empty where none was measured."""
    proxies = [name for name in results.estimators if name.startswith("zerocost:")]
    return max(proxies, key=lambda name: results.mean(name, 0, "spearman"), default="")


def means(found: dict[str, Results], other: str) -> str:
    """Return the mean over families of the universal score, less that of another, paired over trials."""
    trials = range(min(len(each.values("universal", 0, "spearman")) for each in found.values()))
    rows = np.array([[own(name, each, other, trial) for name, each in found.items()] for trial in trials])
    difference = paired_difference(rows[..., 0].mean(axis=1), rows[..., 1].mean(axis=1))
    over = [round(float(value), 3) for value in rows.mean(axis=(0, 1))]
    return f"Mean over families: `universal` {fixed(over[0])}, `{other}` {fixed(over[1])}, difference {interval(difference)}."


def own(name: str, results: Results, other: str, trial: int) -> tuple[float, float]:
    """Return one trial of the universal score and of another, or of what stands in for it."""
    beside = SIZE.get(name, other) if other == "size" else other
    return results.values("universal", 0, "spearman")[trial], results.values(beside, 0, "spearman")[trial]


def with_labels(found: dict[str, Results]) -> list[str]:
    """Return the table of rank correlations with labels, and the paired differences that the prior makes."""
    sizes = sorted({size for each in found.values() for size in each.sizes if size})
    lines = [f"| Spearman | | {' | '.join(f'{size} labels' for size in sizes)} |", f"|---|---|{'---|' * len(sizes)}"]
    for name, each in found.items():
        for estimator in (PUBLISHED, TARGET_ONLY, PRIOR):
            cells = [cell(each, estimator, size, "spearman") for size in sizes]
            lines.append(f"| {name} | `{estimator}` | {' | '.join(cells)} |")
        gaps = [interval(gap) if (gap := each.difference(PRIOR, TARGET_ONLY, size, "spearman")) else "" for size in sizes]
        lines.append(f"| | difference, 95 % | {' | '.join(gaps)} |")
        covered = [each.values(PRIOR, size, "coverage") for size in sizes]
        lines.append(
            f"| | coverage of 90 % with the prior | {' | '.join(fixed(mean(v.values())) if v else '' for v in covered)} |"
        )
    return lines


def main() -> None:
    found = {name: each for name, each in families(HERE / "results").items() if each.values("universal", 0, "spearman")}
    print("\n".join(without_labels(found)), end="\n\n")
    print(means(found, "size"), means(found, "macs"), sep="\n", end="\n\n")
    print("\n".join(with_labels(found)))


if __name__ == "__main__":
    main()
