"""Proxies in a csv file that grows row by row, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from emprox.errors import CorruptFileError, InvalidOptionError, StorageError
from emprox.persistence import write_file
from emprox.proxies.base import ProxyScores

__all__ = ["ProxyFile", "read_proxies"]

NAME, RECIPE, FAILURES = "architecture", "recipe", "failures"


class ProxyFile:
    """A csv file with a row for each network: its name, the recipe, a column for each proxy, and failures as JSON.

    Opening it keeps what is there: a last line that was cut off is dropped, columns that are new are added.

    Parameters
    ----------
    path : Path
        The file; made when the first row is added.
    names : sequence of str
        Proxies to be written.
    recipe : str
        How they are computed; a file of another recipe is refused.

    Raises
    ------
    StorageError
        If it cannot be read or written.
    CorruptFileError
        If it is not such a file.
    InvalidOptionError
        If its rows were computed by another recipe.
    """

    def __init__(self, path: Path, names: Sequence[str], recipe: str) -> None:
        self.path, self.recipe = path, recipe
        present, self.rows = read_proxies(path) if path.exists() else ([], {})
        other = next((row[RECIPE] for row in self.rows.values() if row[RECIPE] != recipe), None)
        if other is not None:
            raise InvalidOptionError(f"{path} was computed with {other!r}, not {recipe!r}; repeat that or choose another output")
        self.asked = list(dict.fromkeys(names))
        self.names = [*present, *(name for name in self.asked if name not in present)]
        if path.exists():
            self.write(self.rows)

    def missing(self, name: str) -> list[str]:
        """Return the proxies asked for that a network has neither as a number nor as a failure."""
        row = self.rows.get(name, {})
        failed = json.loads(row.get(FAILURES) or "{}")
        return [proxy for proxy in self.asked if not row.get(proxy) and proxy not in failed]

    def add(self, name: str, scores: ProxyScores) -> None:
        """Add what was computed of a network to the file, at once."""
        old = self.rows.get(name, {})
        failures = {**json.loads(old.get(FAILURES) or "{}"), **scores.failures}
        values = {proxy: repr(value) for proxy, value in scores.values.items()}
        row = {NAME: name, RECIPE: self.recipe, **old, **values, FAILURES: json.dumps(failures) if failures else ""}
        text = self._text([row], header=not self.path.exists())
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error}") from error
        self.rows[name] = row

    def write(self, order: Iterable[str]) -> None:
        """Write the file anew, these networks first and the others after them, each once."""
        names = [name for name in dict.fromkeys((*order, *self.rows)) if name in self.rows]
        write_file(self.path, self._text([self.rows[name] for name in names], header=True).encode())

    def _text(self, rows: Iterable[Mapping[str, str]], header: bool) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, [NAME, RECIPE, *self.names, FAILURES], restval="", lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()


def read_proxies(path: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the names of the proxies, and the last row of each network as texts by column."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    reader = csv.DictReader([line for line in lines if line.endswith("\n")])
    header = list(reader.fieldnames or ())
    if header[:2] != [NAME, RECIPE] or header[-1] != FAILURES:
        raise CorruptFileError(
            f"{path} is not a file of proxies: expected columns {NAME}, {RECIPE}, ..., {FAILURES}, got {header}"
        )
    rows = list(reader)
    try:
        for row in rows:
            json.loads(row[FAILURES] or "{}")
            [float(row[name]) for name in header[2:-1] if row[name]]
    except (TypeError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a file of proxies: {error}; remove it or choose another output") from error
    return header[2:-1], {row[NAME]: row for row in rows}
