"""Downloads against a web site on this machine that misbehaves in every way that real ones do."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pooch
import pytest

from emprox.errors import CorruptFileError, DownloadError, EmproxError, InvalidOptionError, StorageError, UnknownNameError
from emprox.tables import download
from emprox.tables.download import copy_file, download_file, files_named
from emprox.tables.files import find_file
from tests import served

DATA = os.urandom(300_000)
NAME = "data.bin"


def test_good_bytes_arrive_and_are_found_afterwards(site):
    site.add(NAME, DATA)
    path = download_file(NAME)
    assert path == site.folder / NAME == find_file(NAME)
    assert path.read_bytes() == DATA
    assert site.left_over() == [NAME]


def test_a_file_that_is_here_is_not_downloaded_again(site):
    site.add(NAME, DATA)
    download_file(NAME)
    download_file(NAME)
    assert len(site.requests) == 1


def test_a_file_in_the_subfolder_originals_counts_as_here(site):
    site.add(NAME, DATA)
    (site.folder / "originals").mkdir(parents=True)
    (site.folder / "originals" / NAME).write_bytes(DATA)
    assert download_file(NAME) == site.folder / "originals" / NAME
    assert site.requests == []


def test_a_wrong_file_in_the_folder_is_replaced(site):
    site.add(NAME, DATA)
    site.folder.mkdir()
    (site.folder / NAME).write_bytes(b"half of it")
    assert download_file(NAME).read_bytes() == DATA


def test_progress_ends_at_the_size_of_the_file(site):
    site.add(NAME, DATA)
    seen = []
    download_file(NAME, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(DATA), len(DATA))
    assert len(seen) > 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (served.truncated(DATA, declared=len(DATA)), "connection failed"),
        (served.truncated(DATA), "not the catalogue's file"),
        (served.good(bytes(len(DATA))), "not the catalogue's file"),
        (served.endless(), "more than"),
        (served.status(500), "500"),
        (served.status(429), "429"),
    ],
    ids=["truncated", "truncated-without-length", "wrong-bytes", "endless", "500", "429"],
)
def test_what_may_pass_is_tried_again_with_growing_pauses_and_leaves_nothing(site, pauses, answer, word):
    site.add(NAME, DATA, answer)
    with pytest.raises(DownloadError, match=word) as caught:
        download_file(NAME, attempts=3)
    assert len(site.requests) == 3
    assert pauses == [1, 2]
    assert "\n" not in str(caught.value)
    assert "--from" in str(caught.value)
    assert site.left_over() == []


@pytest.mark.parametrize("code", [404, 403, 410])
def test_a_refusal_is_final(site, pauses, code):
    site.add(NAME, DATA, served.status(code))
    with pytest.raises(DownloadError, match=str(code)):
        download_file(NAME)
    assert len(site.requests) == 1
    assert pauses == []
    assert site.left_over() == []


@pytest.mark.parametrize("first", [served.status(500), served.truncated(DATA, len(DATA)), served.good(b"x" * len(DATA))])
def test_the_second_attempt_may_be_good(site, pauses, first):
    site.add(NAME, DATA, first, served.good(DATA))
    assert download_file(NAME).read_bytes() == DATA
    assert pauses == [1]
    assert site.left_over() == [NAME]


def test_a_stall_ends_by_timeout(site):
    site.add(NAME, DATA, served.stalled(site, DATA))
    with pytest.raises(DownloadError, match="timed out"):
        download_file(NAME, attempts=1, timeout_s=0.2)
    assert site.left_over() == []


def test_a_redirect_is_followed(site):
    site.add("elsewhere.bin", DATA)
    site.add(NAME, DATA, served.redirect(f"{site.url}/elsewhere.bin"))
    assert download_file(NAME).read_bytes() == DATA


def test_no_server_is_one_line(site):
    site.add(NAME, DATA, url="http://127.0.0.1:9/data.bin")
    with pytest.raises(DownloadError, match="refused") as caught:
        download_file(NAME, attempts=1)
    assert "\n" not in str(caught.value)


def test_the_proxy_of_the_environment_is_used(site, monkeypatch):
    site.add(NAME, DATA, url="http://nowhere.invalid/data.bin")
    monkeypatch.setenv("http_proxy", site.url)
    assert download_file(NAME).read_bytes() == DATA
    assert site.requests == ["http://nowhere.invalid/data.bin"]


def test_pooch_keeps_its_log_level_and_says_nothing(site, capfd):
    before = pooch.get_logger().level
    site.add(NAME, DATA)
    download_file(NAME)
    assert pooch.get_logger().level == before
    assert capfd.readouterr() == ("", "")


def _start(name):
    return subprocess.Popen(
        [sys.executable, "-m", "emprox.cli", "tables", "get", name],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_download_a_file_once(site):
    site.add(NAME, DATA, served.held(site, DATA))
    first = _start(NAME)
    assert site.came.wait(60)
    second = _start(NAME)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    site.go_on.set()
    answers = [process.communicate(timeout=60) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), answers
    assert len(site.requests) == 1
    assert (site.folder / NAME).read_bytes() == DATA
    assert site.left_over() == [NAME]


def test_after_a_killed_download_the_next_one_starts_cleanly(site):
    site.add(NAME, DATA, served.stalled(site, DATA), served.good(DATA))
    process = _start(NAME)
    assert site.came.wait(60)
    while not any((site.folder / f".{NAME}.part").glob("*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert site.left_over() == [f".{NAME}.part"]
    assert download_file(NAME).read_bytes() == DATA
    assert site.left_over() == [NAME]


class TestDisk:
    def test_a_full_disk_while_downloading(self, site, monkeypatch):
        class Full(io.FileIO):
            def write(self, data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        opened = Path.open
        monkeypatch.setattr(
            Path, "open", lambda path, mode="r", **o: Full(path, "w") if mode == "wb" else opened(path, mode, **o)
        )
        site.add(NAME, DATA)
        with pytest.raises(StorageError, match="No space left"):
            download_file(NAME)
        assert len(site.requests) == 1
        assert site.left_over() == []

    def test_a_full_disk_while_moving_keeps_the_old_file(self, site, monkeypatch):
        site.add(NAME, DATA)
        site.folder.mkdir()
        (site.folder / NAME).write_bytes(b"old")
        monkeypatch.setattr(download.os, "fsync", _raiser(errno.ENOSPC))
        with pytest.raises(StorageError, match="No space left"):
            download_file(NAME)
        assert site.left_over() == [NAME]
        assert (site.folder / NAME).read_bytes() == b"old"

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
    def test_a_folder_that_may_not_be_made(self, site, monkeypatch, number):
        site.add(NAME, DATA)
        monkeypatch.setattr(os, "mkdir", _raiser(number))
        with pytest.raises(StorageError, match=os.strerror(number)):
            download_file(NAME)
        assert site.requests == []

    def test_a_read_only_folder(self, site, monkeypatch):
        site.add(NAME, DATA)
        site.folder.mkdir()
        monkeypatch.setattr(download.FileLock, "acquire", _raiser(errno.EACCES))
        with pytest.raises(StorageError, match="Permission denied"):
            download_file(NAME)
        assert site.requests == []
        assert list(site.folder.iterdir()) == []

    def test_a_folder_inside_a_file(self, site, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("EMPROX_TABLES", str(tmp_path / "file" / "tables"))
        site.add(NAME, DATA)
        with pytest.raises(StorageError, match="Not a directory"):
            download_file(NAME)


def _raiser(number):
    def raises(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return raises


class TestCopy:
    def test_a_file_that_the_user_has(self, site, tmp_path):
        site.add(NAME, DATA)
        (tmp_path / "mine").write_bytes(DATA)
        assert copy_file(NAME, tmp_path / "mine").read_bytes() == DATA
        assert site.requests == []
        assert (tmp_path / "mine").exists()

    def test_another_file_is_refused(self, site, tmp_path):
        site.add(NAME, DATA)
        (tmp_path / "mine").write_bytes(DATA[:-1])
        with pytest.raises(CorruptFileError, match=f"{len(DATA) - 1} bytes"):
            copy_file(NAME, tmp_path / "mine")
        assert site.left_over() == []

    def test_a_file_that_shrinks_while_it_is_copied(self, site, tmp_path, monkeypatch):
        site.add(NAME, DATA)
        (tmp_path / "mine").write_bytes(DATA)

        def shrinking(source, target):
            target.write_bytes(source.read_bytes()[:-1] if hasattr(source, "read_bytes") else b"")

        monkeypatch.setattr(download.shutil, "copyfile", shrinking)
        with pytest.raises(CorruptFileError):
            copy_file(NAME, tmp_path / "mine")
        assert site.left_over() == []

    def test_a_missing_file(self, site, tmp_path):
        site.add(NAME, DATA)
        with pytest.raises(StorageError, match="mine"):
            copy_file(NAME, tmp_path / "mine")


class TestNames:
    def test_a_table_stands_for_all_its_files(self, site):
        site.add("a.csv", b"a", tables=("ours",))
        site.add("b.csv", b"b", tables=("ours", "theirs"))
        assert files_named("ours") == files_named("ours:variant") == ["a.csv", "b.csv"]
        assert files_named("b.csv") == ["b.csv"]

    def test_the_bundled_table_needs_no_file(self):
        assert files_named("bundled") == []

    def test_the_nearest_name_is_suggested(self):
        with pytest.raises(UnknownNameError, match="'nasbench301'"):
            files_named("nasbench302")


class TestCataloguesOfOthers:
    @pytest.mark.parametrize(
        ("source", "word"),
        [
            ("FILES = 3\n", "AttributeError"),
            ("raise RuntimeError('broken')\n", "broken"),
            ("FILES = {'x': {'url': 'http://h/x'}}\n", "missing"),
            ("FILES = {'../x': dict(url='http://h/x', bytes=1, sha256='0' * 64, licence='', citation='')}\n", "plain name"),
            ("FILES = {'x': dict(url='file:///etc/passwd', bytes=1, sha256='0' * 64, licence='', citation='')}\n", "http"),
            ("FILES = {'x': dict(url='http://h/x', bytes=1, sha256='abc', licence='', citation='')}\n", "SHA-256"),
            ("FILES = {'nb201_zen.zip': dict(url='http://h/x', bytes=1, sha256='0' * 64, licence='', citation='')}\n", "taken"),
        ],
    )
    def test_a_broken_one_is_named(self, site, source, word):
        site.write_plugin(source)
        with pytest.raises(InvalidOptionError, match=word) as caught:
            find_file("nb201_zen.zip")
        assert "emprox_test_catalogue" in str(caught.value)

    def test_all_errors_are_ours(self):
        assert issubclass(DownloadError, EmproxError)
        assert issubclass(DownloadError, ConnectionError)
