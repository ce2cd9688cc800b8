"""Random people, and the maps of a network that is right about them."""

from __future__ import annotations

import numpy as np
import torch

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, letterbox
from associative_embedding.structures.known_skeletons import COCO_17, MPII_16
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

ONE = Skeleton.build("one", ["centre"])


THREE = Skeleton.build("three", ["left_end", "middle", "right_end"], [("left_end", "middle"), ("middle", "right_end")])


TWENTY = Skeleton.build("twenty", [f"point_{i}" for i in range(20)])


SKELETONS = {"coco": COCO_17, "mpii": MPII_16, "three": THREE, "twenty": TWENTY, "one": ONE}


CELL = 12  # map pixels: keypoints of one type lie in different cells, 6 pixels apart at least


def random_keypoints(people: int, count: int, size: tuple[int, int], seed: int) -> Array:
    """``(N, K, 3)`` on the map (index coordinates), each person with at least one keypoint."""
    rng = np.random.default_rng(seed)
    rows, columns = size[0] // CELL, size[1] // CELL
    keypoints = np.zeros((people, count, 3))
    for k in range(count):
        cell = rng.permutation(rows * columns)[:people]
        corner = np.stack([cell % columns, cell // columns], axis=1) * CELL
        keypoints[:, k, :2] = corner + rng.uniform(CELL / 4, 3 * CELL / 4, (people, 2))
    keypoints[:, :, 2] = rng.choice([0, 1, 2], p=[0.2, 0.2, 0.6], size=(people, count))
    keypoints[np.arange(people), rng.integers(count, size=people), 2] = 2
    return keypoints


def ideal_maps(keypoints: Array, heatmap: Array, dimension: int = 2) -> Maps:
    """The target as heatmap; every pixel's tag is that of the nearest person with that keypoint."""
    count, height, width = heatmap.shape
    y, x = np.mgrid[:height, :width]
    tag = np.full((count, dimension, height, width), -9.0)
    for k in range(count):
        people = np.flatnonzero(keypoints[:, k, 2])
        if len(people):
            px, py = keypoints[people, k, :2].T[..., None, None]
            tag[k] = 3.0 * people[np.argmin((x - px) ** 2 + (y - py) ** 2, axis=0)]
    return Maps(torch.from_numpy(heatmap)[None], torch.from_numpy(tag).float()[None])


def make_sample(keypoints: Array, geometry: ImageGeometry) -> Sample:
    """Map keypoints -> the sample in input pixels that has them there."""
    xy = (keypoints[:, :, :2] + 0.5) * geometry.stride
    return Sample(
        image=np.zeros((*geometry.input_size, 3), np.uint8),
        keypoints=np.concatenate([xy, keypoints[:, :, 2:]], axis=2).astype(np.float32),
        area=np.ones(len(keypoints), np.float32),
        labelled=np.ones(keypoints.shape[1], bool),
    )


def blob_maps(places: list[list[tuple[float, float, float]]], size: tuple[int, int] = (24, 48)) -> Maps:
    """Maps of people given as x, y, peak for each keypoint type; person n has tag 5 n all around its keypoints."""
    table = np.array(places, dtype=np.float64)
    y, x = np.mgrid[: size[0], : size[1]]
    heatmap = np.zeros((table.shape[1], *size))
    for k in range(table.shape[1]):
        for px, py, peak in table[:, k]:
            blob = peak * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.5**2))
            heatmap[k] = np.maximum(heatmap[k], blob)
    maps = ideal_maps(table, heatmap.astype(np.float32), dimension=1)
    return Maps(maps.heatmap, maps.tag / 3 * 5)


PLAIN = letterbox((24, 48), 48, multiple=1, stride=1)
