"""A small COCO json of masks: three categories, two images of 30 x 40 pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

from associative_embedding.structures.arrays import Array

H, W = 30, 40
Document = dict[str, Any]


def picture(seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


def box_mask(x: int, y: int, width: int, height: int) -> Array:
    mask = np.zeros((H, W), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def compressed(mask: Array) -> dict[str, Any]:
    return {"size": [H, W], "counts": coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()}


def plain(mask: Array) -> dict[str, Any]:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0] * (1 + int(flat[0])), edges, [flat.size]])).tolist()
    return {"size": [H, W], "counts": runs}


def polygon(x: int, y: int, width: int, height: int) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def thing(number: int, segmentation: Any, category_id: int = 4, **changes: Any) -> dict[str, Any]:
    base = {"id": number, "image_id": 7, "category_id": category_id, "segmentation": segmentation, "iscrowd": 0}
    return {**base, "bbox": [1, 2, 3, 4], "area": 12, **changes}


def document(*annotations: dict[str, Any]) -> Document:
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": H, "width": W} for i in (7, 8)],
        "annotations": list(annotations or [thing(1, compressed(box_mask(5, 6, 7, 8)))]),
        "categories": [{"id": 9, "name": "dog"}, {"id": 4, "name": "cat"}, {"id": 6, "name": "tree"}],
    }


def write(folder: Path, content: Document) -> tuple[str, str]:
    """The json and two PNG images in a folder."""
    for i in (7, 8):
        cv2.imwrite(str(folder / f"{i}.png"), picture(i)[:, :, ::-1])
    (folder / "a.json").write_text(json.dumps(content))
    return str(folder / "a.json"), str(folder)
