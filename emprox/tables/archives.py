"""Members of zip files, read in memory and within bounds; nothing is unpacked to disk."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from emprox.errors import CorruptFileError, StorageError

__all__ = ["read_members"]

MOST_MEMBERS = 10_000
MOST_BYTES = 256 << 20
MOST_RATIO = 200
"""Text compresses about tenfold; a member that unpacks to more than this is made to fill the memory."""


def read_members(
    path: Path, wanted: Callable[[str], bool], most_bytes: int = MOST_BYTES, most_ratio: int = MOST_RATIO
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted members of a zip file, one at a time.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it is no zip file, is damaged or cut short, names a member outside its own folder (``..``, an absolute path), or
        unpacks to more than the bounds; all but damage are found before anything is unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(path, members, most_bytes, most_ratio)
            for member in members:
                if not member.is_dir() and wanted(member.filename):
                    yield member.filename, archive.read(member)
    except CorruptFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError) as error:
        raise CorruptFileError(f"{path} is no zip file or is damaged: {error}; remove it and get it again") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error


def _check(path: Path, members: list[zipfile.ZipInfo], most_bytes: int, most_ratio: int) -> None:
    """Raise if a member's name leads elsewhere or the sizes are out of bounds.

    A member that is longer than its header declares is not a way round: no more than the declared size is unpacked, and then
    the checksum is wrong.
    """
    if len(members) > MOST_MEMBERS:
        raise CorruptFileError(
            f"{path} has {len(members)} members, expected at most {MOST_MEMBERS}; it is not the file it should be"
        )
    for member in members:
        name = PurePosixPath(member.orig_filename.replace("\\", "/"))
        if not member.filename:
            raise CorruptFileError(f"{path} has a member without a name; do not unpack this file")
        if name.is_absolute() or ".." in name.parts or ":" in member.orig_filename.partition("/")[0]:
            raise CorruptFileError(f"{path} has a member outside its folder, {member.orig_filename!r}; do not unpack this file")
        if member.file_size > most_ratio * max(member.compress_size, 1):
            raise CorruptFileError(
                f"{path}, member {member.filename}: {member.compress_size} bytes unpack to {member.file_size}, expected at most "
                f"{most_ratio} times as many; it is made to fill the memory"
            )
    total = sum(member.file_size for member in members)
    if total > most_bytes:
        raise CorruptFileError(f"{path} unpacks to {total} bytes, expected at most {most_bytes}; it is not the file it should be")
