"""What a search has asked and learned, a line of JSON for each evaluation: appended, flushed to disk, read back after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from emprox.errors import CorruptFileError, InvalidOptionError, StorageError
from emprox.spaces import Architecture, SearchSpace, get_space

__all__ = ["History", "Trial"]

FORMAT = 1


@dataclass(frozen=True)
class Trial:
    """One evaluation: an architecture and what came of it."""

    number: int
    """Place in the history, from 0."""
    architecture: Architecture
    key: str
    """Canonical hash; architectures of the same function share it."""
    values: Mapping[str, float] | None = None
    """Measured values by name; None if the evaluation failed."""
    error: str | None = None
    """Why it failed."""
    origin: str = "told"
    """Where the search had it from: ``sample``, ``neighbor``, ``mutation``, ``crossover``; ``told`` if it was not asked."""
    belief: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What the estimator said when the architecture was chosen: for each value its ``estimate`` and, if it has one, ``std``."""
    seconds: float | None = None
    """Time that the evaluation took."""
    at: float | None = None
    """Seconds since the search began, interruptions left out."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {
            "number": self.number,
            "architecture": str(self.architecture),
            "hash": self.key,
            "values": None if self.values is None else dict(self.values),
            "error": self.error,
            "origin": self.origin,
            "belief": {name: dict(each) for name, each in self.belief.items()},
            "seconds": self.seconds,
            "at": self.at,
        }

    @classmethod
    def from_json(cls, space: SearchSpace, line: Mapping[str, Any]) -> Trial:
        """Return the trial of a line."""
        rest = {name: line[name] for name in ("number", "values", "error", "origin", "belief", "seconds", "at")}
        return cls(architecture=space.restore(line["architecture"]), key=line["hash"], **rest)


class History(Sequence[Trial]):
    """Trials in the order in which they were told, in memory or in a file that only grows.

    Parameters
    ----------
    path : str or Path, optional
        File of JSON lines. One that is there is read and continued; a last line that was cut in the middle is dropped. While the
        history is open no other process can open the file.
    facts : mapping, optional
        What must be the same when the file is continued: space, goals, method, seed. Written with the first trial, so that a
        search that asked nothing leaves an empty file.

    Raises
    ------
    StorageError
        If the file cannot be read or written, or another process has it open.
    CorruptFileError
        If a line other than the last cannot be read.
    InvalidOptionError
        If the file is there with other facts.
    """

    def __init__(self, path: str | Path | None = None, facts: Mapping[str, Any] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.facts = dict(facts or {})
        self.state: Any = None
        """State of the generator after the last trial was asked for, as JSON holds it."""
        self.dropped = False
        """Whether a line that was cut in the middle has been dropped."""
        self._trials: list[Trial] = []
        self._by_key: dict[str, Trial] = {}
        self._file: IO[bytes] | None = None
        self._lock: FileLock | None = None
        if self.path is not None:
            self._open(self.path)

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __getitem__(self, number: Any) -> Any:
        return self._trials[number]

    def of(self, key: str) -> Trial | None:
        """Return the trial of architectures with this canonical hash, or None."""
        return self._by_key.get(key)

    @property
    def valid(self) -> list[Trial]:
        """Those that did not fail."""
        return [trial for trial in self._trials if trial.values is not None]

    def append(self, trial: Trial, state: Any = None) -> None:
        """Add a trial; when this returns it is on the disk."""
        if self._file is not None:
            head = [] if self._file.tell() else [{"format": FORMAT, "facts": self.facts}]
            self._write([*head, trial.to_json() | {"state": state}])
        self._keep(trial, state)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release()
        self._file = self._lock = None

    def _keep(self, trial: Trial, state: Any) -> None:
        self._trials.append(trial)
        self._by_key[trial.key] = trial
        self.state = state

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
            self._lock.acquire()
            content = path.read_bytes() if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            self.dropped = len(whole) < len(content)
            self._read(path, whole)
            self._file = path.open("r+b" if path.exists() else "xb")
            self._file.truncate(len(whole))
            self._file.seek(len(whole))
        except Timeout as error:
            self._lock = None
            raise StorageError(f"{path} is being written by another search; wait for it or choose another place") from error
        except OSError as error:
            self.close()
            raise StorageError(f"cannot open the history {path}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path, content: bytes) -> None:
        lines = content.splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                read = json.loads(line)
                if number == 1:
                    self._check_facts(path, read["format"], read["facts"])
                else:
                    trial = Trial.from_json(get_space(self.facts["space"]), read)
                    if trial.number != number - 2:
                        raise ValueError(f"trial {trial.number} where {number - 2} should be")
                    self._keep(trial, read["state"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if isinstance(error, InvalidOptionError):
                    raise
                raise CorruptFileError(f"{path}, line {number} is not a line of a search's history: {error!r}") from error

    def _check_facts(self, path: Path, came: Any, facts: Mapping[str, Any]) -> None:
        if came != FORMAT:
            raise CorruptFileError(f"{path} has format {came!r}, this emprox reads {FORMAT}")
        expected = json.loads(json.dumps(self.facts)) if self.facts else dict(facts)
        other = [name for name in {**expected, **facts} if expected.get(name) != facts.get(name)]
        if other:
            there, asked = ({name: each.get(name) for name in other} for each in (facts, expected))
            raise InvalidOptionError(f"{path} belongs to another search: it has {there}, asked for is {asked}")
        self.facts = expected

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Add lines as a whole; what a full disk has left of them is taken back."""
        assert self._file is not None
        before = self._file.tell()
        try:
            self._file.write(b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(before)
                self._file.seek(before)
            raise StorageError(f"could not write {self.path}: {error}; the trial is not in the history") from error
