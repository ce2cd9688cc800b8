"""The HTTP service on a free port of loopback, and small models for it.

The model runs in another process, which imports the functions here by their name.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import uvicorn

from associative_embedding.apps.server.connections import bounded_protocol
from associative_embedding.apps.server.jobs import Job
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.request_memory import digest_of
from associative_embedding.apps.server.service import create_app
from associative_embedding.inference.predictor import Predictor
from associative_embedding.structures.arrays import Array
from support.tiny import tiny_info, tiny_network


def photo(seed: int = 0, size: tuple[int, int] = (64, 96)) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def png(image: Array) -> bytes:
    return cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()


def job(image: Array | bytes, picture: bool = False, **settings: Any) -> Job:
    data = image if isinstance(image, bytes) else png(image)
    return Job(digest_of(data), data, settings, 0.0, picture)


def post(url: str, **values: Any) -> httpx.Response:
    """With more time than httpx gives by itself: all of the tests may run at once."""
    return httpx.post(url, timeout=60, **values)


# ---- models


def tiny_pose() -> Predictor:
    """A network with random weights that finds many figures in noise."""
    info = tiny_info()
    return Predictor(tiny_network(info), info)


class Slow(Predictor):
    """Takes half a second for each batch, and an hour for a dark image; `began` is written at the start of a batch."""

    began: Path | None = None

    def run_network(self, batch: Any) -> Any:
        if self.began is not None:
            self.began.touch()
        dark = any(x.max() == 0 for inputs in batch for x, _ in inputs)
        time.sleep(3600 if dark else 0.5)
        return super().run_network(batch)


def slow_pose(began: Path | None = None) -> Predictor:
    model = tiny_pose()
    slow = Slow(model.network, model.info)
    slow.began = began
    return slow


class Fragile(Predictor):
    """Fails at dark images; ends its process at white ones."""

    def run_network(self, batch: Any) -> Any:
        if any(x.max() == 0 for inputs in batch for x, _ in inputs):
            raise RuntimeError("out of memory")
        if any((x == 255).mean() > 0.5 for inputs in batch for x, _ in inputs):
            os._exit(9)
        return super().run_network(batch)


def fragile_pose() -> Predictor:
    model = tiny_pose()
    return Fragile(model.network, model.info)


# ---- the service


class Running:
    """A server in a thread.

    Args:
        load: a function of this file, or another one that a new process can import.
        limits: of the service.
    """

    def __init__(self, load: Callable[[], Predictor] = tiny_pose, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = create_app(load, limits)
        protocol = bounded_protocol(limits, self.app.state.metrics.malformed)
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="error", http=protocol))
        self.thread = threading.Thread(target=self.server.run, args=([listening],), daemon=True)

    def __enter__(self) -> Running:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self.server.should_exit = True
        self.thread.join(20)

    def predict(self, image: Array | bytes, query: str = "") -> httpx.Response:
        data = image if isinstance(image, bytes) else png(image)
        return post(f"{self.url}/predict{query}", content=data)


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for a state."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
