"""Settings that travel with a model: how its maps become people, objects or tracks. Their best values depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from associative_embedding.structures.setting_checks import (
    ABOVE_0,
    NOT_NEGATIVE,
    ONE_OR_MORE,
    POSITIVE,
    SHARE,
    Range,
    check,
)


@dataclass(frozen=True)
class DecodeConfig:
    """Maps -> people. Travels with the model, as the best values depend on it.

    Attributes:
        threshold: heatmap value from which a peak is a detection.
        nms: window of the maximum filter, map pixels (odd).
        top_k: detections of one keypoint type at most.
        tag_threshold: tag distance up to which a detection may join a group.
        tag_distance: over the tag's dimensions, their root mean square difference, or the Euclidean distance "l2".
        matching: how tag distance and score weigh when detections join groups, a key of `grouping.MATCHING` ("rounded":
            as published; "strength": strong detections go to strong groups).
        assignment: the "optimal" one, or "greedy", the best pair first.
        fill: look for the keypoints a person lacks, at its tag.
        fill_threshold: heatmap value from which a filled-in keypoint is taken.
        fill_rule: "near" takes the highest value within the tag threshold, "rounded" the greatest value -
            round(distance), however far (as published).
        score: person score = mean keypoint score over "all" K types (missing ones count 0, as published), over those
            "found", or "shrunk": over those found and two more of score 0.
        min_keypoints: people with fewer detected keypoints are dropped.
        min_score: people with a lower score are dropped.
        shown_score: lowest score of a person in results and pictures of the commands; Python calls and evaluation have
            no such limit.
        duplicate_oks: of two people with at least this OKS the weaker is dropped (1 = keep all).
    """

    threshold: float = 0.1
    nms: int = 5
    top_k: int = 30
    tag_threshold: float = 1.0
    tag_distance: Literal["rms", "l2"] = "rms"
    matching: Literal["product", "nearest", "rounded", "strength"] = "strength"
    assignment: Literal["optimal", "greedy"] = "optimal"
    fill: bool = True
    fill_threshold: float = 0.05
    fill_rule: Literal["near", "rounded"] = "near"
    score: Literal["all", "found", "shrunk"] = "all"
    min_keypoints: int = 1
    min_score: float = 0.0
    shown_score: float = 0.2
    duplicate_oks: float = 0.7

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "nms": ("odd and positive", lambda v: v > 0 and v % 2 == 1),
            "top_k": ONE_OR_MORE,
            "min_keypoints": NOT_NEGATIVE,
            "min_score": SHARE,
            "shown_score": SHARE,
            "duplicate_oks": ABOVE_0,
        }
        check("decode.", self, ranges | dict.fromkeys(("threshold", "tag_threshold", "fill_threshold"), POSITIVE))
