"""Augments a sample: one affine map for image, keypoints, masks and ignored regions, then a change of colours.

The paper says nothing of augmentation. Its published code (pose-ae-train) varies rotation, scale, place, mirror and
colours; recipes/paper/coco.yaml has its values.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from associative_embedding.data.augmentation.microscope import under_microscope
from associative_embedding.data.augmentation.published_colours import vary_as_published
from associative_embedding.data.augmentation.warp_masks import warp_masks
from associative_embedding.data.settings import Augment, Microscope
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, warp
from associative_embedding.structures.keypoints import hide_outside
from associative_embedding.structures.sample import Sample

LUMA = np.array([0.299, 0.587, 0.114])  # weights of R, G, B in the grey level (ITU-R BT.601)


def view(sample: Sample, geometry: ImageGeometry, flip_index: Array | None = None) -> Sample:
    """Returns the sample in the input pixels of a geometry.

    Keypoints outside of the input or of the image get visibility 0. People without a labelled keypoint and regions
    without a pixel are removed. The area outside of the image is black and ignored, since its content is unknown.

    Args:
        sample: in image pixels.
        geometry: image -> input.
        flip_index: ``(C,)``, for a geometry that mirrors: type ``flip_index[c]`` becomes type c, since left and right
            keypoints change places. For masks it is the identity.
    """
    ignore = np.zeros(sample.image.shape[:2], np.uint8) if sample.ignore is None else sample.ignore.astype(np.uint8)
    return replace(
        sample,
        image=warp(sample.image, geometry),
        labelled=sample.labelled if flip_index is None else sample.labelled[flip_index],
        ignore=warp(ignore, geometry, border=1, nearest=True).astype(bool),
        focus=None,  # its box is in pixels of the original image
        **(view_people(sample, geometry, flip_index) if sample.masks is None else view_regions(sample, geometry)),
    )


def view_people(sample: Sample, geometry: ImageGeometry, flip_index: Array | None) -> dict[str, Any]:
    """Returns the new `keypoints`, `area` and `track_id` of a sample with keypoints; see `view`."""
    keypoints = sample.keypoints if flip_index is None else sample.keypoints[:, flip_index]
    keypoints = keypoints.astype(np.float32)  # a copy: the sample may be drawn again
    keypoints[..., :2] = geometry.to_input(keypoints[..., :2])
    keypoints = hide_outside(keypoints, geometry.input_size)
    kept = (keypoints[..., 2] > 0).any(axis=1)
    return {
        "keypoints": keypoints[kept],
        "area": (sample.area[kept] * geometry.scale**2).astype(np.float32),
        "track_id": None if sample.track_id is None else sample.track_id[kept],
    }


def view_regions(sample: Sample, geometry: ImageGeometry) -> dict[str, Any]:
    """Returns the new `masks`, `class_id`, `area` (input pixels) and `keypoints` (K = 0) of a sample with masks."""
    assert sample.masks is not None
    assert sample.class_id is not None
    masks = warp_masks(sample.masks, geometry)
    area = masks.area
    kept = area > 0
    return {
        "masks": masks[kept],
        "class_id": sample.class_id[kept],
        "area": area[kept].astype(np.float32),
        "keypoints": sample.keypoints[kept],
    }


def augment(
    sample: Sample, rng: np.random.Generator, settings: Augment, input_size: tuple[int, int], flip_index: Array
) -> Sample:
    """Returns a random view of the image, or of its focus, in random colours.

    The order of the draws from `rng` is part of the data: with another order, a resumed run would read other samples.

    Args:
        sample: in image pixels.
        rng: the source of all randomness.
        settings: ranges and probabilities.
        input_size: (H, W) of the result.
        flip_index: ``(C,)`` the keypoint type (or class) that becomes type c in a mirror image.
    """
    geometry = random_view(sample, rng, settings, input_size)
    invert = rng.random() < settings.invert

    def augmented(frame: Sample) -> Sample:
        if invert:  # before the view, whose padding must stay black
            frame = replace(frame, image=cv2.bitwise_not(frame.image))
        part = view(frame, geometry, flip_index if geometry.mirrored else None)
        part = replace(part, image=vary_colours(part.image, rng, settings))
        # Without these changes no random number is drawn for them, so that older recipes read the same samples.
        return part if settings.microscope == Microscope() else under_microscope(part, rng, settings.microscope)

    # Both frames of a pair share one view, as from a camera at rest; their colours differ, as in changing light.
    later = None if sample.later is None else augmented(sample.later)
    return replace(augmented(replace(sample, later=None)), later=later)


def random_view(
    sample: Sample, rng: np.random.Generator, settings: Augment, input_size: tuple[int, int]
) -> ImageGeometry:
    """Returns the geometry of a random view of the image or of its focus.

    Args:
        sample: in image pixels.
        rng: the source of all randomness.
        settings: ranges of scale, shift and rotation, probability of the mirror, and what a scale of 1 means.
        input_size: (H, W) of the view.
    """
    height, width = image_size = sample.image.shape[:2]
    x, y = 0, 0
    if sample.focus is not None:
        x, y, width, height = sample.focus.tolist()
    low, high = np.log(settings.scale)
    by_side = (input_size[0] / height, input_size[1] / width)
    fitting = {"image": min(by_side), "short": max(by_side), "pixel": 1.0}[settings.scale_of]
    scale = math.exp(rng.uniform(low, high)) * fitting
    shift_y, shift_x = rng.uniform(-settings.shift, settings.shift, 2) * input_size / scale
    mirror = bool(rng.random() < settings.mirror)
    rotation = rng.uniform(-settings.rotation, settings.rotation)
    middle = (x + width / 2, y + height / 2)
    if settings.on_object and rng.random() < settings.on_object:  # drawn last: other recipes keep their samples
        middle = object_middle(sample, rng) or middle
    return centred(
        image_size,
        input_size,
        stride=1,  # a task scales to its maps later, when it makes the target
        scale=scale,
        centre=(middle[0] + shift_x, middle[1] + shift_y),
        rotation=rotation,
        mirror=mirror,
    )


def object_middle(sample: Sample, rng: np.random.Generator) -> tuple[float, float] | None:
    """Returns x, y of the middle of a random person or object, image pixels; None where nothing is labelled."""
    if sample.masks is not None:
        if not len(sample.masks):
            return None
        i = int(rng.integers(len(sample.masks)))
        top, left = sample.masks.corners[i].tolist()
        height, width = sample.masks.crops[i].shape
        return left + width / 2, top + height / 2
    people = np.flatnonzero((sample.keypoints[..., 2] > 0).any(axis=1))
    if not len(people):
        return None
    person = sample.keypoints[int(rng.choice(people))]
    shown = person[person[:, 2] > 0, :2]
    x, y = ((shown.min(axis=0) + shown.max(axis=0)) / 2).tolist()
    return x, y


def vary_colours(image: Array, rng: np.random.Generator, settings: Augment) -> Array:
    """Returns a ``(H, W, 3)`` uint8 RGB image in other colours, perhaps slightly blurred.

    Black pixels stay black: they are padding, which is black at prediction, too. Published colours change it.
    """
    if settings.colours == "published":
        image, settings = vary_as_published(image, rng), replace(settings, colours="factors", colour=0.0)
    brightness, contrast, saturation = 1 + rng.uniform(-settings.colour, settings.colour, 3)
    hue = rng.uniform(-settings.colour, settings.colour) / 4  # radians
    if rng.random() < settings.grey:
        saturation = 0.0
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2)))
    matrix = colour_matrix(brightness, contrast, saturation, hue, float(np.dot(cv2.mean(image)[:3], LUMA)))
    not_black = cv2.bitwise_not(cv2.inRange(image, (0, 0, 0), (0, 0, 0)))
    changed = cv2.transform(image, matrix)
    return cv2.bitwise_and(changed, changed, mask=not_black)


def colour_matrix(brightness: float, contrast: float, saturation: float, hue: float, mean: float) -> Array:
    """Returns the ``(3, 4)`` affine map of RGB that makes all four changes in one pass over the pixels.

    Args:
        brightness, contrast, saturation: factors, 1 = unchanged.
        hue: rotation about the grey axis, radians.
        mean: grey level that a change of contrast keeps, in 0..255.
    """
    grey = np.outer(np.ones(3), LUMA)
    # Rodrigues' formula: `axis` projects onto the grey axis (1, 1, 1) / sqrt(3), `cross` is its cross product
    axis = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = axis + math.cos(hue) * (np.eye(3) - axis) + math.sin(hue) * cross
    linear = brightness * contrast * (grey + saturation * (np.eye(3) - grey)) @ turn
    offset = np.full((3, 1), brightness * (1 - contrast) * mean)
    return np.concatenate([linear, offset], axis=1)
