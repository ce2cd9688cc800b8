"""Groups by the modes of the tags: the paper's histogram, in any number of dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.grouping import group_by_modes, histogram
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections


def detections(tag: Array, score: Array | None = None) -> Detections:
    m = len(tag)
    return Detections(np.ones(m) if score is None else score, tag, np.zeros((m, 2)), np.zeros(m, np.int64))


def clusters(
    seed: int, count: int, dimension: int, *, apart: float = 3.0, spread: float = 0.1, most: int = 60
) -> tuple[Array, Array]:
    """Tags of clusters whose root mean square distances are at least `apart`, in random order, and their clusters."""
    rng = np.random.default_rng(seed)
    corners = rng.permutation(
        np.stack(np.meshgrid(*[np.arange(5)] * min(dimension, 2)), axis=-1).reshape(-1, min(dimension, 2))
    )
    centre = np.zeros((count, dimension))
    centre[:, : corners.shape[1]] = corners[:count] * apart * np.sqrt(dimension)
    truth = rng.permutation(np.repeat(np.arange(count), rng.integers(20, most, count)))
    return centre[truth] + rng.uniform(-spread, spread, (len(truth), dimension)) + rng.normal(size=dimension), truth


def same_partition(a: Array, b: Array) -> bool:
    return len(np.unique(np.stack([a, b]), axis=1).T) == len(np.unique(a)) == len(np.unique(b))


@given(seed=st.integers(0, 9999), count=st.integers(1, 5), dimension=st.integers(1, 8))
@settings(deadline=None, max_examples=80)
def test_clusters_that_lie_apart_are_found(seed: int, count: int, dimension: int) -> None:
    tag, truth = clusters(seed, count, dimension)
    groups = group_by_modes(detections(tag), bandwidth=1.0)
    assert same_partition(groups.group, truth)
    for g in range(len(groups)):
        np.testing.assert_allclose(groups.tag[g], tag[groups.group == g].mean(axis=0))
    moved = group_by_modes(detections(tag + 100.0), bandwidth=1.0)
    assert same_partition(moved.group, truth)  # only differences of tags matter


@given(seed=st.integers(0, 9999))
@settings(deadline=None, max_examples=40)
def test_permuting_the_detections_permutes_the_groups(seed: int) -> None:
    tag, _ = clusters(seed, 3, 2, spread=0.6)
    order = np.random.default_rng(seed).permutation(len(tag))
    straight = group_by_modes(detections(tag), bandwidth=0.7).group
    assert same_partition(straight[order], group_by_modes(detections(tag[order]), bandwidth=0.7).group)


def test_the_papers_histogram() -> None:
    """One dimension: two bumps, and what lies between goes to the nearer one."""
    tag = np.concatenate([np.full(50, 0.0), np.full(30, 2.0), [0.9, 1.1]])[:, None]
    groups = group_by_modes(detections(tag), bandwidth=0.5, min_weight=5)
    assert len(groups) == 2
    assert groups.group[-2] == groups.group[0]
    assert groups.group[-1] == groups.group[50]


def test_a_small_bump_beside_a_large_one_is_none() -> None:
    tag = np.concatenate([np.full(50, 0.0), np.full(10, 0.8)])[:, None]
    assert len(group_by_modes(detections(tag), bandwidth=1.0)) == 1
    assert len(group_by_modes(detections(tag), bandwidth=0.5)) == 2


def test_scores_are_the_weight() -> None:
    tag = np.concatenate([np.zeros(10), np.full(10, 5.0)])[:, None]
    score = np.repeat([1.0, 0.1], 10)
    groups = group_by_modes(detections(tag, score), bandwidth=1.0, min_weight=2.0)
    assert len(groups) == 1
    assert (groups.group == 0).all()  # nearest, however far
    assert groups.score == pytest.approx([0.55])


def test_regions_share_no_group() -> None:
    tag = np.zeros((30, 2))
    region = np.repeat([4, 7, 9], 10)
    groups = group_by_modes(detections(tag), bandwidth=1.0, region=region)
    assert same_partition(groups.group, region)
    few = np.concatenate([np.full(29, 1), [2]])
    dropped = group_by_modes(detections(tag), bandwidth=1.0, region=few, min_weight=3)
    assert dropped.group.tolist() == [0] * 29 + [-1]
    assert len(dropped) == 1


@pytest.mark.parametrize("dimension", [1, 3, 64])
def test_odd_input(dimension: int) -> None:
    none = group_by_modes(detections(np.zeros((0, dimension))), bandwidth=1.0)
    assert (len(none), none.tag.shape) == (0, (0, dimension))
    equal = group_by_modes(detections(np.full((9, dimension), 3.5)), bandwidth=1.0)
    assert equal.group.tolist() == [0] * 9
    nobody = group_by_modes(detections(np.zeros((3, dimension))), bandwidth=1.0, min_weight=9)
    assert (len(nobody), nobody.group.tolist()) == (0, [-1] * 3)
    silent = group_by_modes(detections(np.zeros((3, dimension)), np.zeros(3)), bandwidth=1.0)
    assert silent.group.tolist() == [0] * 3
    rng = np.random.default_rng(0)
    huge = group_by_modes(detections(np.array([[1e300] * dimension, [-1e300] * dimension])), bandwidth=1e-3)
    assert len(huge) == 2
    wide = group_by_modes(detections(rng.normal(scale=1e5, size=(50, dimension))), bandwidth=1e-3)
    assert len(wide) == 50  # the cells' numbers would not fit into one integer


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="finite"):
        group_by_modes(detections(np.full((2, 1), np.nan)), bandwidth=1.0)
    with pytest.raises(ValueError, match="finite"):
        group_by_modes(detections(np.zeros((2, 1)), np.array([1.0, np.inf])), bandwidth=1.0)
    for bandwidth in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="bandwidth"):
            group_by_modes(detections(np.zeros((2, 1))), bandwidth=bandwidth)


@given(seed=st.integers(0, 9999), dimension=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_histogram_against_counting(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    place, score = rng.normal(size=(40, dimension)), rng.uniform(size=40)
    mean, weight = histogram(place, score)
    cells: dict[tuple[int, ...], list[int]] = {}
    for i, p in enumerate(place):
        cells.setdefault(tuple(np.floor(p / 0.5).astype(int)), []).append(i)
    expected = sorted((tuple(place[rows].mean(axis=0)), score[rows].sum()) for rows in cells.values())
    found = sorted((tuple(m), w) for m, w in zip(mean, weight, strict=True))
    np.testing.assert_allclose([m for m, _ in found], [m for m, _ in expected])
    np.testing.assert_allclose([w for _, w in found], [w for _, w in expected])
