"""Candidates on the command line: where they are read from, and their estimates with progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from emprox.errors import InvalidDataError, InvalidOptionError, StorageError

if TYPE_CHECKING:
    from emprox.estimators import ArchitectureRegressor
    from emprox.parallel import Engine
    from emprox.spaces import ArchitectureFamily

__all__ = ["estimated", "read_lines"]

err = Console(stderr=True, highlight=False, soft_wrap=True)


def estimated(
    fitted: ArchitectureRegressor, candidates: list[str], sample: int | None, seed: int, top: int | None, engine: Engine
) -> list[dict[str, Any]]:
    """Return a row for each estimate: of candidates that are given, or drawn."""
    from emprox.estimators.ranking import estimate_many, estimate_samples

    if (sample is None) == (not candidates):
        raise InvalidOptionError("expected candidates or --sample, one of them")
    if sample is not None and top is None:
        raise InvalidOptionError("--sample keeps the best of what it draws; say how many with --top")
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("architectures", total=sample)
        options: dict[str, Any] = {"top": top, "engine": engine, "progress": lambda count: bar.advance(task, count)}
        if sample is not None:
            found = estimate_samples(fitted, sample, seed=seed, **options)
        else:
            found = estimate_many(fitted, _texts(candidates, fitted.space_), **options)
    return [
        {"architecture": each.architecture, "estimate": each.estimate, **({"std": each.std} if fitted.has_std else {})}
        for each in found
    ]


def read_lines(source: str) -> Iterator[str]:
    """Yield the non-empty lines of a file or of standard input; lines that start with # are left out."""
    count = 0
    try:
        with nullcontext(sys.stdin) if source == "-" else Path(source).open(encoding="utf-8") as file:
            for line in map(str.strip, file):
                if line and not line.startswith("#"):
                    count += 1
                    yield line
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {source}: {error}") from error
    if not count:
        raise InvalidDataError(f"{source} holds no architecture; expected one per line")


def _texts(candidates: list[str], family: ArchitectureFamily) -> Iterator[str]:
    """Yield the architectures of arguments: each itself, or the lines of the file that it names."""
    from emprox.spaces.family import family_names

    for candidate in candidates:
        if family.recognises(candidate) or candidate.partition(":")[0] in family_names():
            yield candidate
        else:
            yield from read_lines(candidate)
