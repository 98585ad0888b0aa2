"""Embeddings of what is in a store: an encoder kept beside it, and an index of the entries by exactly this encoder.

The version of an encoder is the checksum of all that it has learned. ``embeddings/VERSION`` is the encoder,
``embeddings/VERSION.index`` the embeddings, a cache: a file that is missing, damaged, of another version or behind is made again
from the records. Which version is current is a row in SQLite, so that a switch is seen as a whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError, EmproxError, StorageError
from emprox.index.embedding_index import EmbeddingIndex
from emprox.persistence import flush, read_folder, write_file, write_folder
from emprox.spaces import Architecture

if TYPE_CHECKING:
    from emprox.encoders import Encoder
    from emprox.index.store import Entry

__all__ = ["StoredEmbedding", "check_embeddings", "encoders", "keep_encoder", "read_embedding"]

FOLDER = "embeddings"
FORMAT = 1
CLOSE = 1e-5
"""Relative difference that the same encoder may show on another machine."""


@dataclass(frozen=True)
class StoredEmbedding:
    """An encoder, and the entries of a store embedded by it."""

    version: str
    """Checksum of the encoder."""
    encoder: Encoder
    """Fitted."""
    index: EmbeddingIndex
    """Embeddings; ids are positions in `entries`."""
    entries: list[Entry]
    """Entries of the space, as `Store.entries` gives them."""

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return embeddings, (n_archs, dim); those of entries are looked up."""
        places = {entry.architecture: place for place, entry in enumerate(self.entries)}
        found = [places.get(architecture) for architecture in architectures]
        embedded = np.empty((len(found), self.index.dim), np.float32)
        new = [i for i, place in enumerate(found) if place is None]
        old = [(i, place) for i, place in enumerate(found) if place is not None]
        if new:
            embedded[new] = self.encoder.transform([architectures[i] for i in new])
        if old:
            embedded[[i for i, _ in old]] = self.index.reconstruct([place for _, place in old])
        return embedded

    def nearest(self, architectures: Sequence[Architecture], k: int) -> list[list[tuple[float, Entry]]]:
        """Return distance and entry of the k nearest of each architecture."""
        distances, ids = self.index.search(self.transform(architectures), k)
        return [[(float(d), self.entries[i]) for d, i in zip(*row, strict=True)] for row in zip(distances, ids, strict=True)]


def keep_encoder(path: Path, encoder: Encoder) -> str:
    """Write an encoder into a store beside those that are there, and return its version."""
    folder = path / FOLDER
    staging = folder / f".{uuid4().hex}"
    try:
        write_folder(staging, lambda place: {"kind": encoder.kind, "state": encoder.write(place)})
        version = _version(read_folder(staging))
        try:
            _read_encoder(path, version)
        except (CorruptFileError, StorageError):  # not there, or damaged
            shutil.rmtree(folder / version, ignore_errors=True)
            staging.rename(folder / version)
            flush(folder)
    except OSError as error:
        if isinstance(error, EmproxError):
            raise
        raise StorageError(f"could not write the encoder to {folder}: {error}; nothing was changed") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return version


def read_embedding(path: Path, version: str, entries: list[Entry]) -> StoredEmbedding:
    """Return the embedding of that version, over all entries; what the index lacks is embedded now.

    Raises
    ------
    StorageError, CorruptFileError
        If the encoder is missing or is not the one of this version.
    """
    encoder = _read_encoder(path, version)
    file = path / FOLDER / f"{version}.index"
    index = _cached(file, version, encoder, entries)
    lacking = entries[len(index) :]
    if lacking:
        index.add(encoder.transform([entry.architecture for entry in lacking]))
        with suppress(StorageError):  # a cache: where it cannot be written it is made again
            body = index.to_bytes()
            write_file(file, _head(version, body, entries) + body)
    return StoredEmbedding(version, encoder, index, entries)


