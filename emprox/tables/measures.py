"""What a column of measurements is measured in, and whether larger is better."""

from __future__ import annotations

from dataclasses import dataclass

from emprox.errors import InvalidDataError

__all__ = ["Measure", "measure_of"]


@dataclass(frozen=True)
class Measure:
    """Unit and direction of one target.

    Raises
    ------
    InvalidDataError
        If the unit is no text or the direction neither a truth value nor None.
    """

    unit: str = ""
    """Unit, such as ``percent`` or ``ms``; empty where it has none or it is not known."""
    larger_is_better: bool | None = None
    """Direction; None where it is not known, and then nothing can be called best."""

    def __post_init__(self) -> None:
        if not isinstance(self.unit, str) or self.larger_is_better not in (True, False, None):
            raise InvalidDataError(
                f"a measure is a unit (text) and a direction (True, False or None), got {self.unit!r}, {self.larger_is_better!r}"
            )

    @property
    def sign(self) -> int:
        """What measurements are multiplied by so that larger is better: -1 where smaller is, 1 otherwise.

        >>> Measure("ms", False).sign
        -1
        """
        return -1 if self.larger_is_better is False else 1


BY_ENDING = {
    "_accuracy": Measure("percent", True),
    "_error": Measure("percent", False),
    "_loss": Measure("", False),
    "_latency": Measure("", False),
    "_perplexity": Measure("", False),
    "_ms": Measure("ms", False),
    "_seconds": Measure("s", False),
}
"""Units are in the names; these are the endings that emprox writes or that are usual, and such a name by itself."""


def measure_of(name: str) -> Measure:
    """Return the measure that a target's name tells, or one that says that nothing is known.

    >>> measure_of("val_accuracy")
    Measure(unit='percent', larger_is_better=True)
    >>> measure_of("loss").larger_is_better
    False
    >>> measure_of("reward")
    Measure(unit='', larger_is_better=None)
    """
    return next((measure for ending, measure in BY_ENDING.items() if f"_{name}".endswith(ending)), Measure())
