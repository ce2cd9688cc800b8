"""Right grouping: hand-computed cases, brute force, invariances, adversity."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.evaluation.metrics.grouping import RightGrouping, right_grouping


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to 4 people, 5 keypoint types, up to 4 groups; some dropped, some unlabelled."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(0, 5), rng.integers(1, 6)
    return rng.integers(-1, 4, shape), rng.random(shape) < 0.8


def brute_force(assigned: np.ndarray, labelled: np.ndarray) -> RightGrouping:
    points = [(n, int(assigned[n, k])) for n, k in zip(*np.nonzero(labelled), strict=True)]
    people = sorted({n for n, _ in points})
    groups = sorted({g for _, g in points if g >= 0})
    slots = [*groups, *[None] * len(people)]  # a person may have no group
    best = max(
        sum(g == dict(zip(people, chosen, strict=True))[n] for n, g in points)
        for chosen in permutations(slots, len(people))
    )
    exact = 0
    for person in people:
        mine = {g for n, g in points if n == person}
        exact += len(mine) == 1 and -1 not in mine and all(n == person for n, g in points if g in mine)
    return RightGrouping(best, len(points), exact, len(people))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_is_brute_force(seed: int) -> None:
    assigned, labelled = case(seed)
    assert right_grouping(assigned, labelled) == brute_force(assigned, labelled)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_names_and_order_do_not_matter(seed: int) -> None:
    assigned, labelled = case(seed)
    rng = np.random.default_rng(seed)
    counts = right_grouping(assigned, labelled)
    rows, columns = rng.permutation(assigned.shape[0]), rng.permutation(assigned.shape[1])
    assert right_grouping(assigned[rows][:, columns], labelled[rows][:, columns]) == counts
    names = np.append(rng.permutation(100)[:4], -1)  # of the groups 0..3, and -1 stays
    assert right_grouping(names[assigned], labelled) == counts
    assert right_grouping(np.where(labelled, assigned, 77), labelled) == counts  # unlabelled places are not read


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_rates_are_rates(seed: int) -> None:
    counts = right_grouping(*case(seed))
    for rate in (counts.keypoint_rate, counts.person_rate):
        assert rate is None or 0 <= rate <= 1


def test_perfect_is_one() -> None:
    assigned = np.repeat(np.array([[5], [0], [3]]), 4, axis=1)
    counts = right_grouping(assigned, np.ones((3, 4), bool))
    assert (counts.keypoint_rate, counts.person_rate) == (1, 1)
    assert counts == RightGrouping(12, 12, 3, 3)


def test_all_in_one_group() -> None:
    """The group stands for one of 3 people, who is not alone in it."""
    counts = right_grouping(np.zeros((3, 4), int), np.ones((3, 4), bool))
    assert counts == RightGrouping(4, 12, 0, 3)
    assert counts.keypoint_rate == pytest.approx(1 / 3)


def test_every_keypoint_alone_and_all_dropped() -> None:
    labelled = np.ones((2, 3), bool)
    alone = right_grouping(np.arange(6).reshape(2, 3), labelled)
    assert alone == RightGrouping(2, 6, 0, 2)
    dropped = right_grouping(np.full((2, 3), -1), labelled)
    assert dropped == RightGrouping(0, 6, 0, 2)


def test_one_keypoint_strays() -> None:
    assigned = np.array([[0, 0, 0, 1], [1, 1, 1, 1]])
    counts = right_grouping(assigned, np.ones((2, 4), bool))
    assert counts == RightGrouping(7, 8, 0, 2)
    labelled = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)  # the stray one was never labelled
    assert right_grouping(assigned, labelled).person_rate == 1


def test_a_group_stands_for_one_person() -> None:
    """Greedy matching by person would take group 0 twice."""
    assigned = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]])
    assert right_grouping(assigned, np.ones((2, 5), bool)).right_keypoints == 6  # 2 + 4


@pytest.mark.parametrize(("people", "expected"), [(4, None), (5, 4 / 5), (6, 5 / 6)])
def test_people_of_crowded_images_are_counted_beside(people: int, expected: float | None) -> None:
    assigned = np.repeat(np.arange(people)[:, None], 3, axis=1)
    assigned[0, 0] = people  # one keypoint of the first person strays
    labelled = np.ones((people + 1, 3), bool)
    labelled[people] = False  # somebody without a labelled keypoint makes no crowd
    counts = right_grouping(np.vstack([assigned, [[0, 0, 0]]]), labelled)
    assert counts.person_rate == (people - 1) / people
    assert counts.crowd_rate == expected
    assert (counts + right_grouping(np.array([[0, 0, 1]]), np.ones((1, 3), bool))).crowd_rate == expected


def test_counts_add_up() -> None:
    perfect = right_grouping(np.array([[0, 0]]), np.ones((1, 2), bool))
    nobody = right_grouping(np.zeros((0, 2), int), np.ones((0, 2), bool))
    wrong = right_grouping(np.array([[0, 1]]), np.ones((1, 2), bool))
    total = sum([perfect, nobody, wrong], RightGrouping())
    assert total == RightGrouping(3, 4, 1, 2)
    assert (nobody.keypoint_rate, nobody.person_rate) == (None, None)


@pytest.mark.parametrize(
    ("assigned", "labelled", "message"),
    [
        (np.zeros((2, 3), int), np.ones((3, 2), bool), r"both be \(N, K\)"),
        (np.zeros(3, int), np.ones(3, bool), r"both be \(N, K\)"),
        (np.zeros((1, 2)), np.ones((1, 2), bool), "assigned must be int"),
        (np.zeros((1, 2), int), np.ones((1, 2), int), "labelled bool"),
        (np.full((1, 2), -2), np.ones((1, 2), bool), "not -2"),
    ],
)
def test_refuses(assigned: np.ndarray, labelled: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        right_grouping(assigned, labelled)
