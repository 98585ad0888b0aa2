"""A web site on this machine, and a catalogue that names its files, added the way another package would add one."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

MODULE = "emprox_test_catalogue"
Answer = Callable[[Any], None]


class Site:
    """Files by name; each is served by its answers in turn, the last one again and again."""

    def __init__(self, plugins: Path, folder: Path) -> None:
        self.plugins, self.folder = plugins, folder
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        self.came = threading.Event()
        self.go_on = threading.Event()
        self.facts: dict[str, dict[str, Any]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.requests.append(self.path)
                site.came.set()
                answers = site.answers[self.path.rpartition("/")[2]]
                with contextlib.suppress(ConnectionError):
                    (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name: str, data: bytes, *answers: Answer, url: str | None = None, tables: tuple[str, ...] = ()) -> None:
        self.answers[name] = list(answers) or [good(data)]
        self.facts[name] = {
            "url": url or f"{self.url}/{name}",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "licence": "CC0-1.0",
            "citation": "Nobody, Nothing, 2020.",
            "tables": tables,
        }
        self.write_plugin(f"FILES = {json.dumps(self.facts)}\n")

    def write_plugin(self, source: str) -> None:
        self.plugins.joinpath(f"{MODULE}.py").write_text(source)
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()

    def left_over(self) -> list[str]:
        """Return what lies in the download folder besides lock files."""
        if not self.folder.exists():
            return []
        return sorted(p.name for p in self.folder.iterdir() if not p.name.endswith(".lock"))


@contextlib.contextmanager
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    plugins = tmp_path / "plugins"
    metadata = plugins / f"{MODULE}-1.0.dist-info"
    metadata.mkdir(parents=True)
    metadata.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1.0\n")
    metadata.joinpath("entry_points.txt").write_text(f"[emprox.catalogs]\ntest = {MODULE}:FILES\n")
    found = Site(plugins, tmp_path / "downloads")
    found.write_plugin("FILES = {}\n")
    monkeypatch.syspath_prepend(plugins)
    monkeypatch.setenv("EMPROX_TABLES", str(found.folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.go_on.set()
        found.server.shutdown()
        found.server.server_close()
        thread.join()
        sys.modules.pop(MODULE, None)


def good(data: bytes) -> Answer:
    return _answer(200, data, len(data))


def truncated(data: bytes, declared: int | None = None) -> Answer:
    """Half of the data; the header still tells the full length, or nothing, as a proxy may."""

    def answer(handler: Any) -> None:
        _answer(200, data[: len(data) // 2], declared)(handler)
        handler.close_connection = True

    return answer


def status(code: int) -> Answer:
    return _answer(code, b"no", 2)


def redirect(url: str) -> Answer:
    return _answer(302, b"", 0, Location=url)


def stalled(site: Site, data: bytes) -> Answer:
    """Half of the data, and the rest when the site is told to go on."""

    def answer(handler: Any) -> None:
        _answer(200, data[: len(data) // 2], len(data))(handler)
        handler.wfile.flush()
        site.go_on.wait(60)
        handler.close_connection = True

    return answer


def held(site: Site, data: bytes) -> Answer:
    """All of the data when the site is told to go on."""

    def answer(handler: Any) -> None:
        site.go_on.wait(60)
        good(data)(handler)

    return answer


def endless() -> Answer:
    def answer(handler: Any) -> None:
        _answer(200, b"", None)(handler)
        handler.close_connection = True
        while True:
            handler.wfile.write(bytes(1 << 16))

    return answer


def _answer(code: int, body: bytes, length: int | None, **headers: str) -> Answer:
    def answer(handler: Any) -> None:
        handler.send_response(code)
        for key, value in headers.items():
            handler.send_header(key, value)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer
