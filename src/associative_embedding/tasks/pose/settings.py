"""Settings that travel with a model: how its maps become people, objects or tracks. Their best values depend on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from associative_embedding.ranges import ABOVE_0, NOT_NEGATIVE, ONE_OR_MORE, POSITIVE, SHARE, Range, check


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


@dataclass(frozen=True)
class MaskDecodeConfig:
    """Maps -> objects. Travels with the model, as the best values depend on it.

    Attributes:
        threshold: heatmap value from which a pixel is foreground.
        bandwidth: root mean square tag distance that two objects' tags lie apart at least.
        regions: pixels share an object only inside of one connected region, and an object is one connected region.
            Otherwise tags alone decide (the paper's).
        min_weight: a mode needs so much foreground (map pixels times their heat) around it.
        min_size: connected regions with fewer image pixels are dropped.
        min_score: objects with a lower score are dropped.
        scales: several input sizes give "proposals" each, of which NMS leaves the best (the paper's), or have their
            heatmaps averaged and their tags "stacked", as for poses.
        nms_iou: of two proposals of a class with a larger mask IoU only the better one stays.
    """

    threshold: float = 0.5
    bandwidth: float = 0.5
    regions: bool = True
    min_weight: float = 2.0
    min_size: int = 10
    min_score: float = 0.0
    shown_score: float = 0.2
    scales: Literal["proposals", "stacked"] = "proposals"
    nms_iou: float = 0.5

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "threshold": POSITIVE,
            "bandwidth": POSITIVE,
            "min_weight": NOT_NEGATIVE,
            "min_size": NOT_NEGATIVE,
            "min_score": SHARE,
            "shown_score": SHARE,
            "nms_iou": SHARE,
        }
        check("mask_decode.", self, ranges)


@dataclass(frozen=True)
class RefineConfig:
    """How a single-person model sees a person and when it is believed. Travels with the model.

    Attributes:
        margin: side of the square crop, relative to the longer side of the box around the person's keypoints.
        min_size: smallest side of a crop, image pixels.
        threshold: heatmap value from which a new keypoint is believed.
        distance: up to which an old and a new keypoint agree, relative to the longer side of the box.
        agree: share of the person's keypoints that must agree, else all the new ones are discarded.
        duplicate_oks: of two people with at least this OKS after the second look the weaker is dropped (1 = keep all).
    """

    margin: float = 1.3
    min_size: float = 60.0
    threshold: float = 0.15
    distance: float = 0.1
    agree: float = 0.2
    duplicate_oks: float = 0.8

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "margin": ("at least 1", lambda v: 1 <= v < math.inf),
            "agree": SHARE,
            "duplicate_oks": ABOVE_0,
        }
        check("refine.", self, ranges | dict.fromkeys(("min_size", "threshold", "distance"), POSITIVE))
