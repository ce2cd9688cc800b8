"""Mask annotation -> training target: foreground maps per class, tag samples inside each object (paper, 3.4)."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.targets import ImageTarget, mostly


def encode_masks(
    sample: Sample, *, stride: int, samples: int, object_size: tuple[float, float], rng: np.random.Generator
) -> ImageTarget:
    """Turns the masks of a sample into heatmaps and tag samples.

    Args:
        sample: in input pixels (augmented), with masks; its image is the network's input.
        stride: input pixels per map pixel.
        samples: most pixels of each object whose tags are compared.
        object_size: smallest and largest square root of the area of objects to learn, input pixels; the pixels of
            others are not valid (section 4.2).
        rng: chooses the pixels.

    Raises:
        ValueError: when the sample has no masks.
    """
    if sample.masks is None or sample.class_id is None:
        raise ValueError(f"{sample.file_name}: the sample has no masks")
    size = (sample.image.shape[0] // stride, sample.image.shape[1] // stride)
    heatmap = np.zeros((len(sample.labelled), *size), np.float32)
    # Objects that share a map pixel add up in the heatmap; the tag belongs to the object that covers most of it.
    covered = np.zeros_like(heatmap)
    owner = np.full(heatmap.shape, -1)
    valid = np.broadcast_to(sample.labelled[:, None, None], heatmap.shape).copy()
    if sample.ignore is not None:
        valid &= ~mostly(sample.ignore, size)
    side = np.sqrt(sample.masks.area)
    learned = (side >= object_size[0]) & (side <= object_size[1])
    for n, (channel, corner, crop) in enumerate(
        zip(sample.class_id.tolist(), sample.masks.corners.tolist(), sample.masks.crops, strict=True)
    ):
        (y, x), share = coverage(crop, corner, stride)
        window = np.s_[channel, y : min(y + share.shape[0], size[0]), x : min(x + share.shape[1], size[1])]
        share = share[: size[0] - y, : size[1] - x]
        if not learned[n]:
            valid[window] &= share == 0
            continue
        heatmap[window] += share
        more = share > covered[window]
        covered[window][more] = share[more]
        owner[window][more] = n
    return ImageTarget(heatmap.clip(0, 1), valid, pixel_index(owner, covered, samples, rng))


def coverage(crop: Array, corner: tuple[int, int], stride: int) -> tuple[tuple[int, int], Array]:
    """Returns the y, x of the first map pixel that a crop covers, and the covered share of each, ``(h, w)`` float32.

    Args:
        crop: ``(H, W)`` bool, in input pixels.
        corner: y, x of the crop in the input.
        stride: input pixels per map pixel.
    """
    (y, top), (x, left) = (divmod(side, stride) for side in corner)
    bottom, right = -(top + crop.shape[0]) % stride, -(left + crop.shape[1]) % stride
    padded = np.pad(crop, ((top, bottom), (left, right)))
    blocks = padded.reshape(padded.shape[0] // stride, stride, padded.shape[1] // stride, stride)
    return (y, x), blocks.mean(axis=(1, 3), dtype=np.float32)


def pixel_index(owner: Array, covered: Array, samples: int, rng: np.random.Generator) -> Array:
    """Chooses at most `samples` pixels of each object, spread over it: ``(M, 4)`` int64 channel, y, x, object.

    Candidates are the pixels that the object covers by at least half; a smaller object has the pixel it covers most.
    In scan order they are cut into `samples` equal stretches, and each stretch gives one pixel.

    Args:
        owner: ``(C, h, w)`` int, the object that covers most of each pixel, -1 = none.
        covered: ``(C, h, w)`` the share that it covers.
    """
    channel, y, x = np.nonzero(owner >= 0)
    number, share = owner[channel, y, x], covered[channel, y, x]
    _, start = np.unique(number, return_inverse=True)
    best = np.zeros(int(start.max(initial=-1)) + 1, np.float32)
    np.maximum.at(best, start.reshape(-1), share)
    inside = share >= np.minimum(0.5, best[start.reshape(-1)])
    rows = np.stack([channel, y, x, number], axis=1)[inside]
    rows = rows[np.argsort(rows[:, 3], kind="stable")]  # object by object, each in scan order
    _, first, count = np.unique(rows[:, 3], return_index=True, return_counts=True)
    chosen = [
        np.zeros(0, np.int64),
        *(begin + stratified(n, samples, rng) for begin, n in zip(first, count, strict=True)),
    ]
    return np.asarray(rows[np.concatenate(chosen)], dtype=np.int64)


def stratified(count: int, samples: int, rng: np.random.Generator) -> Array:
    """Draws one number from each of `samples` equal stretches of ``range(count)``; all numbers if there are fewer."""
    if count <= samples:
        return np.arange(count)
    edges = np.arange(samples + 1) * count // samples
    return np.asarray(rng.integers(edges[:-1], edges[1:]))
