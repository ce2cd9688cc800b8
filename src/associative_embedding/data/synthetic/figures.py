"""Drawn figures of any skeleton: images for tests, lessons and a first try, without a download."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from associative_embedding.data.synthetic.bones import bone_tree, random_pose, rest_layout
from associative_embedding.data.synthetic.write_samples import image_name, write_samples
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoint_sides import split_side
from associative_embedding.structures.keypoints import hide_outside
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

AREA_OF_BOX = 0.5  # area of a figure as a share of the box around its keypoints; similar to people in COCO


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
    """Writes ``annotations.json`` (COCO) and ``images/*.jpg``; the same arguments write the same data.

    Args:
        folder: made if it is missing.
        skeleton: what to draw.
        images: number of images.
        seed: 0 or more.
        size, people, sided: see `synthetic_sample`.

    Returns:
        the path of the json.

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


def synthetic_sample(
    rng: np.random.Generator,
    skeleton: Skeleton,
    size: tuple[int, int] = (256, 256),
    people: tuple[int, int] = (1, 3),
    *,
    sided: bool = True,
    image_id: int = 0,
) -> Sample:
    """Returns an image of figures in random poses, places and sizes; later figures cover earlier ones.

    A keypoint under another figure has visibility 1, a keypoint outside of the image 0.

    Args:
        rng: the source of all randomness.
        skeleton: what to draw.
        size: (H, W).
        people: smallest and largest number of figures; a figure outside of the image is not annotated.
        sided: draw left and right in different colours. That is easy to learn, but mirror images then show figures
            with exchanged colours: train without mirror, or with ``sided=False``.
        image_id: also gives the file name.

    Raises:
        ValueError: for a number that is out of range.
    """
    if not 0 <= people[0] <= people[1] or min(size) < 1:
        raise ValueError(f"synthetic: people={people} must be 0 <= low <= high and size={size} positive")
    image, owner = background(rng, size), np.full(size, -1, np.int32)
    rest, tree, palette = rest_layout(skeleton), bone_tree(skeleton), colours(skeleton, sided)
    count = int(rng.integers(people[0], people[1], endpoint=True))
    keypoints = np.zeros((count, len(rest), 3), np.float32)
    for n in range(count):
        half = min(size) * rng.uniform(0.2, 0.42)
        centre = rng.uniform(0.25, 0.75, 2) * (size[1], size[0])
        keypoints[n, :, :2] = random_pose(rng, rest, tree) * half + centre
        draw_figure(image, owner, n, keypoints[n, :, :2], skeleton.edge_index, palette)
    return annotate_figures(image, owner, keypoints, image_id=image_id)


def annotate_figures(
    image: Array, owner: Array, keypoints: Array, *, image_id: int, track_id: Array | None = None
) -> Sample:
    """Returns the sample of N drawn figures, without the figures outside of the image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        owner: ``(H, W)`` int32, the figure that each pixel shows, -1 = none.
        keypoints: ``(N, K, 3)`` float32 with x, y; the visibility is filled in.
        image_id: also gives the file name.
        track_id: ``(N,)`` int64, or None.
    """
    height, width = image.shape[:2]
    keypoints[..., 2] = 2
    keypoints = hide_outside(keypoints, (height, width))
    x, y = (np.clip(keypoints[..., i], 0, side - 1).astype(int) for i, side in enumerate((width, height)))
    # figures are drawn in order, so only a later one can cover a keypoint
    keypoints[..., 2] -= (keypoints[..., 2] > 0) & (owner[y, x] > np.arange(len(keypoints))[:, None])
    extent = np.ptp(keypoints[..., :2], axis=1) if len(keypoints) else np.zeros((0, 2), np.float32)
    kept = (keypoints[..., 2] > 0).any(axis=1)
    return Sample(
        image=image,
        keypoints=keypoints[kept],
        area=np.maximum(AREA_OF_BOX * extent.prod(axis=1), 1).astype(np.float32)[kept],
        labelled=np.ones(keypoints.shape[1], bool),
        image_id=image_id,
        file_name=image_name(image_id),
        track_id=None if track_id is None else track_id[kept],
    )


# ---- drawing


def background(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Returns ``(H, W, 3)`` uint8 of `size`: a few blurred colours under noise."""
    coarse = rng.uniform(30, 200, (3, 3, 1)) + rng.uniform(-30, 30, (3, 3, 3))
    smooth = cv2.resize(coarse.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 8, (*size, 3)), 0, 255).astype(np.uint8)


def colours(skeleton: Skeleton, sided: bool) -> tuple[Array, Array]:
    """Returns the colours ``(K, 3)`` of the keypoints and ``(E, 3)`` of the limbs, uint8 RGB.

    If `sided`, each keypoint type has a hue, and left, middle and right limbs differ. If not, left and right are alike.
    """
    k, flip = len(skeleton.keypoints), np.asarray(skeleton.flip_index)
    sides = np.array([{"l": 1, "r": -1}.get((split_side(name) or "-")[0], 0) for name in skeleton.keypoints])
    part = np.arange(k) if sided else np.minimum(np.arange(k), flip)  # both sides take the hue of the first
    dots = hsv(part * 180 / k, 230, 255)
    side = np.sign(sides[skeleton.edge_index].sum(axis=1)) if sided else np.zeros(len(skeleton.edges), int)
    # hues of middle, left, right: side -1 is the last one. Brightness alternates, so that neighbours differ.
    limbs = hsv(np.array([60, 0, 120])[side], 200, 130 + 60 * (np.arange(len(side)) % 2 if sided else 0))
    return dots, limbs


def hsv(hue: Array, saturation: int, value: int | Array) -> Array:
    """Returns ``(n, 3)`` uint8 RGB of OpenCV's hue in [0, 180), saturation and value in [0, 255]."""
    columns = np.broadcast_arrays(hue, saturation, value)
    pixels = np.stack(columns, axis=-1).astype(np.uint8).reshape(1, -1, 3)
    rgb: Array = cv2.cvtColor(pixels, cv2.COLOR_HSV2RGB)[0] if pixels.size else pixels[0]
    return rgb


def draw_figure(image: Array, owner: Array, number: int, xy: Array, edges: Array, palette: tuple[Array, Array]) -> None:
    """Draws one figure over an image, and its number over the map of owners, both in place.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        owner: ``(H, W)`` int32, the figure that each pixel shows.
        number: of this figure.
        xy: ``(K, 2)`` its keypoints.
        edges: ``(E, 2)`` of the skeleton.
        palette: colours of keypoints and limbs, see `colours`.
    """
    dots, limbs = palette
    extent = float(np.ptp(xy, axis=0).max())
    at = np.round((xy - 0.5) * 16).astype(int).tolist()  # OpenCV draws at 1/16 pixel with a shift of 4 bits
    thick, radius = max(1, round(0.05 * extent)), max(1.0, 0.035 * extent)
    # the same lines and circles in both, so that `owner` is exact; LINE_8, as antialiasing would mix owners
    for canvas, paint in ((image, None), (owner, number)):
        for e, (a, b) in enumerate(edges):
            colour = limbs[e].tolist() if paint is None else paint
            cv2.line(canvas, at[a], at[b], colour, thick, cv2.LINE_8, 4)
        for k in range(len(xy)):
            colour = dots[k].tolist() if paint is None else paint
            cv2.circle(canvas, at[k], round(radius * 16), colour, -1, cv2.LINE_8, 4)
