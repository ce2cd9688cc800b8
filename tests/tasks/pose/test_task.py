"""Pose: decode(ideal maps of encode(sample)) is the sample again; what is refused and left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from associative_embedding.detection.peaks_in_graph import find_peaks
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry, letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps, Peaks
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask, assemble, person_score
from support.pose_maps import PLAIN, SKELETONS, THREE, blob_maps, ideal_maps, make_sample, random_keypoints

RNG = np.random.default_rng(0)


def assert_same_people(found: Instances, truth: Array, geometry: ImageGeometry, atol: float) -> None:
    """As sets: the same number, the same keypoints present, and each within `atol` map pixels."""
    assert len(found) == len(truth)
    on_map = geometry.to_map(found.keypoints[:, :, :2].astype(np.float64))
    distance = np.linalg.norm(on_map[:, None] - truth[None, :, :, :2], axis=-1)  # (found, true, K)
    here, there = found.keypoints[:, :, 2] > 0, truth[:, :, 2] > 0
    wrong = np.where(here[:, None] & there, distance > atol, here[:, None] != there).sum(axis=-1)
    row, column = linear_sum_assignment(wrong)
    assert wrong[row, column].sum() == 0


@given(
    name=st.sampled_from(sorted(SKELETONS)),
    size=st.sampled_from([(36, 60), (60, 48), (48, 48)]),
    stride=st.sampled_from([1, 2, 4]),
    zoom=st.sampled_from([0.3, 1.0, 2.7]),
    sigma=st.floats(1, 2),
    people=st.integers(0, 12),
    seed=st.integers(0, 99999),
)
@settings(max_examples=60, deadline=None)
def test_closure(
    name: str, size: tuple[int, int], stride: int, zoom: float, sigma: float, people: int, seed: int
) -> None:
    """What encode draws, decode finds: to a tenth of a map pixel, through any image geometry."""
    skeleton = SKELETONS[name]
    height, width = size[0] * stride, size[1] * stride
    image_size = (round(height / zoom), round(width / zoom))
    scaled = letterbox(image_size, max(height, width), multiple=stride, stride=stride)
    geometry = replace(scaled, input_size=(height, width))
    truth = random_keypoints(people, len(skeleton), size, seed)
    task = PoseTask(
        skeleton, DecodeConfig(duplicate_oks=1.0), category_id=7, sigma=sigma
    )  # random people may lie close
    target = task.encode(make_sample(truth, geometry), stride=stride, rng=RNG)
    found = task.decode(ideal_maps(truth, target.heatmap), geometry)
    assert_same_people(found, truth, geometry, atol=0.1)
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert ((found.keypoints[:, :, 2] >= 0) & (found.keypoints[:, :, 2] <= 1)).all()
    assert (np.diff(found.score) <= 0).all()
    assert found.image_size == image_size
    assert set(found.class_id.tolist()) <= {7}
    if len(found):
        share = (truth[:, :, 2] > 0).mean(axis=1)  # sampled Gaussians: a peak is at least exp(-1/4 sigma^2)
        assert np.sort(found.score).sum() <= share.sum() + 1e-5


def test_default_settings_keep_people_side_by_side() -> None:
    rng = np.random.default_rng(0)
    body = rng.uniform(3, 27, (17, 2))
    shift = np.array([[0, 0], [32, 0], [0, 32], [32, 32]])
    truth = np.concatenate([body + shift[:, None], np.full((4, 17, 1), 2)], axis=2)
    geometry = letterbox((256, 256), 256, multiple=4, stride=4)
    task = PoseTask(COCO_17)
    target = task.encode(make_sample(truth, geometry), stride=4, rng=RNG)
    assert_same_people(task.decode(ideal_maps(truth, target.heatmap), geometry), truth, geometry, atol=0.1)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
@pytest.mark.parametrize("heat", [0.0, -1.0, 0.05])
def test_an_empty_image(skeleton: Skeleton, heat: float) -> None:
    count = len(skeleton)
    found = PoseTask(skeleton).decode(Maps(torch.full((1, count, 8, 8), heat), torch.zeros(1, count, 3, 8, 8)), PLAIN)
    assert found.keypoints.shape == (0, count, 3)
    assert found.score.shape == found.class_id.shape == (0,)
    assert found.tag.shape == (0, 3)
    assert found.xywh.shape == (0, 4)
    assert found.keypoints.dtype == found.score.dtype == found.tag.dtype == np.float32


def test_two_people_whose_keypoints_touch_at_equal_heat() -> None:
    """Clamped heatmaps: one peak of two pixels, whose tags are 0 and 5. The peaks of an exported network agree."""
    heatmap, tag = torch.zeros(1, 3, 24, 48), torch.zeros(1, 3, 1, 24, 48)
    for k, x in enumerate((5, 15, 25)):
        heatmap[0, k, 10, x : x + 2] = 1.0
        tag[0, k, 0, 10, x + 1] = 5.0
    peaks = Peaks(find_peaks(heatmap, tag, nms=5, top_k=9).numpy(), np.array([heatmap.sum()]), (3, 24, 48))
    for threshold, count in ((1.0, 2), (6.0, 1)):
        task = PoseTask(THREE, DecodeConfig(tag_threshold=threshold, duplicate_oks=1.0, nms=5))
        people = task.decode(Maps(heatmap, tag), PLAIN)
        assert len(people) == count
        np.testing.assert_array_equal(task.decode_peaks(peaks, PLAIN).instances.keypoints, people.keypoints)
        assert sorted(people.tag[:, 0].tolist()) == ([0, 5] if count == 2 else [2.5])


def test_heat_above_one_is_clipped() -> None:
    maps = blob_maps([[(5, 5, 1.7), (5, 12, 1.2), (8, 20, 0.04)]])
    found = PoseTask(THREE, DecodeConfig(score="found", fill_threshold=0.01)).decode(maps, PLAIN)
    assert found.score.tolist() == [1]
    assert found.keypoints[0, :2, 2].tolist() == [1, 1]


def test_thresholds_on_people() -> None:
    maps = blob_maps([[(5, 5, 1), (5, 12, 1), (8, 20, 1)], [(40, 5, 0.4), (40, 12, 0.01), (42, 18, 0.01)]])
    assert len(PoseTask(THREE).decode(maps, PLAIN)) == 2
    assert len(PoseTask(THREE, DecodeConfig(min_keypoints=2)).decode(maps, PLAIN)) == 1
    assert len(PoseTask(THREE, DecodeConfig(min_score=0.2)).decode(maps, PLAIN)) == 1


@pytest.mark.parametrize("shape", [(2, 3), (1, 4), (0, 3)])
def test_wrong_maps_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"maps must be \(1, 3, h, w\) and \(1, 3, D, h, w\), not heatmap"):
        PoseTask(THREE).decode(Maps(torch.zeros(*shape, 8, 8), torch.zeros(*shape, 1, 8, 8)), PLAIN)


def test_maps_that_are_not_finite() -> None:
    maps = blob_maps([[(5, 5, 1), (5, 12, 1), (8, 20, 1)]])
    maps.tag[0, 1, 0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        PoseTask(THREE).decode(maps, PLAIN)


def test_assemble_drops_and_clips() -> None:
    detections = Detections(
        np.array([1.5, 0.4, 0.3]), np.zeros((3, 1)), np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([0, 1, 1])
    )
    groups = Groups(np.array([0, 1, -1]), np.zeros((2, 1)), np.array([1.5, 0.4]))
    keypoints = assemble(detections, groups, np.array([2, 0, 0]), 3)
    assert keypoints.tolist() == [[[0] * 3, [0] * 3, [1, 2, 1]], [[3, 4, 0.4], [0] * 3, [0] * 3]]
    np.testing.assert_allclose(person_score(keypoints, "all"), [1 / 3, 0.4 / 3])
    np.testing.assert_allclose(person_score(keypoints, "found"), [1, 0.4])
    found = (keypoints[:, :, 2] > 0).sum(axis=1)
    np.testing.assert_allclose(person_score(keypoints, "shrunk"), keypoints[:, :, 2].sum(axis=1) / (found + 2))


# ---- targets
