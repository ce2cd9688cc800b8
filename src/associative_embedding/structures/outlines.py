"""Mask -> polygons along the sides of its pixels: filled again, they give exactly the same mask."""

from __future__ import annotations

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

Ring = Array  # (P, 2) int64 x, y of the corners of pixels, not closed: the first one is not repeated


def outlines(mask: Array) -> list[list[Ring]]:
    """Returns a polygon for each connected part of a mask.

    Pixels that touch at a corner alone are two parts.

    Args:
        mask: ``(H, W)`` bool.

    Returns:
        polygons; each is its outer ring, clockwise as seen, and then its holes, the other way around. The first pixel
        covers [0, 1] in x and y.
    """
    if not mask.any():
        return []
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    found = []
    for number in range(1, count):
        x, y, width, height = boxes[number, :4].tolist()
        part = parts[y : y + height, x : x + width] == number
        found.append([ring + np.array([x, y]) for ring in outline(part)])
    return found


def outline(part: Array) -> list[Ring]:
    """Returns the outer ring of a mask ``(h, w)`` of one part, and its holes; see `outlines`."""
    # OpenCV follows the centres of the pixels at the border. With every pixel four times, these are the left or upper
    # ones of a pair at an even place, the right or lower ones at an odd one: halved and rounded up, its sides.
    doubled = part.repeat(2, axis=0).repeat(2, axis=1).view(np.uint8)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # The one ring without a parent is the outer one. OpenCV walks the other way around.
    order = np.argsort(hierarchy[0, :, 3] >= 0, kind="stable")
    return [corners((contours[i][::-1, 0].astype(np.int64) + 1) // 2) for i in order.tolist()]


def corners(path: Array) -> Ring:
    """Returns the places of a closed path ``(P, 2)`` where it turns."""
    steps = np.concatenate([path[1:], path[:1]]) - path
    # A step to the side or downwards is a number of its own; 0 = none, at the inside of a bend.
    direction = 2 * steps[:, 0] + steps[:, 1]
    path, direction = path[direction != 0], direction[direction != 0]
    return np.asarray(path[direction != np.concatenate([direction[-1:], direction[:-1]])])
