"""What `benchmarks/run.py` has measured, by estimator, and sentences about it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emprox.report import Difference, paired_difference
from emprox.report.numbers import fixed


@dataclass(frozen=True)
class Results:
    """The results of one table of one config."""

    title: str
    rows: list[dict[str, Any]]

    @property
    def estimators(self) -> list[str]:
        """Estimators in the order of the file."""
        return list(dict.fromkeys(row["estimator"] for row in self.rows))

    @property
    def sizes(self) -> list[int]:
        """Numbers of labels."""
        return sorted({row["train_size"] for row in self.rows})

    def values(self, estimator: str, size: int, metric: str = "kendall") -> dict[int, float]:
        """Return a metric by trial."""
        chosen = [row for row in self.rows if (row["estimator"], row["train_size"]) == (estimator, size)]
        return {row["trial"]: row[metric] for row in chosen if row.get(metric) is not None}

    def mean(self, estimator: str, size: int, metric: str = "kendall") -> float:
        """Return the mean over trials."""
        return mean(self.values(estimator, size, metric).values())

    def difference(self, first: str, second: str, size: int, metric: str = "kendall") -> Difference | None:
        """Return first minus second over the trials that both have, None where these are fewer than two."""
        one, two = self.values(first, size, metric), self.values(second, size, metric)
        trials = sorted(one.keys() & two.keys())
        return paired_difference([one[t] for t in trials], [two[t] for t in trials]) if len(trials) > 1 else None


def read(folder: Path, table: str, title: str | None = None) -> Results:
    """Return what was measured on a table of one config's folder, which may be nothing."""
    file = folder / f"{table.replace(':', '-')}.json"
    return Results(title or table, json.loads(file.read_text())["results"] if file.exists() else [])


def cell(results: Results, estimator: str, size: int, metric: str) -> str:
    """Return mean and spread over trials, empty where it was not measured."""
    values = results.values(estimator, size, metric).values()
    return f"{fixed(mean(values))} ({fixed(spread(values))})" if values else ""


def claim(text: str, verdict: str, lines: list[str]) -> str:
    """Return a section: a claim, its verdict and the lines behind it."""
    return f"### {text}: {verdict}\n\n" + "\n".join(f"- {line}." for line in lines)


def compared(first: str, second: str, difference: Difference | None) -> str:
    """Return a sentence on a paired difference of two estimators."""
    if difference is None:
        return f"`{first}` and `{second}`: not measured yet"
    word = "no difference" if not difference.is_real else "ahead" if difference.mean > 0 else "behind"
    return f"`{first}` minus `{second}`: {interval(difference)} over {difference.trials} trials, {word}"


def interval(difference: Difference | None) -> str:
    """Return a difference with its interval."""
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]" if difference else "one trial"


def mean(values: Collection[float]) -> float:
    """Return the mean over trials, NaN of none."""
    return sum(values) / len(values) if values else float("nan")


def spread(values: Collection[float]) -> float:
    """Return the standard deviation over trials, 0 of one."""
    return (sum((value - mean(values)) ** 2 for value in values) / max(1, len(values) - 1)) ** 0.5
