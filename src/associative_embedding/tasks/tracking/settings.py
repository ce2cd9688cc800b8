"""How instances of frames become tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from associative_embedding.structures.setting_checks import NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, SHARE, Range, check


@dataclass(frozen=True)
class LinkConfig:
    """Instances of frames -> tracks. Travels with a model of the task "tracking"; others take the defaults.

    Attributes:
        by: what says that two instances are one: their "tags", where they should be at constant velocity ("motion"), or
            "both".
        tag_threshold: root mean square tag distance from which they are not.
        max_distance: distance from where a track should be, in sizes of an object, from which they are not.
        max_gap: a track may be unseen for so many frames and be found again near its place.
        memory: and for so many by its tag alone; after that it is forgotten, and a new track begins.
        min_frames: an instance has no track id before it was seen in so many frames.
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
