"""Measured architectures that last: records that only grow, shared by the processes of a search."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emprox.errors import EmproxError, InvalidDataError
from emprox.index.embeddings import StoredEmbedding, keep_encoder, read_embedding
from emprox.index.ledger import TIMEOUT_S, Ledger
from emprox.index.records import Record
from emprox.registry import nearest
from emprox.spaces import Architecture, ArchitectureFamily, as_architectures, get_family, infer_space
from emprox.tables import Measure, PerformanceTable
from emprox.tables.runs import average, columns_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from emprox.encoders import Encoder

__all__ = ["Entry", "Store"]

MOST_AT_ONCE = 1000
"""Records of one addition; more are several."""


@dataclass(frozen=True)
class Entry:
    """One architecture with everything that was measured of it."""

    architecture: Architecture
    records: tuple[Record, ...]
    """Every measurement, in the order of their numbers."""

    def values(self, target: str) -> list[float]:
        """Return the measurements of one target."""
        return [record.values[target] for record in self.records if target in record.values]

    def summary(self, target: str) -> dict[str, Any]:
        """Return ``mean``, ``spread`` (sample standard deviation, None of a single one) and ``count`` of one target."""
        values = self.values(target)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return {"mean": float(np.mean(values)) if values else None, "spread": spread, "count": len(values)}


class Store:
    """A folder of records of measured architectures.

    After `add` has returned, a record survives the end of the process and of the power: it is in SQLite, fully flushed, and in a
    text file beside it, and either of them is enough to restore the other. Records are never changed or removed. Any number of
    processes and threads of one machine may read and write at once; writers queue.

    Parameters
    ----------
    path : str or Path
        The folder.
    create : bool
        Whether to make an empty store where there is none.
    timeout_s : float
        Seconds to wait while another process writes.

    Raises
    ------
    StorageError
        If there is no store, or it cannot be opened.
    CorruptFileError
        If it is damaged, or of another format.
    StoreBusyError
        If another process writes for longer than the time limit.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp() + "/runs", create=True)
    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> store.add(cell, {"val_accuracy": 90.0}, space="nasbench201", seed=0)
    1
    >>> store.add(cell, {"val_accuracy": 91.0}, space="nasbench201", seed=1)
    2
    >>> [entry.summary("val_accuracy") for entry in store.entries()]
    [{'mean': 90.5, 'spread': 0.7071067811865476, 'count': 2}]
    """

    def __init__(self, path: str | Path, *, create: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        self.path = Path(path)
        self.timeout_s = timeout_s
        self.ledger = Ledger(self.path, create=create, timeout_s=timeout_s)
        self._lock = threading.RLock()
        self._last = 0
        self._forget(self.ledger.identity)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path.absolute(), "timeout_s": self.timeout_s}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.records())

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        self.ledger.close()

    def add(
        self,
        architecture: Any,
        values: Mapping[str, float],
        *,
        space: str | ArchitectureFamily | None = None,
        **fields: Any,
    ) -> int:
        """Add what one training gave, and return the number of its record. When it has returned, the record will not be lost.

        Parameters
        ----------
        architecture : Architecture or description
            What was trained. A description is read as `ArchitectureFamily.parse` does.
        values : mapping of str to float
            What was measured, ``{"val_accuracy": 93.1}``; units are in the names, or in ``measures``.
        space : str, ArchitectureFamily or None
            Of a description that does not tell; may be left out if the store has one only.
        **fields
            Further fields of `Record`: ``seed``, ``source``, ``measures``, ``time``, ``key``. With a key, such as the name of the
            run, adding the same again after an error changes nothing.

        Raises
        ------
        InvalidDataError
            If a value is not finite, a unit is not that of the records before, or the key is taken by another record.
        StorageError
            If the disk is full or the folder is read-only; nothing was added.
        StoreBusyError
            If another process writes for longer than the time limit; nothing was added.
        """
        default = None if space is not None or isinstance(architecture, Architecture) else self.only_space
        family = infer_space([architecture], space, default)
        (read,) = as_architectures([architecture], family)
        fields = {"embedding": self._version(read.space, values), **fields}
        return self.ledger.append([Record.of(read, values, **fields)]).numbers[0]

    def add_records(self, records: Iterable[Record]) -> int:
        """Add records, leave out those that are there, by their key, and return how many were new.

        Up to 1,000 become visible together; more are several additions, one after the other, after all of them were checked.
        If one of these fails, the message says how many records went in before; adding all again adds the rest.

        Raises
        ------
        InvalidDataError, StorageError, StoreBusyError
            As `add`.
        InvalidArchitectureError
            If the text of an architecture is none of its space; checked before anything is added.
        """
        given = list(records)
        self.check_records(given)
        count = 0
        for start in range(0, len(given), MOST_AT_ONCE):
            try:
                count += self.ledger.append(given[start : start + MOST_AT_ONCE]).count
            except EmproxError as error:
                if not count:
                    raise
                raise type(error)(f"{count} new records were added; of the next {MOST_AT_ONCE}: {error}") from error
        return count

    def check_records(self, records: Iterable[Record]) -> None:
        """Raise what `add_records` would raise of these records: of their architectures, units and keys; adds nothing."""
        given = list(records)
        for record in given:
            if str(record.restored()) != record.architecture:
                raise InvalidDataError(f"{record.architecture!r:.80} is not how {record.space} writes it; use Record.of or add")
        self.ledger.check(given)

    def records(self) -> list[Record]:
        """Return all records in the order of their numbers; what others have added since is read."""
        with self._lock:
            if self.ledger.identity != self._identity:
                self._forget(self.ledger.identity)
            for number, record in self.ledger.read(self._last):
                self._records.append(record)
                self._last = number
            return list(self._records)

    def entries(self, space: str | None = None) -> list[Entry]:
        """Return the architectures of one space, each once, in the order of their first record.

        Architectures are one entry if they are equal. Twins, different descriptions of one function, are entries of their own:
        see `twins`.

        Parameters
        ----------
        space : str, optional
            The space; may be left out if the store has one only.
        """
        space = self._space(space)
        with self._lock:
            records = self.records()
            done, groups = self._groups.get(space, (0, {}))
            for record in records[done:]:
                if record.space == space:
                    groups.setdefault(record.restored(), []).append(record)
            self._groups[space] = len(records), groups
            return [Entry(architecture, tuple(group)) for architecture, group in groups.items()]

    def twins(self, space: str | None = None) -> list[list[Entry]]:
        """Return the groups of two or more entries whose architectures are the same function (canonical hash)."""
        groups: dict[str, list[Entry]] = {}
        for entry in self.entries(space):
            family = get_family(entry.architecture.space)
            groups.setdefault(family.canonical_hash(entry.architecture), []).append(entry)
        return [group for group in groups.values() if len(group) > 1]

    def table(self, target: str | Sequence[str] | None = None, space: str | None = None) -> PerformanceTable:
        """Return the entries that have these targets as a table: means, their spreads and counts.

        Parameters
        ----------
        target : str or sequence of str, optional
            May be left out if the space has one only.
        space : str, optional
            May be left out if the store has one only.

        Raises
        ------
        InvalidDataError
            If nothing was measured.
        UnknownNameError
            If nothing has such a target.
        """
        space = self._space(space)
        names = (
            [self._target(target, space)]
            if target is None or isinstance(target, str)
            else [self._target(t, space) for t in target]
        )
        entries = [entry for entry in self.entries(space) if all(entry.values(name) for name in names)]
        if not entries:
            raise InvalidDataError(f"{self.path} has no architecture of {space} with all of {', '.join(names)}")
        averages = {}
        for name in names:
            measured = [entry.values(name) for entry in entries]
            groups = np.repeat(np.arange(len(entries)), [len(values) for values in measured])
            averages[name] = average([value for values in measured for value in values], groups)
        measures = {name: self.measures(space)[name] for name in names}
        architectures = tuple(entry.architecture for entry in entries)
        return PerformanceTable(self.path.name, space, architectures, measures=measures, **columns_of(averages))

    def spaces(self) -> list[str]:
        """Return the names of the spaces that have records, in the order of their first."""
        return list(dict.fromkeys(record.space for record in self.records()))

    @property
    def only_space(self) -> str | None:
        """The space of all records, None where there are none or several."""
        known = self.spaces()
        return known[0] if len(known) == 1 else None

    def measures(self, space: str | None = None) -> dict[str, Measure]:
        """Return unit and direction of the targets of one space, or of all, by name."""
        found: dict[str, Measure] = {}
        for record in self.records():
            if space in (None, record.space):
                found.update(record.measures)
        return found

    def merge(self, other: Store | str | Path) -> int:
        """Add the records of another store, each once however often it is merged, and return how many were new."""
        source = other if isinstance(other, Store) else Store(other, timeout_s=self.timeout_s)
        return self.add_records(source.records())

    def reembed(self, encoder: Encoder, target: str | None = None, space: str | None = None) -> str:
        """Make a fitted encoder the one of this space and target, and return its version.

        All entries are embedded aside; then the version is switched at once, also for the other processes, and nothing ever
        meets embeddings of another encoder. An encoder that was there stays beside it, for those that still use it.

        Parameters
        ----------
        encoder : Encoder
            Fitted, of a registered kind, such as ``EmProx().fit(...).encoder_``.
        target : str, optional
            What it was learned from; may be left out if the space has one target only.
        space : str, optional
            May be left out if the store has one only.
        """
        space = self._space(space)
        target = self._target(target, space)
        version = keep_encoder(self.path, encoder)
        read_embedding(self.path, version, self.entries(space))
        self.ledger.switch(space, target, version)
        return version

    def version(self, target: str | None = None, space: str | None = None) -> str | None:
        """Return the version of the current encoder of this space and target, None where there is none."""
        space = self._space(space)
        return self.ledger.versions().get((space, self._target(target, space)))

    def embedding(self, target: str | None = None, space: str | None = None) -> StoredEmbedding | None:
        """Return the current encoder of this space and target with the embeddings of all entries, None where there is none.

        Raises
        ------
        CorruptFileError, StorageError
            If the encoder is damaged or missing; an index that is gets made again.
        """
        space = self._space(space)
        version = self.version(target, space)
        return None if version is None else read_embedding(self.path, version, self.entries(space))

    def stats(self) -> dict[str, Any]:
        """Return what is in the store as a dict: records, sources, times, and for each space entries, twins and targets."""
        records = self.records()
        times = [record.time for record in records]
        return {
            "records": len(records),
            "first": min(times, default=None),
            "last": max(times, default=None),
            "sources": dict(Counter(record.source for record in records)),
            "spaces": {space: self._stats(space) for space in self.spaces()},
        }

    def _stats(self, space: str) -> dict[str, Any]:
        targets = {}
        for name, measure in self.measures(space).items():
            table = self.table(name, space)
            counts, repeated = table.counts[name], table.counts[name] > 1
            variances = [np.var(entry.values(name), ddof=1) for entry in self.entries(space) if len(entry.values(name)) > 1]
            freedom = counts[repeated] - 1
            targets[name] = {
                "unit": measure.unit,
                "larger_is_better": measure.larger_is_better,
                "architectures": len(table),
                "measurements": int(counts.sum()),
                "min": float(table.targets[name].min()),
                "max": float(table.targets[name].max()),
                "spread": float(np.sqrt(np.average(variances, weights=freedom))) if repeated.any() else None,
                "embedding": self.version(name, space),
            }
        twins = sum(len(group) for group in self.twins(space))
        return {"entries": len(self.entries(space)), "twins": twins, "targets": targets}

    def _space(self, space: str | None) -> str:
        known = self.spaces()
        if space is None and len(known) != 1:
            found = f"records of {', '.join(known)}; name one of them" if known else "no records yet"
            raise InvalidDataError(f"{self.path} has {found}")
        name = known[0] if space is None else get_family(space).name
        if name not in known:
            raise InvalidDataError(f"{self.path} has no records of {name}, but of {', '.join(known) or 'no space yet'}")
        return name

    def _target(self, target: str | None, space: str) -> str:
        known = list(self.measures(space))
        if target is None and len(known) == 1:
            return known[0]
        if target is None:
            raise InvalidDataError(f"{self.path} has {len(known)} targets in {space}: {', '.join(known)}; name one (--target)")
        if target not in known:
            hint = nearest(target, known)
            raise InvalidDataError(f"{self.path}: expected a target that was measured in {space}, got {target!r}; {hint}")
        return target

    def _version(self, space: str, values: Mapping[str, float]) -> str:
        """Return the versions of the embeddings that the store has for this space and these targets."""
        versions = self.ledger.versions()
        return " ".join(dict.fromkeys(versions[space, target] for target in values if (space, target) in versions))

    def _forget(self, identity: tuple[int, int]) -> None:
        """Forget what was read from a file that a repair has replaced since."""
        self._identity = identity
        self._last = 0
        self._records: list[Record] = []
        self._groups: dict[str, tuple[int, dict[Architecture, list[Record]]]] = {}
