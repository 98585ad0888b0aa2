"""One training's result as a value: what was measured, of which architecture, by whom, when; and a checksum over it all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from emprox.errors import CorruptFileError, InvalidDataError
from emprox.spaces import Architecture, get_family
from emprox.tables.measures import Measure, measure_of

__all__ = ["COLUMNS", "Record"]

COLUMNS = ("key", "space", "architecture", "targets", "seed", "source", "time", "embedding", "sha256")
"""What a record is written as, in this order."""
LONGEST = 500
"""Characters of a name, a source or a key."""
LARGEST_SEED = 1 << 63


@dataclass(frozen=True)
class Record:
    """What one training of one architecture gave.

    Raises
    ------
    InvalidDataError
        If there is no value, one is not a finite number, a name is empty, longer than 500 characters or has control
        characters, or the time has no zone.

    Examples
    --------
    >>> record = Record("nasbench201", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", {"val_accuracy": 10.0}, seed=1)
    >>> record.measures["val_accuracy"].unit
    'percent'
    >>> Record.from_row(record.row) == record
    True
    """

    space: str
    """Name of the search space, or other family."""
    architecture: str
    """The text that the family's `format` gives and its `restore` reads."""
    values: Mapping[str, float]
    """What was measured, by the target's name."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """Unit and direction by the target's name; what is left out is read from the name's ending where it tells."""
    seed: int | None = None
    """Seed of the training, where known."""
    source: str = ""
    """Where the value is from: a run, a person, a paper, a file."""
    time: str = ""
    """When it was recorded, ISO 8601 in UTC; now by default."""
    embedding: str = ""
    """Version of the store's embedding when it was recorded, empty where it had none."""
    key: str = ""
    """Unique name of the record, the same in every store that it is copied to; by default a random one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or uuid4().hex)
        object.__setattr__(self, "time", _utc(self.time))
        for name in ("space", "key", *self.values):
            _check_text("a name", getattr(self, name) if name in ("space", "key") else name, least=1)
        for name in ("source", "embedding"):
            _check_text(name, getattr(self, name), least=0)
        if not isinstance(self.architecture, str) or not self.architecture:
            raise InvalidDataError(f"expected the text of an architecture, got {self.architecture!r:.80}")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise InvalidDataError(f"a seed is an integer or None, got {self.seed!r}")
        if self.seed is not None and not -LARGEST_SEED <= self.seed < LARGEST_SEED:
            raise InvalidDataError(f"a seed has at most 64 bits, got {self.seed!r:.80}")
        if not self.values:
            raise InvalidDataError("a record needs at least one measured value, such as {'val_accuracy': 93.1}")
        if unknown := set(self.measures) - set(self.values):
            raise InvalidDataError(f"measures of {sorted(unknown)}, which have no value; values are of {sorted(self.values)}")
        values = {name: _finite(name, value) for name, value in self.values.items()}
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "measures", {name: self.measures.get(name, measure_of(name)) for name in values})

    @classmethod
    def of(cls, architecture: Architecture, values: Mapping[str, float], **fields: Any) -> Record:
        """Return the record of an architecture; further fields as in the class."""
        return cls(architecture.space, str(architecture), values, **fields)

    @property
    def row(self) -> tuple[str | int | None, ...]:
        """The values of `COLUMNS`; the last is a checksum over the others."""
        measures = {name: [value, *_pair(self.measures[name])] for name, value in self.values.items()}
        content = (
            self.key,
            self.space,
            self.architecture,
            json.dumps(measures),
            self.seed,
            self.source,
            self.time,
            self.embedding,
        )
        return *content, _checksum(content)

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Record:
        """Return the record of a row, raise if a value or the checksum is not what `row` wrote.

        Raises
        ------
        CorruptFileError
            If it is not.
        """
        try:
            *content, checksum = row
            if checksum != _checksum(content):
                raise CorruptFileError("the checksum of a record is wrong")
            key, space, architecture, targets, seed, source, time, embedding = content
            pairs = {name: (value, Measure(unit, better)) for name, (value, unit, better) in json.loads(targets).items()}
            values, measures = {n: value for n, (value, _) in pairs.items()}, {n: measure for n, (_, measure) in pairs.items()}
            if not key or not time:
                raise CorruptFileError("a record has no key or no time")
            return cls(space, architecture, values, measures, seed, source, time, embedding, key)
        except CorruptFileError:
            raise
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptFileError(f"a record cannot be read: {error}") from error

    def restored(self) -> Architecture:
        """Return the architecture; runs no code and opens no file."""
        return get_family(self.space).restore(self.architecture)


def _pair(measure: Measure) -> tuple[str, bool | None]:
    return measure.unit, measure.larger_is_better


def _checksum(content: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(list(content)).encode()).hexdigest()


def _check_text(what: str, text: Any, least: int) -> None:
    if not isinstance(text, str) or not least <= len(text) <= LONGEST or not text.isprintable():
        raise InvalidDataError(f"{what} is a text of {least} to {LONGEST} printable characters, got {text!r:.80}")


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool | str) or not math.isfinite(number):
        raise InvalidDataError(
            f"{name} is {value!r:.80}, expected a finite number; leave out architectures whose training failed"
        )
    return number


def _utc(text: str) -> str:
    """Return a time with its zone as ISO 8601 in UTC, to the microsecond; now for an empty text."""
    if text == "":
        return datetime.now(timezone.utc).isoformat(timespec="microseconds")
    try:
        time = datetime.fromisoformat(text)
        zone = time.utcoffset()
        if zone is None:
            raise ValueError("it has no zone")
        return time.astimezone(timezone.utc).isoformat(timespec="microseconds")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidDataError(
            f"a time is ISO 8601 with a zone, such as 2024-05-01T12:00:00+00:00; got {text!r:.80}: {error}"
        ) from None
