"""Each keypoint of the image belongs to one person."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.pose.shared_keypoints import SAME, is_shared, settle

SIZE = np.array([100.0, 100.0])


def people(*rows: list[list[float]]) -> Array:
    return np.array(rows, np.float32)


WRIST = people([[50, 50, 0.6], [10, 10, 0.9]], [[52, 50, 0.8], [80, 80, 0.9]])  # the first type is in one place


def test_the_highest_claim_keeps_the_keypoint() -> None:
    nothing = np.zeros_like(WRIST)
    settled = settle(WRIST, nothing, np.array([[0.9, 0], [0.1, 0]]), SIZE)
    assert settled[0].tolist() == WRIST[0].tolist()
    assert settled[1].tolist() == [[0, 0, 0], WRIST[1, 1].tolist()]
    assert (WRIST[1, 0] == people([[52, 50, 0.8]])[0, 0]).all()  # the argument stays


def test_the_others_get_their_other_keypoint_if_it_is_free() -> None:
    other = people([[90, 20, 0.3], [0, 0, 0]], [[20, 90, 0.2], [0, 0, 0]])
    claim = np.array([[0.1, 0], [0.9, 0]])
    assert settle(WRIST, other, claim, SIZE)[0, 0].tolist() == other[0, 0].tolist()
    other[0, 0, :2] = 53, 50
    assert settle(WRIST, other, claim, SIZE)[0, 0].tolist() == [0, 0, 0]


def test_another_type_or_place_is_not_shared() -> None:
    apart = people([[50, 50, 0.6], [10, 10, 0.9]], [[56, 50, 0.8], [50, 50, 0.9]])
    assert (settle(apart, np.zeros_like(apart), np.ones((2, 2)), SIZE) == apart).all()
    assert (settle(WRIST, np.zeros_like(WRIST), np.ones((2, 2)), SIZE / 10) == WRIST).all()  # small people are near
    nobody = np.zeros((0, 2, 3))
    assert settle(nobody, nobody, np.zeros((0, 2)), np.zeros(0)).shape == (0, 2, 3)


@given(seed=st.integers(0, 9999), count=st.integers(0, 9))
@settings(deadline=None, max_examples=50)
def test_nothing_is_shared_afterwards(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints, other = rng.uniform(0, 1, (2, count, 3, 3)) * np.array([30, 30, 1])
    keypoints[rng.random((count, 3)) < 0.3] = 0
    size = rng.uniform(50, 200, count)
    settled = settle(keypoints, other, rng.random((count, 3)), size)
    assert not is_shared(settled, SAME * np.minimum(size[:, None], size)).any()
    changed = (settled != keypoints).any(axis=2)
    assert ((settled == other) | (settled == 0)).all(axis=2)[changed].all()
