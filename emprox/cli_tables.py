"""The command line of the benchmark tables: list, get, info, path."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from emprox.errors import InvalidOptionError, StorageError

if TYPE_CHECKING:
    from emprox.tables.files import CatalogFile

__all__ = ["tables"]

tables = typer.Typer(help="Tables of known performance: what there is, download, datasheet.", no_args_is_help=True)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

NameArgument = Annotated[str, typer.Argument(help="Table (name or name:variant) or file.")]
NamesArgument = Annotated[list[str], typer.Argument(help="Tables or files.")]
RootOption = Annotated[Path | None, typer.Option(help="Folder of downloaded tables.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


@tables.command("list")
def list_tables(tables_root: RootOption = None, as_json: JsonOption = False) -> None:
    """Show the files of the catalogue, the tables that they give, and which of them are here."""
    rows = _rows(tables_root)
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("file", "size", "licence", "state", "tables"):
        table.add_column(name, justify="right" if name == "size" else "left", no_wrap=True)
    for row in rows:
        table.add_row(row["file"], _size(row["bytes"]), row["licence"], row["state"], ", ".join(row["tables"]) or "-")
    wide = out if out.is_terminal else Console(highlight=False, width=200)
    wide.print(table, soft_wrap=True, crop=False)
    out.print("\n`emprox tables info NAME` says what is inside and whom to cite, `emprox tables get NAME` downloads.")


@tables.command()
def get(
    names: NamesArgument,
    source: Annotated[Path | None, typer.Option("--from", help="Copy this file, which you already have, instead.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for the server's next bytes.")] = 30.0,
    attempts: Annotated[int, typer.Option(min=1, help="How often to try.")] = 4,
) -> None:
    """Download the files of tables to $EMPROX_TABLES or the user's cache, each checked against its SHA-256."""
    from emprox.tables.download import download_file, files_named
    from emprox.tables.files import catalog

    wanted = list(dict.fromkeys(file for name in names for file in files_named(name)))
    if not wanted:
        out.print(f"{', '.join(names)}: part of emprox, nothing to download")
    if source is not None:
        _copy(wanted, source)
        return
    known = catalog()
    for file in wanted:
        with _progress() as bar:
            task = bar.add_task(file, total=known[file].bytes)
            path = download_file(file, partial(_advance, bar, task), attempts=attempts, timeout_s=timeout)
        _print_place(known[file], path)


@tables.command()
def info(name: NameArgument, tables_root: RootOption = None, as_json: JsonOption = False) -> None:
    """Show the datasheet of a table: rows, targets with unit and direction, seeds, licence, whom to cite."""
    from emprox.tables import TABLES, load_table
    from emprox.tables.download import files_named
    from emprox.tables.files import catalog

    known = catalog()
    facts: dict[str, Any] = {"files": [_file_facts(known[file]) for file in files_named(name)]}
    if name not in known and name.partition(":")[0] in TABLES.names():
        facts = {**load_table(name, tables_root).info(), **facts}
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
        return
    for line in _lines(facts):
        out.print(line, markup=False)


@tables.command()
def path(names: NamesArgument, tables_root: RootOption = None) -> None:
    """Print where the files of tables are, one a line, after checking them."""
    from emprox.tables import TABLES
    from emprox.tables.catalog import bundled_path
    from emprox.tables.download import files_named
    from emprox.tables.files import find_file

    for name in names:
        files = [find_file(file, tables_root) for file in files_named(name)]
        for found in files or [bundled_path(TABLES.get(name.partition(":")[0]))]:
            out.print(str(found), markup=False)


