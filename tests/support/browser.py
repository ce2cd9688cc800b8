"""Headless Chromium, and a server of the page in a thread.

`chromium` skips the test with a reason where the browser or its driver is missing.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Root has no sandbox; the camera is a film that Chromium draws itself, and nobody is asked.
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Yields Playwright's browser; `arguments` are further ones of the program."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra [browser]")
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Runs an ASGI application on a free port of this machine; yields its address."""
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@contextmanager
def opened(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """Yields a tab with the page at an address; fails when a script fails or the policy of the page is violated.

    Args:
        browser: see `chromium`.
        address: of the page.
        **options: of Playwright's `new_context`, for example `viewport` or `color_scheme`.
    """
    context = browser.new_context(**{"viewport": WIDE, **options})
    tab = context.new_page()
    tab.set_default_timeout(60_000)  # other tests share the cores
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    tab.goto(address)
    yield tab
    context.close()
    assert faults == []


def violations(tab: Any) -> list[str]:
    """Returns what axe-core, the usual checker of accessibility, finds in a tab: rule and elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra [browser]")
    found = axe.Axe().run(tab).response["violations"]
    return [f"{rule['id']}: {[node['target'] for node in rule['nodes']]}" for rule in found]


class ScriptedAnswers:
    """Answers the page's requests to ``/predict`` in the place of the service.

    Attributes:
        asked: the requests so far: the query as a dict, and the body.
        aborted: how many requests the page gave up.
    """

    def __init__(self, tab: Any, body: Any) -> None:
        self.tab = tab
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.aborted = 0
        self.held: list[Any] = []
        self.reply(200, body)
        tab.on("requestfailed", self._count_aborted)
        tab.route("**/predict*", self._handle)

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None, only: str = "") -> None:
        """Answers from now on with a status and a body: a text, or a value for json.

        Args:
            status: of the answer.
            body: of the answer.
            headers: of the answer.
            only: a setting; requests without it are answered as before.
        """
        text = body if isinstance(body, str) else json.dumps(body)
        answer = {"status": status, "body": text, "headers": headers or {}}
        before = getattr(self, "answer", None)

        def act(route: Any, query: dict[str, str]) -> None:
            if only and only not in query and before is not None:
                before(route, query)
            else:
                route.fulfill(**answer)

        self.answer: Callable[[Any, dict[str, str]], None] = act

    def hold(self) -> None:
        """Answers nothing from now on, until `release`."""
        self.answer = lambda route, query: self.held.append(route)

    def fail(self) -> None:
        """Breaks connections from now on."""
        self.answer = lambda route, query: route.abort("connectionrefused")

    def release(self, body: Any) -> None:
        """Answers the requests that were held, also those that the page gave up."""
        for route in self.held:
            # A driver may refuse to answer a request that was given up; then the page cannot get it, either.
            with suppress(Exception):
                route.fulfill(status=200, body=json.dumps(body))
        self.held.clear()

    def wait_for(self, count: int) -> None:
        """Waits until the page has asked `count` times."""
        end = time.monotonic() + 60
        while len(self.asked) < count:
            assert time.monotonic() < end, f"the page asked {len(self.asked)} times, not {count}"
            self.tab.wait_for_timeout(20)  # lets the driver deliver events

    def _handle(self, route: Any) -> None:
        request = route.request
        query = dict(parse_qsl(urlsplit(request.url).query))
        self.asked.append((query, request.post_data_buffer or b""))
        self.answer(route, query)

    def _count_aborted(self, request: Any) -> None:
        self.aborted += "/predict" in request.url and request.failure == "net::ERR_ABORTED"
