"""The page ``/docs``: the description of the interface (OpenAPI) as HTML that loads nothing from elsewhere.

FastAPI's own page loads its scripts from another server, so it stays empty without the internet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from associative_embedding.apps.server.browsers import PAGE_HEADERS

PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{title}: interface for programs</title>
  <link rel="icon" href="page/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="page/page.css">
</head>
<body>
  <header>
    <p class="brand"><img src="page/icon.svg" alt="" width="28" height="28">associative embedding</p>
    <a href="./">Page for people</a>
  </header>
  <main>
    <div class="hero">
      <h1>Interface for programs</h1>
      <p>{description} Version {version}.</p>
    </div>
    <p><a href="openapi.json">This description as OpenAPI</a>, for generators of clients.</p>
    <p><code>curl --data-binary @photo.jpg ADDRESS/predict</code></p>
    {operations}
  </main>
</body>
</html>
"""


def add_interface_page(app: FastAPI) -> None:
    """Adds ``/docs`` to an application."""

    @app.get("/docs", include_in_schema=False)
    async def interface() -> HTMLResponse:
        return HTMLResponse(interface_page(app.openapi()), headers=PAGE_HEADERS)


def interface_page(schema: Mapping[str, Any]) -> str:
    """Returns the HTML of an OpenAPI document."""
    operations = "\n".join(
        line
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        for line in operation_lines(f"{method.upper()} {path}", operation)
    )
    info = {name: escape(str(value)) for name, value in schema["info"].items()}
    return PAGE.format(**{"description": "", **info}, operations=operations)


def operation_lines(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """Returns the HTML lines of one operation: what it does, what it takes and how it answers."""
    yield f"<section><h2>{escape(name)}</h2><p>{marked(operation.get('summary', ''))}.</p>"
    if operation.get("description"):
        yield f"<p>{marked(operation['description'])}</p>"
    if kinds := operation.get("requestBody", {}).get("content"):
        yield f"<p>Body: {', '.join(f'<code>{escape(kind)}</code>' for kind in kinds)}</p>"
    yield "<p>Answers, by status:</p><ul>"
    for status, answer in operation.get("responses", {}).items():
        yield f"<li><code>{escape(str(status))}</code> {marked(answer['description'])}</li>"
    yield "</ul></section>"


def marked(text: str) -> str:
    """Returns a text as HTML; what is between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
