"""Drawn figures of any skeleton: data for tests, lessons and a first try, without a download."""

from __future__ import annotations

import json
import math
import zlib
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoint_names import derive_order, split_side
from associative_embedding.structures.keypoints import hide_outside
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

# a standing person from the front, x of the left side (on the right of the picture), y down
REST = {
    "nose": (0.0, -0.72),
    "eye": (0.05, -0.78),
    "ear": (0.11, -0.75),
    "head": (0.0, -0.85),
    "head_top": (0.0, -0.9),
    "neck": (0.0, -0.55),
    "upper_neck": (0.0, -0.58),
    "thorax": (0.0, -0.48),
    "shoulder": (0.2, -0.46),
    "elbow": (0.27, -0.18),
    "wrist": (0.3, 0.08),
    "pelvis": (0.0, 0.05),
    "hip": (0.13, 0.07),
    "knee": (0.15, 0.48),
    "ankle": (0.16, 0.88),
}
AREA_OF_BOX = 0.5  # a figure's area, as a part of the box around its keypoints; people in COCO have about as much


def rest_layout(skeleton: Skeleton) -> Array:
    """``(K, 2)`` a figure at rest, y down, about 2 high and centred: a person if all names are known, else a graph."""
    sides = [split_side(name) for name in skeleton.keypoints]
    parts = [side[1] if side else name for name, side in zip(skeleton.keypoints, sides, strict=True)]
    if not all(part in REST for part in parts):
        return graph_layout(skeleton)
    mirrored = np.array([-1 if side and side[0] == "r" else 1 for side in sides])
    layout: Array = np.array([REST[part] for part in parts]) * np.stack([mirrored, np.ones_like(mirrored)], axis=1)
    return layout


@lru_cache(maxsize=16)
def graph_layout(skeleton: Skeleton, steps: int = 300) -> Array:
    """``(K, 2)`` keypoints repel each other and edges pull; left and right are mirror images. Always the same."""
    k = len(skeleton.keypoints)
    rng = np.random.default_rng(zlib.crc32(" ".join(skeleton.keypoints).encode()))
    flip, pairs = np.asarray(skeleton.flip_index), len(skeleton.flip_pairs) > 0
    at = rng.normal(size=(k, 2))
    for a, b in skeleton.flip_pairs:
        left, right = skeleton.keypoints.index(a), skeleton.keypoints.index(b)
        at[left, 0], at[right, 0] = abs(at[left, 0]), -abs(at[left, 0])
    for step in range(steps):
        apart = at[:, None] - at[None]
        distance2 = (apart**2).sum(axis=2, keepdims=True) + 1e-3
        force = (apart / distance2).sum(axis=1)
        for a, b in skeleton.edge_index:
            pull = (at[b] - at[a]) * 2
            force[a] += pull
            force[b] -= pull
        at = at + np.clip(force - 0.1 * at, -1, 1) * 0.1 * (1 - step / steps)
        if pairs:
            at = (at + at[flip] * (-1, 1)) / 2
    at = at - (at.min(axis=0) + at.max(axis=0)) / 2
    return np.asarray(at / max(float(np.abs(at).max()), 1e-6))


def neighbours_of(skeleton: Skeleton) -> list[set[int]]:
    neighbours: list[set[int]] = [set() for _ in skeleton.keypoints]
    for a, b in skeleton.edge_index:
        neighbours[a].add(int(b))
        neighbours[b].add(int(a))
    return neighbours


def torso_of(skeleton: Skeleton) -> set[int]:
    """The keypoints on or between circles of edges: what remains when loose ends are cut off again and again."""
    neighbours = neighbours_of(skeleton)
    torso = set(range(len(neighbours)))
    while ends := {k for k in torso if len(neighbours[k] & torso) < 2}:
        torso -= ends
    return torso


def bones(skeleton: Skeleton) -> list[tuple[int, int, float]]:
    """(parent, child, spread of the angle in radians) of a tree over the edges, from the skeleton's middle outwards.

    Further out bones turn more, and in the torso, which would tear, hardly.
    """
    names, neighbours, torso = list(skeleton.keypoints), neighbours_of(skeleton), torso_of(skeleton)
    tree: list[tuple[int, int, float]] = []
    seen: set[int] = set()
    for root in (names.index(name) for name in derive_order(names, skeleton.edges)):
        queue = deque([] if root in seen else [(root, 1)])
        seen.add(root)
        while queue:
            here, depth = queue.popleft()
            for there in sorted(neighbours[here] - seen):
                seen.add(there)
                tree.append((here, there, 0.03 if {here, there} <= torso else min(0.03 + 0.12 * depth, 0.45)))
                queue.append((there, depth + 1))
    return tree


