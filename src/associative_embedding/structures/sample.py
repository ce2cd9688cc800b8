"""One annotated image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks


@dataclass(frozen=True)
class Sample:
    """One annotated image, before it becomes a training target. Its N instances have keypoints, or masks and classes.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        keypoints: ``(N, K, 3)`` float32 x, y in image pixels and visibility (0 unlabelled, 1 occluded, 2 visible); K
            is 0 where masks are what is known.
        area: ``(N,)`` float32, square pixels.
        labelled: ``(C,)`` bool, the keypoint types (or classes) that the source of this image labels at all. What it
            never labels must be masked in the loss, not taught as absent.
        ignore: ``(H, W)`` bool, True where nothing may be learned (crowds, void, people without labels), or None.
        image_id: the id in the annotation file.
        file_name: for messages.
        masks: the N regions, or None.
        class_id: ``(N,)`` int64 in ``[0, C)``, or None where masks is.
        focus: ``(4,)`` box x, y, width, height that training views are made around, or None: the whole image.
        track_id: ``(N,)`` int64: instances of one video that have the same one are the same; or None.
        later: another frame of the same video, whose tags are compared with this one's; or None.
    """

    image: Array
    keypoints: Array
    area: Array
    labelled: Array
    ignore: Array | None = None
    image_id: int = 0
    file_name: str = ""
    masks: Masks | None = None
    class_id: Array | None = None
    focus: Array | None = None
    track_id: Array | None = None
    later: Sample | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")
        if self.keypoints.ndim != 3 or self.keypoints.shape[2] != 3:
            raise ValueError(f"keypoints must be (N, K, 3), not {self.keypoints.shape}")
        if self.masks is None and self.labelled.shape != (self.keypoints.shape[1],):
            raise ValueError(f"labelled must be (K,) = ({self.keypoints.shape[1]},), not {self.labelled.shape}")
        if self.masks is not None:
            if self.masks.size != self.image.shape[:2]:
                raise ValueError(f"masks are of an image of {self.masks.size}, not {self.image.shape[:2]}")
            if self.class_id is None or not len(self.masks) == len(self.keypoints) == len(self.class_id):
                raise ValueError("masks, keypoints and class_id must have the same length N")
