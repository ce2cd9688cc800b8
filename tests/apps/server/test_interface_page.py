"""The page ``/docs``: it says what the OpenAPI document says, and loads nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")

from fastapi import FastAPI

from associative_embedding.apps.server.interface_page import interface_page, marked

pytestmark = pytest.mark.extra


class Tags(HTMLParser):
    """Checks that tags are closed in order, and collects the addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page() -> str:
    app = FastAPI(title="<b>t", description="d & e.", version="1")
    body = {"requestBody": {"content": {"image/*": {}}}}
    app.post("/find", summary="Find <all>", description="Uses `a` and `<b>`.", openapi_extra=body)(lambda: None)
    app.get("/health", responses={503: {"description": "Busy"}})(lambda: None)
    return interface_page(app.openapi())


def test_it_loads_nothing_from_elsewhere() -> None:
    tags = Tags()
    tags.feed(page())
    assert not tags.open
    assert set(tags.addresses) == {"page/icon.svg", "page/page.css", "./", "openapi.json"}
    assert "<script" not in page()
    assert not re.search(r"[a-z]+://", page())


def test_it_says_what_the_document_says() -> None:
    text = page()
    for part in (
        *("POST /find", "Find &lt;all&gt;", "<code>a</code>", "<code>&lt;b&gt;</code>", "<code>image/*</code>"),
        *("GET /health", "<li><code>503</code> Busy</li>", "d &amp; e.", "&lt;b&gt;t"),
    ):
        assert part in text
    assert marked("one ` alone") == "one ` alone"
