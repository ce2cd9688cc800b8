"""Grouping against the brute-force optimum, its invariances, and the cases on which published decoders fail."""

from __future__ import annotations

from dataclasses import replace
from importlib.machinery import PathFinder
from itertools import product
from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from associative_embedding.grouping import (
    ASSIGNMENT,
    MATCHING,
    Matching,
    assign,
    assignment_solver,
    greedy_assignment,
    group_sequentially,
    tag_distance,
)
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.tasks.pose.settings import DecodeConfig


def build(steps: list[int], tags: Array, scores: Array | None = None) -> Detections:
    tags = np.asarray(tags, dtype=np.float64).reshape(len(steps), -1)
    score = np.full(len(steps), 0.5) if scores is None else scores
    return Detections(score=score, tag=tags, xy=np.zeros((len(steps), 2)), step=np.array(steps, dtype=np.int64))


def crowd(
    people: int, *, steps: int = 17, dimension: int = 1, noise: float = 0.1, seed: int = 0
) -> tuple[Detections, Array]:
    """Each person's detections, tags 3 apart, in random order, and who each one belongs to."""
    rng = np.random.default_rng(seed)
    person, step = (a.ravel() for a in np.mgrid[:people, :steps])
    seen = rng.random(person.size) < 0.8
    order = rng.permutation(np.flatnonzero(seen))
    person, step = person[order], step[order]
    tag = 3.0 * person[:, None] + rng.uniform(-noise, noise, size=(len(person), dimension))
    return build(step.tolist(), tag, rng.uniform(0.1, 1, len(person))), person


def partition(group: Array) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(group == g).tolist()) for g in np.unique(group)}


def assert_sound(detections: Detections, group: Array, groups: int) -> None:
    assert group.dtype == np.int64
    assert group.shape == (len(detections),)
    assert set(group.tolist()) == set(range(groups))
    for g in range(groups):
        steps = detections.step[group == g]
        assert len(set(steps.tolist())) == len(steps)  # at most one detection of a step


def test_tag_distance_is_the_root_mean_square() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 1, 4)), rng.normal(size=(1, 5, 4))
    expected = [[np.sqrt(np.mean((a[i, 0] - b[0, j]) ** 2)) for j in range(5)] for i in range(3)]
    np.testing.assert_allclose(tag_distance(a, b), expected)
    np.testing.assert_allclose(tag_distance(np.tile(a, 3), np.tile(b, 3)), expected)  # repeated dimensions: no change
    assert tag_distance(np.zeros((0, 1, 2)), np.zeros((1, 5, 2))).shape == (0, 5)


def test_tag_distance_l2_is_the_euclidean() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 1, 4)), rng.normal(size=(1, 5, 4))
    np.testing.assert_allclose(tag_distance(a, b, "l2"), np.linalg.norm(a - b, axis=-1))
    np.testing.assert_array_equal(tag_distance(a[..., :1], b[..., :1], "l2"), tag_distance(a[..., :1], b[..., :1]))


def test_match_weights() -> None:
    distance, score = np.array([[0.0, 0.5, 1.0, 7.0]]), np.array([0.6])
    np.testing.assert_allclose(MATCHING["product"](distance, score, 1.0), [[1.6, 0.8, 0, 0]])
    np.testing.assert_allclose(MATCHING["product"](distance, score, 2.0), [[1.6, 1.2, 0.8, 0]])
    np.testing.assert_allclose(MATCHING["nearest"](distance, score, 2.0), [[1, 0.75, 0.5, 0]])
    np.testing.assert_allclose(MATCHING["rounded"](distance, score, 2.0), [[0.6, 0.6, -99.4, -699.4]])


def test_strength_weighs_detection_and_group() -> None:
    distance, score, strength = np.array([[0.0, 1.0], [0.5, 3.0]]), np.array([0.6, 0.2]), np.array([2.0, 5.0])
    weight = MATCHING["strength"](distance, score, 2.0, strength)
    np.testing.assert_allclose(weight, [[1.2, 0.75 * 3], [0.9375 * 0.4, 0]])


