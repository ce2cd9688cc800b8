"""New images of several samples: a mosaic of tiles, and people pasted over people.

A sparse crowd is where grouping is easy. Tiles put many people into one image; overlap covers some by others, which is
what tags have to separate.
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

# all relative to a person's size, the longer side of the box around the keypoints
MARGIN = 0.25  # what belongs to a person beyond the outermost keypoints
LIMB = 0.13  # radius of what is pasted around each limb
CORE = 0.06  # a keypoint this near to a limb that lies above it cannot be seen


def check_same_labels(samples: Sequence[Sample]) -> None:
    if not samples:
        raise ValueError("an image of several samples needs at least one")
    if any(s.later is not None for s in samples):
        raise ValueError("mosaic and overlap are for single images, not for frames of a video: set both to 0")
    if any(s.masks is not None for s in samples):
        raise ValueError("mosaic and overlap are for samples with keypoints, not with masks: set both to 0")
    if any(not np.array_equal(s.labelled, samples[0].labelled) for s in samples):
        raise ValueError("samples of one image must label the same keypoint types: take them from one source")


def split(box: Box, n: int, rng: np.random.Generator) -> list[Box]:
    """The box cut into n tiles, side by side, one above the other or in between, mostly across the longer side."""
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
    return split(halves[0], first, rng) + split(halves[1], n - first, rng)


def tile(sample: Sample, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """A view of `size` (H, W) filled by the sample's people, or by the whole image if there are none."""
    height, width = sample.image.shape[:2]
    box = labelled_xyxy(sample.keypoints)
    if box is None:
        scale, centre = max(size[0] / height, size[1] / width), (width / 2, height / 2)
    else:
        side_x, side_y = (box[2:] - box[:2]) + 2 * MARGIN * max(float((box[2:] - box[:2]).max()), 8.0)
        scale = min(size[0] / side_y, size[1] / side_x) * rng.uniform(0.75, 1.1)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return view(sample, centred((height, width), size, stride=1, scale=min(scale, 4.0), centre=centre))


def mosaic(samples: Sequence[Sample], rng: np.random.Generator, size: tuple[int, int]) -> Sample:
    """All samples as tiles of one image of `size` (H, W) pixels, each at least 2 x 2 per sample.

    Raises:
        ValueError: if the samples have masks or do not label the same keypoint types, or the size is too small.
    """
    check_same_labels(samples)
    if min(size) < 2 * len(samples):
        raise ValueError(f"a mosaic of {len(samples)} samples does not fit into {size[1]}x{size[0]} pixels")
    image = np.zeros((*size, 3), np.uint8)
    ignore = np.zeros(size, bool)
    keypoints, area = [], []
    for sample, (x0, y0, x1, y1) in zip(samples, split((0, 0, size[1], size[0]), len(samples), rng), strict=True):
        part = tile(sample, (y1 - y0, x1 - x0), rng)
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
    """``(H, W)`` uint8, 255 within `radius` of a limb or of a keypoint, and inside the torso that the limbs enclose.

    Args:
        keypoints: ``(K, 3)`` of one person.
        edges: ``(E, 2)`` of the skeleton.
    """
    mask = np.zeros(size, np.uint8)
    found = keypoints[:, 2] > 0
    at = np.round(keypoints[:, :2] - 0.5).astype(int).tolist()
    thick = max(1, round(2 * radius))
    for a, b in edges:
        if found[a] and found[b]:
            cv2.line(mask, at[a], at[b], 255, thick)  # with round ends
    for k in np.flatnonzero(found):
        cv2.circle(mask, at[k], thick // 2, 255, -1)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(mask, contours, -1, 255, -1)
    return mask


def paste_geometry(above: Array, below: Sample, size: tuple[int, int], rng: np.random.Generator) -> ImageGeometry:
    """Where a person with ``(K, 3)`` keypoints goes: beside and over a person of `below`, about as large."""
    box = labelled_xyxy(above)
    assert box is not None
    height, width = below.image.shape[:2]
    target = np.array([width, height]) * rng.uniform(0.2, 0.8, 2)
    long_side = min(height, width) * rng.uniform(0.3, 0.8)
    if len(below.keypoints):
        other = labelled_xyxy(below.keypoints[rng.integers(len(below.keypoints))])
        if other is not None and (other[2:] - other[:2]).max() > 8:
            extent = other[2:] - other[:2]
            target = (other[:2] + other[2:]) / 2 + extent.max() * rng.normal(0, (0.3, 0.15))
            long_side = float(extent.max()) * math.exp(rng.uniform(-0.35, 0.35))
    scale = min(long_side / max(float((box[2:] - box[:2]).max()), 1.0), 3.0)
    middle = (box[:2] + box[2:]) / 2
    at_middle = np.array([width, height]) / 2
    centre = middle - (target - at_middle) / scale
    return centred(size, (height, width), stride=1, scale=scale, centre=(float(centre[0]), float(centre[1])))


def overlap(above: Sample, below: Sample, rng: np.random.Generator, edges: Array) -> Sample:
    """`below` with one random person of `above` pasted over it, cut out around the limbs with soft borders.

    Keypoints under the pasted person's limbs are hidden: visibility 0 deep inside, where nobody could tell, else 1.
    Keypoints of `above`'s other people that come along with the cut-out stay labelled. People without visible keypoints
    are left out.

    Args:
        edges: ``(E, 2)`` of the skeleton.

    Raises:
        ValueError: if the samples have masks or do not label the same keypoint types.
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
    known = warp(np.full(above.image.shape[:2], 255, np.uint8), geometry, nearest=True)
    mask = limb_mask(placed, edges, size, LIMB * long_side) & known
    core = limb_mask(placed, edges, size, CORE * long_side)

    pasted = view(above, geometry)
    under, over = below.keypoints.copy(), pasted.keypoints
    under[..., 2] = np.where(lookup(mask, under), np.minimum(under[..., 2], 1), under[..., 2])
    under[..., 2] *= ~lookup(core & mask, under)
    over[..., 2] *= lookup(mask, over)
    keypoints, area = np.concatenate([under, over]), np.concatenate([below.area, pasted.area])
    seen = (keypoints[..., 2] > 0).any(axis=1)
    return replace(
        below,
        image=blend(pasted.image, below.image, mask, feather=max(0.6, 0.015 * long_side)),
        keypoints=keypoints[seen],
        area=area[seen],
        ignore=np.where(mask > 0, ignored(pasted), ignored(below)),
        track_id=None,
    )


def ignored(sample: Sample) -> Array:
    return np.zeros(sample.image.shape[:2], bool) if sample.ignore is None else sample.ignore


def blend(above: Array, below: Array, mask: Array, *, feather: float) -> Array:
    """``(H, W, 3)`` uint8: `above` where the mask is 255, `below` elsewhere, over a soft border of `feather` pixels."""
    x, y, width, height = cv2.boundingRect(mask)
    reach = math.ceil(3 * feather)
    part = np.s_[max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach]
    soft = cv2.GaussianBlur(mask[part], (0, 0), feather)[..., None].astype(np.float32) / 255
    image = below.copy()
    image[part] = soft * above[part] + (1 - soft) * below[part] + 0.5
    return image


def lookup(mask: Array, keypoints: Array) -> Array:
    """``(...)`` bool: whether each of ``(..., 3)`` keypoints lies on the mask; outside of it, no."""
    height, width = mask.shape
    x, y = np.floor(keypoints[..., 0]).astype(int), np.floor(keypoints[..., 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    hit: Array = inside & (mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] > 0)
    return hit
