"""Composes one image of several samples: a mosaic of tiles, or a person pasted over another one.

Grouping is easy where people are few and apart. A mosaic puts more people into one image. An overlap lets one person
cover another, and only tags can separate them there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from associative_embedding.data.augmentation.augment import view
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, warp
from associative_embedding.structures.keypoints import labelled_xyxy
from associative_embedding.structures.sample import Sample

Box = tuple[int, int, int, int]  # x0, y0, x1, y1

# Lengths relative to the size of a person: the longer side of the box around the keypoints.
MARGIN = 0.25  # of the box of a tile around the outermost keypoints: hands, feet and hair lie beyond them
LIMB = 0.13  # radius of the region that is pasted around each limb
CORE = 0.06  # a keypoint of the person below that is this near to a limb above is certainly covered
MIN_EXTENT = 8  # pixels; a person of fewer, or of one keypoint, has no useful size
MAX_ZOOM = 4.0  # of a tile: a person enlarged more is only blur
MAX_PASTE_ZOOM = 3.0  # the same for a person who is pasted


def check_same_labels(samples: Sequence[Sample]) -> None:
    """Checks that samples can be composed.

    Raises:
        ValueError: for samples with masks, of frames of a video, or that do not label the same keypoint types.
    """
    if not samples:
        raise ValueError("an image of several samples needs at least one")
    if any(s.later is not None for s in samples):
        raise ValueError("mosaic and overlap are for single images, not for frames of a video: set both to 0")
    if any(s.masks is not None for s in samples):
        raise ValueError("mosaic and overlap are for samples with keypoints, not with masks: set both to 0")
    if any(not np.array_equal(s.labelled, samples[0].labelled) for s in samples):
        raise ValueError("samples of one image must label the same keypoint types: take them from one source")


def cut_tiles(box: Box, n: int, rng: np.random.Generator) -> list[Box]:
    """Cuts a box into n tiles of random sizes: in two parts, mostly across the longer side, then each part again.

    A part has at least one pixel for each of its tiles along the cut side.
    """
    if n == 1:
        return [box]
    x0, y0, x1, y1 = box
    first = n // 2 if rng.random() < 0.5 else n - n // 2
    part = first / n + rng.uniform(-0.15, 0.15)
    if (x1 - x0) * rng.uniform(0.7, 1.3) > (y1 - y0) * rng.uniform(0.7, 1.3):
        cut = int(np.clip(round(x0 + part * (x1 - x0)), x0 + first, x1 - (n - first)))
        halves = (x0, y0, cut, y1), (cut, y0, x1, y1)
    else:
        cut = int(np.clip(round(y0 + part * (y1 - y0)), y0 + first, y1 - (n - first)))
        halves = (x0, y0, x1, cut), (x0, cut, x1, y1)
    return cut_tiles(halves[0], first, rng) + cut_tiles(halves[1], n - first, rng)


def fill_tile(sample: Sample, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """Returns a view of `size` (H, W) filled by the people of a sample, or by the whole image if there are none."""
    height, width = sample.image.shape[:2]
    box = labelled_xyxy(sample.keypoints)
    if box is None:
        scale, centre = max(size[0] / height, size[1] / width), (width / 2, height / 2)
    else:
        extent = box[2:] - box[:2]
        side_x, side_y = extent + 2 * MARGIN * max(float(extent.max()), MIN_EXTENT)
        scale = min(size[0] / side_y, size[1] / side_x) * rng.uniform(0.75, 1.1)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return view(sample, centred((height, width), size, stride=1, scale=min(scale, MAX_ZOOM), centre=centre))


def mosaic(samples: Sequence[Sample], rng: np.random.Generator, size: tuple[int, int]) -> Sample:
    """Returns one image of `size` (H, W) with each sample in a tile of its own.

    Raises:
        ValueError: when the samples cannot be composed (see `check_same_labels`), or the size is below two pixels per
            sample.
    """
    check_same_labels(samples)
    if min(size) < 2 * len(samples):
        raise ValueError(f"a mosaic of {len(samples)} samples does not fit into {size[1]}x{size[0]} pixels")
    image = np.zeros((*size, 3), np.uint8)
    ignore = np.zeros(size, bool)
    keypoints, area = [], []
    for sample, (x0, y0, x1, y1) in zip(samples, cut_tiles((0, 0, size[1], size[0]), len(samples), rng), strict=True):
        part = fill_tile(sample, (y1 - y0, x1 - x0), rng)
        image[y0:y1, x0:x1] = part.image
        ignore[y0:y1, x0:x1] = part.ignore
        keypoints.append(part.keypoints + np.array([x0, y0, 0], np.float32))
        area.append(part.area)
    return replace(
        samples[0],
        image=image,
        keypoints=np.concatenate(keypoints),
        area=np.concatenate(area),
        ignore=ignore,
        focus=None,
        track_id=None,
    )


def limb_mask(keypoints: Array, edges: Array, size: tuple[int, int], radius: float) -> Array:
    """Returns ``(H, W)`` uint8, 255 near a limb or keypoint and inside of the torso that limbs enclose, else 0.

    Args:
        keypoints: ``(K, 3)`` x, y, visibility of one person.
        edges: ``(E, 2)`` of the skeleton.
        size: (H, W) of the mask.
        radius: distance in pixels that counts as near.
    """
    mask = np.zeros(size, np.uint8)
    labelled = keypoints[:, 2] > 0
    at = np.round(keypoints[:, :2] - 0.5).astype(int).tolist()  # OpenCV draws at indices of pixels
    thick = max(1, round(2 * radius))
    for a, b in edges:
        if labelled[a] and labelled[b]:
            cv2.line(mask, at[a], at[b], 255, thick)
    for k in np.flatnonzero(labelled):  # keypoints without an edge, too
        cv2.circle(mask, at[k], thick // 2, 255, -1)
    # the outlines filled: shoulders and hips enclose a torso that no limb crosses
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(mask, contours, -1, 255, -1)
    return mask


def paste_geometry(above: Array, below: Sample, size: tuple[int, int], rng: np.random.Generator) -> ImageGeometry:
    """Returns the geometry image of `above` -> image of `below`, which puts a person over another of similar size.

    Args:
        above: ``(K, 3)`` keypoints of the person to paste.
        below: the sample to paste over; without people, a random place and size is drawn.
        size: (H, W) of the image that `above` comes from.
        rng: the source of all randomness.
    """
    box = labelled_xyxy(above)
    assert box is not None
    height, width = below.image.shape[:2]
    target = np.array([width, height]) * rng.uniform(0.2, 0.8, 2)
    long_side = min(height, width) * rng.uniform(0.3, 0.8)
    if len(below.keypoints):
        other = labelled_xyxy(below.keypoints[rng.integers(len(below.keypoints))])
        if other is not None and (other[2:] - other[:2]).max() > MIN_EXTENT:
            extent = other[2:] - other[:2]
            # beside the person rather than above: people mostly stand side by side
            target = (other[:2] + other[2:]) / 2 + extent.max() * rng.normal(0, (0.3, 0.15))
            long_side = float(extent.max()) * math.exp(rng.uniform(-0.35, 0.35))
    scale = min(long_side / max(float((box[2:] - box[:2]).max()), 1.0), MAX_PASTE_ZOOM)
    # `centred` takes the point that comes to the middle: the middle of the box, moved so that the box comes to `target`
    centre = (box[:2] + box[2:]) / 2 - (target - np.array([width, height]) / 2) / scale
    return centred(size, (height, width), stride=1, scale=scale, centre=(float(centre[0]), float(centre[1])))


def overlap(above: Sample, below: Sample, rng: np.random.Generator, edges: Array) -> Sample:
    """Returns a sample with a random person of another one pasted over it, cut out around the limbs.

    Keypoints under the pasted region become occluded (visibility 1). Deep inside, where their place is no longer
    visible at all, they become unlabelled (0). Keypoints of other people in `above` that lie in the pasted region stay
    labelled. People without a labelled keypoint are removed.

    Args:
        above: the sample with the person; if no person has two labelled keypoints, `below` is returned unchanged.
        below: the sample to paste over.
        rng: the source of all randomness.
        edges: ``(E, 2)`` of the skeleton.

    Raises:
        ValueError: when the samples cannot be composed, see `check_same_labels`.
    """
    check_same_labels([above, below])
    people = np.flatnonzero((above.keypoints[..., 2] > 0).sum(axis=1) >= 2)
    if not len(people):
        return below
    person, size = above.keypoints[rng.choice(people)], below.image.shape[:2]
    geometry = paste_geometry(person, below, above.image.shape[:2], rng)
    placed = np.concatenate([geometry.to_input(person[:, :2]), person[:, 2:]], axis=1)
    box = labelled_xyxy(placed)
    assert box is not None
    long_side = max(float((box[2:] - box[:2]).max()), 4.0)
    inside = warp(np.full(above.image.shape[:2], 255, np.uint8), geometry, nearest=True)  # of the image of `above`
    mask = limb_mask(placed, edges, size, LIMB * long_side) & inside
    core = limb_mask(placed, edges, size, CORE * long_side)

    pasted = view(above, geometry)
    under, over = below.keypoints.copy(), pasted.keypoints
    under[..., 2] = np.where(on_mask(mask, under), np.minimum(under[..., 2], 1), under[..., 2])
    under[..., 2] *= ~on_mask(core & mask, under)
    over[..., 2] *= on_mask(mask, over)
    keypoints, area = np.concatenate([under, over]), np.concatenate([below.area, pasted.area])
    kept = (keypoints[..., 2] > 0).any(axis=1)
    return replace(
        below,
        image=blend(pasted.image, below.image, mask, feather=max(0.6, 0.015 * long_side)),
        keypoints=keypoints[kept],
        area=area[kept],
        ignore=np.where(mask > 0, ignore_of(pasted), ignore_of(below)),
        track_id=None,
    )


def ignore_of(sample: Sample) -> Array:
    """Returns ``(H, W)`` bool, the ignored pixels of a sample; all False if it has none."""
    return np.zeros(sample.image.shape[:2], bool) if sample.ignore is None else sample.ignore


def blend(above: Array, below: Array, mask: Array, *, feather: float) -> Array:
    """Returns ``(H, W, 3)`` uint8: `above` where the mask is 255, `below` elsewhere, mixed near the border.

    A hard border would be a cue that exists in no photograph.

    Args:
        above, below: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` uint8, 0 or 255.
        feather: sigma of the soft border, in pixels.
    """
    x, y, width, height = cv2.boundingRect(mask)
    reach = math.ceil(3 * feather)  # beyond three sigma the Gaussian rounds to 0 of 255
    part = np.s_[max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach]
    soft = cv2.GaussianBlur(mask[part], (0, 0), feather)[..., None].astype(np.float32) / 255
    image = below.copy()
    image[part] = soft * above[part] + (1 - soft) * below[part] + 0.5
    return image


def on_mask(mask: Array, keypoints: Array) -> Array:
    """Returns ``(...)`` bool, whether each of ``(..., 3)`` keypoints lies on a mask ``(H, W)``; False outside of it."""
    height, width = mask.shape
    x, y = np.floor(keypoints[..., 0]).astype(int), np.floor(keypoints[..., 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    hit: Array = inside & (mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] > 0)
    return hit