def test_a_strong_group_is_not_robbed_by_a_doubtful_one() -> None:
    """The person at 0 has two keypoints; a weak second peak at 0.3 is nearer to the third, by a hair."""
    detections = build([0, 1, 1, 2], [0.0, 0.0, 0.3, 0.16], np.array([0.9, 0.9, 0.1, 0.8]))
    robbed = group_sequentially(detections, tag_threshold=1.0, matching="product")
    assert robbed.group.tolist() == [0, 0, 1, 1]
    assert group_sequentially(detections, tag_threshold=1.0).group.tolist() == [0, 0, 1, 0]
    far = build([0, 1, 1, 2], [0.0, 0.0, 1.1, 0.99], np.array([0.9, 0.9, 0.1, 0.8]))
    assert group_sequentially(far, tag_threshold=1.0).group.tolist() == [0, 0, 1, 1]


def test_the_settings_are_the_rules() -> None:
    hints = get_type_hints(DecodeConfig)
    assert set(get_args(hints["matching"])) == set(MATCHING)
    assert set(get_args(hints["assignment"])) == set(ASSIGNMENT)


def best_total(weight: Array, *, all_pairs: bool) -> float:
    """Over every way to give each row one column or none, no column twice; `all_pairs`: only the fullest ways."""
    rows, columns = weight.shape
    best = -np.inf
    for choice in product(range(-1, columns), repeat=rows):
        used = [c for c in choice if c >= 0]
        if len(set(used)) == len(used) and (len(used) == min(rows, columns) or not all_pairs):
            best = max(best, sum(weight[r, c] for r, c in enumerate(choice) if c >= 0))
    return best


@given(
    matching=st.sampled_from(sorted(MATCHING)),
    m=st.integers(1, 4),
    groups=st.integers(0, 4),
    dimension=st.integers(1, 2),
    seed=st.integers(0, 9999),
)
@settings(max_examples=100, deadline=None)
def test_assign_is_the_optimum(matching: Matching, m: int, groups: int, dimension: int, seed: int) -> None:
    """The published rule gives every detection a person as long as there are some, and only then asks how near."""
    rng = np.random.default_rng(seed)
    tags, group_tags = rng.normal(size=(m, dimension)), rng.normal(size=(groups, dimension))
    distance = tag_distance(tags[:, None], group_tags[None])
    weight = MATCHING[matching](distance, rng.random(m), 1.0, rng.random(groups))
    joined = assign(distance, weight, 1.0)
    taken = joined[joined >= 0]
    assert len(set(taken.tolist())) == len(taken)
    rows = np.flatnonzero(joined >= 0)
    assert (distance[rows, joined[rows]] < 1.0).all()
    if matching == "rounded":
        everybody = assign(distance, weight, np.inf)
        rows = np.flatnonzero(everybody >= 0)
        near = distance[rows, everybody[rows]] < 1.0
        np.testing.assert_array_equal(joined[rows], np.where(near, everybody[rows], -1))
        joined = everybody
    best = best_total(weight, all_pairs=matching == "rounded")
    np.testing.assert_allclose(weight[rows, joined[rows]].sum(), best)


@given(m=st.integers(1, 6), groups=st.integers(0, 6), seed=st.integers(0, 9999))
@settings(max_examples=60, deadline=None)
def test_greedy_takes_the_best_pair_first(m: int, groups: int, seed: int) -> None:
    weight = np.random.default_rng(seed).permutation(m * groups).reshape(m, groups) / 7 - 1
    pairs: list[tuple[int, int]] = []
    for row, column in sorted(np.ndindex(m, groups), key=lambda pair: -weight[pair]):
        if all(row != r and column != c for r, c in pairs):
            pairs.append((row, column))
    rows, columns = greedy_assignment(weight)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == pairs


