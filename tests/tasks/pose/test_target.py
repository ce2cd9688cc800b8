"""Targets of pose: what turns with the image, what is masked, and the published heatmaps and places of tags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.target import draw_gaussians, encode_pose, tag_index
from support.pose_maps import SKELETONS, make_sample, random_keypoints


@given(seed=st.integers(0, 999), stride=st.sampled_from([1, 2, 4]), name=st.sampled_from(["coco", "mpii", "three"]))
@settings(max_examples=15, deadline=None)
def test_encode_mirrors(seed: int, stride: int, name: str) -> None:
    """The mirrored sample's target is the mirrored target; twice is the original."""
    skeleton = SKELETONS[name]
    truth = random_keypoints(4, len(skeleton), (36, 60), seed)
    geometry = ImageGeometry((36, 60), (36 * stride, 60 * stride), stride, np.eye(2, 3))
    sample = make_sample(truth, geometry)

    def mirror(one: Sample) -> Sample:
        keypoints = one.keypoints[:, skeleton.flip_index].copy()
        keypoints[:, :, 0] = one.image.shape[1] - keypoints[:, :, 0]
        return replace(one, keypoints=keypoints)

    plain, once, twice = (
        encode_pose(s, stride=stride, sigma=1.5) for s in (sample, mirror(sample), mirror(mirror(sample)))
    )
    np.testing.assert_allclose(twice.heatmap, plain.heatmap, atol=1e-5)
    np.testing.assert_array_equal(twice.index, plain.index)
    np.testing.assert_allclose(once.heatmap, plain.heatmap[skeleton.flip_index, :, ::-1], atol=1e-5)
    channel, y, x, person = plain.index.T
    back = np.stack([skeleton.flip_index[channel], person, y, 59 - x], axis=1)
    there = once.index[:, [0, 3, 1, 2]]
    back, there = (rows[np.lexsort(rows.T[1::-1])] for rows in (back, there))
    np.testing.assert_array_equal(back[:, :3], there[:, :3])
    assert np.abs(back[:, 3] - there[:, 3]).max(initial=0) <= 1  # halfway between two pixels, rounding picks one


def test_a_keypoint_off_the_map_gives_no_tag_sample() -> None:
    keypoints = np.array([[[5, 5, 2], [-0.6, 5, 2], [5, 11.6, 1]], [[0, 0, 2], [-0.4, 11.4, 2], [7, 7, 0]]])
    index = tag_index(keypoints[:, :, :2], keypoints[:, :, 2] > 0, (12, 12))
    assert index.tolist() == [[0, 5, 5, 0], [0, 0, 0, 1], [1, 11, 0, 1]]


def test_masks_of_the_heatmap_loss() -> None:
    """Unlabelled types do not count; ignored regions do not, but for the labelled keypoints inside of them."""
    ignore = np.zeros((64, 64), bool)
    ignore[:, 32:] = True
    sample = Sample(
        image=np.zeros((64, 64, 3), np.uint8),
        keypoints=np.array([[[10, 10, 2], [50, 30, 2], [0, 0, 0]]], np.float32),
        area=np.ones(1, np.float32),
        labelled=np.array([True, True, False]),
        ignore=ignore,
    )
    target = encode_pose(sample, stride=4, sigma=1.0)
    assert not target.valid[2].any()
    assert target.valid[:2, :, :8].all()
    assert not target.valid[0, :, 8:].any()
    assert target.valid[1, 7, 12]
    assert not target.valid[1, 0, 12]
    assert encode_pose(replace(sample, ignore=None), stride=4, sigma=1.0).valid[:2].all()


def dense(golden: dict[str, Array], name: str, side: int) -> Array:
    heatmap = np.zeros(17 * side * side, np.float32)
    heatmap[golden[f"{name}_index"]] = golden[f"{name}_value"]
    return heatmap.reshape(17, side, side)


