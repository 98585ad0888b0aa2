"""The claims of the second paper, for `claims.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from evidence import Results, cell, claim, compared, interval, read

from emprox.encoders.gnn import PUBLISHED
from emprox.report.numbers import fixed

CONFIG, ABLATION = "han2023_transfer", "han2023_ablation"
METHOD, NETWORK, RANDOM, TARGET_ONLY = "cl-paper", "gnn", "gnn:pretraining=random", "emprox"
PROXIES = ("zerocost:proxy=synflow", "zerocost:proxy=jacov")
TERMS = "cl-paper:terms="
TEXT = """## The second paper

Han, Mills et al., *A General-Purpose Transferable Predictor for Neural Architecture Search*, SDM 2023, arXiv 2302.10835.
`python benchmarks/run.py benchmarks/configs/han2023_transfer.yaml --tables-root DIR`: one family left out, the others' tables
its source; Spearman, mean (sd) over {trials} draws of the labels, {trainings} pretrainings in turn; columns: numbers of labels.
Published figures are of other populations, so that they orient and do not compare ([what is what](transfer.md)).

{tables}

{claims}

### What each term of the training without labels brings

`python benchmarks/run.py benchmarks/configs/han2023_ablation.yaml --tables-root DIR`; Spearman, mean (sd), and paired differences
from `{terms}{published}`, the published terms.

{ablation}"""


def second_paper(results: Path) -> str:
    """Return the section on the second paper."""
    config = yaml.safe_load((Path(__file__).parent / "configs" / f"{CONFIG}.yaml").read_text())
    families = {}
    for table in config["tables"]:
        families[table] = read(results / CONFIG, table)
    tables = [family_table(table, config["tables"][table], [*config["estimators"]], families[table]) for table in families]
    protocol = config["protocol"]
    return TEXT.format(
        trials=protocol["trials"],
        trainings=protocol["trainings"],
        tables="\n\n".join(tables),
        claims="\n\n".join([above_proxies(families), above_network(families), above_controls(families)]),
        terms=TERMS,
        published=PUBLISHED,
        ablation="\n\n".join(ablation(results)),
    )


def family_table(table: str, facts: dict[str, Any], estimators: list[str], found: Results) -> str:
    """Return the rank correlations of all estimators at all numbers of labels, and what was published."""
    if not found.rows:
        return f"**{table}**: not measured yet."
    published = facts.get("published", {})
    lines = [
        f"**{table}** from {', '.join(f'`{name}`' for name in facts['protocol']['source'])}",
        "",
        f"| | {' | '.join(map(str, found.sizes))} | published |",
        f"|---|{'---|' * (len(found.sizes) + 1)}",
    ]
    for name in [*estimators, *[name for name in published if name not in estimators]]:
        cells = [cell(found, name, size, "spearman") for size in found.sizes]
        if any(cells) or name in published:
            lines.append(f"| `{name}` | {' | '.join(cells)} | {as_published(published.get(name))} |")
    return "\n".join(lines)


def ablation(results: Path) -> Iterator[str]:
    """Yield for each table the rank correlations of each choice of terms, and what it adds to the published ones."""
    config = yaml.safe_load((Path(__file__).parent / "configs" / f"{ABLATION}.yaml").read_text())
    for table in config["tables"]:
        found = read(results / ABLATION, table)
        if not found.rows:
            yield f"**{table}**: not measured yet."
            continue
        head = [f"**{table}**", "", f"| | {' | '.join(map(str, found.sizes))} |", f"|---|{'---|' * len(found.sizes)}"]
        yield "\n".join([*head, *(ablation_line(found, name) for name in config["estimators"])])


def ablation_line(found: Results, name: str) -> str:
    cells = []
    for size in found.sizes:
        gap = found.difference(name, TERMS + PUBLISHED, size, "spearman")
        is_term = name.startswith(TERMS) and name != TERMS + PUBLISHED
        beside = f", {interval(gap)}" if is_term and gap else ""
        cells.append(cell(found, name, size, "spearman") + beside)
    return f"| `{name.removeprefix(TERMS)}` | {' | '.join(cells)} |"


def above_proxies(families: dict[str, Results]) -> str:
    """Return the verdict on the fine-tuned predictor beside zero-cost proxies."""
    lines, good = [], []
    for table, found, size in fine_tuned(families):
        least = min(found.values(METHOD, size, "spearman").values())
        differences = {proxy: found.difference(METHOD, proxy, size, "spearman") for proxy in PROXIES}
        good.append(least > 0 and all(difference.low > 0 for difference in differences.values() if difference))
        known = {proxy.partition("=")[2]: difference for proxy, difference in differences.items() if difference}
        beside = [f"{interval(difference)} beside {proxy}" for proxy, difference in known.items()]
        lines.append(f"{table}, {size} labels: {', '.join([f'lowest of all trials {fixed(least)}', *beside])}")
    return claim('"Positive rank correlation on every space, above synflow and jacov"', verdict(good, families), lines)


def above_network(families: dict[str, Results]) -> str:
    """Return the verdict on contrastive training beside training on labels alone."""
    lines, good = [], []
    for table, found, size in fine_tuned(families):
        difference = found.difference(METHOD, NETWORK, size, "spearman")
        good.append(bool(difference and difference.low > 0))
        lines.append(f"{table}, {size} labels: {compared(METHOD, NETWORK, difference)}")
    return claim('"Ahead of the same network trained on labels"', verdict(good, families), lines)


def above_controls(families: dict[str, Results]) -> str:
    """Return what training is worth beside random weights, and transfer beside the target's labels alone."""
    lines = [
        f"{table}, {size} labels: {compared(METHOD, other, found.difference(METHOD, other, size, 'spearman'))}"
        for table, found, size in fine_tuned(families)
        for other in (RANDOM, TARGET_ONLY)
    ]
    return claim("Beside random weights, and beside EmProx without any source", "not a claim of the paper", lines)


def fine_tuned(families: dict[str, Results]) -> Iterator[tuple[str, Results, int]]:
    """Yield the families that are measured, with the number of labels of the published figures."""
    for table, found in families.items():
        for size in (40, 50):
            if found.values(METHOD, size, "spearman") and found.values(NETWORK, size, "spearman"):
                yield table, found, size


def verdict(good: list[bool], families: dict[str, Results]) -> str:
    if len(good) < len(families):
        return "not measured yet on all"
    return "holds" if all(good) else f"holds on {sum(good)} of {len(good)}"


def as_published(value: float | list[float] | None) -> str:
    if value is None:
        return ""
    return f"{fixed(value[0])} ± {fixed(value[1])}" if isinstance(value, list) else fixed(value)
