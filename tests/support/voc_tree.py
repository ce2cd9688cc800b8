"""A small PASCAL VOC tree: three images of 30 x 40 pixels, a cat and two people in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from associative_embedding.structures.arrays import Array

H, W = 30, 40
CAT, PERSON = 8, 15
STEMS = ("2007_000032", "2007_000039", "2008_000001")


def save_indices(path: Path, indices: Array) -> None:
    """A palette PNG whose colours say nothing of its indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def labels() -> tuple[Array, Array]:
    """Object 1 is a cat, 2 a person, 4 another; there is no 3. Void lies around object 1."""
    objects, values = np.zeros((2, H, W), np.uint8)
    objects[2:12, 2:14], values[2:12, 2:14] = 255, 255
    objects[3:11, 3:13], values[3:11, 3:13] = 1, CAT
    objects[15:25, 5:20], values[15:25, 5:20] = 2, PERSON
    objects[20:28, 25:38], values[20:28, 25:38] = 4, PERSON
    return objects, values


def tree(root: Path) -> Path:
    objects, values = labels()
    for i, stem in enumerate(STEMS):
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((H, W, 3), 60 * i, np.uint8)).save(root / "JPEGImages" / f"{stem}.jpg")
        save_indices(root / "SegmentationObject" / f"{stem}.png", objects)
        save_indices(root / "SegmentationClass" / f"{stem}.png", values)
    sets = root / "ImageSets" / "Segmentation"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("2007_000032\n2008_000001\n")
    (sets / "val.txt").write_text("2007_000039\n")
    return root
