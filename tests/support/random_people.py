"""Instances with random keypoints."""

from __future__ import annotations

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.skeleton import Skeleton


def made(n: int, source: str = "a.jpg", skeleton: Skeleton = COCO_17, class_id: int = 1, seed: int = 0) -> Instances:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0.1, 1, (n, len(skeleton), 3)).astype(np.float32) * np.array([64, 48, 1], np.float32)
    image = np.full((48, 64, 3), 90, np.uint8)
    score = np.sort(rng.uniform(0.1, 1, n).astype(np.float32))[::-1]
    return Instances(score, np.full(n, class_id), np.zeros((n, 1)), keypoints, (48, 64), skeleton, image, source)
