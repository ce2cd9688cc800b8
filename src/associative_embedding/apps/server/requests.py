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

from associative_embedding.apps.server.downloads import Downloads
from associative_embedding.apps.server.jobs import Job, ServedModel
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.request_memory import Lease, RequestMemory, digest_of

# Decode settings that a request may change: thresholds, which the page shows as sliders. The others are choices that
# belong to the model, such as the rule of matching.
REQUEST_SETTINGS = ("threshold", "tag_threshold", "fill_threshold", "min_size", "min_weight", "bandwidth")

FORM_BYTES = 2**16  # bytes of a form beside the file in it
JSON_BYTES = 2**14  # a URL needs no more, and parsing it keeps all other requests waiting
LARGEST = 1e9  # of a setting: no sensible value is beyond it


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


def request_settings(model: ServedModel) -> dict[str, Any]:
    """Returns the decode settings that a request may change, with the model's values."""
    return {name: value for name, value in asdict(model.task.decode_config).items() if name in REQUEST_SETTINGS}


def model_description(model: ServedModel) -> dict[str, Any]:
    """Returns what the page and ``/health`` show about the model."""
    task = model.task
    return {
        "task": task.name,
        "categories": task.categories,
        "min_score": task.shown_score,
        "settings": request_settings(model),
        "input_size": model.input_size,
    }


def read_query(request: Request, model: ServedModel) -> Query:
    """Reads the query of a request.

    Raises:
        ValueError: for an unknown name, or a value that is not a number or out of range.
    """
    known = request_settings(model)
    settings: dict[str, Any] = {}
    min_score, form, image = model.task.shown_score, "json", ""
    for name, text in request.query_params.items():
        if name == "format" and text in ("json", "picture"):
            form = text
        elif name == "image" and re.fullmatch("[0-9a-f]{64}", text):
            image = text
        elif name == "min_score":
            min_score = parse_number(name, text)
            if not 0 <= min_score <= 1:
                raise ValueError(f"min_score must be in [0, 1], not {text!r:.40}")
        elif name in known:
            settings[name] = type(known[name])(parse_number(name, text))
        else:
            # An error, not ignored: a misspelt threshold would otherwise return results of the default unnoticed.
            raise ValueError(
                f"unknown setting {name}={text!r:.40}; known are format, image, min_score, {', '.join(known)}"
            )
    return Query(settings, min_score, form == "picture", image)


def parse_number(name: str, text: str) -> float:
    """Returns a number within ±`LARGEST`; the name is for the message.

    Raises:
        ValueError: for other texts, also for ``nan``, which no comparison with a limit would catch.
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not abs(value) <= LARGEST:
        raise ValueError(f"{name} must be a number, not {text!r:.40}")
    return value


class RequestReader:
    """Reads the requests of one service.

    Args:
        model: the model.
        memory: counts the bytes that have arrived, and keeps files.
        limits: of the service.
    """

    def __init__(self, model: ServedModel, memory: RequestMemory, limits: Limits) -> None:
        self.model, self.memory, self.limits = model, memory, limits
        self.downloads = Downloads(limits)

    async def read(self, request: Request, lease: Lease) -> Job:
        """Returns what a request asks for.

        Args:
            request: its body has not been read.
            lease: counts its bytes.

        Raises:
            TooLarge: as soon as more bytes than the limit have arrived. The length in the header may be false.
            MemoryFull: when the bytes of all requests are beyond the budget.
            NotKept: when the file of a digest is not there.
            ValueError: for a query or a body that cannot be used.
            OSError: for a URL that cannot or must not be read.
        """
        query = read_query(request, self.model)
        data = await self._read_body(request, lease)
        if query.image:
            data = self._kept_file(query.image, data, lease)
        if not data:
            raise ValueError("the request contains no image")
        # In a thread: 20 MB would keep all other requests waiting for some 50 ms.
        digest = query.image or await asyncio.to_thread(digest_of, data)
        return Job(digest, data, query.settings, query.min_score, query.picture)

    async def _read_body(self, request: Request, lease: Lease) -> bytes:
        """Returns the image file of a request: its body, the file in its form, or the file at its URL."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            body = b"".join([chunk async for chunk in chunks(request, JSON_BYTES, lease)])
            data = await self.downloads.fetch(read_url(body, self.limits))
            lease.add(len(data))
            return data
        stream = chunks(request, self.limits.max_bytes, lease)
        if kind == "multipart/form-data":
            return await read_form_file(request, stream)
        return b"".join([chunk async for chunk in stream])

    def _kept_file(self, digest: str, body: bytes, lease: Lease) -> bytes:
        if body:
            raise ValueError("send an image or the digest of one, not both")
        data = self.memory.find(digest)
        if data is None:
            raise NotKept
        lease.add(len(data))  # it may be dropped while this request waits
        return data


async def chunks(request: Request, most: int, lease: Lease) -> AsyncGenerator[bytes, None]:
    """Yields the body of a request as it arrives, and counts it.

    Args:
        most: bytes of the image in it.

    Raises:
        TooLarge: for more bytes.
        MemoryFull: see `Lease.add`.
    """
    total = 0
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isdecimal() and len(length) < 20 else 0
    async for chunk in request.stream():
        total += len(chunk)
        if max(total, announced) > most + FORM_BYTES:
            raise TooLarge(f"more than {most} bytes")
        lease.add(len(chunk))
        yield chunk


class FormParser(MultiPartParser):
    """Keeps files in the memory. Starlette's own writes those beyond 1 MB to the disk; an older one has other names."""

    spool_max_size = max_file_size = 2**62


async def read_form_file(request: Request, stream: AsyncGenerator[bytes, None]) -> bytes:
    """Returns the file in the field ``file`` of a form.

    Raises:
        ValueError: for a broken form, or one without the file.
    """
    try:
        # Starlette's own `request.form()` has no limit of bytes.
        form = await FormParser(request.headers, stream, max_files=1, max_fields=4).parse()
        try:
            file = form.get("file")
            if file is None or isinstance(file, str):
                raise ValueError("the form has no file in its field 'file'")
            return bytes(await file.read())
        finally:
            await form.close()
    except (MultiPartException, KeyError) as error:
        raise ValueError(f"the form cannot be read ({error})") from None


def read_url(body: bytes, limits: Limits) -> str:
    """Returns the URL in a json body.

    Raises:
        ValueError: where URLs are not allowed, or for a body without a URL.
    """
    if not limits.urls:
        raise ValueError("this server does not accept URLs; send the image itself")
    try:
        url = json.loads(body)["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('the json must be {"url": "https://..."}') from None
    if not isinstance(url, str):
        raise ValueError('the value of "url" must be a text')
    return url
