"""The command line of the store: add, query, stats, import, export, merge, reembed, check, repair."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from emprox.errors import InvalidOptionError, StorageError

if TYPE_CHECKING:
    from emprox.index import Entry, Store
    from emprox.index.recovery import Condition

__all__ = ["store"]

store = typer.Typer(help="A store of measured architectures that lasts and that several processes share.", no_args_is_help=True)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

StoreArgument = Annotated[Path, typer.Argument(help="Folder of the store.")]
SpaceOption = Annotated[str | None, typer.Option(help="Search space; may be left out where it can be told.")]
TargetOption = Annotated[str | None, typer.Option(help="Measured column, such as val_accuracy; may be left out if there is one.")]
TimeoutOption = Annotated[float, typer.Option(min=0, help="Seconds to wait while another process writes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
WAIT = 30.0


@store.command()
def add(
    path: StoreArgument,
    architecture: Annotated[str, typer.Argument(help="The architecture, in quotes.")],
    target: Annotated[list[str], typer.Option(help="What was measured, name=value; may be repeated.")],
    space: SpaceOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training.")] = None,
    source: Annotated[str, typer.Option(help="Where the value is from.")] = "",
    key: Annotated[str, typer.Option(help="Name of the training; with it, adding twice is adding once.")] = "",
    timeout: TimeoutOption = WAIT,
) -> None:
    """Add what one training gave; makes the store if there is none. When it has returned, the record will not be lost."""
    from emprox.index import Record, Store
    from emprox.spaces import infer_space

    values = _values(target)
    if not _is_there(path):  # wrong input leaves no empty store behind
        Record.of(infer_space([architecture], space).read(architecture), values, seed=seed, source=source, key=key)
    with Store(path, create=True, timeout_s=timeout) as opened:
        number = opened.add(architecture, values, space=space, seed=seed, source=source, key=key)
    out.print(f"record {number} in {path}", markup=False)


@store.command("import")
def import_(
    path: StoreArgument,
    file: Annotated[Path, typer.Argument(help="csv or parquet file: exported, or one training per row.")],
    target: Annotated[list[str] | None, typer.Option(help="Column of measurements; may be repeated.")] = None,
    space: SpaceOption = None,
    architecture_column: Annotated[str, typer.Option(help="Column of architectures.")] = "architecture",
    seed_column: Annotated[str | None, typer.Option(help="Column of seeds.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the values are from; the file's name by default.")] = None,
    timeout: TimeoutOption = WAIT,
) -> None:
    """Add the records of a file; those that are there already are left out."""
    from emprox.index import Store
    from emprox.index.exchange import import_records

    records = import_records(
        file,
        target or (),
        space=space,
        architecture=architecture_column,
        seed=seed_column,
        source=source,
        default_space=Store(path, timeout_s=timeout).only_space if _is_there(path) else None,
    )
    with Store(path, create=True, timeout_s=timeout) as opened:
        new = opened.add_records(records)
    out.print(f"{new} new records in {path}, {len(records) - new} were there", markup=False)


@store.command()
def export(path: StoreArgument, file: Annotated[Path, typer.Argument(help="csv or parquet file to write.")]) -> None:
    """Write all records to a file, one measurement per row."""
    from emprox.index import Store
    from emprox.index.exchange import export_records

    with Store(path) as opened:
        records = opened.records()
    export_records(records, file)
    out.print(f"{len(records)} records written to {file}", markup=False)


@store.command()
def merge(
    path: StoreArgument,
    others: Annotated[list[Path], typer.Argument(help="Folders of the stores whose records are added.")],
    timeout: TimeoutOption = WAIT,
) -> None:
    """Add the records of other stores, each once however often it is merged; makes the store if there is none."""
    from emprox.index import Store

    sources = [Store(other, timeout_s=timeout) for other in others]
    found = [source.records() for source in sources]
    with Store(path, create=True, timeout_s=timeout) as opened:
        opened.check_records(record for records in found for record in records)
        for source, records in zip(sources, found, strict=True):
            out.print(f"{opened.add_records(records)} new records from {source.path}", markup=False)


@store.command()
def query(
    path: StoreArgument,
    target: TargetOption = None,
    space: SpaceOption = None,
    architecture: Annotated[str | None, typer.Option(help="Only this one and its twins.")] = None,
    source: Annotated[str | None, typer.Option(help="Only entries that have a record from there.")] = None,
    at_least: Annotated[float | None, typer.Option(help="Only means of at least this.")] = None,
    at_most: Annotated[float | None, typer.Option(help="Only means of at most this.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only this many, the best first; with --near, the nearest.")] = None,
    near: Annotated[str | None, typer.Option(help="By distance from this architecture, in the store's embedding.")] = None,
    measurements: Annotated[bool, typer.Option("--measurements", help="One line for each measurement.")] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write csv instead of a table.")] = False,
) -> None:
    """Show entries: mean, spread and count of one target, or every measurement."""
    from emprox.index import Store

    if as_json and as_csv:
        raise InvalidOptionError("choose one of --json and --csv")
    with Store(path) as opened:
        name, space, entries = _found(opened, target, space, architecture, source, near)
        rows = [_row(entry, name, distance) for distance, entry in entries]
        rows = [row for row in rows if _within(row["mean"], at_least, at_most)]
        if top is not None and near is None:
            rows = _best(rows, opened.measures(space)[name].larger_is_better, name)
    rows = rows[:top]
    rows = [each for row in rows for each in _expanded(row, name, measurements)]
    _write(rows, as_json, as_csv)


@store.command()
def stats(path: StoreArgument, as_json: JsonOption = False) -> None:
    """Show what is in a store: entries, measurements, twins, targets with unit and spread, sources, embeddings."""
    from emprox.index import Store

    with Store(path) as opened:
        facts = opened.stats()
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
        return
    period = f", {facts['first']} to {facts['last']}" if facts["records"] else ""
    out.print(f"{path}: {facts['records']} records{period}", markup=False)
    for space, found in facts["spaces"].items():
        out.print(
            f"{space}: {found['entries']} architectures, {found['twins']} of them have a twin (same function)", markup=False
        )
        for name, target in found["targets"].items():
            out.print("  " + _target_line(name, target), markup=False)
    for source, count in facts["sources"].items():
        out.print(f"from {source or 'no source given'}: {count}", markup=False)


@store.command()
def reembed(path: StoreArgument, target: TargetOption = None, space: SpaceOption = None, timeout: TimeoutOption = WAIT) -> None:
    """Learn EmProx's embedding from what is in the store, embed all entries aside, and switch to it at once."""
    from emprox.estimators import EmProx
    from emprox.index import Store

    with Store(path, timeout_s=timeout) as opened:
        table = opened.table(target, space)
        name, values = table.target()
        encoder = EmProx().fit(table.architectures, values, table.spreads.get(name)).encoder_
        version = opened.reembed(encoder, name, table.space)
    out.print(f"{len(table)} architectures of {table.space} embedded for {name}, version {version}", markup=False)


