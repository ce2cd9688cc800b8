"""Frames of boxes with tags, for the tests of tracking."""

from __future__ import annotations

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.skeleton import Skeleton

BOX = Skeleton.from_category({"name": "box", "keypoints": ["a", "b"], "skeleton": [[1, 2]]})
SIZE = (200, 400)


def seen(centre: object, tag: object, score: object = 0.9, class_id: object = 1, side: float = 20) -> Instances:
    """Squares of a side at some centres."""
    xy = np.array(centre, float).reshape(-1, 2)
    keypoints = np.ones((len(xy), 2, 3), np.float32)
    keypoints[:, 0, :2], keypoints[:, 1, :2] = xy - side / 2, xy + side / 2
    n = len(xy)
    return Instances(
        score=np.broadcast_to(np.asarray(score, np.float32), n).copy(),
        class_id=np.broadcast_to(np.asarray(class_id, np.int64), n).copy(),
        tag=np.array(tag, np.float32).reshape(n, -1) if n else np.zeros((0, 1), np.float32),
        keypoints=keypoints,
        image_size=SIZE,
        skeleton=BOX,
    )
