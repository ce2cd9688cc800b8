"""Instances -> `KeyPoints` and `Detections` of supervision (github.com/roboflow/supervision), for its annotators.

Both use image pixels. supervision does not state where the centre of a pixel lies, so coordinates are not shifted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from associative_embedding.instances.found import Found
from associative_embedding.io.optional_packages import need


def to_keypoints(instances: Found) -> Any:
    """Converts instances with keypoints.

    Returns:
        ``sv.KeyPoints``: ``xy (N, K, 2)`` and scores ``(N, K)``, all 0 for a keypoint that was not found; ``class_id``
        and ``data["class_name"]``.

    Raises:
        ValueError: when supervision is not installed, or the instances have no keypoints.
    """
    if instances.skeleton is None:
        raise ValueError("these instances have no keypoints; to_detections takes masks")
    sv = need("supervision", "supervision")
    return sv.KeyPoints(
        xy=instances.keypoints[:, :, :2].astype(np.float32),
        keypoint_confidence=instances.keypoints[:, :, 2].astype(np.float32),
        detection_confidence=instances.score.astype(np.float32),
        # Its annotators draw what is visible; score 0 marks a keypoint that was not found.
        visible=instances.keypoints[:, :, 2] > 0,
        class_id=instances.class_id.astype(int),
        data={"class_name": instances.class_name},
    )


def to_detections(instances: Found) -> Any:
    """Converts the boxes, and the masks if there are any.

    Returns:
        ``sv.Detections``: boxes ``xyxy (N, 4)``, scores, class and track ids, ``mask (N, H, W)`` bool if there are
        masks, and ``data["class_name"]``.

    Raises:
        ValueError: when supervision is not installed.
    """
    sv = need("supervision", "supervision")
    xywh = instances.xywh
    return sv.Detections(
        xyxy=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32),
        # Dense masks, as its annotators need them; a slide with thousands of objects does not fit into memory so.
        mask=None if instances.masks is None else instances.masks.dense(),
        confidence=instances.score.astype(np.float32),
        class_id=instances.class_id.astype(int),
        tracker_id=None if instances.track_id is None else instances.track_id.astype(int),
        data={"class_name": instances.class_name},
    )
