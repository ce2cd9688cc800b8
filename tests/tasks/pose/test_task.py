"""Pose: decode(ideal maps of encode(sample)) is the sample again; filling, duplicates, mirror, published targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from associative_embedding.detection.peaks_on_gpu import subpixel
from associative_embedding.grouping import Norm
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry, letterbox
from associative_embedding.structures.known_skeletons import COCO_17, MPII_16
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.duplicates import distinct
from associative_embedding.tasks.pose.missing_keypoints import FILLING, FillRule, fill_missing
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.target import draw_gaussians, encode_pose, tag_index
from associative_embedding.tasks.pose.task import PoseTask, assemble, person_score
from associative_embedding.tasks.targets import collate, join_samples

ONE = Skeleton.build("one", ["centre"])
THREE = Skeleton.build("three", ["left_end", "middle", "right_end"], [("left_end", "middle"), ("middle", "right_end")])
TWENTY = Skeleton.build("twenty", [f"point_{i}" for i in range(20)])
SKELETONS = {"coco": COCO_17, "mpii": MPII_16, "three": THREE, "twenty": TWENTY, "one": ONE}
RNG = np.random.default_rng(0)
CELL = 12  # map pixels: keypoints of one type lie in different cells, 6 pixels apart at least


def random_keypoints(people: int, count: int, size: tuple[int, int], seed: int) -> Array:
    """``(N, K, 3)`` on the map (index coordinates), each person with at least one keypoint."""
    rng = np.random.default_rng(seed)
    rows, columns = size[0] // CELL, size[1] // CELL
    keypoints = np.zeros((people, count, 3))
    for k in range(count):
        cell = rng.permutation(rows * columns)[:people]
        corner = np.stack([cell % columns, cell // columns], axis=1) * CELL
        keypoints[:, k, :2] = corner + rng.uniform(CELL / 4, 3 * CELL / 4, (people, 2))
    keypoints[:, :, 2] = rng.choice([0, 1, 2], p=[0.2, 0.2, 0.6], size=(people, count))
    keypoints[np.arange(people), rng.integers(count, size=people), 2] = 2
    return keypoints


def ideal_maps(keypoints: Array, heatmap: Array, dimension: int = 2) -> Maps:
    """The target as heatmap; every pixel's tag is that of the nearest person with that keypoint."""
    count, height, width = heatmap.shape
    y, x = np.mgrid[:height, :width]
    tag = np.full((count, dimension, height, width), -9.0)
    for k in range(count):
        people = np.flatnonzero(keypoints[:, k, 2])
        if len(people):
            px, py = keypoints[people, k, :2].T[..., None, None]
            tag[k] = 3.0 * people[np.argmin((x - px) ** 2 + (y - py) ** 2, axis=0)]
    return Maps(torch.from_numpy(heatmap)[None], torch.from_numpy(tag).float()[None])


def make_sample(keypoints: Array, geometry: ImageGeometry) -> Sample:
    """Map keypoints -> the sample in input pixels that has them there."""
    xy = (keypoints[:, :, :2] + 0.5) * geometry.stride
    return Sample(
        image=np.zeros((*geometry.input_size, 3), np.uint8),
        keypoints=np.concatenate([xy, keypoints[:, :, 2:]], axis=2).astype(np.float32),
        area=np.ones(len(keypoints), np.float32),
        labelled=np.ones(keypoints.shape[1], bool),
    )


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


def blob_maps(places: list[list[tuple[float, float, float]]], size: tuple[int, int] = (24, 48)) -> Maps:
    """Maps of people given as x, y, peak for each keypoint type; person n has tag 5 n all around its keypoints."""
    table = np.array(places, dtype=np.float64)
    y, x = np.mgrid[: size[0], : size[1]]
    heatmap = np.zeros((table.shape[1], *size))
    for k in range(table.shape[1]):
        for px, py, peak in table[:, k]:
            blob = peak * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.5**2))
            heatmap[k] = np.maximum(heatmap[k], blob)
    maps = ideal_maps(table, heatmap.astype(np.float32), dimension=1)
    return Maps(maps.heatmap, maps.tag / 3 * 5)


PLAIN = letterbox((24, 48), 48, multiple=1, stride=1)


