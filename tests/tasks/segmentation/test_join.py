"""Modes without a valley between them are one object."""

from __future__ import annotations

import numpy as np
import pytest

from associative_embedding.grouping import group_by_modes
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.tasks.segmentation.join import MOST_TAGS, join_touching, roots, touching

WIDTH = 40


def bar(tag: Array) -> Detections:
    """A bar of pixels, 8 high; `tag` has one value for each column."""
    y, x = np.mgrid[:8, : len(tag)].reshape(2, -1)
    return Detections(
        score=np.ones(len(x)),
        tag=tag[x][:, None].astype(np.float64),
        xy=np.stack([x, y], axis=1).astype(np.float64),
        step=np.zeros(len(x), np.int64),
    )


def found(detections: Detections, valley: float) -> Groups:
    groups = group_by_modes(detections, bandwidth=1.0)
    return join_touching(detections, groups, bandwidth=1.0, valley=valley)


def test_tags_that_change_slowly_are_one_object() -> None:
    """They spread over three bandwidths, so that there are several modes."""
    tag = np.linspace(0, 3, WIDTH)
    assert len(found(bar(tag), 1.0).tag) > 1
    joined = found(bar(tag), 0.8)
    assert len(joined.tag) == 1
    assert joined.tag[0, 0] == pytest.approx(1.5)
    assert (joined.group == 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_two_objects_that_touch_stay_two(noise: float) -> None:
    rng = np.random.default_rng(0)
    tag = np.repeat([0.0, 1.5], WIDTH // 2) + noise * rng.standard_normal(WIDTH)
    groups = found(bar(tag), 0.8)
    assert len(groups.tag) == 2
    assert len(set(groups.group[: WIDTH // 2].tolist())) == 1


def test_groups_that_do_not_touch_are_never_joined() -> None:
    detections = bar(np.repeat(np.linspace(0, 3, WIDTH), 2))
    groups = group_by_modes(detections, bandwidth=1.0)
    # A column without a group at each border: the tags still have no valley.
    border = np.isin(detections.xy[:, 0], detections.xy[1:][np.diff(groups.group) != 0][:, 0])
    apart = Groups(np.where(border, -1, groups.group), groups.tag, groups.score)
    assert not len(touching(detections.xy, apart.group))
    assert len(join_touching(detections, apart, bandwidth=1.0, valley=0.1).tag) == len(groups.tag)


def test_thinned_tags_stand_for_all() -> None:
    """Objects of a hundred thousand pixels are joined as small ones are."""
    tag = np.linspace(0, 3, 50 * MOST_TAGS // 8)
    assert len(found(bar(tag), 0.8).tag) == 1
    assert len(found(bar(np.repeat([0.0, 1.5], 25 * MOST_TAGS // 8)), 0.8).tag) == 2


def test_pixels_without_a_group_stay_without() -> None:
    detections = bar(np.linspace(0, 3, WIDTH))
    groups = group_by_modes(detections, bandwidth=1.0)
    some = groups.group.copy()
    some[::7] = -1
    joined = join_touching(detections, Groups(some, groups.tag, groups.score), bandwidth=1.0, valley=0.8)
    assert np.array_equal(joined.group < 0, some < 0)


def test_no_pixel_at_all() -> None:
    nothing = Detections(np.zeros(0), np.zeros((0, 1)), np.zeros((0, 2)), np.zeros(0, np.int64))
    groups = group_by_modes(nothing, bandwidth=1.0)
    assert len(join_touching(nothing, groups, bandwidth=1.0, valley=0.5).tag) == 0


def test_the_last_of_a_chain() -> None:
    assert roots(np.array([3, 3, 2, 4, 4])).tolist() == [4, 4, 2, 4, 4]
