"""How maps become objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from associative_embedding.structures.setting_checks import ABOVE_0, NOT_NEGATIVE, POSITIVE, SHARE, Range, check


@dataclass(frozen=True)
class MaskDecodeConfig:
    """Maps -> objects. Stored in the model file, as the best values depend on the weights.

    Attributes:
        threshold: heatmap value from which a pixel is foreground.
        bandwidth: least distance of two objects' tags (root mean square over the tag's dimensions).
        valley: two modes that touch are one object if the density of tags between them is nowhere below this share of
            the lower mode's, see `join_touching`; 1 = never (the paper's).
        regions: an object is one connected region of the foreground, and tags divide each region. Without it tags alone
            decide, and an object may have several parts (the paper's).
        min_weight: a mode needs at least this much foreground around it, the sum of the heatmap over map pixels.
        min_size: smallest connected region, image pixels; smaller ones are dropped.
        min_score: lowest score of an object (mean heatmap value inside its mask); others are dropped.
        shown_score: lowest score of an object, calibrated if the model file has a map for it, in results and pictures
            of the commands, the service and Python calls; evaluation has no such limit. No raw score is below
            `threshold`.
        scales: with several input sizes, each gives "proposals", of which NMS keeps the best (the paper's); or heatmaps
            are averaged and tags "stacked", as for poses.
        nms_iou: mask IoU above which the weaker of two proposals of a class is dropped.
    """

    threshold: float = 0.5
    bandwidth: float = 0.5
    valley: float = 1.0
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
            "valley": ABOVE_0,
            "min_weight": NOT_NEGATIVE,
            "min_size": NOT_NEGATIVE,
            "min_score": SHARE,
            "shown_score": SHARE,
            "nms_iou": SHARE,
        }
        check("mask_decode.", self, ranges)