def test_a_faint_keypoint_is_filled_from_the_right_person() -> None:
    """Person 1's last keypoint is below the detection threshold; person 0's bright one is not taken for it."""
    maps = blob_maps([[(5, 5, 1), (5, 12, 1), (8, 20, 1)], [(40, 5, 0.9), (40, 12, 0.9), (42.25, 18.5, 0.08)]])
    found = PoseTask(THREE).decode(maps, PLAIN)
    assert len(found) == 2
    np.testing.assert_allclose(found.keypoints[0, 2], [8.5, 20.5, 1], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[1, 2, :2], [42.75, 19.0], atol=1e-2)
    assert found.keypoints[1, 2, 2] == pytest.approx(maps.heatmap[0, 2].numpy()[18:20, 42].max())
    assert found.score[1] == pytest.approx(0.6, abs=1e-3)  # of what was detected, over all three types
    plain = PoseTask(THREE, DecodeConfig(fill=False)).decode(maps, PLAIN)
    assert plain.keypoints[1, 2].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(plain.score, found.score)
    rated = PoseTask(THREE, DecodeConfig(score="found")).decode(maps, PLAIN)
    assert rated.score[1] == pytest.approx(0.9, abs=1e-3)
    dim = PoseTask(THREE, DecodeConfig(fill_threshold=0.09)).decode(maps, PLAIN)
    assert dim.keypoints[1, 2, 2] == 0


def naive_fill(
    keypoints: Array, tag: Array, maps: Maps, fill_threshold: float, tag_threshold: float, norm: Norm, rule: FillRule
) -> Array:
    heatmap, tags = maps.heatmap[0].numpy(), maps.tag[0].numpy()
    filled = keypoints.copy()
    for n, k in np.ndindex(*keypoints.shape[:2]):
        if keypoints[n, k, 2]:
            continue
        best = -np.inf
        for y, x in np.ndindex(*heatmap.shape[1:]):
            squares = (tags[k, :, y, x] - tag[n]) ** 2
            distance = np.sqrt(squares.mean() if norm == "rms" else squares.sum())
            value = float(heatmap[k, y, x]) - (np.round(distance) if rule == "rounded" else 0)
            allowed = distance < tag_threshold or rule == "rounded"
            if allowed and heatmap[k, y, x] >= fill_threshold and value > best:
                best = value
                place = (torch.tensor([v]) for v in (k, y, x))
                filled[n, k] = [*subpixel(maps.heatmap[0], *place)[0].tolist(), min(float(heatmap[k, y, x]), 1)]
    return filled


@given(
    people=st.integers(1, 5),
    kinds=st.integers(1, 4),
    dimension=st.integers(1, 2),
    lowest=st.sampled_from([0.05, 0.6, 0.99, 2.0]),
    norm=st.sampled_from(["rms", "l2"]),
    rule=st.sampled_from(sorted(FILLING)),
    seed=st.integers(0, 9999),
)
@settings(max_examples=50, deadline=None)
def test_filling_is_a_loop_over_everything(
    people: int, kinds: int, dimension: int, lowest: float, norm: Norm, rule: FillRule, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = Maps(
        torch.rand(1, kinds, 7, 9, generator=generator) * 1.2,
        torch.randn(1, kinds, dimension, 7, 9, generator=generator) * 2,
    )
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0.1, 1, (people, kinds, 3)) * (rng.random((people, kinds, 1)) < 0.5)
    tag = rng.normal(size=(people, dimension))
    ours = fill_missing(keypoints, tag, maps, lowest, 0.8, norm=norm, rule=rule)
    np.testing.assert_allclose(ours, naive_fill(keypoints, tag, maps, lowest, 0.8, norm, rule), atol=1e-5)


def test_the_fill_settings_are_the_rules() -> None:
    assert set(get_args(get_type_hints(DecodeConfig)["fill_rule"])) == set(FILLING)


def test_a_keypoint_on_two_people_is_filled_for_both() -> None:
    keypoints = np.zeros((2, 1, 3))
    maps = blob_maps([[(20, 10, 0.7)]])
    filled = fill_missing(keypoints, np.array([[0.0], [0.4]]), maps, 0.05, 1.0)
    np.testing.assert_allclose(filled, [[[20, 10, 0.7]]] * 2, atol=1e-3)


def naive_distinct(keypoints: Array, score: Array, sigmas: Array, threshold: float) -> list[int]:
    def area(person: Array) -> float:
        xy = person[person[:, 2] > 0, :2]
        return max(1.0, float(np.prod(xy.max(axis=0) - xy.min(axis=0))))

    keep: list[int] = []
    for i in sorted(range(len(score)), key=lambda i: -score[i]):
        for j in keep:
            both = [k for k in range(len(sigmas)) if keypoints[i, k, 2] > 0 and keypoints[j, k, 2] > 0]
            least = min((keypoints[n, :, 2] > 0).sum() for n in (i, j))
            scale = max(area(keypoints[i]), area(keypoints[j]))
            squares = [((keypoints[i, k, :2] - keypoints[j, k, :2]) ** 2).sum() for k in both]
            similar = [np.exp(-d / (2 * scale * (2 * sigmas[k]) ** 2)) for k, d in zip(both, squares, strict=True)]
            if both and len(both) >= least / 2 and np.mean(similar) >= threshold:
                break
        else:
            keep.append(i)
    return keep


