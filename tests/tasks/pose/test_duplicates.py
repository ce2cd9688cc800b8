"""Two results for one person become one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.tasks.pose.duplicates import distinct
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.target import encode_pose
from associative_embedding.tasks.pose.task import PoseTask
from support.pose_maps import ideal_maps, make_sample, random_keypoints


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
