"""The command line of reports: results and models to a page to look at, or to figures for papers."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from emprox.errors import InvalidOptionError, StorageError

__all__ = ["report"]

out = Console(highlight=False, soft_wrap=True)


class Format(str, Enum):
    """What a report is written as."""

    HTML = "html"
    PDF = "pdf"
    SVG = "svg"
    PNG = "png"


class Projection(str, Enum):
    """How an embedding is laid out in two dimensions."""

    TSNE = "tsne"
    UMAP = "umap"


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Files of `emprox bench --out` or `emprox search`, of the benchmarks, and folders of `emprox fit`."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, report.html by default; other formats: folder, figures.")
    ] = None,
    kind: Annotated[Format, typer.Option("--format", help="One page, or for papers one file for each figure.")] = Format.HTML,
    title: Annotated[str | None, typer.Option(help="Heading.")] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(
            help="Architectures among which a model looks for the next to measure, one per line; random ones by default."
        ),
    ] = None,
    smaller_is_better: Annotated[
        bool, typer.Option("--smaller-is-better", help="A model's target is to be small; by default its name tells.")
    ] = False,
    projection: Annotated[
        Projection, typer.Option("--map", help="How a model's embedding is laid out; umap needs the extra umap.")
    ] = Projection.TSNE,
) -> None:
    """Write a report to look at: one HTML file that loads nothing, or figures."""
    from emprox.report import write_report

    wanted = output or Path("report.html" if kind is Format.HTML else "figures")
    if kind is Format.HTML and wanted.is_dir():
        raise InvalidOptionError(f"{wanted} is a folder; name the file to write, such as {wanted / 'report.html'}")
    if kind is not Format.HTML and wanted.suffix:
        raise InvalidOptionError(f"figures are several files, whose folder --output names; got {wanted}, such as {wanted.stem}")
    if candidates is not None and wanted.resolve() == candidates.resolve():
        raise InvalidOptionError(f"the report would be written over the candidates in {candidates}; name another place")
    written = write_report(
        results,
        wanted,
        format=kind.value,
        title=title,
        candidates=None if candidates is None else _lines(candidates),
        larger_is_better=False if smaller_is_better else None,
        projection=projection.value,
    )
    size = sum(path.stat().st_size for path in written)
    what = "open it in a browser" if kind is Format.HTML else f"{len(written)} figures"
    out.print(f"report written to {wanted} ({size / 1e6:.1f} MB; {what})", markup=False)


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"cannot read {path}: {error}; expected one architecture per line") from error
    return [line for line in lines if line and not line.startswith("#")]