@store.command()
def check(path: StoreArgument, as_json: JsonOption = False) -> None:
    """Compare everything with its checksums; say what is damaged and what can be saved. Exit code 1 if something is."""
    from emprox.index.recovery import check_store

    condition = check_store(path)
    if as_json:
        sys.stdout.write(json.dumps(_facts(condition), indent=1) + "\n")
    else:
        for problem in (*condition.problems, *condition.in_embeddings):
            out.print(problem, markup=False)
        out.print(_verdict(condition), markup=False)
    if condition.problems or condition.in_embeddings:
        raise typer.Exit(1)


@store.command()
def repair(path: StoreArgument, timeout: TimeoutOption = WAIT) -> None:
    """Make a whole store of what is left; the damaged files are kept beside it. Exit code 1 if records are lost."""
    from emprox.index.recovery import repair_store

    condition = repair_store(path, timeout)
    for problem in (*condition.problems, *condition.in_embeddings):
        out.print(problem, markup=False)
    done = "repaired; the old files are in a folder damaged-... beside the new" if condition.problems else "whole, nothing to do"
    out.print(f"{path}: {done}. {_verdict(condition)}", markup=False)
    if condition.lost:
        raise typer.Exit(1)


def _is_there(path: Path) -> bool:
    from emprox.index.ledger import RECORDS

    return (path / RECORDS).is_file()


