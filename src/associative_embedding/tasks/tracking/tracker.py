"""Instances of frames -> tracks: equal tags mean the same track.

A frame is a step, a track is a group, and `group_sequentially` groups instances into tracks as it groups keypoints into
people. Two instances may have equal tags (two similar flies), but never equal places. So the place where a track
should be now, in sizes of its object, is compared like one more tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from associative_embedding.grouping import group_sequentially
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.tasks.tracking.settings import LinkConfig

NO_TRACK = -1
OTHER_CLASS = 1e6  # tag distance between two classes, beyond every threshold: they never join
NEWEST = 0.1  # least weight of the newest instance in a track's tag, so that a long track follows changes
INERTIA = 0.5  # weight of the old velocity in the new one


@dataclass(frozen=True, eq=False)
class Track:
    """The state of a track after its last instance.

    Attributes:
        key: a number that no other track has, from 1.
        number: its id, from 1; 0 = no id yet, as it has too few instances.
        tag: ``(D,)`` running mean over its instances.
        class_id: of its instances.
        place: ``(2,)`` x, y of the last instance's centre, image pixels.
        velocity: ``(2,)`` pixels per frame.
        size: side of the square with the area of the box, image pixels.
        score: of the last instance.
        instances: number of its instances.
        frame: of the last instance.
    """

    key: int
    number: int
    tag: Array
    class_id: int
    place: Array
    velocity: Array
    size: float
    score: float
    instances: int
    frame: int

    def at(self, frame: int) -> Array:
        """Returns where the track should be in a frame, at constant velocity: ``(2,)`` x, y."""
        return np.asarray(self.place + self.velocity * (frame - self.frame))


class Tracker:
    """Gives the instances of one video their track ids; call it with the frames in order.

    Memory does not grow with the video: tracks without an instance for `LinkConfig.memory` frames are dropped.

    Args:
        config: thresholds; None = the defaults.
    """

    def __init__(self, config: LinkConfig | None = None) -> None:
        self.config = config or LinkConfig()
        self.tracks: list[Track] = []
        self.count = 0  # of ids given so far
        self.begun = 0  # tracks so far, also those that never had an id

    def __call__(self, found: Instances, frame: int) -> Instances:
        """Returns the instances with `Instances.track_id`; `NO_TRACK` where a track has too few instances for an id.

        `late_ids.LateIds` gives these their ids, too, some frames later.

        Args:
            found: the instances of a frame.
            frame: its number, greater than all before; frames in between may be left out.

        Raises:
            ValueError: for a frame that does not come after the last one, or tags of another length.
        """
        return replace(found, track_id=self.ids(self.link(found, frame)))

    def link(self, found: Instances, frame: int) -> Array:
        """Adds the instances of a frame to the tracks; returns the `Track.key` of each, ``(N,)`` int64, 0 = none.

        Arguments and errors: see `__call__`.
        """
        if self.tracks and frame <= (last := max(track.frame for track in self.tracks)):
            raise ValueError(f"frames must come in order, and frame {frame} is not after frame {last}")
        self.tracks = [track for track in self.tracks if is_kept(track, frame, self.config)]
        new = [observe(found, i, frame) for i in range(len(found))]
        joined = link(self.tracks, new, frame, self.config)
        tracks, keys = dict(enumerate(self.tracks)), np.zeros(len(new), np.int64)
        for i, (track, j) in enumerate(zip(new, joined, strict=True)):
            if j < 0 and track.score < self.config.start_score:
                continue  # a weak instance may continue a track, and begins none
            place = int(j) if j >= 0 else len(self.tracks) + i
            tracks[place] = self._number(extend(self.tracks[j], track) if j >= 0 else self._begin(track))
            keys[i] = tracks[place].key
        self.tracks = list(tracks.values())
        return keys

    def ids(self, keys: Array) -> Array:
        """Returns the id of the track with each key, ``(N,)`` int64; `NO_TRACK` where it has none, or has ended."""
        numbers = {track.key: track.number or NO_TRACK for track in self.tracks}
        return np.array([numbers.get(key, NO_TRACK) for key in keys.tolist()], np.int64)

    def waits(self, keys: Array) -> bool:
        """Whether a track with one of the keys has no id, but may still get one."""
        waiting = {track.key for track in self.tracks if not track.number}
        return not waiting.isdisjoint(keys.tolist())

    def _begin(self, track: Track) -> Track:
        """Gives a new track its key."""
        self.begun += 1
        return replace(track, key=self.begun)

    def _number(self, track: Track) -> Track:
        """Gives the track an id, if it has none and has enough instances."""
        if track.number or track.instances < self.config.min_frames:
            return track
        self.count += 1
        return replace(track, number=self.count)


def observe(found: Instances, i: int, frame: int) -> Track:
    """Returns a track of one instance, row i of a frame's instances."""
    x, y, width, height = (float(v) for v in found.xywh[i])
    return Track(
        key=0,
        number=0,
        tag=found.tag[i].astype(np.float64),
        class_id=int(found.class_id[i]),
        place=np.array([x + width / 2, y + height / 2]),
        velocity=np.zeros(2),
        size=max(1.0, float(np.sqrt(width * height))),
        score=float(found.score[i]),
        instances=1,
        frame=frame,
    )


