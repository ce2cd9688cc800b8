"""Instances for the tests of other libraries' containers."""

from __future__ import annotations

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.known_skeletons import LSP_14
from associative_embedding.structures.masks import Masks


def found(n: int = 2, *, masks: bool = False, tracks: bool = False) -> Instances:
    rng = np.random.default_rng(0)
    k = 0 if masks else len(LSP_14)
    keypoints = rng.uniform(1, 50, (n, k, 3)).astype(np.float32)
    keypoints[..., 2] /= 50
    if k:
        keypoints[:, 3] = 0
    labels = np.zeros((60, 80), int)
    labels[10:20, 30:50], labels[40:45, 0:5] = 1, 2
    labels[12, 31] = 0
    return Instances(
        score=np.linspace(0.9, 0.5, n).astype(np.float32),
        class_id=np.full(n, 1),
        tag=np.zeros((n, 1), np.float32),
        keypoints=keypoints,
        image_size=(60, 80),
        skeleton=None if masks else LSP_14,
        masks=Masks.from_labels(labels, n) if masks else None,
        track_id=np.array([7, -1])[:n] if tracks else None,
        class_names={1: "nucleus"} if masks else {},
    )
