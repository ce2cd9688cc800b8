"""The page of `ae serve` for its tests: photos, scripted answers of the service, and what the page shows.

It imports FastAPI and Playwright: a test imports it after it has skipped where they are missing.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from fastapi import FastAPI
from playwright.sync_api import expect

from associative_embedding.apps.server.jobs import ServedModel
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.page import page_router
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.tasks.task import Task

expect.set_options(timeout=60_000)  # other tests share the cores
LIMITS = Limits(max_bytes=500_000, max_pixels=400_000, timeout=5)
SIZE = (120, 160)  # of the photos, pixels
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"


def page_alone(task: Task) -> FastAPI:
    """The page without a service behind it; each test scripts the answers."""
    app = FastAPI()
    app.include_router(page_router(ServedModel(task, 64, "cpu"), LIMITS))
    return app


def png(colour: tuple[int, ...] = (90, 120, 150), size: tuple[int, int] = SIZE) -> bytes:
    image = np.full((*size, len(colour)), colour, np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


def choose(tab: Any, data: bytes | None = None, name: str = "photo.png", kind: str = "image/png") -> None:
    tab.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": png() if data is None else data})


def figure(x: float = 80, score: float = 0.9, tag: float = 0.0) -> dict[str, Any]:
    """A figure around a column of the photo; its right hip was not found."""
    points = [(x, 20, 0.9), (x + 15, 40, 0.8), (x - 15, 40, 0.8), (x + 10, 100, 0.7), (0, 0, 0)]
    box = [x - 15, 20, 30, 80]
    return {
        "category_id": 1,
        "keypoints": [float(value) for point in points for value in point],
        "score": score,
        "bbox": box,
        "area": 2400.0,
        "tag": [tag, -tag],
    }


def dataset(*annotations: dict[str, Any], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "", "width": size[1], "height": size[0]}]
    return {"images": images, "annotations": list(annotations), "categories": []}


def pixel(tab: Any, x: float, y: float) -> list[int]:
    """The colour on the canvas at a point of the photo, red, green, blue, alpha."""
    script = """([x, y, width]) => { const canvas = document.getElementById("canvas"), scale = canvas.width / width;
        return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data]; }"""
    return list(tab.evaluate(script, [x, y, SIZE[1]]))


def found(tab: Any, count: int) -> None:
    expect(tab.locator("#status")).to_have_text(f"{count} figure found." if count == 1 else f"{count} found.")
    expect(tab.locator("#list tr")).to_have_count(count)


def nothing_is_left(tab: Any) -> None:
    expect(tab.locator("#list tr")).to_have_count(0)
    expect(tab.locator("#results")).to_be_hidden()
    expect(tab.locator("#save")).to_be_disabled()
    tab.evaluate("document.getElementById('save').click()")  # does nothing, or `opened` sees an error


def tiff(value: int) -> bytes:
    return cv2.imencode(".tif", np.full((*SIZE, 3), value, np.uint8))[1].tobytes()


def mask_rows(dense: Array) -> list[dict[str, Any]]:
    masks = Masks.from_dense(dense, dense.shape[1:])
    return [
        {"category_id": 1, "segmentation": run, "bbox": box, "score": 0.9, "area": float(area), "tag": [float(i)]}
        for i, (run, box, area) in enumerate(zip(masks.to_rle(), masks.xywh.tolist(), masks.area, strict=True))
    ]


def start_camera(tab: Any) -> None:
    tab.click("#camera")
    expect(tab.locator("#shoot")).to_be_enabled()
    expect(tab.locator("#video")).to_be_visible()
    tab.evaluate("window.track = document.getElementById('video').srcObject.getVideoTracks()[0]")


def camera_is_off(tab: Any) -> None:
    tab.wait_for_function("window.track.readyState === 'ended'")
    assert tab.evaluate("document.getElementById('video').srcObject") is None
    expect(tab.locator("#video")).to_be_hidden()
    expect(tab.locator("#shoot")).to_be_hidden()
    expect(tab.locator("#camera")).to_have_text("Use the camera")


def move(tab: Any, name: str, key: str = "ArrowRight") -> None:
    """Moves a slider by a key, as a person would."""
    tab.evaluate("document.getElementById('more').open = true")
    tab.focus(f"#set-{name}")
    tab.keyboard.press(key)
