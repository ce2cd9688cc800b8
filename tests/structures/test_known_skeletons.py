"""The skeletons that have a name: published values, and how they are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.structures.keypoint_sides import split_side
from associative_embedding.structures.known_skeletons import COCO_17, MPII_16, SKELETONS
from associative_embedding.structures.skeleton import Skeleton

# sigmas of the official COCO keypoint metric
COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000


# grouped in the order of the annotations, as their published models are; all others in the paper's order
AS_LISTED = {"aic-14": "aic", "mhp-16": "mhp", "coco-wholebody-133": "coco_wholebody"}  # key -> name in the zoo


@pytest.mark.parametrize("key", SKELETONS)
def test_constants(key: str) -> None:
    skeleton = SKELETONS[key]
    count = len(skeleton)
    assert count == int(key.rsplit("-", 1)[1])
    assert sorted(skeleton.group_index) == list(range(count))
    np.testing.assert_array_equal(skeleton.flip_index[skeleton.flip_index], np.arange(count))
    face = {i for i, name in enumerate(skeleton.keypoints) if name.startswith("face")}  # numbered, without a side
    for i, j in enumerate(skeleton.flip_index):
        a, b = skeleton.keypoints[i], skeleton.keypoints[j]
        assert (i in face) == (j in face)
        if i not in face:
            assert a.replace("left", "right") == b.replace("left", "right")
            assert (i == j) == (split_side(a) is None)
    # a mirrored edge is an edge: no limb was forgotten on one side
    edges = {frozenset(edge) for edge in skeleton.edge_index.tolist()}
    assert {frozenset(skeleton.flip_index[list(edge)].tolist()) for edge in edges} == edges
    assert {i for edge in edges for i in edge} == set(range(count)) - face


@pytest.mark.parametrize("key", [key for key in SKELETONS if key not in AS_LISTED])
def test_head_and_torso_are_grouped_before_the_ends_of_the_limbs(key: str) -> None:
    """Paper, section 3.3."""
    order = SKELETONS[key].group_order
    for side in ("left", "right"):
        arm = [order.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist")]
        leg = [order.index(f"{side}_{part}") for part in ("hip", "knee", "ankle")]
        assert arm == sorted(arm)
        assert leg == sorted(leg)


def test_published_values() -> None:
    np.testing.assert_allclose(COCO_17.sigmas, COCO_SIGMAS)
    assert COCO_17.flip_index.tolist() == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert COCO_17.group_index.tolist() == [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]
    assert MPII_16.keypoints[0] == "right_ankle"
    assert MPII_16.keypoints[9] == "head_top"


@pytest.mark.parametrize("key", ["coco-17", *AS_LISTED])
def test_published_skeletons(shared: Path, key: str) -> None:
    skeleton = SKELETONS[key]
    content = json.loads((shared / "reference/zoo/skeletons.json").read_text())[AS_LISTED.get(key, "coco")]
    assert list(skeleton.keypoints) == content["keypoints"]
    assert [list(edge) for edge in skeleton.edges] == content["edges"]
    assert skeleton.flip_index.tolist() == content["flip_index"]
    assert list(skeleton.oks_sigmas) == content["sigmas"]
    assert skeleton.group_index.tolist() == content["group_order_mmpose"]


@pytest.mark.parametrize("key", SKELETONS)
def test_constants_round_trip(key: str) -> None:
    assert Skeleton.from_category(SKELETONS[key].to_category()) == SKELETONS[key]
