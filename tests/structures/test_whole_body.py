"""COCO-WholeBody: its face, whose points have numbers and no sides, and its hands."""

from __future__ import annotations

from associative_embedding.structures.known_skeletons import COCO_WHOLEBODY_133


def test_the_face_of_the_whole_body_is_mirrored_along_its_middle() -> None:
    face = COCO_WHOLEBODY_133.flip_index[23:91] - 23
    middle = [8, *range(27, 31), 33, 51, 57, 62, 66]  # chin, bridge and tip of the nose, lips
    assert [i for i, j in enumerate(face) if i == j] == middle
    assert face[[0, 17, 36, 48]].tolist() == [16, 26, 45, 54]  # ends of the jaw and brows, corners of eyes and mouth


def test_a_hand_is_five_fingers_from_its_root() -> None:
    hand = [edge for edge in COCO_WHOLEBODY_133.edges if edge[1].startswith("right_") and edge[1][-1] in "1234"]
    assert len(hand) == 20
    assert [a for a, b in hand if b.endswith("1")] == ["right_hand_root"] * 5
    assert ("right_middle_finger2", "right_middle_finger3") in hand


def test_both_hands_have_the_same_sigmas() -> None:
    left, right = COCO_WHOLEBODY_133.oks_sigmas[91:112], COCO_WHOLEBODY_133.oks_sigmas[112:]
    assert left == right
    assert COCO_WHOLEBODY_133.keypoints[91] == "left_hand_root"
