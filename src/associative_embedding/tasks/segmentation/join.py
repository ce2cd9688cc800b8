"""Joins groups of pixels that touch and have no valley between their tags.

The tags of a large object spread over more than a bandwidth, and may have several modes by chance. Two objects have few
tags between theirs, however near these are. So groups are compared by the density of tags on the line between them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from associative_embedding.grouping import summarise
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups

STEP = 0.125  # between two places where the density is measured, in bandwidths
KERNEL = np.exp(-0.5 * (np.arange(-12, 13) * STEP / 0.5) ** 2)  # smooths the density; deviation half a bandwidth
MOST_TAGS = 512  # of a group that are compared: objects may have a million pixels


@dataclass(frozen=True, eq=False)
class Tags:
    """Some tags of a group, which stand for all.

    Attributes:
        place: ``(n, D)`` tags in bandwidths.
        weight: ``(n,)``.
        mean: ``(D,)``.
    """

    place: Array
    weight: Array
    mean: Array

    @classmethod
    def of(cls, place: Array, weight: Array) -> Tags:
        """Returns the tags, thinned evenly if there are too many; the weights that are left stand for the others."""
        mean = np.average(place, axis=0, weights=weight + 1e-12)
        every = -(-len(place) // MOST_TAGS)
        return cls(place[::every], weight[::every] * every, mean)

    def with_tags_of(self, other: Tags) -> Tags:
        """Returns the tags of both."""
        return Tags.of(np.concatenate([self.place, other.place]), np.concatenate([self.weight, other.weight]))


def join_touching(detections: Detections, groups: Groups, *, bandwidth: float, valley: float) -> Groups:
    """Joins pairs of groups, those with the shallowest valley first, until a valley lies between all that touch.

    Args:
        detections: M pixels of one class.
        groups: of the pixels; two of them touch if they contain 4-neighbours.
        bandwidth: root mean square distance of tags, see `group_by_modes`.
        valley: two groups are one if the density of tags between their two peaks is nowhere below this share of the
            lower peak; 1 = none are joined.
    """
    pairs = touching(detections.xy, groups.group)
    if valley >= 1 or not len(pairs):
        return groups
    place = detections.tag / (bandwidth * np.sqrt(detections.tag.shape[1]))
    tags = {i: Tags.of(place[rows], detections.score[rows]) for i, rows in enumerate(rows_of(groups))}
    joined = list(range(len(groups.tag)))
    neighbours: dict[int, set[int]] = {i: set() for i in tags}
    for i, j in pairs.tolist():
        neighbours[i].add(j)
        neighbours[j].add(i)
    heap = [(-saddle(tags[i], tags[j]), i, j) for i, j in pairs.tolist()]
    heapq.heapify(heap)
    while heap and -heap[0][0] >= valley:
        _, i, j = heapq.heappop(heap)
        if i not in tags or j not in tags:
            continue  # one of them has been joined with a third
        new = len(joined)
        joined.append(new)
        joined[i] = joined[j] = new
        tags[new] = tags.pop(i).with_tags_of(tags.pop(j))
        neighbours[new] = (neighbours.pop(i) | neighbours.pop(j)) - {i, j}
        for k in neighbours[new]:
            neighbours[k] = neighbours[k] - {i, j} | {new}
            heapq.heappush(heap, (-saddle(tags[k], tags[new]), k, new))
    return summarise(
        np.where(groups.group >= 0, roots(np.array(joined))[groups.group], -1), detections.tag, detections.score
    )


def rows_of(groups: Groups) -> Iterator[Array]:
    """Yields the detections of each group."""
    order = np.argsort(groups.group, kind="stable")
    yield from np.split(order, np.searchsorted(groups.group[order], np.arange(len(groups.tag))))[1:]


def touching(xy: Array, group: Array) -> Array:
    """Returns the pairs of groups that contain 4-neighbours, ``(P, 2)`` int64, each once and the lower number first.

    Args:
        xy: ``(M, 2)`` whole numbers.
        group: ``(M,)`` int64, -1 = none.
    """
    if not len(xy):
        return np.zeros((0, 2), np.int64)
    x, y = xy.astype(np.int64).T
    canvas = np.full((y.max() + 1, x.max() + 1), -1)
    canvas[y, x] = group
    sides = [(canvas[:, 1:], canvas[:, :-1]), (canvas[1:], canvas[:-1])]
    pairs = [np.stack([a[met], b[met]], axis=1) for a, b in sides for met in [(a != b) & (a >= 0) & (b >= 0)]]
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def saddle(first: Tags, second: Tags) -> float:
    """Returns the least density between the peaks of two groups, as a share of the lower peak.

    The density is measured along the line through both means.
    """
    axis = second.mean - first.mean
    length = float(np.linalg.norm(axis))
    if length < STEP:
        return 1.0
    along = np.concatenate([(tags.place - first.mean) @ (axis / length) for tags in (first, second)])
    cell = ((along.clip(-1, length + 1) + 1) / STEP).astype(np.int64)
    density = np.convolve(np.bincount(cell, np.concatenate([first.weight, second.weight])), KERNEL)
    # The first cell is one bandwidth before the mean of the first group, and half a kernel is put before it.
    middle = round((length / 2 + 1) / STEP) + len(KERNEL) // 2
    left = int(density[:middle].argmax())
    right = middle + int(density[middle:].argmax())
    return float(density[left : right + 1].min() / min(density[left], density[right]))


def roots(joined: Array) -> Array:
    """Follows ``joined[i]``, the group that took group i in, to the last one; ``joined[i] == i`` for that."""
    while not np.array_equal(further := joined[joined], joined):
        joined = further
    return joined
