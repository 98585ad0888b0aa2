"""What is known of architectures from elsewhere: proxies computed before and learning curves, of a table or a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emprox.encodings import Encoding
from emprox.errors import InvalidArchitectureError, InvalidDataError, InvalidOptionError, UnknownNameError
from emprox.proxies.base import PROXIES
from emprox.registry import nearest
from emprox.spaces import Architecture, as_architectures, get_family
from emprox.tables import PerformanceTable

__all__ = ["Known", "KnownEncoding", "KnownProxies", "as_known"]

Floats = NDArray[np.float64]
MILLIONS = {"params_millions": "params", "flops_millions": "flops"}
"""Columns of public tables that count in millions, and the proxy that each is."""


Known: TypeAlias = "KnownProxies | PerformanceTable | str | Path | None"
"""Proxies and curves, a table that has them, or a csv file that `emprox proxies` wrote; None if nothing is known."""


@dataclass(frozen=True)
class KnownProxies:
    """Proxies, and learning curves if there are any, of some architectures of one space, by name.

    Raises
    ------
    InvalidDataError
        If a column's or curve's length differs from the number of architectures, or a value is infinite.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> cells = get_space("nasbench201").sample(np.random.default_rng(0), 3)
    >>> known = KnownProxies("nasbench201", tuple(cells[:2]), {"synflow": [40.5, np.nan]})
    >>> known.values(cells)
    array([[40.5],
           [ nan],
           [ nan]])
    >>> known.has(cells)
    array([ True,  True, False])
    """

    space: str
    """Name of the search space."""
    architectures: tuple[Architecture, ...]
    """One per row, all different."""
    columns: Mapping[str, Floats]
    """Values by proxy, each ndarray of shape (n_rows,); NaN where the proxy has no value."""
    curves: Mapping[str, Floats] = field(default_factory=dict)
    """Values after each epoch by curve, each ndarray of shape (n_rows, n_epochs); NaN after a training that stopped early."""

    def __post_init__(self) -> None:
        checked = {name: np.asarray(values, dtype=np.float64) for name, values in self.columns.items()}
        for name, values in checked.items():
            if values.shape != (len(self.architectures),) or np.isinf(values).any():
                raise InvalidDataError(
                    f"proxy {name!r}: expected {len(self.architectures)} finite numbers or NaN, got an array of shape "
                    f"{values.shape}" + (" with infinity" if np.isinf(values).any() else "")
                )
        family = get_family(self.space)
        for architecture in self.architectures:
            family.check(architecture)
        object.__setattr__(self, "columns", checked)
        curves = {name: np.asarray(values, dtype=np.float64) for name, values in self.curves.items()}
        for name, values in curves.items():
            if values.ndim != 2 or len(values) != len(self.architectures) or np.isinf(values).any():
                raise InvalidDataError(
                    f"curve {name!r}: expected finite numbers or NaN of shape ({len(self.architectures)}, epochs), "
                    f"got an array of shape {values.shape}" + (" with infinity" if np.isinf(values).any() else "")
                )
        object.__setattr__(self, "curves", curves)

    def __deepcopy__(self, memo: dict[int, Any]) -> KnownProxies:
        return self  # a value, so that a clone of an estimator shares it

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the proxies."""
        return tuple(self.columns)

    @cached_property
    def _row(self) -> dict[Architecture, int]:
        return {architecture: row for row, architecture in enumerate(self.architectures)}

    def has(self, architectures: Iterable[Architecture]) -> NDArray[np.bool_]:
        """Return which architectures have a row, ndarray of shape (n_archs,)."""
        return np.array([architecture in self._row for architecture in architectures], dtype=bool)

    def values(self, architectures: Iterable[Architecture], names: Sequence[str] | None = None) -> Floats:
        """Return proxies of architectures, ndarray of shape (n_archs, n_names); NaN where not known, and where there is no value.

        Parameters
        ----------
        architectures : iterable of Architecture
            Any of the space, known or not; `has` tells which.
        names : sequence of str, optional
            Columns and their order; all by default.

        Raises
        ------
        UnknownNameError
            If there is no such column.
        """
        chosen = self.names if names is None else tuple(names)
        for name in chosen:
            if name not in self.columns:
                raise UnknownNameError(f"{name!r} is not among the known proxies; {nearest(name, list(self.names))}")
        rows = self._rows(architectures)
        found = np.full((len(rows), len(chosen)), np.nan)
        for column, name in enumerate(chosen):
            found[rows >= 0, column] = self.columns[name][rows[rows >= 0]]
        return found

    def curve(self, architectures: Sequence[Architecture], name: str, epochs: int) -> Floats:
        """Return a learning curve up to an epoch, ndarray of shape (n_archs, epochs).

        Raises
        ------
        UnknownNameError
            If there is no such curve.
        InvalidOptionError
            If it has fewer epochs.
        InvalidDataError
            If the curve of an architecture is not known, or ends before.
        """
        values, rows = self._until(name, epochs), self._rows(architectures)
        found = np.where((rows >= 0)[:, None], values[rows], np.nan)
        lacking = np.flatnonzero(np.isnan(found).any(axis=1))
        if len(lacking):
            raise InvalidDataError(
                f"the learning curve {name!r} up to epoch {epochs} is not known of {len(lacking)} of {len(rows)} architectures, "
                f"first {architectures[lacking[0]]}; train them so far, or leave them out"
            )
        return found

    def select_curve(self, name: str, epochs: int | None = None) -> KnownProxies:
        """Return one learning curve only, up to an epoch, by default its last; errors of name and epoch as in `curve`."""
        return KnownProxies(self.space, self.architectures, {}, {name: self._until(name, epochs)})

    def _until(self, name: str, epochs: int | None) -> Floats:
        """Return a learning curve up to an epoch, (n_rows, epochs)."""
        if name not in self.curves:
            raise UnknownNameError(f"{name!r} is not among the known learning curves; {nearest(name, list(self.curves))}")
        longest = self.curves[name].shape[1]
        if epochs is not None and epochs > longest:
            raise InvalidOptionError(f"the curve {name!r} has {longest} epochs, {epochs} were asked for")
        return self.curves[name][:, :epochs]

    def _rows(self, architectures: Iterable[Architecture]) -> NDArray[np.int64]:
        """Return the row of each architecture, -1 where it has none."""
        return np.array([self._row.get(architecture, -1) for architecture in architectures], dtype=np.int64)

    def select(self, names: Sequence[str]) -> KnownProxies:
        """Return these proxies only."""
        return KnownProxies(self.space, self.architectures, {name: self.columns[name] for name in names})

    def require(self, architectures: Sequence[Architecture]) -> None:
        """Raise unless every architecture has a row."""
        lacking = np.flatnonzero(~self.has(architectures))
        if len(lacking):
            raise InvalidDataError(
                f"the known proxies lack {len(lacking)} of {len(architectures)} architectures, first "
                f"{architectures[lacking[0]]}; compute theirs with `emprox proxies` the same way, or leave "
                "`known` out so that all are computed"
            )

    @classmethod
    def from_table(cls, table: PerformanceTable) -> KnownProxies:
        """Return the proxies among the columns of a table, those in millions as plain numbers, and its learning curves."""
        columns = {}
        for name, values in table.columns.items():
            if name in MILLIONS:
                columns[MILLIONS[name]] = values * 1e6
            elif name in PROXIES.names():
                columns[name] = values
        return cls(table.space, table.architectures, columns, table.curves)

    @classmethod
    def from_file(cls, path: str | Path, space: str) -> KnownProxies:
        """Return the proxies in a csv file that `emprox proxies --space` wrote; lines that are no architecture are left out.

        Raises
        ------
        StorageError
            If it cannot be read.
        CorruptFileError
            If it is not such a file.
        """
        from emprox.proxies.storage import read_proxies

        names, rows = read_proxies(Path(path))
        parsed = {architecture: row for text, row in rows.items() if (architecture := _parsed(space, text)) is not None}
        columns = {name: np.array([float(row[name] or "nan") for row in parsed.values()]) for name in names}
        return cls(space, tuple(parsed), columns)

    def to_json(self) -> dict[str, Any]:
        """Return the content for JSON, None in place of NaN; `from_json` reads it."""
        return {
            "space": self.space,
            "architectures": [str(a) for a in self.architectures],
            "columns": {name: _without_nan(values) for name, values in self.columns.items()},
            "curves": {name: [_without_nan(row) for row in values] for name, values in self.curves.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> KnownProxies:
        """Return what `to_json` wrote."""
        architectures = as_architectures(content["architectures"], get_family(content["space"]))
        columns, curves = (
            {name: np.array(values, dtype=np.float64) for name, values in content[kind].items()} for kind in ("columns", "curves")
        )
        return cls(content["space"], tuple(architectures), columns, curves)


class KnownEncoding(Encoding):
    """An encoding whose columns are known of architectures from elsewhere."""

    takes_known: ClassVar[bool] = True

    @classmethod
    def read_known(cls, content: Any) -> KnownProxies:
        """Return what is known from its JSON form."""
        return KnownProxies.from_json(content)


def as_known(known: Known, space: str) -> KnownProxies | None:
    """Return known proxies from any form in which estimators and encodings take them.

    Parameters
    ----------
    known : KnownProxies, PerformanceTable, path or None
        Proxies and curves, a table that has them, or a csv file of `emprox proxies`; None if nothing is known. A table without
        a proxy or a curve knows nothing.
    space : str
        The space that they have to be of.

    Raises
    ------
    InvalidDataError
        If they are of another space, or of another type.
    """
    if known is None:
        return None
    if isinstance(known, (str, Path)):
        return KnownProxies.from_file(known, space)
    found = KnownProxies.from_table(known) if isinstance(known, PerformanceTable) else known
    if not isinstance(found, KnownProxies):
        raise InvalidDataError(f"known is KnownProxies, a PerformanceTable or a csv file, got {type(known).__name__}")
    if found.space != space:
        raise InvalidDataError(f"the known proxies are of {found.space}, expected {space}")
    return found if found.names or found.curves else None


def _without_nan(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _parsed(space: str, text: str) -> Architecture | None:
    try:
        return get_family(space).parse(text)
    except InvalidArchitectureError:
        return None
