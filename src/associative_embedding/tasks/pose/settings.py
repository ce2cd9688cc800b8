"""How maps become people."""

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
    """Maps -> people. Stored in the model file, as the best values depend on the weights.

    Attributes:
        threshold: heatmap value from which a peak is a detection.
        nms: side of the maximum filter's window, map pixels, odd.
        top_k: most detections of one keypoint type.
        tag_threshold: tag distance from which a detection does not join a group.
        tag_distance: "rms", the root mean square difference over the tag's dimensions, or "l2", the Euclidean distance.
        matching: how tag distance and score weigh when detections join groups, a key of `grouping.MATCHING`:
            "strength" (strong detections join strong groups), "product", "nearest", or "rounded" (published code's).
        assignment: "optimal"; "greedy" (the best pair first); or "published", optimal, and of equal solutions the one
            that published code finds: it rounds distances, so there are many.
        position: where a peak lies between pixels: "parabola", the top of a parabola; or as in published code "quarter"
            or "inner-quarter", a quarter pixel towards the higher neighbour, or "dark"; see `positions`.
        fill: fill in missing keypoints from pixels of the person's tag.
        fill_threshold: heatmap value from which a pixel can fill in a keypoint.
        fill_rule: "near" takes the highest value within the tag threshold, "rounded" the greatest value -
            round(distance), however far (published code's), among pixels from the threshold on, "published" among all.
        score: a person's score is the mean keypoint score over "all" K types, where missing ones count 0 (published
            code's); over the keypoints "found"; or "shrunk", over the keypoints found and two more of score 0.
        min_keypoints: fewest detected keypoints of a person; others are dropped.
        min_score: lowest score of a person; others are dropped.
        shown_score: lowest score of a person, calibrated if the model file has a map for it, in results and pictures of
            the commands, the service and Python calls; evaluation has no such limit.
        duplicate_oks: of two people with at least this OKS the weaker is dropped (1 = keep all).
        max_people: limit of published code, used as `crowd` states; 0 = no limit.
        crowd: what happens at `max_people`: "keep" that many, the first groups; "join": detections join only these,
            others start more people; "stop": no more keypoint types are read.
    """

    threshold: float = 0.1
    nms: int = 5
    top_k: int = 30
    tag_threshold: float = 1.0
    tag_distance: Literal["rms", "l2"] = "rms"
    matching: Literal["product", "nearest", "rounded", "strength"] = "strength"
    assignment: Literal["optimal", "greedy", "published"] = "optimal"
    position: Literal["parabola", "quarter", "inner-quarter", "dark"] = "parabola"
    fill: bool = True
    fill_threshold: float = 0.05
    fill_rule: Literal["near", "rounded", "published"] = "near"
    score: Literal["all", "found", "shrunk"] = "all"
    min_keypoints: int = 1
    min_score: float = 0.0
    shown_score: float = 0.2
    duplicate_oks: float = 0.7
    max_people: int = 0
    crowd: Literal["keep", "join", "stop"] = "keep"

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "nms": ("odd and positive", lambda v: v > 0 and v % 2 == 1),
            "top_k": ONE_OR_MORE,
            "min_keypoints": NOT_NEGATIVE,
            "max_people": NOT_NEGATIVE,
            "min_score": SHARE,
            "shown_score": SHARE,
            "duplicate_oks": ABOVE_0,
        }
        check("decode.", self, ranges | dict.fromkeys(("threshold", "tag_threshold", "fill_threshold"), POSITIVE))