def encoders(path: Path) -> list[str]:
    """Return the versions of the encoders that are kept in a store."""
    try:
        return sorted(place.name for place in (path / FOLDER).iterdir() if place.is_dir() and not place.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path / FOLDER}: {error}") from error


def check_embeddings(path: Path, version: str) -> list[str]:
    """Return what differs from its checksums in the encoder of a version and its index; a missing index is nothing wrong."""
    folder, file = path / FOLDER / version, path / FOLDER / f"{version}.index"
    problems = []
    try:
        if _version(read_folder(folder)) != version:
            raise CorruptFileError("it is another encoder than its name says")
    except (CorruptFileError, StorageError) as error:
        problems.append(f"the encoder {folder} is missing or damaged: {error}; `emprox store reembed` makes another")
    try:
        head, _, body = file.read_bytes().partition(b"\n")
        if _facts(head).get("sha256") != hashlib.sha256(body).hexdigest():
            problems.append(f"the index {file} is damaged; it is made again when it is next used")
    except FileNotFoundError:
        pass
    except OSError as error:
        problems.append(f"the index {file} cannot be read: {error}")
    return problems


def _read_encoder(path: Path, version: str) -> Encoder:
    from emprox.encoders import ENCODERS

    folder = path / FOLDER / version
    try:
        manifest = read_folder(folder)
        if _version(manifest) != version:
            raise CorruptFileError("it is another encoder than its name says")
        return ENCODERS.get(manifest["kind"]).read(folder, manifest["state"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, StorageError) as error:
        raise CorruptFileError(
            f"the encoder {folder} is missing or damaged: {error}; the records are not: `emprox store reembed` makes another"
        ) from error


def _version(manifest: dict[str, Any]) -> str:
    """Return the checksum of all that an encoder has learned."""
    content = {"kind": manifest.get("kind"), "state": manifest.get("state"), "files": manifest["files"]}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _cached(file: Path, version: str, encoder: Encoder, entries: list[Entry]) -> EmbeddingIndex:
    """Return the index in a file if it is whole and of this encoder, package and start of the entries, an empty one otherwise."""
    with suppress(OSError, CorruptFileError):
        head, newline, body = file.read_bytes().partition(b"\n")
        known = entries[: _count(head)]
        if head + newline == _head(version, body, known):  # before FAISS reads any of it
            index = EmbeddingIndex.from_bytes(body)
            is_right = index.dim == encoder.dim and index.ids.tolist() == list(range(len(known)))
            if is_right and _agrees(encoder, index, known):
                return index
    return EmbeddingIndex(encoder.dim)


def _agrees(encoder: Encoder, index: EmbeddingIndex, entries: list[Entry]) -> bool:
    """Whether the encoder, as this machine and these versions of libraries run it, embeds the last entry as it is stored."""
    if not entries:
        return True
    embedded = encoder.transform([entries[-1].architecture])
    stored = index.reconstruct([len(entries) - 1])
    return bool(np.allclose(embedded, stored, rtol=CLOSE, atol=CLOSE * float(np.abs(stored).max(initial=0))))


def _head(version: str, body: bytes, entries: list[Entry]) -> bytes:
    """Return the first line of the file of an index: all that it depends on, and the checksum of what follows."""
    names = hashlib.sha256()
    for entry in entries:
        names.update(hashlib.sha256(entry.records[0].architecture.encode()).digest())
    facts = {
        "format": FORMAT,
        "emprox": package_version("emprox"),
        "embedding": version,
        "count": len(entries),
        "entries": names.hexdigest(),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(facts).encode() + b"\n"


def _count(head: bytes) -> int:
    """Return the number of entries that a first line says, 0 where it says none."""
    try:
        return max(0, int(_facts(head)["count"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return 0


def _facts(head: bytes) -> dict[str, Any]:
    """Return what a first line says, nothing where it is none."""
    try:
        facts = json.loads(head)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
