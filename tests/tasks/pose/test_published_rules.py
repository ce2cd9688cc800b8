"""With all of an author's rules, the author's people: every keypoint at the same place, and the same scores.

The goldens are described in test_published_decoders.py. Two faults of pose-ae-train are not reproduced (peers.md 5.3):
the score 1 of filled keypoints (9), and their place, which compares with the wrong row (11). OpenVINO's grouping, by
the places of keypoints too, and the TensorFlow demo's, whose noise peaks are equally high, are in no model file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps, Peaks
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.published_rules import fill_as_published
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from support.published import CASES, decode, load

RULES: dict[str, Any] = {
    "nms": 5,
    "tag_distance": "l2",
    "matching": "rounded",
    "assignment": "published",
    "position": "quarter",
    "fill_rule": "published",
    "duplicate_oks": 1.0,
}
AUTHORS: dict[str, dict[str, Any]] = {
    "ae_train": RULES | {"nms": 3, "tag_distance": "rms", "max_people": 30, "crowd": "stop"},
    "hhr": RULES | {"max_people": 30, "crowd": "join"},
    "hhr_nms3": RULES | {"nms": 3, "max_people": 30, "crowd": "join"},
    "hhr_ignore": RULES | {"max_people": 30, "crowd": "stop"},
    "mm029": RULES,
    "mm1": RULES | {"position": "inner-quarter", "max_people": 30},
}
STAGES = ["ae_train_raw", "ae_train_norefine", "hhr_raw", "hhr_norefine"]  # before filling; raw: integer pixels


def pair(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Rows of the same people: those with the most keypoints in common places."""
    apart = np.abs(ours[:, None] - theirs[None]).max(axis=-1) > 1e-3
    return linear_sum_assignment(apart.sum(axis=-1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("output", [*STAGES, *AUTHORS])
def test_published_people_exactly(shared: Path, output: str, case: str) -> None:
    golden = load(shared, case)
    author = output.removesuffix("_raw").removesuffix("_norefine")
    rules = AUTHORS[author] | ({"fill": False} if output in STAGES else {})
    theirs, scores = golden[output][:, :, :3].astype(np.float64), golden[f"{output}_scores"]
    people = decode(golden, **rules)
    ours = people.keypoints.astype(np.float64)
    if output.endswith("_raw"):
        ours[:, :, :2], theirs[:, :, :2] = np.floor(ours[:, :, :2]), np.floor(theirs[:, :, :2])
    assert len(ours) == len(theirs)
    a, b = pair(ours, theirs)
    mine, their = ours[a], theirs[b]
    np.testing.assert_allclose(people.score[a], scores[b], atol=1e-6)
    np.testing.assert_array_equal(mine[:, :, 2] > 0, their[:, :, 2] > 0)
    exact = mine[:, :, 2] > 0
    if output == "ae_train":
        exact &= decode(golden, **rules | {"fill": False}).keypoints[a][:, :, 2] > 0
        filled = ~exact & (mine[:, :, 2] > 0)
        assert (np.abs(mine - their)[filled, :2] <= 0.5 + 1e-6).all()
    np.testing.assert_allclose(mine[exact], their[exact], atol=1e-4)


def naive_fill(keypoints: Array, heatmap: Array, tag: Array) -> Array:
    """Filling as loops over people and keypoint types, in the author's coordinates (half a pixel from ours)."""
    filled = keypoints.copy()
    for person in filled:
        own = [tag[k, :, int(y + 0.5), int(x + 0.5)] for k, (x, y, score) in enumerate(person) if score > 0]
        mean = np.mean(own, axis=0)
        for k in np.flatnonzero(person[:, 2] == 0):
            distance = np.sqrt(np.square(tag[k] - mean[:, None, None]).sum(axis=0))
            y, x = np.unravel_index((heatmap[k] - np.round(distance)).argmax(), heatmap[k].shape)
            if heatmap[k, y, x] > 0:
                person[k, 2] = heatmap[k, y, x]
                height, width = heatmap[k].shape
                right = heatmap[k, y, min(x + 1, width - 1)] > heatmap[k, y, max(x - 1, 0)]
                below = heatmap[k, min(y + 1, height - 1), x] > heatmap[k, max(y - 1, 0), x]
                person[k, :2] = x + (0.25 if right else -0.25), y + (0.25 if below else -0.25)
    return filled


@pytest.mark.parametrize("dimension", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_filling_searches_the_whole_map(seed: int, dimension: int) -> None:
    """Also where no high pixel has the person's tag, and where the best pixel is not positive."""
    rng = np.random.default_rng(seed)
    heatmap = (rng.random((5, 7, 9)) * rng.choice([0.04, 1], (5, 1, 1)) - 0.02).astype(np.float32)
    tag = (rng.normal(size=(5, dimension, 7, 9)) * 3).astype(np.float32)
    keypoints = np.stack([rng.integers(0, 9, (6, 5)), rng.integers(0, 7, (6, 5)), rng.integers(0, 2, (6, 5))], axis=2)
    keypoints[:, 0, 2] = 1
    places = keypoints + np.array([0.25, -0.25, 0])
    maps = Maps(torch.from_numpy(heatmap)[None], torch.from_numpy(tag)[None])
    ours = fill_as_published(places, maps, DecodeConfig(**RULES))
    np.testing.assert_allclose(ours, naive_fill(places, heatmap, tag), atol=1e-6)


def test_equal_neighbours_are_two_detections() -> None:
    """As in published code, where each is a person of its own unless another takes it; ours takes them for one."""
    heatmap = torch.zeros(1, 1, 9, 9)
    heatmap[0, 0, 4, 3:5] = 0.75
    maps = Maps(heatmap, torch.ones(1, 1, 1, 9, 9))
    one = Skeleton.build("one", ["centre"])
    geometry = letterbox((9, 9), 9, multiple=1, stride=1)
    assert len(PoseTask(one, DecodeConfig()).decode(maps, geometry)) == 1
    found = PoseTask(one, DecodeConfig(**RULES)).decode(maps, geometry)
    np.testing.assert_allclose(found.keypoints[:, 0, :2], [[3.75, 4.25], [4.25, 4.25]])


@pytest.mark.parametrize("position", ["parabola", "dark"])
def test_dark_finds_the_top_of_a_gaussian(position: str) -> None:
    y, x = np.mgrid[:40, :40]
    heatmap = np.exp(-(np.square(x - 20.3) + np.square(y - 11.8)) / 8).astype(np.float32)
    maps = Maps(torch.from_numpy(heatmap)[None, None], torch.zeros(1, 1, 1, 40, 40))
    task = PoseTask(Skeleton.build("one", ["centre"]), DecodeConfig(**RULES | {"position": position}))
    detections, _ = task.detect(maps)
    np.testing.assert_allclose(detections.xy, [[20.3, 11.8]], atol=0.02)


@pytest.mark.parametrize("corner", [(0, 0), (0, 8), (6, 0), (6, 8)])
@pytest.mark.parametrize("position", ["quarter", "inner-quarter", "dark"])
def test_peaks_in_the_corners_have_a_place(position: str, corner: tuple[int, int]) -> None:
    heatmap = torch.full((1, 1, 7, 9), 0.01)
    heatmap[0, 0, corner[0], corner[1]] = 0.9
    task = PoseTask(Skeleton.build("one", ["centre"]), DecodeConfig(**RULES | {"position": position}))
    detections, _ = task.detect(Maps(heatmap, torch.zeros(1, 1, 1, 7, 9)))
    assert np.abs(detections.xy[0] - corner[::-1]).max() <= 0.75


@pytest.mark.parametrize("position", ["parabola", "quarter", "inner-quarter", "dark"])
@pytest.mark.parametrize("rule", ["near", "rounded", "published"])
def test_every_position_goes_with_every_filling(position: str, rule: str) -> None:
    rng = np.random.default_rng(3)
    maps = Maps(torch.from_numpy(rng.random((1, 2, 12, 12), np.float32)), torch.zeros(1, 2, 1, 12, 12))
    maps.heatmap[:, 1] *= 0.09  # below the threshold: filled in
    task = PoseTask(
        Skeleton.build("two", ["a", "b"]), DecodeConfig(**RULES | {"position": position, "fill_rule": rule})
    )
    found = task.decode(maps, letterbox((12, 12), 12, multiple=1, stride=1))
    assert len(found) > 0
    assert (found.keypoints[:, :, 2] > 0).all()
    place = found.keypoints[:, 1, :2] - np.array(np.unravel_index(int(maps.heatmap[0, 1].argmax()), (12, 12)))[::-1]
    assert ((place >= -0.5) & (place <= 1.5)).all()


def test_exported_peaks_have_no_other_position() -> None:
    task = PoseTask(Skeleton.build("one", ["centre"]), DecodeConfig(**RULES))
    peaks = Peaks(torch.zeros(1, 0, 7), torch.zeros(1), (1, 4, 4))
    with pytest.raises(ValueError, match=r"by a parabola, not by decode\.position quarter"):
        task.decode_peaks(peaks, letterbox((4, 4), 4, multiple=1, stride=1))


def test_maps_that_are_not_finite_are_refused() -> None:
    maps = Maps(torch.full((1, 17, 8, 8), torch.nan), torch.zeros(1, 17, 1, 8, 8))
    with pytest.raises(ValueError, match="NaN or infinity"):
        PoseTask(COCO_17, DecodeConfig(**RULES)).detect(maps)


@pytest.mark.parametrize(("crowd", "expected"), [("keep", 3), ("join", 7), ("stop", 5)])
def test_crowds(crowd: str, expected: int) -> None:
    """Five people of two keypoints; only three may be people, may be joined, or end the reading."""
    heatmap = torch.zeros(1, 2, 20, 60)
    heatmap[0, :, 10, 5:60:11] = 0.9
    tag = torch.arange(60).reshape(1, 1, 1, 1, 60).expand(1, 2, 1, 20, 60) * 1.0
    two = Skeleton.build("two", ["a", "b"])
    rules = DecodeConfig(**RULES | {"max_people": 3, "crowd": crowd, "fill": False})
    found = PoseTask(two, rules).decode(Maps(heatmap, tag), letterbox((20, 60), 60, multiple=1, stride=1))
    assert len(found) == expected
