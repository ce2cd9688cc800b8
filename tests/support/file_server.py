"""A server on loopback that sends one file, also from a byte on, and can break off."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Sends `data` to every request.

    Attributes:
        data: the content of the file.
        ranges: whether the server continues a file where it was asked to.
        break_after: bytes of an answer after which the connection ends; 0 = never.
        silent: whether the connection stays open there until the server ends, in place of ending.
        redirect: the address that is answered in place of the file.
        requests: the value of the header Range of each request, "" = none.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.ranges, self.break_after, self.redirect = data, True, 0, ""
        self.silent = threading.Event()
        self.ended = threading.Event()
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.pth"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.requests.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        if start >= len(self.data):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        request.send_header("Content-Length", str(len(self.data) - start))
        request.end_headers()
        part = self.data[start : start + self.break_after] if self.break_after else self.data[start:]
        request.wfile.write(part)
        if self.silent.is_set():
            request.wfile.flush()
            self.ended.wait(60)

    def __enter__(self) -> FileServer:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(10)
