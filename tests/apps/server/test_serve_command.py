"""``ae serve`` as a command: how it ends, how much memory it takes, and how many connections it stands."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx

from support.serving import photo, png, until

pytestmark = [
    pytest.mark.extra,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of processes from /proc"),
]

MB = 2**20


class Command:
    """A running ``ae serve``."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process, self.url = process, url
        self.port = int(url.rpartition(":")[2])

    def peak(self) -> int:
        """Most bytes of memory that the process that holds the connections has had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="utf-8")
        return [int(number) for number in text.split()]


@contextmanager
def serving(model: str, log: Path, *options: str) -> Iterator[Command]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "associative_embedding", "serve", "--model", model, "--port", str(port), *options]
    with log.open("wb") as errors, subprocess.Popen(command, stderr=errors) as process:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            with suppress(httpx.TransportError):
                return httpx.get(f"{url}/health", timeout=60).status_code == 200
            return False

        try:
            until(answers, 120)
            yield Command(process, url)
        finally:
            process.kill()


def flat(side: int, mode: str = "1") -> bytes:
    """A PNG of one colour: some kB that hold any number of pixels."""
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, "PNG", optimize=False)
    return file.getvalue()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_sigterm_ends_it_whatever_runs(model: str, tmp_path: Path) -> None:
    with serving(model, tmp_path / "log", "--max_seconds", "600", "--timeout", "900") as command:
        (worker,) = [pid for pid in command.children() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        # A stopped process stands for one in the midst of an endless piece of work.
        os.kill(worker, signal.SIGSTOP)
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(httpx.post(f"{command.url}/predict", content=png(photo()), timeout=100).status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        half = socket.create_connection(("127.0.0.1", command.port))
        half.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx")
        until(lambda: "ae_request_bytes 1.0" not in httpx.get(f"{command.url}/metrics").text)
        start = time.monotonic()
        command.process.send_signal(signal.SIGTERM)
        command.process.wait(60)
        assert time.monotonic() < start + 30  # 10 on an idle machine
        thread.join(60)
        half.close()
        assert statuses == [503]
        until(lambda: is_gone(worker))
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_the_model_ends_with_the_service(model: str, tmp_path: Path) -> None:
    with serving(model, tmp_path / "log") as command:
        children = command.children()
        assert len(children) == 2  # the model, and Python's watch over shared memory
        command.process.kill()
        for pid in children:
            until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


def test_waiting_images_are_files_not_pixels(model: str, tmp_path: Path) -> None:
    body = flat(6300)
    assert len(body) < 10_000  # each 119 MB of pixels
    with serving(model, tmp_path / "log", "--timeout", "60") as command, ThreadPoolExecutor(60) as pool:
        post = lambda _: httpx.post(f"{command.url}/predict", content=body, timeout=100).status_code  # noqa: E731
        assert set(pool.map(post, range(60))) <= {200, 503}
        assert command.peak() < 250 * MB


def test_bodies_in_arrival_have_one_budget(model: str, tmp_path: Path) -> None:
    with serving(model, tmp_path / "log", "--memory", str(64 * MB)) as command:
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {20 * MB}\r\n\r\n".encode()
        body = bytes(MB)

        def send() -> None:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", command.port), timeout=60) as connection,
            ):
                connection.sendall(head)
                for _ in range(19):  # never the whole
                    connection.sendall(body)
                connection.settimeout(2)
                connection.recv(1)

        threads = [threading.Thread(target=send) for _ in range(100)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert httpx.get(f"{command.url}/health", timeout=60).status_code == 200
            time.sleep(0.2)
        assert command.peak() < 400 * MB
        until(lambda: "ae_request_bytes 0.0" in httpx.get(f"{command.url}/metrics", timeout=60).text)


def test_half_open_connections_neither_close_it_nor_fill_the_log(model: str, tmp_path: Path) -> None:
    with serving(model, tmp_path / "log", "--connections", "100") as command:
        opened = [socket.create_connection(("127.0.0.1", command.port), timeout=60) for _ in range(600)]
        for _ in range(5):
            assert httpx.post(f"{command.url}/predict", content=png(photo()), timeout=60).status_code == 200
        for connection in opened:
            connection.close()
        assert len(list(Path(f"/proc/{command.process.pid}/fd").iterdir())) < 200
    assert (tmp_path / "log").read_text(encoding="utf-8").count("\n") <= 2
