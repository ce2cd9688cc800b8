"""Plateaus of equally high peaks -> one peak for each person.

A keypoint halfway between two pixels, half precision or a clamped heatmap make several touching pixels equally high.
They are one peak, unless their tags belong to different people.
"""

from __future__ import annotations

import numpy as np

from associative_embedding.detection.peak_table import CHANNEL, TAG, X, Y
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.connected import connected
from associative_embedding.structures.detections import Norm, tag_distance

# y, x of the neighbours that come after a pixel; with the four before it, these are all that touch it
AFTER = ((0, 1), (1, -1), (1, 0), (1, 1))
MOST_PEOPLE = 8  # of one plateau whose tags are compared; without a limit, a plateau of random tags would take minutes


def merge_plateaus(peaks: Array, size: tuple[int, ...], *, tag_threshold: float, norm: Norm) -> Array:
    """Replaces touching peaks, which can only be equally high, by one row: their mean.

    Peaks of a plateau whose tags differ by more than the threshold stay apart, each part at its own mean.

    Args:
        peaks: ``(P, 6 + D)`` of a window of at least 3 pixels, see `peak_table`.
        size: (C, h, w) of the maps.
        tag_threshold: tag distance from which peaks are of different people.
        norm: of the tag distance, see `tag_distance`.
    """
    _, height, width = size
    place = ((peaks[:, CHANNEL] * height + peaks[:, Y]) * width + peaks[:, X]).astype(np.int64)
    peaks = peaks[np.argsort(place)]  # the result must not depend on the order in which peaks were found
    first, second = touching(peaks, np.sort(place), height, width)
    if not len(first):
        return peaks
    plateau = connected(len(peaks), first, second)
    leader = leaders(peaks[:, TAG], plateau, tag_threshold, norm)
    alike = leader[first] == leader[second]
    part = connected(len(peaks), first[alike], second[alike])
    total = np.stack([np.bincount(part, values) for values in peaks.T], axis=1)
    return np.asarray(total / np.bincount(part)[:, None])


def touching(peaks: Array, place: Array, height: int, width: int) -> tuple[Array, Array]:
    """Returns the rows of all pairs of peaks that touch, also by a corner.

    Args:
        peaks: sorted by `place`.
        place: ``(P,)`` int64 flat index of each peak.
        height, width: of the maps.
    """
    y, x = peaks[:, Y], peaks[:, X]
    first, second = [], []
    for dy, dx in AFTER:
        neighbour = place + dy * width + dx
        row = np.searchsorted(place, neighbour).clip(0, len(place) - 1)
        inside = (x + dx >= 0) & (x + dx < width) & (y + dy < height)  # not in the next line or channel
        hit = np.flatnonzero(inside & (place[row] == neighbour))
        first.append(hit)
        second.append(row[hit])
    return np.concatenate(first), np.concatenate(second)


def leaders(tag: Array, plateau: Array, threshold: float, norm: Norm) -> Array:
    """Returns the row of the peak whose tag stands for each peak, ``(P,)`` int64: one row for each person of a plateau.

    The first leader of a plateau is its first peak. While the tag of a peak is farther than the threshold from all
    leaders of its plateau, the farthest one becomes a leader, too. So tags that change little by little from one person
    to another still have the people at both ends.

    Args:
        tag: ``(P, D)``.
        plateau: ``(P,)`` int64 in [0, number of plateaus).
        threshold, norm: of the tag distance.
    """
    leader = np.unique(plateau, return_index=True)[1][plateau]
    if not tag.shape[1]:
        return np.asarray(leader)
    distance = tag_distance(tag, tag[leader], norm)
    for _ in range(MOST_PEOPLE - 1):
        rows = np.flatnonzero(np.isin(plateau, plateau[distance > threshold]))
        if not len(rows):
            break
        order = rows[np.lexsort((distance[rows], plateau[rows]))]
        last = np.append(np.diff(plateau[order]) > 0, True)  # the farthest of each plateau
        new = np.repeat(order[last], np.diff(np.flatnonzero(last), prepend=-1))
        to_new = tag_distance(tag[order], tag[new], norm)
        leader[order] = np.where(to_new < distance[order], new, leader[order])
        distance[order] = np.minimum(distance[order], to_new)
    return np.asarray(leader)