def _values(texts: list[str]) -> dict[str, float]:
    """Return what was measured by name."""
    pairs = [_value(text) for text in texts]
    if len(dict(pairs)) < len(pairs):
        raise InvalidOptionError(f"one record has one value of a target, got {', '.join(texts)}; add each training by itself")
    return dict(pairs)


def _value(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        return name.strip(), float(value if equals else "")
    except ValueError:
        raise InvalidOptionError(f"expected --target name=value, such as val_accuracy=93.1, got {text!r}") from None


def _found(
    opened: Store,
    target: str | None,
    space: str | None,
    architecture: str | None,
    source: str | None,
    near: str | None,
) -> tuple[str, str, list[tuple[float | None, Entry]]]:
    """Return target, space, and the entries asked for, with distances where they are asked for."""
    from emprox.spaces import get_family

    table = opened.table(target, space)
    name, space = table.target()[0], table.space
    family = get_family(space)
    entries: list[tuple[float | None, Entry]] = [(None, entry) for entry in opened.entries(space) if entry.values(name)]
    if near is not None:
        embedding = opened.embedding(name, space)
        if embedding is None:
            raise StorageError(f"{opened.path} has no embedding for {name}; `emprox store reembed` makes one")
        (found,) = embedding.nearest([family.read(near)], len(embedding.entries))
        entries = [*found]
    if architecture is not None:
        wanted = family.canonical_hash(family.read(architecture))
        entries = [(d, entry) for d, entry in entries if family.canonical_hash(entry.architecture) == wanted]
    if source is not None:
        entries = [(d, entry) for d, entry in entries if any(record.source == source for record in entry.records)]
    return name, space, entries


def _row(entry: Entry, target: str, distance: float | None) -> dict[str, Any]:
    from emprox.spaces import get_family

    label = get_family(entry.architecture.space).label(entry.architecture)
    near = {} if distance is None else {"distance": distance}
    return {"architecture": label, **near, **entry.summary(target), "records": entry.records}


def _within(mean: float | None, least: float | None, most: float | None) -> bool:
    return mean is not None and (least is None or mean >= least) and (most is None or mean <= most)


def _best(rows: list[dict[str, Any]], larger_is_better: bool | None, target: str) -> list[dict[str, Any]]:
    if larger_is_better is None:
        raise InvalidOptionError(
            f"which {target} is best is not known: name it so that the ending tells, such as _accuracy or _ms"
        )
    return sorted(rows, key=lambda row: -row["mean"] if larger_is_better else row["mean"])


def _expanded(row: dict[str, Any], target: str, measurements: bool) -> list[dict[str, Any]]:
    records = row.pop("records")
    if not measurements:
        return [row]
    facts = ("seed", "source", "time", "key")
    return [
        {"architecture": row["architecture"], target: record.values[target], **{fact: getattr(record, fact) for fact in facts}}
        for record in records
        if target in record.values
    ]


def _write(rows: list[dict[str, Any]], as_json: bool, as_csv: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]) if rows else ["architecture"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        table = Table(box=None, pad_edge=False)
        for name in rows[0] if rows else ():
            table.add_column(name, justify="left" if name == "architecture" else "right", no_wrap=True, overflow="fold")
        for row in rows:
            table.add_row(*map(_text, row.values()))
        Console(highlight=False, width=max(out.width, 250)).print(table, soft_wrap=True, crop=False)
        out.print(f"{len(rows)} found")


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _target_line(name: str, facts: dict[str, Any]) -> str:
    spread = "" if facts["spread"] is None else f", spread of repeated ones {facts['spread']:.3g}"
    return (
        f"{name}: {facts['architectures']} architectures, {facts['measurements']} measurements, means {facts['min']:.6g} to "
        f"{facts['max']:.6g} {facts['unit']}".rstrip()
        + f"{spread}; embedding {facts['embedding'] or 'none'}"
    )


def _facts(condition: Condition) -> dict[str, Any]:
    problems = [*condition.problems, *condition.in_embeddings]
    return {"problems": problems, "saved": len(condition.saved), "lost": list(condition.lost)}


def _verdict(condition: Condition) -> str:
    saved = len(condition.saved)
    if not condition.problems:
        return f"{saved} records, all whole in both copies"
    missing = f"; lost: {len(condition.lost)}" if condition.lost else ", none is known to be lost"
    return f"{saved} records can be saved{missing}"
