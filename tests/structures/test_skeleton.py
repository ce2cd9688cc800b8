"""Skeletons: what is derived from names and edges, and the round trip through a COCO category."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.structures.keypoint_names import DEFAULT_OKS_SIGMA
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.skeleton import Skeleton


def test_flies_have_pairs() -> None:
    names = (
        "head thorax abdomen wingL wingR forelegL4 forelegR4 midlegL4 midlegR4 hindlegL4 hindlegR4 eyeL eyeR".split()
    )
    fly = Skeleton.build("fly", names, [("thorax", name) for name in names if name != "thorax"])
    assert fly.flip_index.tolist() == [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]
    assert fly.group_order[0] == "thorax"  # the hub of its edges
    assert fly.oks_sigmas[names.index("eyeL")] == 0.025
    assert fly.oks_sigmas[names.index("abdomen")] == DEFAULT_OKS_SIGMA


def test_a_side_without_counterpart_stays() -> None:
    assert Skeleton.build("one", ["left_eye", "tail"]).flip_index.tolist() == [0, 1]


def test_order_without_edges_is_as_listed_and_loose_keypoints_come_last() -> None:
    assert Skeleton.build("s", ["c", "a", "b"]).group_order == ("c", "a", "b")
    chain = Skeleton.build("s", ["loose", "tip", "middle", "end"], [("tip", "middle"), ("middle", "end")])
    assert chain.group_order == ("middle", "tip", "end", "loose")


names_strategy = st.lists(st.text("abLR_4", min_size=1, max_size=6), min_size=1, max_size=20, unique=True)


@given(names=names_strategy, data=st.data())
@settings(max_examples=40, deadline=None)
def test_category_round_trip(names: list[str], data: st.DataObject) -> None:
    pair = st.tuples(st.sampled_from(names), st.sampled_from(names))
    sigma = st.floats(0.01, 0.5)
    skeleton = Skeleton.build(
        "thing",
        names,
        data.draw(st.lists(pair, max_size=10)),
        oks_sigmas=data.draw(st.lists(sigma, min_size=len(names), max_size=len(names))),
        group_order=data.draw(st.permutations(names)),
    )
    category = json.loads(json.dumps(skeleton.to_category(7)))
    assert category["id"] == 7
    assert Skeleton.from_category(category) == skeleton
    np.testing.assert_array_equal(skeleton.flip_index[skeleton.flip_index], np.arange(len(names)))


def test_plain_coco_category() -> None:
    """The official category has no extension: sigmas and sides come from the names."""
    category = {key: COCO_17.to_category()[key] for key in ("id", "name", "keypoints", "skeleton")}
    assert replace(Skeleton.from_category(category), group_order=COCO_17.group_order) == COCO_17


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ({"name": "cat"}, "'cat' has no 'keypoints'"),
        ({"name": "cat", "keypoints": "nose"}, "has no 'keypoints'"),
        ({"name": "cat", "keypoints": [1, 2]}, "has no 'keypoints'"),
        ({"name": "cat", "keypoints": ["a", "a"]}, "names a keypoint twice"),
        ({"name": "cat", "keypoints": ["a"], "skeleton": [[1, 2]]}, r"edge \[1, 2\] is not two of the indices 1..1"),
        ({"name": "cat", "keypoints": ["a"], "skeleton": [[0, 1]]}, "edge"),
        ({"name": "cat", "keypoints": ["a"], "skeleton": [1, 2]}, "edge 1 is not"),
        ({"name": "cat", "keypoints": ["a"], "skeleton": [[1, 1, 1]]}, "edge"),
        ({"name": "cat", "keypoints": ["a"], "oks_sigmas": [0.1, 0.2]}, "needs 1 positive oks_sigmas"),
        ({"name": "cat", "keypoints": ["a"], "oks_sigmas": ["x"]}, "'cat'"),
        ({"name": "cat", "keypoints": ["a"], "oks_sigmas": [None]}, "'cat'"),
        ({"name": "cat", "keypoints": ["a"], "group_order": ["b"]}, "group_order"),
        ({"name": "cat", "keypoints": ["a", "b"], "flip_pairs": [["a", "c"]]}, "unknown keypoint"),
        ({"name": "cat", "keypoints": ["a", "b"], "flip_pairs": [["a"]]}, "'cat'"),
        ({"name": "cat", "keypoints": ["a", "b"], "flip_pairs": [["a", "a"]]}, "in two flip pairs"),
    ],
)
def test_bad_categories(category: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Skeleton.from_category(category)


def test_crowdpose_example_carries_foreign_edges(shared: Path) -> None:
    """CrowdPose's own example json has COCO's 17-keypoint edges: refused, and the message says what to do."""
    document = json.loads((shared / "reference/metrics/example_crowdpose_val.json").read_text())
    category = document["categories"][0]
    with pytest.raises(ValueError, match=r"edge \[16, 14\].*1\.\.14.*another skeleton's"):
        Skeleton.from_category(category)
    assert len(Skeleton.from_category({**category, "skeleton": []})) == 14


def test_the_order_of_a_long_chain_or_of_a_dense_skeleton_takes_no_minutes() -> None:
    names = [f"k{i}" for i in range(1000)]
    chain = Skeleton.build("s", names, list(pairwise(names)))
    assert chain.group_order[:4] == ("k499", "k500", "k498", "k501")
    ring = Skeleton.build("s", names, [*pairwise(names), (names[-1], names[0])])
    assert ring.group_order == tuple(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"k{i}" for i in range(1001)], "has 1001 keypoints; at most 1000 are read"),
        (["l_" * 5000], "has a keypoint of 10000 characters; at most 100 are read"),
    ],
)
def test_a_skeleton_beyond_the_limits_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Skeleton.from_category({"name": "s", "keypoints": names})
