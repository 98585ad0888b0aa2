"""Architectures without measurements, for encoders that learn from architectures alone."""

from __future__ import annotations

import json
from pathlib import Path

from emprox.errors import CorruptFileError, EmproxError, UnknownNameError
from emprox.registry import nearest
from emprox.spaces import Architecture, get_space
from emprox.tables.archives import read_members
from emprox.tables.files import find_file

__all__ = ["UNLABELLED", "load_architectures", "read_architectures"]

UNLABELLED = {
    "nasbench101-unlabelled": ("nb101_zen.zip", "nasbench101", "nasbench101"),
    "nasbench301-unlabelled": ("nb301_zen.zip", "nasbench301", "darts"),
}
"""File, benchmark (in the names of the file's members) and search space of each name."""


def load_architectures(name: str, root: str | Path | None = None) -> list[Architecture]:
    """Return architectures of which no measurement is known, to train an encoder on.

    Parameters
    ----------
    name : {"nasbench101-unlabelled", "nasbench301-unlabelled"}
        10,250 random cells of NAS-Bench-101 or 11,221 of the DARTS space.
    root : str or Path, optional
        Folder where the downloaded file is looked for first, as in `load_table`.

    Raises
    ------
    UnknownNameError
        If there is no such name; the message suggests the nearest.
    TableNotFoundError
        If the file is nowhere.
    CorruptFileError
        If the first file found is not the catalogue's.
    """
    if name not in UNLABELLED:
        raise UnknownNameError(f"no architectures are called {name!r}; {nearest(name, list(UNLABELLED))}")
    file, benchmark, space = UNLABELLED[name]
    return read_architectures(find_file(file, root), benchmark, space)


def read_architectures(path: Path, benchmark: str, space: str) -> list[Architecture]:
    """Read NASLib's ``<benchmark>_zen.zip``, architectures in the order of their ``idx``; the zen proxy is left out.

    Members are ``zen/benchmark--<benchmark>--cifar10--<start>.json``, lists of records with ``idx`` and ``arch``.
    """
    found, prefix = get_space(space), f"zen/benchmark--{benchmark}--cifar10--"
    rows: dict[int, Architecture] = {}
    for member, data in read_members(path, lambda name: name.startswith(prefix) and name.endswith(".json")):
        try:
            for record in json.loads(data):
                rows[int(record["idx"])] = found.parse(record["arch"])
        except (KeyError, TypeError, ValueError, RecursionError, EmproxError) as error:
            raise CorruptFileError(f"{path}, {member} is not NASLib's list of {benchmark} cells: {error!r}") from error
    if not rows or sorted(rows) != list(range(len(rows))):
        raise CorruptFileError(f"{path} holds {len(rows)} {benchmark} cells with gaps, expected all from 0 on; get it again")
    return [rows[i] for i in range(len(rows))]
