"""The keypoints of COCO-WholeBody: the body of COCO, feet, face and hands (Jin et al., ECCV 2020)."""

from __future__ import annotations

from itertools import pairwise

from associative_embedding.structures.keypoint_sides import derive_flip_pairs
from associative_embedding.structures.skeleton import Skeleton

SIDES = ("left", "right")
FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
FEET = [f"{side}_{part}" for side in SIDES for part in ("big_toe", "small_toe", "heel")]
FACE = [f"face-{i}" for i in range(68)]
# from the wrist to the tips
CHAINS = [[f"{side}_hand_root", *(f"{side}_{finger}{i}" for i in range(1, 5))] for side in SIDES for finger in FINGERS]
HANDS = list(dict.fromkeys(name for chain in CHAINS for name in chain))

# Pairs of points of the face: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips 48-67. Points in the middle are in no
# pair.
FACE_PAIRS = (
    *((i, 16 - i) for i in range(8)),
    *((i, 43 - i) for i in range(17, 22)),
    *((31, 35), (32, 34)),
    *((i, 81 - i) for i in range(36, 40)),
    *((40, 47), (41, 46)),
    *((i, 102 - i) for i in range(48, 51)),
    *((55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)

# Sigmas in thousandths, as in COCO-WholeBody's own evaluation code.
FEET_SIGMAS = "68 66 66 92 94 94"
FACE_SIGMAS = (
    "42 43 44 43 40 35 31 25 20 23 29 32 37 38 43 41 45 13 12 11 11 12 12 11 11 13 15 9 7 7 7 12 9 8 16 "
    "10 17 11 9 11 9 7 13 8 11 12 10 34 8 8 9 8 8 7 10 8 9 9 9 7 7 8 11 8 8 8 10 8"
)
HAND_SIGMAS = "29 22 35 37 47 26 25 24 35 18 24 22 26 17 21 21 32 20 19 22 31"


def extend_to_whole_body(body: Skeleton) -> Skeleton:
    """Returns the skeleton of 133 keypoints that begins with COCO's body."""
    names = [*body.keypoints, *FEET, *FACE, *HANDS]
    edges = [*body.edges, *((f"{name.split('_')[0]}_ankle", name) for name in FEET)]
    edges += [edge for chain in CHAINS for edge in pairwise(chain)]
    thousandths = f"{FEET_SIGMAS} {FACE_SIGMAS} {HAND_SIGMAS} {HAND_SIGMAS}".split()
    return Skeleton.build(
        body.name,
        names,
        edges,
        oks_sigmas=[*body.oks_sigmas, *(int(sigma) / 1000 for sigma in thousandths)],
        group_order=names,
        flip_pairs=[*derive_flip_pairs(names), *((FACE[i], FACE[j]) for i, j in FACE_PAIRS)],
    )
