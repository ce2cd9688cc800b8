"""How instances of frames become tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from associative_embedding.structures.setting_checks import NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, SHARE, Range, check


@dataclass(frozen=True)
class LinkConfig:
    """Instances of frames -> tracks. Stored in a model file of the task "tracking"; other models use the defaults.

    Attributes:
        by: an instance joins a track by their "tags", by "motion" (its distance from where the track should be, at
            constant velocity), or by "both".
        tag_threshold: root mean square tag distance from which an instance does not join a track.
        max_distance: distance from where a track should be, in sizes of an object, from which an instance does not
            join it.
        max_gap: frames without an instance up to which a track can be continued by its place.
        memory: frames after which a lost track is dropped; beyond `max_gap` only its tag can recover it.
        min_frames: frames with an instance from which a track has an id; in results its earlier frames get it, too.
        start_score: lowest score of an instance that begins a track.
    """

    by: Literal["both", "tags", "motion"] = "both"
    tag_threshold: float = 1.0
    max_distance: float = 1.0
    max_gap: int = 15
    memory: int = 90
    min_frames: int = 2
    start_score: float = 0.2

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {"min_frames": ONE_OR_MORE, "start_score": SHARE}
        numbers = dict.fromkeys(("tag_threshold", "max_distance"), POSITIVE)
        check("link.", self, ranges | numbers | dict.fromkeys(("max_gap", "memory"), NOT_NEGATIVE))
        if self.memory < self.max_gap:
            raise ValueError(f"link.memory must be at least max_gap = {self.max_gap}, not {self.memory}")
