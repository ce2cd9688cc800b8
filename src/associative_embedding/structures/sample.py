"""A sample: one annotated image. The letters of the shapes are explained in `associative_embedding.structures`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks


@dataclass(frozen=True)
class Sample:
    """One annotated image with N instances, which have either keypoints, or masks and classes.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        keypoints: ``(N, K, 3)`` float32 x, y in image pixels and visibility (0 unlabelled, 1 occluded, 2 visible);
            K = 0 for masks.
        area: ``(N,)`` float32, square pixels.
        labelled: ``(C,)`` bool, the keypoint types (or classes) that the source of the image labels. The loss masks
            the others: an unlabelled keypoint is not an absent one.
        ignore: ``(H, W)`` bool, True where nothing is taught (crowds, void, people without labels), or None.
        image_id: id in the annotation file.
        file_name: name of the image file, for messages.
        masks: N masks, or None.
        class_id: ``(N,)`` int64 in ``[0, C)``, or None without masks.
        focus: ``(4,)`` x, y, width, height of the box that training views show, or None for the whole image.
        track_id: ``(N,)`` int64, equal for one instance in all frames of a video, or None.
        later: a later frame of the same video for the tag loss of tracks, or None.

    Raises:
        ValueError: for an array of another shape or type.
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
        # for masks, C is the number of classes, which no other field states
        if self.masks is None and self.labelled.shape != (self.keypoints.shape[1],):
            raise ValueError(f"labelled must be (K,) = ({self.keypoints.shape[1]},), not {self.labelled.shape}")
        if self.masks is not None:
            if self.masks.size != self.image.shape[:2]:
                raise ValueError(
                    f"masks are for an image of {self.masks.size}, but the image is {self.image.shape[:2]}"
                )
            if self.class_id is None or not len(self.masks) == len(self.keypoints) == len(self.class_id):
                raise ValueError("masks, keypoints and class_id must have the same length N")
