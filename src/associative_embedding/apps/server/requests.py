"""Reads a request: the bytes of its image, and its settings."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from fastapi import Request
from starlette.formparsers import MultiPartException, MultiPartParser

from associative_embedding.apps.server.limits import Limits
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.download import download

# Decode settings that a request may change: thresholds, which the page shows as sliders. The others are choices that
# belong to the model, such as the rule of matching.
REQUEST_SETTINGS = ("threshold", "tag_threshold", "fill_threshold", "min_size", "min_weight", "bandwidth")


FORM_BYTES = 2**16  # bytes of a form beside the file in it


@dataclass(frozen=True)
class Query:
    """The query of a request: what follows ``?`` in its address.

    Attributes:
        settings: decode settings that replace the settings of the model.
        min_score: lowest score of the instances in the answer, in [0, 1].
        picture: answer with the annotated picture instead of json.
        image: digest of a file that the server has kept, in place of a body; "" = the request has the image.
    """

    settings: dict[str, Any]
    min_score: float
    picture: bool
    image: str = ""


class NotKept(Exception):
    """The server does not have the file that a digest stands for, or has it no longer."""


class TooLarge(Exception):
    """The request has more bytes than the limit."""


def request_settings(predictor: Predictor) -> dict[str, Any]:
    """Returns the decode settings that a request may change, with the model's values."""
    return {name: value for name, value in asdict(predictor.task.decode_config).items() if name in REQUEST_SETTINGS}


def model_description(predictor: Predictor) -> dict[str, Any]:
    """Returns what the page and ``/health`` show about the model."""
    task = predictor.task
    return {
        "task": task.name,
        "categories": task.categories,
        "min_score": task.shown_score,
        "settings": request_settings(predictor),
        "input_size": predictor.input_size,
    }


def read_query(request: Request, predictor: Predictor) -> Query:
    """Reads the query of a request.

    Raises:
        ValueError: for an unknown name, or a value that is not a number.
    """
    known = request_settings(predictor)
    settings: dict[str, Any] = {}
    min_score, form, image = predictor.task.shown_score, "json", ""
    for name, text in request.query_params.items():
        if name == "format" and text in ("json", "picture"):
            form = text
        elif name == "image" and re.fullmatch("[0-9a-f]{64}", text):
            image = text
        elif name == "min_score":
            min_score = parse_number(name, text)
        elif name in known:
            settings[name] = type(known[name])(parse_number(name, text))
        else:
            # An error, not ignored: a misspelt threshold would otherwise return results of the default unnoticed.
            raise ValueError(
                f"unknown setting {name}={text!r:.40}; known are format, image, min_score, {', '.join(known)}"
            )
    return Query(settings, min_score, form == "picture", image)


def parse_number(name: str, text: str) -> float:
    """Returns a finite number; the name is for the message.

    Raises:
        ValueError: for other texts, also for ``nan`` and ``inf``, which no comparison with a limit would catch.
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name} must be a number, not {text!r:.40}")
    return value


async def read_image_file(request: Request, limits: Limits) -> bytes:
    """Returns the image file of a request: its body, the file in its form, or the file at its URL.

    Raises:
        TooLarge: as soon as more bytes than the limit have arrived. The length in the header may be false.
        ValueError: when the request contains no image.
        OSError: for a URL that cannot or must not be read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.max_bytes + FORM_BYTES:
            raise TooLarge(f"more than {limits.max_bytes} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await read_form_file(request, bytes(body))
    if kind == "application/json":
        return await download_image(bytes(body), limits)
    if not body and "image" not in request.query_params:
        raise ValueError("the request contains no image")
    return bytes(body)


async def read_form_file(request: Request, body: bytes) -> bytes:
    """Returns the file in the field ``file`` of a form.

    Raises:
        ValueError: for a broken form, or one without the file.
    """

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        # Starlette's own `request.form()` would read the body a second time, and without a limit.
        parser = MultiPartParser(request.headers, chunks(), max_files=1, max_fields=4)
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


async def download_image(body: bytes, limits: Limits) -> bytes:
    """Returns the file at the URL in a json body.

    Raises:
        ValueError: where URLs are not allowed, or for a body without a URL.
        OSError: for a URL that cannot or must not be read.
    """
    if not limits.urls:
        raise ValueError("this server does not accept URLs; send the image itself")
    try:
        url = json.loads(body)["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('the json must be {"url": "https://..."}') from None
    if not isinstance(url, str):
        raise ValueError('the value of "url" must be a text')
    # Public addresses only, unless allowed: otherwise a stranger could read pages of the network behind the server.
    return await asyncio.to_thread(
        download, url, timeout=limits.timeout, max_bytes=limits.max_bytes, public_only=not limits.private_urls
    )
