"""Drawn figures: labels on their dots, left and right told apart, the data set reads back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.synthetic.bones import bone_tree, graph_layout, rest_layout, torso_of
from associative_embedding.data.synthetic.figures import colours, synthetic_sample, write_synthetic_dataset
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.structures.known_skeletons import COCO_17, CROWDPOSE_14, LSP_14, MPII_16
from associative_embedding.structures.skeleton import Skeleton

FLY = Skeleton.build(
    "fly",
    ["head", "thorax", "abdomen", "wingL", "wingR", "legL", "legR", "eyeL", "eyeR"],
    [("head", "thorax"), ("thorax", "abdomen")]
    + [(a, b + side) for a, b in (("thorax", "wing"), ("abdomen", "leg"), ("head", "eye")) for side in "LR"],
)
CHAIN = Skeleton.build("worm", ["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "d")])
DOT = Skeleton.build("dot", ["only"], [])
LOOSE = Skeleton.build("loose", ["a", "b", "c"], [("a", "b")])
ALL = [COCO_17, CROWDPOSE_14, MPII_16, LSP_14, FLY, CHAIN, DOT, LOOSE]


@pytest.mark.parametrize("skeleton", ALL, ids=lambda s: f"{s.name}-{len(s.keypoints)}")
@pytest.mark.parametrize("sided", [True, False])
def test_each_keypoint_lies_on_its_dot(skeleton: Skeleton, sided: bool) -> None:
    """Visible and not beside another dot: the pixel has the colour of the keypoint's type."""
    dots, _ = colours(skeleton, sided)
    right = total = 0
    for seed in range(6):
        sample = synthetic_sample(np.random.default_rng(seed), skeleton, (200, 240), (1, 2), sided=sided)
        for person in sample.keypoints:
            for k, (x, y, v) in enumerate(person):
                if v == 2:
                    total += 1
                    right += bool((sample.image[int(y), int(x)] == dots[k]).all())
    assert total > 0
    assert right / total > 0.8  # the others lie under a later dot of the same figure


@pytest.mark.parametrize("skeleton", [COCO_17, MPII_16, LSP_14, CROWDPOSE_14, FLY], ids=lambda s: str(len(s.keypoints)))
def test_left_is_on_the_right_of_the_picture(skeleton: Skeleton) -> None:
    rest = rest_layout(skeleton)
    for left, right in skeleton.flip_pairs:
        a, b = rest[skeleton.keypoints.index(left)], rest[skeleton.keypoints.index(right)]
        assert a[0] > 0.02
        assert np.allclose(a, b * (-1, 1))
    names = list(skeleton.keypoints)
    if "left_ankle" in names:  # a person stands on the feet
        assert rest[names.index("left_ankle"), 1] == rest[:, 1].max()


@pytest.mark.parametrize("skeleton", [FLY, CHAIN, DOT, LOOSE], ids=lambda s: s.name)
def test_graph_layout_is_fixed_bounded_and_spread(skeleton: Skeleton) -> None:
    layout = graph_layout(skeleton)
    assert np.array_equal(layout, graph_layout.__wrapped__(skeleton))
    assert np.abs(layout).max() <= 1
    apart = np.hypot(*(layout[:, None] - layout[None]).T) + 9 * np.eye(len(layout))
    assert apart.min() > 0.1


@pytest.mark.parametrize("skeleton", ALL, ids=lambda s: f"{s.name}-{len(s.keypoints)}")
def test_bones_are_a_spanning_forest(skeleton: Skeleton) -> None:
    tree = bone_tree(skeleton)
    edges = {frozenset(e) for e in skeleton.edge_index.tolist()}
    children = [child for _, child, _ in tree]
    assert len(set(children)) == len(children)
    assert all(frozenset((a, b)) in edges for a, b, _ in tree)
    parts = {DOT: 1, LOOSE: 2}.get(skeleton, 1)
    assert len(children) == len(skeleton.keypoints) - parts


