"""How maps become objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from associative_embedding.structures.setting_checks import NOT_NEGATIVE, POSITIVE, SHARE, Range, check


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
