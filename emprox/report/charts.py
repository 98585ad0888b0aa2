"""What a report consists of, as plain values: charts, tables and sentences. `html` and `paper` draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from emprox.errors import InvalidDataError

__all__ = ["Axis", "Cell", "Chart", "Map", "Panel", "Report", "Section", "Series", "Source", "Table"]

Cell = str | float | int | None
Kind = Literal["points", "line", "step", "cloud"]


@dataclass(frozen=True)
class Series:
    """Points of one name; every sequence is as long as ``x``.

    Raises
    ------
    InvalidDataError
        If lengths differ.
    """

    name: str
    """What the legend says."""
    x: Sequence[Any]
    """Numbers, or names where the axis has names."""
    y: Sequence[Any]
    """Numbers, or names where the axis has names."""
    kind: Kind = "points"
    """``line`` and ``step`` connect the points, ``cloud`` has many small ones, coloured where there are ``values``."""
    low: Sequence[float] | None = None
    """Lower ends of intervals of y; of x where y has names."""
    high: Sequence[float] | None = None
    """Upper ends of the same."""
    notes: Sequence[str] = ()
    """What hovering shows of each point beside its place."""
    values: Sequence[float] | None = None
    """Numbers that colour a cloud."""
    value_name: str = ""
    """What those numbers are."""
    colour: int = 0
    """Place in the palette; colour, symbol and dash go together."""
    ids: Sequence[int] = ()
    """Of a map, the number of each point in its details."""

    def __post_init__(self) -> None:
        for name in ("y", "low", "high", "values"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.x):
                raise InvalidDataError(f"series {self.name!r} has {len(self.x)} x and {len(given)} {name}; expected as many")
        if self.notes and len(self.notes) != len(self.x):
            raise InvalidDataError(f"series {self.name!r} has {len(self.x)} x and {len(self.notes)} notes; expected as many")


@dataclass(frozen=True)
class Axis:
    """One axis of a chart."""

    title: str
    """Quantity and unit; empty for an axis without ticks."""
    log: bool = False
    """Whether it is logarithmic."""
    names: tuple[str, ...] = ()
    """Names along the axis, from the bottom or left, where it has no numbers."""


@dataclass(frozen=True)
class Panel:
    """One state of a chart; a chart of several has buttons that choose between them."""

    name: str
    """What its button says."""
    series: tuple[Series, ...]
    """What it shows."""


@dataclass(frozen=True)
class Chart:
    """A figure with axes, and what it says in words."""

    key: str
    """Identifier in the page and name of the file in `paper`; lower case and hyphens."""
    title: str
    """A line above it."""
    caption: str
    """What is shown, with population, number of trials and what the intervals are."""
    text: str
    """What it says, for readers who do not see it."""
    x: Axis
    """Horizontal axis."""
    y: Axis
    """Vertical axis."""
    panels: tuple[Panel, ...]
    """States; the first is shown first."""
    diagonal: bool = False
    """Whether a line marks where x equals y."""
    level: float | None = None
    """Height of a horizontal line, or place of a vertical one where y has names."""


@dataclass(frozen=True)
class Map(Chart):
    """A chart whose points are architectures; a click shows one of them."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """What a click shows, by point: ``x`` and ``y``, ``labels``, ``rows`` (numbers, one list for each of ``columns``), ``near``
    (lists of point, distance, weight) and ``graphs`` (numbers of ``kinds``, and a flat list of edges)."""


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted by any column."""

    key: str
    """Identifier in the page."""
    title: str
    """A line above it."""
    columns: tuple[str, ...]
    """Names of the columns."""
    rows: Sequence[Sequence[Cell]]
    """Cells; None is empty."""
    caption: str = ""
    """What is shown."""


@dataclass(frozen=True)
class Section:
    """A part of the report under its own heading."""

    key: str
    """Identifier in the page."""
    name: str
    """What the contents call it."""
    title: str
    """The heading."""
    sentences: tuple[str, ...]
    """What it says, in plain words; the first stands in the summary as well."""
    items: tuple[Chart | Table, ...]
    """Charts and tables in order."""


@dataclass(frozen=True)
class Source:
    """What was run, on what, with which command."""

    name: str
    """File or folder as it was given."""
    command: str
    """The command, or the lines of Python, that make it."""
    facts: Mapping[str, str]
    """Table, population, protocol, machine and versions."""


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    """Its heading."""
    summary: tuple[str, ...]
    """What the figures say, in plain words."""
    sections: tuple[Section, ...]
    """Its parts."""
    sources: tuple[Source, ...]
    """What was run."""

    @property
    def charts(self) -> list[Chart]:
        """Every chart in order."""
        return [item for section in self.sections for item in section.items if isinstance(item, Chart)]