def test_the_torso_is_what_circles_hold() -> None:
    names = {COCO_17.keypoints[k] for k in torso_of(COCO_17)}
    assert {"left_shoulder", "right_hip", "nose"} <= names
    assert not {"left_elbow", "left_wrist", "right_knee", "right_ankle"} & names
    assert torso_of(MPII_16) == set()


def test_covered_keypoints_are_occluded_and_outer_ones_hidden() -> None:
    found = set()
    for seed in range(20):
        sample = synthetic_sample(np.random.default_rng(seed), COCO_17, (128, 128), (3, 4))
        x, y, v = np.moveaxis(sample.keypoints, 2, 0)
        inside = (x >= 0) & (y >= 0) & (x < 128) & (y < 128)
        assert ((v > 0) == inside).all()
        assert (sample.keypoints[-1, :, 2] != 1).all() or len(sample.keypoints) < 3  # nobody covers the last
        found.update(np.unique(v).tolist())
    assert found == {0, 1, 2}


def test_sides_have_colours_only_if_asked() -> None:
    dots, limbs = colours(COCO_17, True)
    assert len(np.unique(limbs, axis=0)) >= 3
    assert len(np.unique(dots, axis=0)) == 17
    dots, limbs = colours(COCO_17, False)
    assert np.array_equal(dots, dots[COCO_17.flip_index])
    assert len(np.unique(limbs, axis=0)) == 1


def test_seeds_counts_and_sizes() -> None:
    def draw(seed: int, **options: object):  # type: ignore[no-untyped-def]
        return synthetic_sample(np.random.default_rng(seed), COCO_17, **options)

    assert np.array_equal(draw(1).image, draw(1).image)
    assert not np.array_equal(draw(1).image, draw(2).image)
    assert draw(0, people=(0, 0)).keypoints.shape == (0, 17, 3)
    assert {len(draw(s, people=(2, 4)).keypoints) for s in range(20)} == {2, 3, 4}
    assert draw(0, size=(1, 1)).image.shape == (1, 1, 3)
    assert (draw(3).area > 0).all()
    for people, size in (((2, 1), (9, 9)), ((-1, 1), (9, 9)), ((1, 1), (0, 9))):
        with pytest.raises(ValueError, match="synthetic"):
            draw(0, people=people, size=size)


@pytest.mark.parametrize("skeleton", [COCO_17, FLY], ids=lambda s: s.name)
def test_the_written_data_set_reads_back(tmp_path: Path, skeleton: Skeleton) -> None:
    path = write_synthetic_dataset(tmp_path, skeleton, 4, 5, size=(90, 120), people=(0, 3))
    assert load_skeleton(str(path)) == skeleton
    data = CocoKeypoints(str(path), str(tmp_path / "images"), skeleton, people_only=False)
    assert data.image_ids == [1, 2, 3, 4]
    for i in range(4):
        drawn = synthetic_sample(np.random.default_rng((5, i + 1)), skeleton, (90, 120), (0, 3), image_id=i + 1)
        read = data[i]
        visible = drawn.keypoints[..., 2:] > 0
        assert np.allclose(read.keypoints, np.where(visible, drawn.keypoints, 0), atol=1e-3)
        assert np.allclose(read.area, drawn.area, rtol=1e-3)
        assert np.abs(read.image.astype(int) - drawn.image).mean() < 12  # JPEG
        assert read.file_name == drawn.file_name
    annotations = json.loads(path.read_text())["annotations"]
    assert [a["id"] for a in annotations] == list(range(1, len(annotations) + 1))
    assert all(a["num_keypoints"] == sum(v > 0 for v in a["keypoints"][2::3]) > 0 for a in annotations)
    first = path.read_bytes(), (tmp_path / "images" / "000001.jpg").read_bytes()
    write_synthetic_dataset(tmp_path, skeleton, 4, 5, size=(90, 120), people=(0, 3))
    assert first == (path.read_bytes(), (tmp_path / "images" / "000001.jpg").read_bytes())
