"""Files of the catalogue to the user's disk: under a temporary name, checked, moved into place.

A file is in its place as a whole or not at all. What a killed download leaves behind is removed by the next one, and of two
processes that want the same file one downloads it while the other waits.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from emprox.errors import CorruptFileError, DownloadError, EmproxError, StorageError, UnknownNameError
from emprox.registry import nearest
from emprox.tables.catalog import TABLES, files_of
from emprox.tables.files import CatalogFile, catalog, catalog_file, check_file, download_folder, find_file

__all__ = ["copy_file", "download_file", "files_named"]

ATTEMPTS = 4
FIRST_PAUSE_S = 1.0
"""Before the second attempt; doubled before each further one."""
TIMEOUT_S = 30.0
"""Of connecting, and of waiting for the next bytes."""
CHUNK = 1 << 16
FINAL = frozenset(range(400, 500)) - {408, 425, 429}
"""HTTP answers that another attempt does not change."""

Progress = Callable[[int, int], None]


def files_named(name: str) -> list[str]:
    """Return the catalogue's files that a name stands for: a file name, or the name of a table (its variant is left out)."""
    known = catalog()
    if name in known:
        return [name]
    table = name.partition(":")[0]
    if table in TABLES.names() and TABLES.get(table).bundled:
        return []
    if found := files_of(table):
        return found
    names = [*known, *sorted({table for facts in known.values() for table in facts.tables})]
    raise UnknownNameError(f"the catalogue has neither a table nor a file {name!r}; {nearest(name, names)}")


def download_file(name: str, progress: Progress | None = None, *, attempts: int = ATTEMPTS, timeout_s: float = TIMEOUT_S) -> Path:
    """Return the path of a catalogued file, after downloading it unless a place has it already.

    A wrong file in the download folder is replaced. Proxies are those of the environment (``https_proxy`` and the like).

    Parameters
    ----------
    name : str
        File name in the catalogue.
    progress : callable, optional
        Called with the numbers of bytes that have come and of all.
    attempts : int
        How often to try; the pause between doubles each time, from one second.
    timeout_s : float
        Seconds to wait for a connection, and for the next bytes.

    Raises
    ------
    DownloadError
        If the server does not answer, refuses, or sends something else, after all attempts.
    StorageError
        If the folder cannot be written.
    """
    facts = catalog_file(name)

    def fetch(staging: Path) -> None:
        _with_retries(facts, staging, progress, attempts, timeout_s)

    return _place(facts, fetch)


def copy_file(name: str, source: str | Path) -> Path:
    """Copy a file that the user already has to the download folder, if it is the catalogue's, and return its path there.

    Raises
    ------
    CorruptFileError
        If it is not the catalogue's file.
    StorageError
        If it cannot be read, or the folder cannot be written.
    """
    facts = catalog_file(name)
    check_file(Path(source), facts, "Give the right one, or leave out --from to download it")

    def fetch(staging: Path) -> None:
        shutil.copyfile(source, staging)
        check_file(staging, facts)

    return _place(facts, fetch)


def _place(facts: CatalogFile, fetch: Callable[[Path], None]) -> Path:
    """Return where the file is; if nowhere, let `fetch` write it under a temporary name and move it into the download folder."""
    folder = download_folder()
    with _storage_errors(folder / facts.name):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{facts.name}.lock"):
            with suppress(CorruptFileError, FileNotFoundError):
                return find_file(facts.name)
            staging = folder / f".{facts.name}.part"
            _remove(staging)
            staging.mkdir()
            try:
                fetch(staging / facts.name)
                with (staging / facts.name).open("rb") as file:
                    os.fsync(file.fileno())
                (staging / facts.name).replace(folder / facts.name)
            finally:
                _remove(staging)
    return folder / facts.name


def _with_retries(facts: CatalogFile, path: Path, progress: Progress | None, attempts: int, timeout_s: float) -> None:
    pause = FIRST_PAUSE_S
    for attempt in range(1, attempts + 1):
        try:
            return _fetch(facts, path, progress, timeout_s)
        except DownloadError as error:
            if error.is_final or attempt == attempts:
                tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
                raise DownloadError(
                    f"could not download {facts.name} from {facts.url} ({tries}): {error}. Try again later, or give a copy with "
                    f"`emprox tables get {facts.name} --from FILE`"
                ) from error
        time.sleep(pause)
        pause *= 2


def _fetch(facts: CatalogFile, path: Path, progress: Progress | None, timeout_s: float) -> None:
    import pooch
    from requests.exceptions import HTTPError, RequestException

    def stream(url: str, target: str, _: object) -> None:
        _stream(url, Path(target), facts.bytes, progress, timeout_s)

    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(facts.url, f"sha256:{facts.sha256}", path.name, path.parent, downloader=stream)
    except HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        raise DownloadError(f"the server answered: {error}", status in FINAL) from error
    except RequestException as error:
        raise DownloadError(f"the connection failed: {_reason(error)}") from error
    except ValueError as error:  # pooch found another hash
        raise DownloadError(f"what came is not the catalogue's file, expected {facts.bytes} bytes") from error


def _stream(url: str, target: Path, expected: int, progress: Progress | None, timeout_s: float) -> None:
    """Write what the server sends to a file, and stop when it is more than expected."""
    import requests

    came = 0
    headers = {"Accept-Encoding": "identity"}
    with requests.get(url, stream=True, timeout=timeout_s, headers=headers) as response, target.open("wb") as file:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            came += len(chunk)
            if came > expected:
                raise DownloadError(f"the server sends more than the {expected} bytes of the file")
            if progress is not None:
                progress(came, expected)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except EmproxError:
        raise
    except OSError as error:
        raise StorageError(f"could not write {path}: {error}; nothing was changed") from error


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