def pose(rng: np.random.Generator, rest: Array, tree: list[tuple[int, int, float]]) -> Array:
    """``(K, 2)`` the figure with its bones turned; a turn carries all beyond it."""
    at, turn = rest.copy(), np.zeros(len(rest))
    for parent, child, spread in tree:
        turn[child] = turn[parent] + rng.normal(0, spread)
        at[child] = at[parent] + rotation(turn[child]) @ (rest[child] - rest[parent]) * rng.uniform(0.95, 1.05)
    return np.asarray(at @ rotation(rng.normal(0, 0.12)))


def rotation(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def background(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """``(H, W, 3)`` uint8: a few blurred colours under noise."""
    coarse = rng.uniform(30, 200, (3, 3, 1)) + rng.uniform(-30, 30, (3, 3, 3))
    smooth = cv2.resize(coarse.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 8, (*size, 3)), 0, 255).astype(np.uint8)


def colours(skeleton: Skeleton, sided: bool) -> tuple[Array, Array]:
    """``(K, 3)`` of the keypoints, ``(E, 3)`` of the limbs, RGB: a hue for each part or, if sided, for each side."""
    k, flip = len(skeleton.keypoints), np.asarray(skeleton.flip_index)
    sides = np.array([{"l": 1, "r": -1}.get((split_side(name) or "-")[0], 0) for name in skeleton.keypoints])
    part = np.arange(k) if sided else np.minimum(np.arange(k), flip)
    dots = hsv(part * 180 / k, 230, 255)
    side = np.sign(sides[skeleton.edge_index].sum(axis=1)) if sided else np.zeros(len(skeleton.edges), int)
    limbs = hsv(np.array([60, 0, 120])[side], 200, 130 + 60 * (np.arange(len(side)) % 2 if sided else 0))
    return dots, limbs


def hsv(hue: Array, saturation: int, value: int | Array) -> Array:
    """``(n, 3)`` uint8 RGB of OpenCV's hue in [0, 180), saturation and value in [0, 255]."""
    columns = np.broadcast_arrays(hue, saturation, value)
    pixels = np.stack(columns, axis=-1).astype(np.uint8).reshape(1, -1, 3)
    rgb: Array = cv2.cvtColor(pixels, cv2.COLOR_HSV2RGB)[0] if pixels.size else pixels[0]
    return rgb


def draw_figure(image: Array, owner: Array, number: int, xy: Array, edges: Array, palette: tuple[Array, Array]) -> None:
    """Paint one figure over the image, and its number over the map of who owns which pixel."""
    dots, limbs = palette
    extent = float(np.ptp(xy, axis=0).max())
    at = np.round((xy - 0.5) * 16).astype(int).tolist()  # sub-pixel: OpenCV's shift of 4 bits
    thick, radius = max(1, round(0.05 * extent)), max(1.0, 0.035 * extent)
    for canvas, paint in ((image, None), (owner, number)):
        for e, (a, b) in enumerate(edges):
            colour = limbs[e].tolist() if paint is None else paint
            cv2.line(canvas, at[a], at[b], colour, thick, cv2.LINE_8, 4)
        for k in range(len(xy)):
            colour = dots[k].tolist() if paint is None else paint
            cv2.circle(canvas, at[k], round(radius * 16), colour, -1, cv2.LINE_8, 4)


def synthetic_sample(
    rng: np.random.Generator,
    skeleton: Skeleton,
    size: tuple[int, int] = (256, 256),
    people: tuple[int, int] = (1, 3),
    *,
    sided: bool = True,
    image_id: int = 0,
) -> Sample:
    """An image of figures in random poses, places and sizes; later ones cover earlier ones.

    A keypoint that another figure covers has visibility 1, one outside of the image 0.

    Args:
        size: (H, W).
        people: how many, at least and at most; one that is wholly outside of the image is not counted.
        sided: colour left and right differently. That is easy to learn, but a mirror image then shows a figure with its
            colours exchanged: train without mirror, or with ``sided=False``.
    """
    if not 0 <= people[0] <= people[1] or min(size) < 1:
        raise ValueError(f"synthetic: people={people} must be 0 <= low <= high and size={size} positive")
    image, owner = background(rng, size), np.full(size, -1, np.int32)
    rest, tree, palette = rest_layout(skeleton), bones(skeleton), colours(skeleton, sided)
    count = int(rng.integers(people[0], people[1], endpoint=True))
    keypoints = np.zeros((count, len(rest), 3), np.float32)
    for n in range(count):
        half = min(size) * rng.uniform(0.2, 0.42)
        centre = rng.uniform(0.25, 0.75, 2) * (size[1], size[0])
        keypoints[n, :, :2] = pose(rng, rest, tree) * half + centre
        draw_figure(image, owner, n, keypoints[n, :, :2], skeleton.edge_index, palette)
    return figures_sample(image, owner, keypoints, image_id=image_id)


def figures_sample(
    image: Array, owner: Array, keypoints: Array, *, image_id: int, track_id: Array | None = None
) -> Sample:
    """The annotated image of drawn figures, without those of which nothing is inside.

    Args:
        owner: ``(H, W)`` int32, the row of the figure that each pixel shows, -1 = none.
        keypoints: ``(N, K, 3)``, of which x and y are known.
        track_id: ``(N,)``, or None.
    """
    height, width = image.shape[:2]
    keypoints[..., 2] = 2
    keypoints = hide_outside(keypoints, (height, width))
    x, y = (np.clip(keypoints[..., i], 0, side - 1).astype(int) for i, side in enumerate((width, height)))
    keypoints[..., 2] -= (keypoints[..., 2] > 0) & (owner[y, x] > np.arange(len(keypoints))[:, None])
    extent = np.ptp(keypoints[..., :2], axis=1) if len(keypoints) else np.zeros((0, 2), np.float32)
    seen = (keypoints[..., 2] > 0).any(axis=1)
    return Sample(
        image=image,
        keypoints=keypoints[seen],
        area=np.maximum(AREA_OF_BOX * extent.prod(axis=1), 1).astype(np.float32)[seen],
        labelled=np.ones(keypoints.shape[1], bool),
        image_id=image_id,
        file_name=f"{image_id:06d}.jpg",
        track_id=None if track_id is None else track_id[seen],
    )


def to_annotations(sample: Sample, first_id: int) -> list[dict[str, object]]:
    """The COCO annotations of a sample; keypoints that are not labelled become 0, 0, 0."""
    annotations: list[dict[str, object]] = []
    tracks = [{}] * len(sample.area) if sample.track_id is None else [{"track_id": int(t)} for t in sample.track_id]
    for keypoints, area, track in zip(sample.keypoints, sample.area, tracks, strict=True):
        found = keypoints[:, 2] > 0
        low, high = keypoints[found, :2].min(axis=0), keypoints[found, :2].max(axis=0)
        annotations.append(
            {
                "id": first_id + len(annotations),
                "image_id": sample.image_id,
                "category_id": 1,
                "keypoints": [round(float(v), 3) for v in np.where(found[:, None], keypoints, 0).ravel()],
                "num_keypoints": int(found.sum()),
                "bbox": [round(float(v), 3) for v in (*low, *(high - low))],
                "area": round(float(area), 3),
                "iscrowd": 0,
                **track,
            }
        )
    return annotations


def write_synthetic_dataset(
    folder: str | Path,
    skeleton: Skeleton,
    images: int,
    seed: int = 0,
    *,
    size: tuple[int, int] = (256, 256),
    people: tuple[int, int] = (1, 3),
    sided: bool = True,
) -> Path:
    """Write ``annotations.json`` (COCO) and ``images/*.jpg``; the same arguments write the same data.

    Returns:
        The path of the json.

    Raises:
        ValueError: for a number that is out of range.
    """
    if images < 1 or seed < 0 or not 16 <= min(size) <= max(size) <= 8192 or not 0 <= people[0] <= people[1] <= 100:
        raise ValueError(
            f"synthetic data: images={images} must be at least 1, seed={seed} at least 0, the sides of size={size} "
            f"within 16..8192 and people={people} 0 <= low <= high <= 100"
        )
    samples = (
        synthetic_sample(np.random.default_rng((seed, number)), skeleton, size, people, sided=sided, image_id=number)
        for number in range(1, images + 1)
    )
    return write_samples(Path(folder), samples, skeleton)


def write_samples(folder: Path, samples: Iterable[Sample], skeleton: Skeleton, frames: int = 0) -> Path:
    """Write samples and their annotations; the path of the json.

    Args:
        frames: so many that follow each other are one video (0 = there are none).
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for i, sample in enumerate(samples):
        path = folder / "images" / sample.file_name
        path.write_bytes(cv2.imencode(".jpg", sample.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
        height, width = sample.image.shape[:2]
        video = {"video_id": i // frames, "frame": i % frames} if frames else {}
        entries.append(
            {"id": sample.image_id, "file_name": sample.file_name, "height": height, "width": width, **video}
        )
        annotations += to_annotations(sample, len(annotations) + 1)
    document = {"images": entries, "annotations": annotations, "categories": [skeleton.to_category()]}
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")
    return folder / "annotations.json"