@given(
    people=st.integers(0, 9),
    noise=st.floats(0, 8),
    threshold=st.floats(0.3, 0.9999) | st.just(1.0),
    seed=st.integers(0, 9999),
)
@settings(max_examples=40, deadline=None)
def test_distinct_is_a_greedy_loop(people: int, noise: float, threshold: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bodies = rng.uniform(0, 100, (3, 17, 2))
    keypoints = np.ones((people, 17, 3))
    keypoints[:, :, :2] = bodies[rng.integers(3, size=people)] + rng.normal(0, noise, (people, 17, 2))
    keypoints[:, :, 2] = rng.random((people, 17)) < 0.6
    keypoints[:, 0, 2] = 1
    score = rng.random(people)
    kept = distinct(keypoints, score, COCO_17.sigmas, threshold)
    expected = naive_distinct(keypoints, score, COCO_17.sigmas, threshold)
    assert kept.tolist() == (expected if threshold < 1 else np.argsort(-score).tolist())


def test_a_double_is_removed_and_a_part_of_a_person_is_not() -> None:
    rng = np.random.default_rng(1)
    body = np.concatenate([rng.uniform(0, 100, (17, 2)), np.ones((17, 1))], axis=1)
    double, stranger = body + np.array([0.3, -0.2, 0]), body + np.array([300, 0, 0])
    kept = distinct(np.stack([double, body, stranger]), np.array([0.5, 0.9, 0.4]), COCO_17.sigmas, 0.7)
    assert kept.tolist() == [1, 2]
    assert distinct(np.zeros((0, 17, 3)), np.zeros(0), COCO_17.sigmas, 0.7).shape == (0,)


def test_two_tags_on_one_body_are_one_person() -> None:
    """Tags that flicker give two people at the same place; only one remains."""
    truth = random_keypoints(1, 17, (60, 60), seed=4)
    truth[:, :, 2] = 2
    geometry = letterbox((60, 60), 60, multiple=1, stride=1)
    maps = ideal_maps(truth, encode_pose(make_sample(truth, geometry), stride=1, sigma=2.0).heatmap)
    x, y = np.rint(truth[0, :, :2]).astype(int).T
    maps.tag[0, np.arange(1, 17, 2), :, y[1::2], x[1::2]] += 5  # every other peak, but not the pixels around it
    everyone = PoseTask(COCO_17, DecodeConfig(duplicate_oks=1.0)).decode(maps, geometry)
    assert len(everyone) == 2
    found = PoseTask(COCO_17).decode(maps, geometry)
    assert len(found) == 1
    np.testing.assert_allclose(found.score, everyone.score[:1])


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


def test_people_are_numbered_through_the_batch() -> None:
    empty = np.zeros((0, 4), np.int64)
    first = np.array([[0, 1, 2, 5], [1, 3, 4, 2], [2, 5, 6, 5]])
    samples = join_samples([empty, first, empty, first[:1]])
    assert samples.batch.tolist() == [1, 1, 1, 3]
    assert samples.channel.tolist() == [0, 1, 2, 0]
    assert samples.y.tolist() == [1, 3, 5, 1]
    assert samples.x.tolist() == [2, 4, 6, 2]
    assert samples.group.tolist() == [1, 0, 1, 2]
    assert samples.groups.tolist() == [1, 1, 3]
    assert join_samples([empty, empty]).groups.shape == (0,)


def test_collate() -> None:
    geometry = letterbox((64, 96), 96, multiple=32, stride=4)
    samples = [make_sample(random_keypoints(n, 17, (16, 24), seed=n), geometry) for n in (2, 0)]
    task = PoseTask(COCO_17)
    images, target = collate([(s.image, task.encode(s, stride=4, rng=RNG)) for s in samples])
    assert images.shape == (2, 3, 64, 96)
    assert images.dtype == torch.uint8
    assert target.heatmap.shape == target.valid.shape == (2, 17, 16, 24)
    assert target.heatmap.dtype == target.valid.dtype == torch.float32
    assert target.samples.groups.tolist() == [0, 0]
    peaks = target.heatmap[0][target.samples.channel, target.samples.y, target.samples.x]
    assert peaks.min() > 0.9  # a tag is read where the Gaussian is highest


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
