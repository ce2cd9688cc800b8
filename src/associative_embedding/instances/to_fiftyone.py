"""Instances -> labels of FiftyOne (docs.voxel51.com), whose coordinates are shares of the width and height, 0 to 1."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from associative_embedding.instances.found import Found
from associative_embedding.io.optional_packages import need


def to_fiftyone(path: str | Path, instances: Found) -> Any:
    """Returns a ``fiftyone.Sample`` of an image, to add to a dataset.

    Its fields are ``detections`` (boxes, and masks if there are any) and, for instances with keypoints, ``keypoints``
    in the order of the skeleton; a keypoint that was not found is NaN.

    Args:
        path: of the image.
        instances: found in it.

    Raises:
        ValueError: when fiftyone is not installed.
    """
    fo = need("fiftyone", "fiftyone")
    sample = fo.Sample(filepath=str(path))
    sample["detections"] = to_detections(instances)
    if instances.skeleton is not None:
        sample["keypoints"] = to_keypoints(instances)
    return sample


def to_detections(instances: Found) -> Any:
    """Returns ``fiftyone.Detections``: boxes x, y, width, height, scores, and masks within their boxes.

    Raises:
        ValueError: when fiftyone is not installed.
    """
    fo = need("fiftyone", "fiftyone")
    height, width = instances.image_size
    labels = []
    for i, (x, y, w, h) in enumerate(instances.xywh.tolist()):
        mask = {}
        if instances.masks is not None:  # the box must be that of the crop, which may be larger than the region in it
            mask = {"mask": instances.masks.crops[i]}
            (y, x), (h, w) = instances.masks.corners[i].tolist(), instances.masks.crops[i].shape
        box = [x / width, y / height, w / width, h / height]
        labels.append(
            fo.Detection(bounding_box=box, confidence=float(instances.score[i]), **named(instances, i), **mask)
        )
    return fo.Detections(detections=labels)


def to_keypoints(instances: Found) -> Any:
    """Returns ``fiftyone.Keypoints``: the points of each instance and their scores.

    Raises:
        ValueError: when fiftyone is not installed.
    """
    fo = need("fiftyone", "fiftyone")
    height, width = instances.image_size
    labels = []
    for i, keypoints in enumerate(instances.keypoints.tolist()):
        points = [(x / width, y / height) if score > 0 else (math.nan, math.nan) for x, y, score in keypoints]
        labels.append(fo.Keypoint(points=points, confidence=[k[2] for k in keypoints], **named(instances, i)))
    return fo.Keypoints(keypoints=labels)


def named(instances: Found, i: int) -> dict[str, Any]:
    """Returns the label of an instance and, if it has one, its track."""
    track = -1 if instances.track_id is None else int(instances.track_id[i])
    return {"label": str(instances.class_name[i]), **({} if track < 0 else {"index": track})}
