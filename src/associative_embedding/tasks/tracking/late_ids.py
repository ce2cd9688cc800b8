"""Gives the first instances of a track its id, too, which the tracker decides some frames later.

A track has an id from `LinkConfig.min_frames` instances on, so that a false detection makes none. Frames wait until
their tracks have ids or have ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tracking.tracker import NO_TRACK, Tracker

T = TypeVar("T")
MOST_HELD = 16  # frames: they keep their images, 25 MB each at 4K


@dataclass
class Held(Generic[T]):
    """A frame that waits.

    Attributes:
        frame: the caller's value for the frame.
        found: its instances, without ids.
        keys: ``(N,)`` int64, the `Track.key` of each.
        ids: ``(N,)`` int64, what is known of their ids.
    """

    frame: T
    found: Instances
    keys: Array
    ids: Array


class LateIds(Generic[T]):
    """Links the instances of one video; call `add` with the frames in order, and `rest` at the end.

    Memory is bounded: of more than `MOST_HELD` waiting frames the oldest goes out with the ids that are known.

    Args:
        tracker: a new one.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.held: deque[Held[T]] = deque()

    def add(self, frame: T, found: Instances, number: int) -> Iterator[tuple[T, Instances]]:
        """Adds a frame, and yields the frames that are settled, in order, with `Instances.track_id`.

        Args:
            frame: any value, which comes back with the instances.
            found: the instances of the frame.
            number: of the frame, greater than all before.

        Raises:
            ValueError: see `Tracker`.
        """
        keys = self.tracker.link(found, number)
        self.held.append(Held(frame, found, keys, np.full(len(found), NO_TRACK, np.int64)))
        for held in self.held:
            # At once: a track that ends later takes its id along.
            held.ids = np.where(held.ids == NO_TRACK, self.tracker.ids(held.keys), held.ids)
        while self.held and (len(self.held) > MOST_HELD or not self.tracker.waits(self.held[0].keys)):
            yield self._oldest()

    def rest(self) -> Iterator[tuple[T, Instances]]:
        """Yields the frames that still wait; no later frame can give their tracks an id."""
        while self.held:
            yield self._oldest()

    def _oldest(self) -> tuple[T, Instances]:
        held = self.held.popleft()
        return held.frame, replace(held.found, track_id=held.ids)
