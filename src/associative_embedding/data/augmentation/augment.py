"""One affine map for the image, its keypoints or masks and its ignored regions, then a change of colours.

The paper (section 4.1) trains with random rotation within 30 degrees, scale 0.75 to 1.25, translation and mirror.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from associative_embedding.data.augmentation.warp_masks import warp_masks
from associative_embedding.data.settings import Augment
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, letterbox, warp
from associative_embedding.structures.sample import Sample

LUMA = np.array([0.299, 0.587, 0.114])


def view(sample: Sample, geometry: ImageGeometry, flip_index: Array | None = None) -> Sample:
    """The sample in the input pixels of a geometry.

    Keypoints outside of the input or of the image get visibility 0; people without any, and regions of which nothing
    is left, are left out. All outside of the image is black and ignored: nobody knows what is there.

    Args:
        flip_index: ``(C,)`` where each keypoint type (or class) goes, if the geometry mirrors: left and right keypoints
            change places, classes do not.
    """
    ignore = np.zeros(sample.image.shape[:2], np.uint8) if sample.ignore is None else sample.ignore.astype(np.uint8)
    return replace(
        sample,
        image=warp(sample.image, geometry),
        labelled=sample.labelled if flip_index is None else sample.labelled[flip_index],
        ignore=warp(ignore, geometry, border=1, nearest=True).astype(bool),
        focus=None,
        **(view_people(sample, geometry, flip_index) if sample.masks is None else view_regions(sample, geometry)),
    )


def view_people(sample: Sample, geometry: ImageGeometry, flip_index: Array | None) -> dict[str, Any]:
    """The `keypoints`, `area` and `track_id` of the people that can be seen; see `view`."""
    keypoints = sample.keypoints if flip_index is None else sample.keypoints[:, flip_index]
    keypoints = keypoints.astype(np.float32)
    keypoints[..., :2] = geometry.to_input(keypoints[..., :2])
    height, width = geometry.input_size
    x, y = keypoints[..., 0], keypoints[..., 1]
    keypoints[..., 2] *= (x >= 0) & (y >= 0) & (x < width) & (y < height)
    seen = (keypoints[..., 2] > 0).any(axis=1)
    return {
        "keypoints": keypoints[seen],
        "area": (sample.area[seen] * geometry.scale**2).astype(np.float32),
        "track_id": None if sample.track_id is None else sample.track_id[seen],
    }


def view_regions(sample: Sample, geometry: ImageGeometry) -> dict[str, Any]:
    """The `masks`, `class_id`, `area` and (no) `keypoints` of the regions that can be seen; their area is in pixels."""
    assert sample.masks is not None
    assert sample.class_id is not None
    masks = warp_masks(sample.masks, geometry)
    area = masks.area
    seen = area > 0
    return {
        "masks": masks[seen],
        "class_id": sample.class_id[seen],
        "area": area[seen].astype(np.float32),
        "keypoints": sample.keypoints[seen],
    }


def fit(sample: Sample, long_side: int, *, multiple: int, stride: int) -> tuple[Sample, ImageGeometry]:
    """The whole image as validation sees it: its long side scaled to `long_side`, see `geometry.letterbox`."""
    height, width = sample.image.shape[:2]
    geometry = letterbox((height, width), long_side, multiple=multiple, stride=stride)
    return view(sample, geometry), geometry


def augment(
    sample: Sample,
    rng: np.random.Generator,
    settings: Augment,
    input_size: tuple[int, int],
    stride: int,
    flip_index: Array,
) -> tuple[Sample, ImageGeometry]:
    """A random view of the image or its focus in random colours, and the geometry image -> input that was drawn.

    Args:
        input_size: (H, W) of the result.
        stride: of the output maps, for the geometry alone.
        flip_index: ``(C,)`` where each keypoint type (or class) goes in a mirror image.
    """
    image_size = sample.image.shape[:2]
    x, y, width, height = (0, 0, *image_size[::-1]) if sample.focus is None else sample.focus.tolist()
    low, high = np.log(settings.scale)
    scale = math.exp(rng.uniform(low, high)) * min(input_size[0] / height, input_size[1] / width)
    shift_y, shift_x = rng.uniform(-settings.shift, settings.shift, 2) * input_size / scale
    mirror = bool(rng.random() < settings.mirror)
    geometry = centred(
        image_size,
        input_size,
        stride=stride,
        scale=scale,
        centre=(x + width / 2 + shift_x, y + height / 2 + shift_y),
        rotation=rng.uniform(-settings.rotation, settings.rotation),
        mirror=mirror,
    )
    inverted = rng.random() < settings.invert

    def seen(frame: Sample) -> Sample:
        if inverted:  # before the view, whose padding is black and stays so
            frame = replace(frame, image=cv2.bitwise_not(frame.image))
        part = view(frame, geometry, flip_index if mirror else None)
        return replace(part, image=vary_colours(part.image, rng, settings))

    # both frames of a pair in one view, as a camera at rest sees them, but each in colours of its own
    later = None if sample.later is None else seen(sample.later)
    return replace(seen(replace(sample, later=None)), later=later), geometry


def vary_colours(image: Array, rng: np.random.Generator, settings: Augment) -> Array:
    """``(H, W, 3)`` uint8 RGB in other colours, perhaps a little blurred. Black, the padding, stays black."""
    brightness, contrast, saturation = 1 + rng.uniform(-settings.colour, settings.colour, 3)
    hue = rng.uniform(-settings.colour, settings.colour) / 4
    if rng.random() < settings.grey:
        saturation = 0.0
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2)))
    matrix = colour_matrix(brightness, contrast, saturation, hue, float(np.dot(cv2.mean(image)[:3], LUMA)))
    lit = cv2.bitwise_not(cv2.inRange(image, (0, 0, 0), (0, 0, 0)))
    changed = cv2.transform(image, matrix)
    return cv2.bitwise_and(changed, changed, mask=lit)


def colour_matrix(brightness: float, contrast: float, saturation: float, hue: float, mean: float) -> Array:
    """``(3, 4)`` affine of RGB: all four changes in one pass over the pixels.

    Args:
        brightness, contrast, saturation: factors, 1 = as it is.
        hue: radians about the grey axis.
        mean: the grey level that contrast leaves in place.
    """
    grey = np.outer(np.ones(3), LUMA)
    axis = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = axis + math.cos(hue) * (np.eye(3) - axis) + math.sin(hue) * cross
    linear = brightness * contrast * (grey + saturation * (np.eye(3) - grey)) @ turn
    offset = np.full((3, 1), brightness * (1 - contrast) * mean)
    return np.concatenate([linear, offset], axis=1)