def _rows(root: Path | None) -> list[dict[str, Any]]:
    from emprox.tables import TABLES
    from emprox.tables.catalog import bundled_path
    from emprox.tables.files import catalog, places

    looked = places(root)
    rows = [
        {**_file_facts(facts), "state": _state(facts, looked), "tables": [_forms(name) for name in facts.tables]}
        for facts in catalog().values()
    ]
    for name in TABLES:
        if (entry := TABLES.get(name)).bundled:
            file = bundled_path(entry)
            size = file.stat().st_size if file.exists() else 0
            row = {"file": file.name, "bytes": size, "licence": "Apache-2.0", "state": "in emprox", "tables": [_forms(name)]}
            rows.insert(0, row)
    return rows


def _forms(name: str) -> str:
    """Return a table's name with its variants, or that it has no measurements or no reader."""
    from emprox.tables import TABLES
    from emprox.tables.unlabelled import UNLABELLED

    if name in UNLABELLED:
        return f"{name} (architectures only)"
    if name not in TABLES.names():
        return f"{name} (no reader yet)"
    variants = list(TABLES.get(name).variants)
    return f"{name}:{{{','.join(variants)}}}" if len(variants) > 1 else name


def _file_facts(facts: CatalogFile) -> dict[str, Any]:
    return {
        "file": facts.name,
        "content": facts.content,
        "tables": list(facts.tables),
        "bytes": facts.bytes,
        "sha256": facts.sha256,
        "licence": facts.licence,
        "url": facts.url,
        "citation": facts.citation,
    }


def _state(facts: CatalogFile, looked: list[Path]) -> str:
    """Return whether the file is here, by name and size; the checksum is compared when it is used."""
    file = next((folder / facts.name for folder in looked if (folder / facts.name).exists()), None)
    if file is None:
        return "missing"
    try:
        return "here" if file.stat().st_size == facts.bytes else "wrong file"
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error}") from error


def _copy(wanted: list[str], source: Path) -> None:
    from emprox.persistence import sha256
    from emprox.tables.download import copy_file
    from emprox.tables.files import catalog

    known = catalog()
    if not wanted:
        raise InvalidOptionError("--from needs a table or file that is downloaded; this one is part of emprox")
    if not source.is_file():
        raise StorageError(f"cannot read {source}: it is missing or no file; give the file that you already have")
    digest = sha256(source) if len(wanted) > 1 else ""
    file = next((file for file in wanted if known[file].sha256 == digest), wanted[0])
    _print_place(known[file], copy_file(file, source))


def _print_place(facts: CatalogFile, path: Path) -> None:
    out.print(str(path), markup=False)
    out.print(f"  {facts.licence}; please cite: {facts.citation}", markup=False)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = []
    if "name" in facts:
        populations = ", ".join(f"{name} {count}" for name, count in facts["populations"].items())
        lines += [f"{facts['name']}: {facts['rows']} rows of {facts['space']} ({populations})"]
        lines += [_target_line(name, target) for name, target in facts["targets"].items()]
        lines += [f"  curve {n}: {curve['epochs']} epochs, {curve['complete']} complete" for n, curve in facts["curves"].items()]
        lines += [f"  column {n}: {column['kind']}, {column['missing']} missing" for n, column in facts["columns"].items()]
        lines += [f"  cite: {facts['citation']}"]
    for file in facts["files"]:
        lines += [f"{file['file']}: {file['content']}", f"  {_size(file['bytes'])}, {file['licence']}, sha256 {file['sha256']}"]
        lines += [f"  {file['url']}", f"  cite: {file['citation']}"]
    return lines


def _target_line(name: str, target: dict[str, Any]) -> str:
    direction = {True: "larger is better", False: "smaller is better", None: "direction unknown"}[target["larger_is_better"]]
    low, middle, high = (f"{target[key]:.4g}" for key in ("min", "median", "max"))
    line = f"  target {name}: {low} to {high} {target['unit']}, median {middle}, {direction}"
    if target["trainings"] is not None:
        fewest, most = target["trainings"]
        line += f", {fewest} to {most} trainings each"
    return line + (f", spread {target['median_spread']:.3g}" if target["median_spread"] is not None else "")
