"""Changes that microscopes make: other exposures, noise, stains, objects that touch, and fields without any object.

All images are uint8 RGB in input pixels, and a black pixel stays black: it is padding.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from associative_embedding.data.settings import Microscope
from associative_embedding.io.reading import HIGH, LOW
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, trim
from associative_embedding.structures.sample import Sample

# Optical density in R, G and B of haematoxylin, eosin and DAB (Ruifrok and Johnston, 2001), one stain a row.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
COLOURED = 8.0  # mean spread of R, G and B from which an image has stains
HIDDEN = 0.3  # largest share of another object that a pasted one may cover
TRIES = 4  # places that are tried for each pasted object


def under_microscope(sample: Sample, rng: np.random.Generator, settings: Microscope) -> Sample:
    """Returns a sample as another microscope might show it.

    Args:
        sample: in input pixels; objects are pasted only where it has masks.
        rng: the source of all randomness.
        settings: strengths and probabilities.
    """
    if rng.random() < settings.empty:
        return without_objects(sample, empty_field(sample.image.shape[:2], rng))
    if sample.masks is not None and rng.random() < settings.touch:
        sample = paste_touching(sample, rng)
    image = sample.image
    if settings.stain and spread(image) > COLOURED:
        image = vary_stains(image, rng, settings.stain)
    if settings.gamma:
        image = expose(image, rng, settings.gamma)
    if rng.random() < settings.noise:
        image = add_noise(image, rng)
    return replace(sample, image=np.where(sample.image.any(axis=2, keepdims=True), image, 0).astype(np.uint8))


def without_objects(sample: Sample, image: Array) -> Sample:
    """Returns a sample with another image, on which there is nothing to find."""
    nothing = slice(0, 0)
    return replace(
        sample,
        image=image,
        keypoints=sample.keypoints[nothing],
        area=sample.area[nothing],
        masks=None if sample.masks is None else sample.masks[nothing],
        class_id=None if sample.class_id is None else sample.class_id[nothing],
        track_id=None if sample.track_id is None else sample.track_id[nothing],
        ignore=np.zeros(image.shape[:2], bool),
    )


def spread(image: Array) -> float:
    """Returns the mean difference between the largest and the smallest of R, G and B."""
    return float(np.mean(image.max(axis=2).astype(np.int16) - image.min(axis=2)))


def expose(image: Array, rng: np.random.Generator, gamma: float) -> Array:
    """Returns an image with another gamma: exponent ``exp(u)`` with u in [-gamma, gamma].

    One in three is first stretched to full contrast, as programs show images of 16 bits.
    """
    low, high = np.percentile(image, (LOW, HIGH)) if rng.random() < 1 / 3 else (0.0, 255.0)
    level = ((np.arange(256) - low) / max(high - low, 8.0)).clip(0, 1)
    return np.asarray(cv2.LUT(image, np.round(255 * level ** math.exp(rng.uniform(-gamma, gamma))).astype(np.uint8)))


def add_noise(image: Array, rng: np.random.Generator) -> Array:
    """Returns an image with a camera's noise: of photons, which grows with brightness, and of reading.

    The noise is the same in R, G and B, as of a grey camera, unless the image has colours.
    """
    channels = 3 if spread(image) > COLOURED else 1
    noise = rng.standard_normal((*image.shape[:2], channels), np.float32)
    if rng.random() < 0.5:  # a pixel of the camera is often several pixels of the input
        noise = cv2.GaussianBlur(noise, (0, 0), 1.0).reshape(noise.shape) * 3.5
    photons, reading = rng.uniform(0, 2.0), rng.uniform(0, 12.0)
    deviation = np.sqrt(photons**2 * image + reading**2, dtype=np.float32)
    noisy: Array = np.clip(image + noise * deviation, 0, 255).astype(np.uint8)
    return noisy


def vary_stains(image: Array, rng: np.random.Generator, strength: float) -> Array:
    """Returns an image with more or less of each stain (Tellez et al., 2018): each gets its own factor and offset."""
    density = -np.log((image.astype(np.float32) + 1) / 256)
    factor = 1 + rng.uniform(-strength, strength, 3)
    offset = rng.uniform(-strength, strength, 3) * 0.1
    unit = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
    change = np.linalg.inv(unit) @ np.diag(factor) @ unit
    changed = density @ change.astype(np.float32) + (offset @ unit).astype(np.float32)
    return np.asarray(np.clip(256 * np.exp(-changed) - 1, 0, 255), np.uint8)


# ---- empty fields


def empty_field(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Returns ``(H, W, 3)`` uint8: background, noise, dust and stray light, and no object.

    A camera's noise, stretched to full contrast, is what a program shows of a field without cells.
    """
    level = rng.uniform(5, 250)
    field = np.full(size, level, np.float32) + uneven_light(size, rng) * rng.uniform(0, 60)
    for _ in range(rng.integers(1, 3)):
        field += coloured_noise(size, rng) * rng.choice([3.0, 10.0, 30.0, 60.0]) * rng.uniform(0.5, 1.5)
    if rng.random() < 0.3:
        field += dust(size, rng) * rng.uniform(-80, 80)
    grey = np.clip(field, 1, 255)[..., None]
    tint = rng.uniform(0.7, 1.0, 3) if rng.random() < 0.3 else np.ones(3)
    return np.clip(grey * tint, 1, 255).astype(np.uint8)


