"""Tables by name: which file holds them, where it is looked for, and whether it is the right one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs

from emprox.errors import CorruptFileError, StorageError, TableNotFoundError, UnknownNameError
from emprox.persistence import sha256
from emprox.registry import Registry, nearest
from emprox.tables.base import PerformanceTable
from emprox.tables.formats import read_bundled, read_nasbench201_zen

__all__ = ["TABLES", "TableEntry", "find_file", "load_table"]

ENVIRONMENT = "EMPROX_TABLES"
SUBFOLDER = "originals"


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


@lru_cache(maxsize=1)
def catalog() -> dict[str, dict[str, Any]]:
    """Return the facts of each downloadable file by its name: address, bytes, sha256, licence, citation."""
    return json.loads(files("emprox.tables").joinpath("catalog.json").read_text())["files"]


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
        {dataset: partial(read_nasbench201_zen, dataset=dataset) for dataset in ("cifar10", "cifar100", "ImageNet16-120")},
        "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; "
        "values as reported by NASLib (Mehta et al., NAS-Bench-Suite, ICLR 2022).",
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
    entry = TABLES.get(base)
    variant = variant or next(iter(entry.variants))
    if variant not in entry.variants:
        raise UnknownNameError(f"table {base} has no variant {variant!r}; {nearest(variant, list(entry.variants))}")
    path = Path(str(files("emprox.tables").joinpath("bundled", entry.file))) if entry.bundled else find_file(entry.file, root)
    return replace(entry.variants[variant](path), name=name, citation=entry.citation)


def find_file(name: str, root: str | Path | None = None) -> Path:
    """Return the path of a catalogued file in the first place that has it, after checking its size and SHA-256."""
    facts = catalog()[name]
    places = _places(root)
    for place in places:
        path = place / name
        if path.exists():
            return _checked(path, facts)
    looked = ", ".join(map(str, places))
    raise TableNotFoundError(
        f"{name} is in none of: {looked}. Get it from {facts['url']} and put it in one of them, or set ${ENVIRONMENT}"
    )


def _places(root: str | Path | None) -> list[Path]:
    folders = [Path(folder) for folder in (root, os.environ.get(ENVIRONMENT)) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise StorageError(f"the tables folder {folder} is missing or no folder; check --tables-root and ${ENVIRONMENT}")
    cache = platformdirs.user_cache_path("emprox") / "tables"
    return [place for folder in folders for place in (folder, folder / SUBFOLDER)] + [cache]


def _checked(path: Path, facts: dict[str, Any]) -> Path:
    try:
        came = (path.stat().st_size, sha256(path))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    expected = (facts["bytes"], facts["sha256"])
    if came != expected:
        raise CorruptFileError(
            f"{path} is not the catalogue's file: {came[0]} bytes, sha256 {came[1][:16]}...; expected {expected[0]} bytes, "
            f"sha256 {expected[1][:16]}.... Remove it or put the right one there"
        )
    return path
