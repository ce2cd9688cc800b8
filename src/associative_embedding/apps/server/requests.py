"""A request -> the bytes of its image, and its settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from fastapi import Request
from starlette.formparsers import MultiPartException, MultiPartParser

from associative_embedding.apps.server.limits import Limits
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.download import download

# Decode settings that a request may change; all others would change what the model is.
LIVE = ("threshold", "tag_threshold", "fill_threshold", "min_size", "min_weight", "bandwidth")


@dataclass(frozen=True)
class Query:
    """The query of a request.

    Attributes:
        settings: decode settings that replace the model's.
        min_score: lowest score of the instances in the answer.
        picture: answer with the annotated picture instead of json.
    """

    settings: dict[str, Any]
    min_score: float
    picture: bool


class TooLarge(Exception):
    """The request has more bytes than allowed."""


def live_settings(predictor: Predictor) -> dict[str, Any]:
    """Returns the decode settings that a request may change, with the values of the model."""
    return {name: value for name, value in asdict(predictor.task.decode_config).items() if name in LIVE}


def about(predictor: Predictor) -> dict[str, Any]:
    """Returns the description of the model for the page and ``/health``."""
    task = predictor.task
    return {
        "task": task.name,
        "categories": task.categories,
        "min_score": task.shown_score,
        "settings": live_settings(predictor),
        "input_size": predictor.input_size,
    }


def read_query(request: Request, predictor: Predictor) -> Query:
    """Reads the query of a request.

    Raises:
        ValueError: for an unknown name, or a value that is no number.
    """
    known = live_settings(predictor)
    settings: dict[str, Any] = {}
    min_score, form = predictor.task.shown_score, "json"
    for name, text in request.query_params.items():
        if name == "format" and text in ("json", "picture"):
            form = text
        elif name == "min_score":
            min_score = number(name, text)
        elif name in known:
            settings[name] = type(known[name])(number(name, text))
        else:
            raise ValueError(f"unknown setting {name}={text!r:.40}; known are format, min_score, {', '.join(known)}")
    return Query(settings, min_score, form == "picture")


def number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name} must be a number, not {text!r:.40}")
    return value


async def image_bytes(request: Request, limits: Limits) -> bytes:
    """Reads the image file of a request: its body, the file in its form, or the file at its URL.

    Raises:
        TooLarge: as soon as more bytes than the limit have arrived; the length in the header is not trusted.
        ValueError: when the request contains no image.
        OSError: for a URL that cannot or must not be read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.max_bytes + 2**16:  # a form is a little larger than the file in it
            raise TooLarge(f"more than {limits.max_bytes} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await form_file(request, bytes(body))
    if kind == "application/json":
        return await url_file(bytes(body), limits)
    if not body:
        raise ValueError("the request holds no image")
    return bytes(body)


async def form_file(request: Request, body: bytes) -> bytes:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, once(), max_files=1, max_fields=4)
        form = await parser.parse()
        try:
            file = form.get("file")
            if file is None or isinstance(file, str):
                raise ValueError("the form has no file in its field 'file'")
            return bytes(await file.read())
        finally:
            await form.close()
    except (MultiPartException, KeyError) as error:
        raise ValueError(f"the form cannot be read ({error})") from None


async def url_file(body: bytes, limits: Limits) -> bytes:
    if not limits.urls:
        raise ValueError("images by URL are not allowed here; send the image itself")
    try:
        url = json.loads(body)["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('the json must be {"url": "https://..."}') from None
    if not isinstance(url, str):
        raise ValueError("the url must be a text")
    return await asyncio.to_thread(
        download, url, timeout=limits.timeout, max_bytes=limits.max_bytes, public_only=not limits.private_urls
    )
