"""Which keypoints lie inside of an image, and the box around the labelled ones."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.keypoints import hide_outside, labelled_xyxy


def test_hidden_keypoints_keep_their_place() -> None:
    keypoints = np.array([[[0, 0, 2], [9.9, 4.9, 1], [10, 2, 2], [2, 5, 2], [-0.1, 2, 1], [3, 3, 0]]], np.float32)
    hidden = hide_outside(keypoints, (5, 10))
    assert hidden[0, :, 2].tolist() == [2, 1, 0, 0, 0, 0]
    assert np.array_equal(hidden[..., :2], keypoints[..., :2])
    assert keypoints[0, 2, 2] == 2
    assert hidden.dtype == np.float32


def test_the_box_is_around_labelled_keypoints_alone() -> None:
    keypoints = np.array([[[3, 8, 1], [5, 2, 2], [100, 100, 0]], [[4, 9, 2], [0, 0, 0], [0, 0, 0]]])
    assert labelled_xyxy(keypoints).tolist() == [3, 2, 5, 9]
    assert labelled_xyxy(keypoints[0]).tolist() == [3, 2, 5, 8]
    assert labelled_xyxy(keypoints[:, 2]) is None
    assert labelled_xyxy(keypoints[:0]) is None
