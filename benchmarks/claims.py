"""Write ``docs/claims.md`` from the results: ``python benchmarks/claims.py``.

Nothing is measured here; what ``benchmarks/run.py`` has not measured yet is said to be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from claims_han2023 import second_paper
from evidence import Results, claim, compared, interval, spread

from emprox.report.numbers import fixed

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "claims.md"
TABLE = "franken2022_nb201_cifar10"
PAPER = "emprox-paper:k=10"
OTHERS = ("nao", "seminas", "xgboost", "mlp", "bananas")
TEXT = """# The papers' claims, measured again

Made by `python benchmarks/claims.py` from `benchmarks/results/`, which `benchmarks/run.py` makes from `benchmarks/configs/`:
population, splits, seeds and what the paper leaves open are in each config, commit, machine and versions in each result. One
thread. Differences are paired over trials; only where their 95 % bootstrap interval leaves out 0 they are called differences.
Seconds of a fit are the processor's, because the machine was shared; the published ones are those of another machine.

The first paper is Franken, Singh, Vanschoren 2022 (EmProx); [the second](#the-second-paper), Han, Mills et al. 2023, comes after.

## NAS-Bench-201, CIFAR-10, 121 labels

{table}

*Published*: Franken, Singh, Vanschoren, arXiv 2206.05972. *Released*: its code, unchanged, on this class of machine, on splits of
its own: Kendall (sd), seconds of a fit. Kendall's tau-b, mean (sd over trials); seconds of a query by the clock.

{reproduction}

## The claims

{claims}

## The default EmProx against all

{default}

{second}
"""


def load(results: Path) -> Iterator[Results]:
    """Read the results of every config with the default EmProx in it."""
    for path in sorted(path for path in (HERE / "configs").glob("*.yaml") if not path.stem.endswith("_search")):
        config = yaml.safe_load(path.read_text())
        for table in config["tables"] if "emprox" in config["estimators"] else ():
            file = results / path.stem / f"{table.replace(':', '-')}.json"
            if file.exists():
                yield Results(f"{path.stem}, {table}", json.loads(file.read_text())["results"])


def render(results: Path) -> str:
    """Return the page."""
    every = list(load(results))
    main = next((found for found in every if found.title.startswith(TABLE)), Results(TABLE, []))
    config = yaml.safe_load((HERE / "configs" / f"{TABLE}.yaml").read_text())["estimators"]
    return TEXT.format(
        table="\n".join(comparison(main, config)),
        reproduction="\n".join(reproduction(main, config)),
        claims="\n\n".join([comparable(main), faster_than_nao(main), faster_than_others(main), similar_or_better(main)]),
        default="\n".join(default(every)),
        second=second_paper(results),
    )


def comparison(main: Results, config: dict[str, Any]) -> Iterator[str]:
    """Yield the table of published, released and our figures."""
    yield "| estimator | published: Kendall, fit s | released | ours: Kendall (sd), trials | fit s | query, ms |"
    yield "|---|---|---|---|---|---|"
    for name, facts in config.items():
        published, released = ((facts or {}).get(kind, {}) for kind in ("published", "released"))
        ours = "| not measured yet | |"
        if values := main.values(name, 121):
            kendall = f"{fixed(main.mean(name, 121))} ({fixed(spread(values.values()))}), {len(values)}"
            seconds = f"{main.mean(name, 121, 'fit_cpu_seconds'):.3g}"
            ours = f"| {kendall} | {seconds} | {1000 * main.mean(name, 121, 'query_seconds_per_architecture'):.2g}"
        then = f"{fixed(published['kendall'])}, {published['fit_seconds']}" if published else ""
        code = f"{fixed(released['kendall'])} ({fixed(released['kendall_std'])}), {released['fit_seconds']}" if released else ""
        yield f"| `{name}` | {then} | {code} {ours} |"


def reproduction(main: Results, config: dict[str, Any]) -> Iterator[str]:
    """Yield how each of our predictors compares with the released code's, in standard errors of the difference."""
    for name, facts in config.items():
        released, values = (facts or {}).get("released"), main.values(name, 121)
        if not released or len(values) < 2:
            continue
        difference = main.mean(name, 121) - released["kendall"]
        error = (spread(values.values()) ** 2 / len(values) + released["kendall_std"] ** 2 / released["trials"]) ** 0.5
        verdict = "as the released code" if abs(difference) <= 2 * error else "better" if difference > 0 else "**worse**"
        yield f"- `{name}`: {difference:+.3f}, {difference / error:+.1f} standard errors: {verdict}."


def comparable(main: Results) -> str:
    """Return the verdict on the accuracy beside NAO's."""
    pairs = [(PAPER, "nao:hidden_size=32"), (f"{PAPER},hidden_size=64", "nao"), (PAPER, "nao")]
    found = {pair: main.difference(*pair, 121) for pair in pairs}
    behind = [difference for difference in found.values() if difference and difference.high < 0]
    verdict = "not measured yet" if None in found.values() else "does not hold" if behind else "holds"
    return claim('"Comparable to NAO\'s MLP in accuracy"', verdict, [compared(*pair, found[pair]) for pair in pairs])


def faster_than_nao(main: Results) -> str:
    """Return the verdict on the training time beside NAO's, at the same hidden size, epochs, batches and thread."""
    pairs = [(PAPER, "nao:hidden_size=32"), (f"{PAPER},hidden_size=64", "nao"), (PAPER, "nao")]
    ratios = [ratio(main, *pair) for pair in pairs]
    known = [value for value in ratios if value]
    verdict = (
        "not measured yet" if len(known) < len(pairs) else "holds" if min(known) > 8 else f"does not hold: {known[0]:.1f} times"
    )
    lines = [f"{times(value)}: `{slow}` over `{fast}`" for value, (fast, slow) in zip(ratios, pairs, strict=True)]
    note = "The published 54.2 s and 6.45 s are of 64 and of 32 hidden units; both train one encoder and decoder for 50 epochs"
    return claim('"Nearly nine times faster to train than NAO"', verdict, [*lines, note])


def faster_than_others(main: Results) -> str:
    """Return the verdict on the training times beside the others'."""
    ratios = {name: ratio(main, PAPER, name) for name in OTHERS if name != "nao"}
    known = [value for value in ratios.values() if value]
    slowest = sum(value >= 5 for value in known)
    verdict = (
        "not measured yet" if len(known) < len(ratios) else "holds" if min(known) >= 5 else f"holds for {slowest} of {len(known)}"
    )
    lines = [f"{times(value)}: `{name}` over `{PAPER}`" for name, value in ratios.items()]
    note = "The published times of MLP and BANANAS include a hyperparameter search, ours do not"
    return claim('"Five up to eighty times faster than others"', verdict, [*lines, note])


def similar_or_better(main: Results) -> str:
    """Return the verdict on the accuracy beside the others'."""
    found = {name: main.difference(PAPER, name, 121) for name in OTHERS}
    behind = [name for name, difference in found.items() if difference and difference.high < 0]
    verdict = (
        "not measured yet" if None in found.values() else "holds" if not behind else f"does not hold against {', '.join(behind)}"
    )
    lines = [compared(PAPER, name, found[name]) for name in OTHERS]
    note = "Our MLP and BANANAS see standardised measurements, which the released code's do not: a harder test than the paper's"
    return claim('"Similar to better accuracy"', verdict, [*lines, note])


def default(every: list[Results]) -> Iterator[str]:
    """Yield where the default EmProx is ahead of all others, and where it is not."""
    yield "| config, table | labels | `emprox` | best of the others | difference [95 %] | not behind it |"
    yield "|---|---|---|---|---|---|"
    behind = []
    for results in every:
        for size in filter(None, results.sizes):
            if not results.values("emprox", size):
                yield f"| {results.title} | {size} | not measured yet | | | |"
                continue
            others = [name for name in results.estimators if name != "emprox" and results.values(name, size)]
            best = max(others, key=lambda name: results.mean(name, size))
            found = results.difference("emprox", best, size)
            near = [name for name in others if (d := results.difference("emprox", name, size)) is not None and not d.low > 0]
            behind += [f"{results.title} at {size} labels" for _ in near[:1]]
            cells = f"{fixed(results.mean('emprox', size))} | `{best}` {fixed(results.mean(best, size))} | {interval(found)}"
            yield f"| {results.title} | {size} | {cells} | {', '.join(f'`{name}`' for name in near) or 'none'} |"
    yield ""
    measured = any(results.values("emprox", size) for results in every for size in results.sizes)
    ahead = "Wherever it is measured, it is ahead of all." if measured else "It is not measured yet."
    yield f"It is not ahead of all: {'; '.join(behind)}." if behind else ahead


def ratio(main: Results, fast: str, slow: str) -> float | None:
    """Return how many times longer the second takes to fit, None if one is not measured."""
    both = [main.values(name, 121, "fit_cpu_seconds") for name in (fast, slow)]
    return main.mean(slow, 121, "fit_cpu_seconds") / main.mean(fast, 121, "fit_cpu_seconds") if all(both) else None


def times(value: float | None) -> str:
    return f"{value:.2g} times" if value else "not measured yet"


if __name__ == "__main__":
    PAGE.write_text(render(HERE / "results"))
