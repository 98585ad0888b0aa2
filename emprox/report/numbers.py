"""Numbers of results, and how a report writes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import stats

__all__ = ["count", "fixed", "listed", "mean_interval", "percent", "seconds", "slug", "told_apart", "value"]

CONFIDENCE = 0.95
"""Of the intervals of means over trials."""


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by Student's t; of one value the ends are the value itself.

    >>> [round(v, 2) for v in mean_interval([0.8, 0.9])]
    [0.85, 0.21, 1.49]
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, mean - reach, mean + reach


def fixed(number: float, digits: int = 3) -> str:
    """Return a number with so many decimals and no zero before the point.

    >>> fixed(0.8423), fixed(-0.05), fixed(1), fixed(-0.0001)
    ('.842', '-.050', '1.000', '.000')
    """
    text = f"{round(number, digits) + 0.0:.{digits}f}"  # no minus before a zero
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def value(number: float) -> str:
    """Return a measured value with four significant digits, without an exponent."""
    if not math.isfinite(number):
        return "unknown"
    digits = 3 - math.floor(math.log10(abs(number))) if number else 0
    return f"{number:,.{min(6, max(0, digits))}f}"


def seconds(number: float) -> str:
    """Return a duration in the unit that suits it.

    >>> seconds(0.00031), seconds(0.052), seconds(75), seconds(7200)
    ('0.31 ms', '52 ms', '75 s', '120 min')
    """
    if number >= 100:
        return f"{number / 60:.0f} min"
    unit, scaled = ("s", number) if number >= 0.9995 else ("ms", 1000 * number)
    return f"{scaled:.0f} {unit}" if scaled >= 10 else f"{scaled:.2g} {unit}"


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.873)
    '87 %'
    """
    return f"{100 * share:.0f} %"


def count(number: int, noun: str) -> str:
    """Return a number of things.

    >>> count(1, "trial"), count(15625, "row")
    ('1 trial', '15,625 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def slug(text: str) -> str:
    """Return a text as an identifier.

    >>> slug("xgboost:encoding=features, 121")
    'xgboost-encoding-features-121'
    """
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def told_apart(*levels: Sequence[str]) -> list[str]:
    """Return names none of which stands twice: of the first level, where that repeats of the next, at last with a number.

    >>> told_apart(["model", "model", "trees"], ["a/model", "b/model", "c/trees"]), told_apart(["x", "x"])
    (['a/model', 'b/model', 'trees'], ['x', 'x 2'])
    """
    names = list(levels[0])
    for longer in levels[1:]:
        times = Counter(names)
        names = [long if times[name] > 1 else name for name, long in zip(names, longer, strict=True)]
    found: list[str] = []
    for name in names:
        numbered = (name if place == 1 else f"{name} {place}" for place in range(1, len(names) + 1))
        found.append(next((each for each in numbered if each not in found), name))
    return found
