"""Candidates on the command line: where they are read from, and their estimates with progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from emprox.errors import InvalidArchitectureError, InvalidDataError, InvalidOptionError, StorageError

if TYPE_CHECKING:
    from emprox.estimators import ArchitectureRegressor, EmProx
    from emprox.estimators.ranking import Estimate
    from emprox.parallel import Engine
    from emprox.spaces import ArchitectureFamily

__all__ = ["estimated", "fitted_without_model", "read_lines"]

err = Console(stderr=True, highlight=False, soft_wrap=True)


def estimated(
    fitted: ArchitectureRegressor, candidates: list[str], sample: int | None, seed: int, top: int | None, engine: Engine
) -> list[dict[str, Any]]:
    """Return a row for each estimate, of candidates that are given, or drawn; warn of those that are unlike all that is known."""
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
    _warn_of_unlike(found)
    return [
        {"architecture": each.architecture, "estimate": each.estimate, **({"std": each.std} if fitted.has_std else {})}
        for each in found
    ]


def fitted_without_model(
    candidates: list[str], family: ArchitectureFamily | str | None, table: str | None, root: Path | None
) -> EmProx:
    """Return what is known of the candidates' family: a table on this machine, or else how other families are ranked."""
    from emprox.estimators import EmProx
    from emprox.estimators.base import Target
    from emprox.spaces.descriptions import infer_space
    from emprox.tables import load_table
    from emprox.tables.catalog import tables_of

    if not candidates and family is None:
        raise InvalidOptionError("expected candidates, or --space and --sample")
    first = candidates[0] if candidates else ""
    if first == "-" and family is None:
        raise InvalidOptionError("candidates from standard input need --space or --model")
    is_list = os.path.isfile(first) and not first.endswith(".onnx")
    space = infer_space([next(read_lines(first)) if is_list and family is None else first], family)
    names = [table] if table is not None else tables_of(space.name, root)[:1]
    if not names:
        err.print(
            f"No table of {space.name} is on this machine: estimates are rank scores, in standard deviations of the family."
        )
        return EmProx(space=space, prior="universal").fit([], [])
    rows = load_table(names[0], root)
    if rows.space != space.name:
        raise InvalidOptionError(f"table {names[0]} is of {rows.space}, the candidates are of {space.name}")
    name, values = rows.target()
    measure = rows.measures[name]
    unit = f" in {measure.unit}" if measure.unit else ""
    err.print(
        f"Estimates are {name}{unit} as in the table {rows.name}, from its {len(rows):,} rows. {rows.citation}", markup=False
    )
    return EmProx(space=space, prior="universal").fit(rows.architectures, values, target=Target.of(rows, name))


def _warn_of_unlike(estimates: list[Estimate]) -> None:
    """Say on standard error which candidates are unlike all that is known, and what is nearest to the furthest of them."""
    unlike = {each.architecture: each.unlike for each in estimates if each.unlike is not None}
    if not unlike:
        return
    furthest, (nearest, distance) = max(unlike.items(), key=lambda item: item[1][1])
    err.print(
        f"warning: {len(unlike)} of {len(estimates)} are further from all measured architectures than any of those is from "
        f"another, so that their estimates are extrapolations; the furthest is {furthest}, {distance:.3g} from the nearest "
        f"measured, {nearest}",
        markup=False,
    )


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
        elif candidate == "-" or os.path.exists(candidate):
            yield from read_lines(candidate)
        else:
            try:
                yield str(family.parse(candidate))
            except InvalidArchitectureError as error:
                raise InvalidDataError(f"{candidate} is neither a file nor an architecture of {family.name}: {error}") from None
