"""The files that tables come in: what the catalogue says of each, and the first place that has it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs

from emprox.errors import (
    CorruptFileError,
    InvalidDataError,
    InvalidOptionError,
    StorageError,
    TableNotFoundError,
    UnknownNameError,
)
from emprox.persistence import sha256
from emprox.registry import nearest

__all__ = ["CatalogFile", "catalog", "check_file", "download_folder", "find_file", "places"]

ENVIRONMENT = "EMPROX_TABLES"
SUBFOLDER = "originals"
GROUP = "emprox.catalogs"


@dataclass(frozen=True)
class CatalogFile:
    """What the catalogue says of one downloadable file.

    Raises
    ------
    InvalidDataError
        If the name is not that of a plain file, the address is not http(s), or size or checksum are none.
    """

    name: str
    """File name, without a folder."""
    url: str
    """Address whose content never changes, such as one with a commit in it."""
    bytes: int
    """Size."""
    sha256: str
    """Checksum, 64 hexadecimal digits."""
    licence: str
    """SPDX name of the licence."""
    citation: str
    """Whom to cite."""
    content: str = ""
    """What is inside, in a line."""
    tables: tuple[str, ...] = ()
    """Names of the tables that are read from this file."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", tuple(self.tables))
        if not self.name or Path(self.name).name != self.name or self.name.startswith(".") or "\\" in self.name:
            raise InvalidDataError(f"a catalogue's file has a plain name without folders, got {self.name!r}")
        if not re.match(r"https?://[^/]+/.", self.url):
            raise InvalidDataError(f"{self.name}: expected an http(s) address, got {self.url!r}")
        if not isinstance(self.bytes, int) or self.bytes < 1 or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise InvalidDataError(
                f"{self.name}: expected a size and a SHA-256 in hexadecimal, got {self.bytes!r}, {self.sha256!r}"
            )


def catalog() -> dict[str, CatalogFile]:
    """Return the downloadable files by name: emprox's own and those of other packages.

    A package adds files through the entry-point group ``emprox.catalogs``; its entry point is a mapping of file name to the
    other fields of `CatalogFile`.

    Raises
    ------
    InvalidOptionError
        If such a mapping cannot be used, or a name is taken.
    """
    known = dict(_own_catalog())
    for entry in entry_points(group=GROUP):
        try:
            added = _entries(entry.load())
        except Exception as error:  # whatever another package's code raises
            raise InvalidOptionError(
                f"the catalogue {entry.name!r} ({entry.value}, entry point {GROUP}) cannot be used: {error!r}; "
                "repair or uninstall the package that brings it"
            ) from error
        if taken := known.keys() & added.keys():
            raise InvalidOptionError(f"the catalogue {entry.name!r} ({entry.value}) names {sorted(taken)[0]!r}, which is taken")
        known.update(added)
    return known


def find_file(name: str, root: str | Path | None = None) -> Path:
    """Return the path of a catalogued file in the first place that has it, after checking its size and SHA-256.

    Raises
    ------
    UnknownNameError
        If the catalogue has no such file.
    TableNotFoundError
        If no place has it.
    CorruptFileError
        If the first one found is not the catalogue's; no other place is tried.
    """
    facts = catalog_file(name)
    looked = places(root)
    for place in looked:
        path = place / name
        if path.exists():
            return check_file(path, facts)
    raise TableNotFoundError(
        f"{name} is in none of: {', '.join(map(str, looked))}. Get it from {facts.url} with "
        f"`emprox tables get {name}`, or put it in one of them, or set ${ENVIRONMENT}"
    )


def catalog_file(name: str) -> CatalogFile:
    """Return the catalogue's entry of that name."""
    known = catalog()
    if name not in known:
        raise UnknownNameError(f"the catalogue has no file {name!r}; {nearest(name, list(known))}")
    return known[name]


def places(root: str | Path | None = None) -> list[Path]:
    """Return the folders in which files are looked for, in order."""
    folders = [Path(folder) for folder in (root, os.environ.get(ENVIRONMENT)) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise StorageError(f"the tables folder {folder} is missing or no folder; check --tables-root and ${ENVIRONMENT}")
    return [place for folder in folders for place in (folder, folder / SUBFOLDER)] + [_cache()]


def download_folder() -> Path:
    """Return the folder into which files are downloaded: ``$EMPROX_TABLES``, or the user's cache."""
    return Path(os.environ.get(ENVIRONMENT) or _cache())


def check_file(path: Path, facts: CatalogFile, advice: str = "Remove it or put the right one there") -> Path:
    """Return the path if the file there is the catalogue's, raise otherwise."""
    try:
        came = (path.stat().st_size, sha256(path))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    if came != (facts.bytes, facts.sha256):
        raise CorruptFileError(
            f"{path} is not the catalogue's file: {came[0]} bytes, sha256 {came[1][:16]}...; expected {facts.bytes} bytes, "
            f"sha256 {facts.sha256[:16]}.... {advice}"
        )
    return path


def _cache() -> Path:
    return platformdirs.user_cache_path("emprox") / "tables"


@lru_cache(maxsize=1)
def _own_catalog() -> dict[str, CatalogFile]:
    return _entries(json.loads(files("emprox.tables").joinpath("catalog.json").read_text(encoding="utf-8"))["files"])


def _entries(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, CatalogFile]:
    return {name: CatalogFile(name=name, **entry) for name, entry in facts.items()}
