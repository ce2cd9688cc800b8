"""Names of keypoints: their side and what remains."""

from __future__ import annotations

import pytest

from associative_embedding.structures.keypoint_names import split_side


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("left_wrist", ("l", "wrist")),
        ("wrist-left", ("l", "wrist")),
        ("RightWrist", ("r", "wrist")),
        ("LWrist", ("l", "wrist")),
        ("RHip", ("r", "hip")),
        ("wristL", ("l", "wrist")),
        ("eyeR", ("r", "eye")),
        ("l_wrist", ("l", "wrist")),
        ("Nose_R", ("r", "nose")),
        ("wrist l", ("l", "wrist")),
        ("forelegL4", ("l", "foreleg4")),
        ("forelegR4", ("r", "foreleg4")),
        ("leg_L2", ("l", "leg_2")),
        ("leg_r_2", ("r", "leg__2")),
        ("left", ("l", "")),
        *(
            (name, None)
            for name in ("tail", "bill", "ear", "nose", "rear", "lip", "L4", "T4", "EAR", "LR", "l", "tail2")
        ),
    ],
)
def test_split_side(name: str, side: tuple[str, str] | None) -> None:
    assert split_side(name) == side
