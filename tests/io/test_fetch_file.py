"""Downloads of large files: continued, bounded, and refused where the server does not keep its word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from associative_embedding.io.fetch_file import fetch_file
from support.file_server import FileServer

DATA = bytes(range(256)) * 1000
ENOUGH = 60.0  # seconds, for a busy machine


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(DATA) as started:
        yield started


def fetch(url: str, partial: Path, *, timeout: float = ENOUGH, max_bytes: int = 10**6) -> bytes:
    fetch_file(url, partial, timeout=timeout, max_bytes=max_bytes)
    return partial.read_bytes()


def test_a_file_arrives(server: FileServer, tmp_path: Path) -> None:
    assert fetch(server.url, tmp_path / "part") == DATA
    assert server.requests == [""]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_continues(server: FileServer, tmp_path: Path, ranges: bool) -> None:
    """Without ranges the server sends the whole file again, which replaces the part."""
    server.break_after, server.ranges = 100_000, ranges
    with pytest.raises(OSError, match="the connection ended 156000 bytes early"):
        fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").stat().st_size == 100_000
    server.break_after = 0
    assert fetch(server.url, tmp_path / "part") == DATA
    assert server.requests == ["", "bytes=100000-"]


def test_a_complete_part_needs_no_more_bytes(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(DATA)
    assert fetch(server.url, tmp_path / "part") == DATA


def test_a_file_over_the_limit_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is larger than the limit of 1000 bytes"):
        fetch(server.url, tmp_path / "part", max_bytes=1000)
    (tmp_path / "part").write_bytes(DATA[:900])
    with pytest.raises(OSError, match="is larger than the limit of 1000 bytes"):
        fetch(server.url, tmp_path / "part", max_bytes=1000)
    assert (tmp_path / "part").read_bytes() == DATA[:900]


@pytest.mark.slow
def test_a_silent_server_ends_the_download(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("associative_embedding.io.fetch_file.SILENCE", 0.5)
    server.break_after = 1000
    server.silent.set()
    with pytest.raises(OSError, match=r"no byte arrived for 0\.5 seconds"):
        fetch(server.url, tmp_path / "part")
    monkeypatch.setattr("associative_embedding.io.fetch_file.SILENCE", 60)
    with pytest.raises(OSError, match=r"not complete within 0\.5 seconds"):
        fetch(server.url, tmp_path / "part", timeout=0.5)


def test_redirects_end(server: FileServer, tmp_path: Path) -> None:
    server.redirect = server.url
    with pytest.raises(OSError, match="more than 10 redirects"):
        fetch(server.url, tmp_path / "part")
    with FileServer(DATA) as other:
        server.redirect = other.url
        assert fetch(server.url, tmp_path / "other") == DATA
    server.redirect = "ftp://127.0.0.1/file"
    with pytest.raises(OSError, match="only http and https"):
        fetch(server.url, tmp_path / "third")


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with FileServer(DATA) as server:
        url = server.url
    with pytest.raises(OSError, match="cannot be downloaded"):
        fetch(url, tmp_path / "part", timeout=5)
    assert not (tmp_path / "part").exists()
