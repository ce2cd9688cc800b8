"""Instances of frames -> tracks: equal tags mean the same track.

A frame is a step, a track is a group, and `group_sequentially`, which makes people of keypoints, makes tracks of
people. Tags may repeat (two flies look alike), places do not: where a track should be now, in sizes of its object, is
one more tag, which moves.
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
OTHER_CLASS = 1e6  # between the tags of two classes: they never join
NEWEST = 0.1  # least share of the newest instance in a track's tag, so that a long track follows what changes
INERTIA = 0.5  # share of the old velocity in the new one


@dataclass(frozen=True, eq=False)
class Track:
    """Attributes:
    number: its id, from 1 on; 0 = it has none yet, as it was not seen often enough.
    tag: ``(D,)`` running mean over its instances.
    class_id: of its instances.
    place: ``(2,)`` centre in the last frame that showed it, image pixels.
    velocity: ``(2,)`` pixels a frame.
    size: side of a square as large as the box, pixels.
    score: of its last instance.
    seen: number of frames that showed it.
    frame: the last one that did.
    """

    number: int
    tag: Array
    class_id: int
    place: Array
    velocity: Array
    size: float
    score: float
    seen: int
    frame: int

    def at(self, frame: int) -> Array:
        """Where it should be, at constant velocity."""
        return np.asarray(self.place + self.velocity * (frame - self.frame))


class Tracker:
    """Gives the instances of each frame of one video their track ids; call it with one frame after the other.

    Its memory does not grow with the video: a track that was not seen for `LinkConfig.memory` frames is forgotten.

    Args:
        config: thresholds.
    """

    def __init__(self, config: LinkConfig | None = None) -> None:
        self.config = config or LinkConfig()
        self.tracks: list[Track] = []
        self.count = 0  # tracks that have a number

    def __call__(self, found: Instances, frame: int) -> Instances:
        """The instances with `Instances.track_id`; `NO_TRACK` where a track is too young to be believed.

        Args:
            found: the instances of a frame.
            frame: its number, greater than all before; numbers that are left out are frames without a look.

        Raises:
            ValueError: for a frame that does not come after the last one, or tags of another length.
        """
        if self.tracks and frame <= max(track.frame for track in self.tracks):
            raise ValueError(f"frames must come in order, and {frame} does not")
        self.tracks = [track for track in self.tracks if is_known(track, frame, self.config)]
        new = [observe(found, i, frame) for i in range(len(found))]
        joined = link(self.tracks, new, frame, self.config)
        tracks, numbers = dict(enumerate(self.tracks)), np.full(len(new), NO_TRACK, np.int64)
        for i, (track, j) in enumerate(zip(new, joined, strict=True)):
            if j < 0 and track.score < self.config.start_score:
                continue
            key = int(j) if j >= 0 else len(self.tracks) + i
            tracks[key] = self._number(extend(self.tracks[j], track) if j >= 0 else track)
            numbers[i] = tracks[key].number or NO_TRACK
        self.tracks = list(tracks.values())
        return replace(found, track_id=numbers)

    def _number(self, track: Track) -> Track:
        """The track with an id, if it was seen often enough."""
        if track.number or track.seen < self.config.min_frames:
            return track
        self.count += 1
        return replace(track, number=self.count)


def observe(found: Instances, i: int, frame: int) -> Track:
    """A track of one instance."""
    x, y, width, height = (float(v) for v in found.xywh[i])
    return Track(
        number=0,
        tag=found.tag[i].astype(np.float64),
        class_id=int(found.class_id[i]),
        place=np.array([x + width / 2, y + height / 2]),
        velocity=np.zeros(2),
        size=max(1.0, float(np.sqrt(width * height))),
        score=float(found.score[i]),
        seen=1,
        frame=frame,
    )


def extend(track: Track, now: Track) -> Track:
    """A track that another instance joined."""
    share = max(NEWEST, 1 / (track.seen + 1))
    step = (now.place - track.place) / (now.frame - track.frame)
    inertia = INERTIA if track.seen > 1 else 0.0
    return replace(
        now,
        number=track.number,
        tag=track.tag + share * (now.tag - track.tag),
        velocity=inertia * track.velocity + (1 - inertia) * step,
        size=track.size + max(NEWEST, share) * (now.size - track.size),
        seen=track.seen + 1,
    )


def is_known(track: Track, frame: int, config: LinkConfig) -> bool:
    """Whether a track may be joined: a young one only if it was seen just before, so that a flicker leaves nothing."""
    return frame - track.frame <= max(1, config.memory if track.number else config.max_gap // 4)


def link(tracks: Sequence[Track], new: Sequence[Track], frame: int, config: LinkConfig) -> Array:
    """The row of the track that each new instance joins, ``(n,)`` int64, -1 = none.

    First those that were seen at most `max_gap` frames ago, by tag and place; then, among what is left, those that
    were lost longer, by tag alone: nobody knows where they went.

    Raises:
        ValueError: for tags of another length.
    """
    if any(track.tag.shape != tracks[0].tag.shape for track in (*tracks, *new)[1:] if tracks):
        raise ValueError("the instances of all frames must have tags of one length, from one model")
    joined = np.full(len(new), -1, np.int64)
    lost = np.array([frame - track.frame > config.max_gap for track in tracks], bool)
    here = np.flatnonzero(~lost)
    joined = join(joined, tracks, new, here, config.by, frame, config)
    if config.by != "motion":
        joined = join(joined, tracks, new, np.flatnonzero(lost), "tags", frame, config)
    return joined


def join(
    joined: Array, tracks: Sequence[Track], new: Sequence[Track], rows: Array, by: str, frame: int, config: LinkConfig
) -> Array:
    """`joined` with the tracks of some `rows` given to instances that have none yet."""
    free = np.flatnonzero(joined < 0)
    if not (len(rows) and len(free)):
        return joined
    both = [*(tracks[int(j)] for j in rows), *(new[int(i)] for i in free)]
    typical = float(np.median([track.size for track in both]))
    step = np.repeat([0, 1], [len(rows), len(free)])
    detections = Detections(
        score=np.array([track.score for track in both]).clip(1e-6),
        tag=np.stack([signature(track, by, frame, typical, config) for track in both]),
        xy=np.zeros((len(both), 2)),
        step=step,
    )
    group = group_sequentially(detections, tag_threshold=1.0, norm="l2").group
    row_of_group = np.full(len(both), -1)
    row_of_group[group[step == 0]] = rows  # tracks come first and never join each other
    result = joined.copy()
    result[free] = row_of_group[group[step == 1]]
    return result


def signature(track: Track, by: str, frame: int, size: float, config: LinkConfig) -> Array:
    """What is compared: tag, place or both, and the class, such that two belong together below distance 1.

    Of both, each counts half: a perfect place excuses a tag that is a little too far, and the reverse.

    Args:
        size: of the objects, pixels.
    """
    tag = track.tag / (config.tag_threshold * np.sqrt(max(1, len(track.tag))))  # root mean square, as everywhere
    place = track.at(frame) / (config.max_distance * size)
    parts = {"tags": [tag], "motion": [place], "both": [tag / np.sqrt(2), place / np.sqrt(2)]}[by]
    return np.concatenate([*parts, [track.class_id * OTHER_CLASS]])
