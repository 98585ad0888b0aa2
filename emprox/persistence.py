"""Fitted objects as folders: a JSON manifest with checksums, weights and vectors in formats that run no code.

A folder is written under a temporary name beside its place, flushed to disk and renamed, so that a reader
sees the old one or the new one and never half of either.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from emprox.errors import CorruptFileError, StorageError

__all__ = ["FORMAT", "MANIFEST", "flush", "read_folder", "sha256", "write_file", "write_folder"]

FORMAT = 1
MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_folder(path: str | Path, write: Callable[[Path], dict[str, Any]]) -> None:
    """Write a folder as a whole or not at all.

    Parameters
    ----------
    path : str or Path
        Where the folder will be. A folder written by emprox before is replaced; anything else in that place is an error.
    write : callable
        Writes files into the folder it is given and returns the rest of the manifest.

    Raises
    ------
    StorageError
        If the place is taken, not writable, or the disk is full; what was there stays as it was.
    """
    path = Path(path)
    if path.exists() and not (path / MANIFEST).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise StorageError(f"{path} exists and is not a folder that emprox wrote; choose another place or remove it")
    staging: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        manifest = {"format": FORMAT, "emprox": version("emprox"), **write(staging)}
        files = sorted(staging.iterdir())
        manifest["files"] = {file.name: {"sha256": sha256(file), "bytes": file.stat().st_size} for file in files}
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for file in staging.iterdir():
            flush(file)
        staging.chmod(0o777 & ~_umask())
        _replace(staging, path)
    except (OSError, RuntimeError) as error:  # FAISS and safetensors report a full disk as RuntimeError
        raise StorageError(f"could not write {path}: {error}; nothing was changed") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def read_folder(path: str | Path) -> dict[str, Any]:
    """Return the manifest of a folder after comparing every file's size and checksum with it.

    Raises
    ------
    StorageError
        If the folder is missing, cannot be read, or was not written by emprox.
    CorruptFileError
        If a file is missing or differs from what was written.
    """
    path = Path(path)
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        files = manifest["files"]
        if manifest["format"] != FORMAT:
            came = manifest["format"]
            raise CorruptFileError(f"{path} has format {came!r}, this emprox reads {FORMAT}; use the emprox that wrote it")
        for name, facts in files.items():
            file = path / name
            if file.parent != path or not file.is_file():
                raise CorruptFileError(f"{path} lacks the file {name!r} that its manifest lists; restore or refit it")
            if file.stat().st_size != facts["bytes"] or sha256(file) != facts["sha256"]:
                raise CorruptFileError(f"{file} is damaged: its checksum is not the one in {MANIFEST}; restore or refit it")
    except OSError as error:
        raise StorageError(f"could not read a saved folder at {path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, CorruptFileError):
            raise
        raise CorruptFileError(f"{path / MANIFEST} is not a manifest of emprox: {error!r}") from error
    return manifest


def write_file(path: str | Path, data: bytes) -> None:
    """Write a file as a whole or not at all: temporary name, flush, rename."""
    path = Path(path)
    staging = path.with_name(f".{path.name}-{uuid4().hex}")  # of this call: threads may write the same file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging.write_bytes(data)
        flush(staging)
        staging.replace(path)
        flush(path.parent)
    except OSError as error:
        with suppress(OSError):
            staging.unlink()
        raise StorageError(f"could not write {path}: {error}; nothing was changed") from error


def _replace(new: Path, path: Path) -> None:
    """Put the new folder in place; the old one is moved aside first and removed last."""
    old = new.with_name(new.name + "-old")
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    flush(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
