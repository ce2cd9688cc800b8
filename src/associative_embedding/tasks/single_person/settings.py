"""How people are cropped for a single-person model, and when its keypoints replace the old ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import crop_boxes
from associative_embedding.structures.setting_checks import ABOVE_0, NOT_NEGATIVE, POSITIVE, SHARE, Range, check

RefineRule = Literal["agreement", "published"]
RefineViews = Literal["all", "sizes", "one"]


@dataclass(frozen=True)
class RefineConfig:
    """How a person is cropped, and when the refined keypoints are used. These settings travel with the model.

    Training, validation and prediction crop people alike.

    Attributes:
        margin: longer side of the crop, as a multiple of the longer side of the box around the person's keypoints.
        beside: room on both sides of the shorter side of the box, as a share of the longer side. A crop is no wider
            than a square, so a large value makes all crops square.
        min_size: smallest longer side of a crop, image pixels.
        threshold: heatmap value from which a refined keypoint is used.
        distance: distance up to which an old and a refined keypoint agree, as a share of the longer side of the box.
        agree: share of the person's keypoints that must agree; otherwise all refined keypoints are discarded.
        duplicate_oks: of two refined people with at least this OKS the weaker is dropped (1 = keep all).
        rule: "agreement" (this project's): distances grow with the person, only keypoints from `threshold` on are used,
            the agreement changes scores, and duplicates are dropped. "published" (the paper's demo code): keypoints
            agree within 10 image pixels, a missing keypoint is filled in whatever its heatmap value, scores of people
            stay, nobody is dropped, crops are squares, and keypoints lie a quarter pixel towards the higher neighbour.
            `beside`, `distance` and `duplicate_oks` then have no effect.
    """

    margin: float = 1.3
    beside: float = 0.25
    min_size: float = 60.0
    threshold: float = 0.15
    distance: float = 0.1
    agree: float = 0.2
    duplicate_oks: float = 0.8
    rule: RefineRule = "agreement"

    def __post_init__(self) -> None:
        ranges: dict[str, Range] = {
            "beside": NOT_NEGATIVE,
            "margin": ("at least 1", lambda v: 1 <= v < math.inf),
            "agree": SHARE,
            "duplicate_oks": ABOVE_0,
        }
        check("refine.", self, ranges | dict.fromkeys(("min_size", "threshold", "distance"), POSITIVE))

    @property
    def squares(self) -> bool:
        """Whether the crops of all people are squares."""
        return self.rule == "published" or 2 * self.beside >= self.margin

    def crops(self, xywh: Array) -> Array:
        """Returns the ``(N, 4)`` boxes x, y, width, height to crop around N people, see `crop_boxes`.

        Args:
            xywh: ``(N, 4)`` boxes around the keypoints of each person, image pixels.
        """
        beside = math.inf if self.rule == "published" else self.beside
        return crop_boxes(xywh, margin=self.margin, min_size=self.min_size, beside=beside)
