"""Which keypoints of the people found in an image are reported to a user.

Decoding and refinement also return guesses, since COCO's measure counts a guess for a missing keypoint as no worse than
none: `ae evaluate` reads all of them. A user takes each for a keypoint of the image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.pose.shared_keypoints import settle

# Of the person's size. Of 112 keypoints that near to the edge, 15 % were right on held-out images of COCO; of those
# farther inside up to twice as far, 32 %; of all others 74 %.
EDGE = 0.015
OUTERMOST = 0.55  # map pixels: a peak in the outermost one, whose centre is half a pixel from the edge


def reported(people: Instances, cell: float) -> tuple[Instances, Array]:
    """Returns the people with the keypoints that are reported, and whether each is still somebody, ``(N,)`` bool.

    Two kinds of keypoints become missing: those at the edge of the image, where the heatmap still rises, as the
    keypoint is outside of it; and those in a place that belongs to somebody else. Who loses more than half to others
    was found twice, and who has none left is nobody.

    Args:
        people: N.
        cell: side of a map pixel, image pixels.
    """
    keypoints, size = people.keypoints.copy(), people.xywh[:, 2:].max(axis=1, initial=0)
    clamped = edge_distance(keypoints, people.image_size) < np.maximum(EDGE * size, OUTERMOST * cell)[:, None]
    keypoints[clamped] = 0
    claim = keypoints[:, :, 2] * people.score[:, None]
    settled = settle(keypoints, np.zeros_like(keypoints), claim, size)
    before, after = ((points[:, :, 2] > 0).sum(axis=1) for points in (keypoints, settled))
    return replace(people, keypoints=settled), (after > 0) & (2 * after >= before)


def edge_distance(keypoints: Array, image_size: tuple[int, int]) -> Array:
    """Returns the distance ``(N, K)`` of keypoints to the nearest edge of the image, pixels; negative outside of it."""
    x, y = keypoints[:, :, 0], keypoints[:, :, 1]
    height, width = image_size
    return np.asarray(np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)))