def coloured_noise(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Returns ``(H, W)`` float32 noise with deviation 1; neighbours are alike over up to three input pixels."""
    if rng.random() < 0.3:  # few photons: most pixels have none, some have one
        mean = rng.uniform(0.5, 10)
        noise: Array = ((rng.poisson(mean, size) - mean) / math.sqrt(mean)).astype(np.float32)
    else:
        noise = rng.standard_normal(size, np.float32)
    zoom = rng.choice([1.0, 1.5, 2.0, 3.0])  # camera pixels are input pixels, or larger
    if zoom > 1:
        matrix = np.array([[1 / zoom, 0, 0], [0, 1 / zoom, 0]])
        noise = cv2.warpAffine(noise, matrix, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    if rng.random() < 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.5, 1.5)))
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-6))


def uneven_light(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Returns ``(H, W)`` float32 in about -1 to 1, varying slowly."""
    coarse = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


def dust(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Returns ``(H, W)`` float32 in 0 to 1: specks of a few pixels and hairs, sharp or out of focus."""
    canvas = np.zeros(size, np.float32)
    for _ in range(rng.integers(1, 12)):
        at = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        if rng.random() < 0.8:
            cv2.circle(canvas, at, int(rng.integers(1, 4)), 1.0, -1)
        else:
            axes = (int(rng.integers(20, 80)), int(rng.integers(10, 60)))
            cv2.ellipse(canvas, at, axes, float(rng.uniform(0, 360)), 0, float(rng.uniform(30, 200)), 1.0, 1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.choice([0.6, 1.0, 8.0]))))


# ---- objects that touch


def paste_touching(sample: Sample, rng: np.random.Generator) -> Sample:
    """Returns a sample with copies of some of its objects, mirrored and turned, each placed so that it touches another.

    Only tags can separate objects that touch. A copy lies above the objects that it covers in part.
    """
    assert sample.masks is not None
    large = np.flatnonzero(sample.masks.area >= 16)
    if not len(large):
        return sample
    for _ in range(int(rng.integers(1, 2 + min(12, len(large))))):
        sample = paste_one(sample, int(rng.choice(large)), int(rng.choice(large)), rng)
    return sample


def paste_one(sample: Sample, source: int, other: int, rng: np.random.Generator) -> Sample:
    """Returns a sample with a copy of object `source` beside object `other`; unchanged where no place is free."""
    masks = sample.masks
    assert masks is not None
    assert sample.class_id is not None
    margin = 2  # pixels of its surroundings, mixed into the new ones
    crop = np.pad(masks.crops[source], margin)
    y, x = masks.corners[source] - margin
    height, width = masks.size
    if y < 0 or x < 0 or y + crop.shape[0] > height or x + crop.shape[1] > width or not crop.any():
        return sample  # it leaves the image, so its outline is not known
    pixels = sample.image[y : y + crop.shape[0], x : x + crop.shape[1]]
    crop, pixels = turned(crop, pixels, rng)
    for _ in range(TRIES):
        corner = place_beside(masks, other, crop, rng)
        if corner is not None and not covers_much(masks, crop, corner):
            return pasted(sample, crop, pixels, corner, source)
    return sample


def turned(crop: Array, pixels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Returns both turned by a random multiple of 90 degrees, and perhaps mirrored."""
    quarters, mirror = int(rng.integers(4)), rng.random() < 0.5
    crop, pixels = np.rot90(crop, quarters), np.rot90(pixels, quarters)
    return (crop[:, ::-1], pixels[:, ::-1]) if mirror else (crop, pixels)


def place_beside(masks: Masks, other: int, crop: Array, rng: np.random.Generator) -> tuple[int, int] | None:
    """Returns y, x of a crop's first pixel so that it touches an object in a random direction; None = outside."""
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.75, 1.05)
    direction = np.array([math.sin(angle), math.cos(angle)])
    window = masks.window(other)
    middle = np.array([window[0].start, window[1].start]) + centroid(masks.crops[other])
    distance = depth * (reach(masks.crops[other], direction) + reach(crop, -direction))
    corner = np.round(middle + direction * distance - centroid(crop)).astype(int)
    inside = (corner >= 0).all() and (corner + crop.shape <= masks.size).all()
    return (int(corner[0]), int(corner[1])) if inside else None


def centroid(crop: Array) -> Array:
    """Returns the mean y, x of the pixels of a ``(h, w)`` bool mask."""
    return np.asarray(np.argwhere(crop).mean(axis=0))


def reach(crop: Array, direction: Array) -> float:
    """Returns how far a mask reaches from its centroid in a direction (y, x of length 1), pixels."""
    return float(((np.argwhere(crop) - centroid(crop)) @ direction).max())


def covers_much(masks: Masks, crop: Array, corner: tuple[int, int]) -> bool:
    """Returns whether a crop would hide more than the share `HIDDEN` of an object."""
    hidden = masks.intersection(Masks(masks.size, np.array([corner]), (crop,)))[:, 0]
    return bool((hidden > HIDDEN * masks.area).any())


def pasted(sample: Sample, crop: Array, pixels: Array, corner: tuple[int, int], source: int) -> Sample:
    """Returns a sample with a copy of one object above all others.

    Args:
        crop, pixels: ``(h, w)`` bool and ``(h, w, 3)`` uint8 of the copy.
        corner: y, x of its first pixel.
        source: the object that it is a copy of.
    """
    masks = sample.masks
    assert masks is not None
    assert sample.class_id is not None
    window = (slice(corner[0], corner[0] + crop.shape[0]), slice(corner[1], corner[1] + crop.shape[1]))
    soft = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 0.8)[..., None]  # a hard edge exists in no image
    image = sample.image.copy()
    image[window] = (soft * pixels + (1 - soft) * image[window] + 0.5).astype(np.uint8)
    region = np.zeros(masks.size, bool)
    region[window] = crop
    inner, part = trim(crop)
    copy = Masks(masks.size, np.array([corner]) + inner, (np.ascontiguousarray(part),))
    joined = Masks.join([masks.without(region), copy], masks.size)
    return replace(
        sample,
        image=image,
        masks=joined,
        class_id=np.append(sample.class_id, sample.class_id[source]),
        area=joined.area.astype(np.float32),
        keypoints=np.concatenate([sample.keypoints, sample.keypoints[source : source + 1]]),
    )