@pytest.mark.parametrize(
    ("name", "side", "patch", "rounding"),
    [("ae", 128, 7, 0.0), ("hhr", 128, 7, 0.0), ("hhr256", 256, 7, 0.0), ("mm1", 128, 6, 0.5)],
)
def test_published_heatmaps(shared: Path, name: str, side: int, patch: int, rounding: float) -> None:
    """At each author's integer centre, int(x) or in mmpose 1.x int(x + 0.5), our Gaussian is theirs.

    They cut it to a square patch, so their tails are missing where ours go on, all of them below exp(-patch^2 / 8).
    pose-ae and HigherHRNet leave out centres off the map; mmpose 1.x draws what reaches into it, as we do.
    """
    golden = dict(np.load(shared / "reference/goldens/targets.npz"))
    keypoints = golden["kp"] * [side / 128, side / 128, 1]
    centre = np.trunc(keypoints[:, :, :2] + rounding)
    drawn = ((centre >= 0) & (centre < side)).all(axis=-1) | (name == "mm1")
    ours = draw_gaussians(centre, (keypoints[:, :, 2] > 0) & drawn, (side, side), 2.0)
    theirs = dense(golden, name, side)
    tail = np.exp(-((patch + 1) ** 2) / 8)
    body = theirs > tail  # every such pixel lies inside its person's patch
    assert body.sum() > 5000
    np.testing.assert_allclose(ours[body], theirs[body], atol=1e-6)
    assert np.abs(ours - theirs).max() <= tail + 1e-6


@pytest.mark.parametrize(("name", "side"), [("ae", 128), ("hhr", 128), ("hhr256", 256)])
def test_published_tag_indices_by_truncation(shared: Path, name: str, side: int) -> None:
    """They truncate x; we take the pixel that holds the continuous x, rint(x - 0.5): the same pixel."""
    golden = np.load(shared / "reference/goldens/targets.npz")
    keypoints = (golden["kp"] * [side / 128, side / 128, 1]).astype(np.float32)
    sample = Sample(
        image=np.zeros((side * 4, side * 4, 3), np.uint8),
        keypoints=keypoints * np.array([4, 4, 1], np.float32),
        area=np.ones(len(keypoints), np.float32),
        labelled=np.ones(17, bool),
    )
    channel, y, x, person = encode_pose(sample, stride=4, sigma=2.0).index.T
    place = channel * side * side + y * side + x
    ours = [sorted(place[person == n].tolist()) for n in np.unique(person)]
    theirs = [sorted(row[row[:, 1] > 0, 0].tolist()) for row in golden[f"{name}_kpts"]]
    assert ours == [row for row in theirs if row]


def test_published_tag_indices_by_rounding(shared: Path) -> None:
    """mmpose 1.x reads x as an index and rounds it; so do we when x is an index."""
    golden = np.load(shared / "reference/goldens/targets.npz")
    kp, table = golden["kp"], golden["mm1_kpts"]
    off = {(5, 8)}  # x = -1.14: their int() truncates -0.64 to 0, a pixel that the keypoint is not in
    index = tag_index(kp[:, :, :2], kp[:, :, 2] > 0, (128, 128))
    ours = {(int(n), int(k)): int(y * 128 + x) for k, y, x, n in index}
    theirs = {(int(n), int(k)): int(table[n, k, 0]) for n, k in np.argwhere(table[:, :, 1])}
    assert {key: place for key, place in theirs.items() if key not in off} == ours


def test_large_people_get_wider_gaussians() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    keypoints = np.array([[[32.5, 32.5, 2]], [[96.5, 32.5, 2]]], np.float32)
    sample = Sample(image, keypoints, np.array([16.0, 3600.0], np.float32), np.ones(1, bool))
    fixed = encode_pose(sample, stride=1, sigma=2.0).heatmap[0]
    grown = encode_pose(sample, stride=1, sigma=2.0, sigma_growth=0.05).heatmap[0]
    np.testing.assert_allclose(grown[:, :64], fixed[:, :64])  # 0.05 * 4 is less than 2
    np.testing.assert_allclose(grown[32, 96 + 3], np.exp(-(3**2) / (2 * 3**2)), rtol=1e-5)  # 0.05 * 60 = 3