def test_the_solver_is_that_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another version of SciPy keeps it in another file, or other code has imported all of the package."""
    weight = np.random.default_rng(0).random((6, 4))
    expected = linear_sum_assignment(weight, maximize=True)
    np.testing.assert_array_equal(assignment_solver()(weight, maximize=True), expected)
    monkeypatch.setattr(PathFinder, "find_spec", lambda name, path=None: None)
    assert assignment_solver.__wrapped__() is linear_sum_assignment


def test_greedy_and_optimal_part_where_the_best_pair_is_dear() -> None:
    """Tags 0 and 1; the detection at 0.45 is a little nearer to the first, but then nobody is left for the other."""
    detections = build([0, 0, 1, 1], [0.0, 1.0, 0.45, -0.5], np.array([0.9, 0.9, 0.8, 0.8]))
    optimal = group_sequentially(detections, tag_threshold=1.0)
    greedy = group_sequentially(detections, tag_threshold=1.0, assignment="greedy")
    assert optimal.group.tolist() == [0, 1, 1, 0]
    assert greedy.group.tolist() == [0, 1, 0, 2]


def test_the_published_cost_lets_the_score_decide_below_a_half() -> None:
    detections = build([0, 1, 1], [0.0, 0.05, 0.45], np.array([0.9, 0.3, 0.8]))
    assert group_sequentially(detections, tag_threshold=1.0, matching="product").group.tolist() == [0, 0, 1]
    assert group_sequentially(detections, tag_threshold=1.0, matching="rounded").group.tolist() == [0, 1, 0]


def test_the_published_cost_gives_up_a_good_match_for_two_bad_ones() -> None:
    """It places every detection with somebody before it asks for the threshold: 0.45 + 3.3 rounds to 3, 1.45 + 1.4 to
    2, so the detection at 0.45 leaves the person at 0, and both detections are too far from whom they are given to.
    """
    detections = build([0, 0, 1, 1], [0.0, 1.9, 0.45, -1.4], np.array([0.9, 0.8, 0.7, 0.6]))
    assert group_sequentially(detections, tag_threshold=1.0).group.tolist() == [0, 1, 0, 2]
    published = group_sequentially(detections, tag_threshold=1.0, matching="rounded")
    assert published.group.tolist() == [0, 1, 2, 3]


def test_the_l2_threshold_is_stricter_with_more_dimensions() -> None:
    detections = build([0, 1], [[0.0, 0.0], [0.8, 0.8]])
    assert group_sequentially(detections, tag_threshold=1.0).group.tolist() == [0, 0]
    assert group_sequentially(detections, tag_threshold=1.0, norm="l2").group.tolist() == [0, 1]


@pytest.mark.parametrize("people", [1, 2, 40, 200])
@pytest.mark.parametrize("dimension", [1, 3])
def test_clear_tags_are_grouped_rightly(people: int, dimension: int) -> None:
    detections, person = crowd(people, dimension=dimension)
    groups = group_sequentially(detections, tag_threshold=1.0)
    assert_sound(detections, groups.group, len(groups))
    assert partition(groups.group) == partition(person)
    for g in range(len(groups)):
        mine = groups.group == g
        np.testing.assert_allclose(groups.tag[g], detections.tag[mine].mean(axis=0))
        np.testing.assert_allclose(groups.score[g], detections.score[mine].mean())


@pytest.mark.parametrize("dimension", [1, 4])
def test_nothing_to_group(dimension: int) -> None:
    empty = Detections(np.zeros(0), np.zeros((0, dimension)), np.zeros((0, 2)), np.zeros(0, np.int64))
    groups = group_sequentially(empty, tag_threshold=1.0)
    assert (groups.group.shape, groups.tag.shape, groups.score.shape) == ((0,), (0, dimension), (0,))


def test_equal_first_component_does_not_merge_people() -> None:
    """peers.md 5.3, fault 2: published decoders key people by the float tag[0], so the weaker of the two vanishes."""
    tags = np.array([[1.0, 0.0], [1.0, 5.0]] * 4)
    detections = build([0, 0, 1, 1, 2, 2, 3, 3], tags, np.array([0.9, 0.4] * 4))
    groups = group_sequentially(detections, tag_threshold=1.0)
    assert groups.group.tolist() == [0, 1] * 4
    np.testing.assert_allclose(groups.score, [0.9, 0.4])


@pytest.mark.parametrize("counts", [[1, 1], [2, 3, 1], [5, 5, 5], [0, 4, 2], [1, 40, 7]])
def test_all_tags_equal(counts: list[int]) -> None:
    """Nobody can tell who is who, but nobody is lost: as many people as the fullest step has detections."""
    steps = [step for step, count in enumerate(counts) for _ in range(count)]
    detections = build(steps, np.full(len(steps), 2.5))
    groups = group_sequentially(detections, tag_threshold=1.0)
    assert len(groups) == max(counts)
    assert_sound(detections, groups.group, len(groups))


@given(
    people=st.integers(1, 6),
    dimension=st.integers(1, 3),
    noise=st.floats(0, 3),
    constant=st.floats(-100, 100),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_invariances(people: int, dimension: int, noise: float, constant: float, seed: int) -> None:
    detections, _ = crowd(people, steps=6, dimension=dimension, noise=noise, seed=seed)
    groups = group_sequentially(detections, tag_threshold=1.0)
    assert_sound(detections, groups.group, len(groups))
    shifted = group_sequentially(replace(detections, tag=detections.tag + constant), tag_threshold=1.0)
    assert partition(shifted.group) == partition(groups.group)
    scaled = group_sequentially(replace(detections, tag=detections.tag * 4), tag_threshold=4.0)
    assert partition(scaled.group) == partition(groups.group)
    order = np.random.default_rng(seed).permutation(len(detections))
    permuted = Detections(detections.score[order], detections.tag[order], detections.xy[order], detections.step[order])
    back = np.empty_like(order)
    back[order] = group_sequentially(permuted, tag_threshold=1.0).group
    assert partition(back) == partition(groups.group)


def test_a_detection_beyond_the_threshold_starts_a_group() -> None:
    detections = build([0, 1, 2], [0.0, 0.99, 1.6])
    assert group_sequentially(detections, tag_threshold=1.0).group.tolist() == [0, 0, 1]  # 1.6 is 1.105 from the mean
    assert group_sequentially(detections, tag_threshold=1.2).group.tolist() == [0, 0, 0]
    exactly = build([0, 1], [0.0, 1.0])
    assert group_sequentially(exactly, tag_threshold=1.0).group.tolist() == [0, 1]


def test_steps_are_visited_in_ascending_order() -> None:
    """The chain 0, 0.9, 1.8 from its end: whoever comes first is the seed."""
    assert group_sequentially(build([2, 1, 0], [0.0, 0.9, 1.8]), tag_threshold=1.0).group.tolist() == [1, 0, 0]
    assert group_sequentially(build([0, 1, 2], [0.0, 0.9, 1.8]), tag_threshold=1.0).group.tolist() == [0, 0, 1]


def test_score_decides_between_equally_near_detections() -> None:
    detections = build([0, 1, 1], [0.0, 0.2, -0.2], np.array([0.9, 0.3, 0.8]))
    assert group_sequentially(detections, tag_threshold=1.0).group.tolist() == [0, 1, 0]


@pytest.mark.parametrize("field", ["tag", "score"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(field: str, value: float) -> None:
    """A NaN hangs the Munkres solver of published decoders for ever (peers.md 5.3, fault 1)."""
    detections = build([0, 0, 1], [0.0, 3.0, 0.1])
    getattr(detections, field)[1] = value
    with pytest.raises(ValueError, match="must be finite"):
        group_sequentially(detections, tag_threshold=1.0)