def extend(track: Track, now: Track) -> Track:
    """Returns a track continued by an instance, which `observe` turned into a track."""
    share = max(NEWEST, 1 / (track.instances + 1))
    velocity = (now.place - track.place) / (now.frame - track.frame)
    inertia = INERTIA if track.instances > 1 else 0.0  # the velocity of a first instance is unknown
    return replace(
        now,
        key=track.key,
        number=track.number,
        tag=track.tag + share * (now.tag - track.tag),
        velocity=inertia * track.velocity + (1 - inertia) * velocity,
        size=track.size + max(NEWEST, share) * (now.size - track.size),
        instances=track.instances + 1,
    )


def is_kept(track: Track, frame: int, config: LinkConfig) -> bool:
    """Whether a track can still be continued in a frame."""
    # Without an id it is kept for a short time only, so that a false detection leaves no track to join.
    return frame - track.frame <= max(1, config.memory if track.number else config.max_gap // 4)


def link(tracks: Sequence[Track], new: Sequence[Track], frame: int, config: LinkConfig) -> Array:
    """Returns the row of the track that each new instance joins, ``(n,)`` int64, -1 = none.

    First come tracks with an instance at most `max_gap` frames ago, by tag and place. Then come the others, by tag
    alone, with the instances that are left: after so long, the predicted place is worth nothing.

    Raises:
        ValueError: for tags of another length.
    """
    if any(track.tag.shape != tracks[0].tag.shape for track in (*tracks, *new)[1:] if tracks):
        raise ValueError("the instances of all frames must have tags of one length, from one model")
    joined = np.full(len(new), -1, np.int64)
    lost = np.array([frame - track.frame > config.max_gap for track in tracks], bool)
    here = np.flatnonzero(~lost)
    joined = continue_tracks(joined, tracks, new, here, config.by, frame, config)
    if config.by != "motion":
        joined = continue_tracks(joined, tracks, new, np.flatnonzero(lost), "tags", frame, config)
    return joined


def continue_tracks(
    joined: Array, tracks: Sequence[Track], new: Sequence[Track], rows: Array, by: str, frame: int, config: LinkConfig
) -> Array:
    """Returns `joined`, where instances without a track may have joined the tracks in `rows`.

    Args:
        by: what is compared, as `LinkConfig.by`.
    """
    free = np.flatnonzero(joined < 0)
    if not (len(rows) and len(free)):
        return joined
    both = [*(tracks[int(j)] for j in rows), *(new[int(i)] for i in free)]
    # One size for all: distances must be equally scaled to be compared, and boxes of single instances vary.
    typical = float(np.median([track.size for track in both]))
    step = np.repeat([0, 1], [len(rows), len(free)])
    detections = Detections(
        score=np.array([track.score for track in both]).clip(1e-6),  # above 0: weights of 0 would pair arbitrarily
        tag=np.stack([signature(track, by, frame, typical, config) for track in both]),
        xy=np.zeros((len(both), 2)),
        step=step,
    )
    group = group_sequentially(detections, tag_threshold=1.0, norm="l2").group
    row_of_group = np.full(len(both), -1)
    row_of_group[group[step == 0]] = rows  # tracks are one step: each one is a group
    result = joined.copy()
    result[free] = row_of_group[group[step == 1]]
    return result


def signature(track: Track, by: str, frame: int, size: float, config: LinkConfig) -> Array:
    """Returns the values to compare, by tag, place or both, with the class: two belong together below distance 1.

    With "both", each counts half: at a perfect place the tag may be farther than its threshold, and the reverse.

    Args:
        size: of the objects, image pixels.
    """
    tag = track.tag / (config.tag_threshold * np.sqrt(max(1, len(track.tag))))  # the threshold is a root mean square
    place = track.at(frame) / (config.max_distance * size)
    parts = {"tags": [tag], "motion": [place], "both": [tag / np.sqrt(2), place / np.sqrt(2)]}[by]
    return np.concatenate([*parts, [track.class_id * OTHER_CLASS]])
