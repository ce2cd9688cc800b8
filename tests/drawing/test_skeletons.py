"""What is drawn where, and that it can be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.drawing.palette import RIM, palette
from associative_embedding.drawing.skeletons import SIDE_COLOURS, keypoint_colours, legend_entries, limb_radius
from associative_embedding.instances import Instances, draw_instances
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.skeleton import Skeleton
from support.pictures import PAIR, SIZE, canvas, changed


def instances_of(keypoints: Any, skeleton: Skeleton = PAIR, size: tuple[int, int] = SIZE) -> Instances:
    keypoints = np.array(keypoints, dtype=np.float32).reshape(-1, len(skeleton), 3)
    n = len(keypoints)
    score = np.linspace(0.9, 0.5, n, dtype=np.float32)
    return Instances(score, np.ones(n, np.int64), np.zeros((n, 1)), keypoints, size, skeleton)


ONE = instances_of([[20.5, 60.5, 0.9], [140.5, 60.5, 0.6], [80.5, 100.5, 0.3]])


def test_each_thing_has_its_colour_and_place() -> None:
    image = canvas()
    drawn = draw_instances(image, ONE)
    assert (image == 128).all()  # the given image stays
    assert tuple(drawn[60, 20]) == SIDE_COLOURS["l"]
    assert tuple(drawn[60, 140]) == SIDE_COLOURS["r"]
    assert tuple(drawn[100, 80]) == SIDE_COLOURS[""]
    assert tuple(drawn[60, 80]) == tuple(palette(1)[0])
    assert not changed(drawn)[:50].any()
    column = drawn[:, 60].astype(int)  # across the limb: dark, bright, dark
    dark = np.flatnonzero(column.sum(axis=1) < sum(RIM) + 60)
    assert dark.min() < 60 < dark.max()
    assert dark.min() + dark.max() == pytest.approx(120, abs=1)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_skeletons_show_on_any_background(value: int) -> None:
    drawn = draw_instances(canvas(value), ONE).astype(int)
    contrast = np.abs(drawn - value).max(axis=2)
    assert (contrast > 90).sum() > 350


def test_threshold() -> None:
    full, some, none = (changed(draw_instances(canvas(), ONE, threshold=t)) for t in (0.0, 0.5, 0.95))
    assert full[100, 80]
    assert not some[100, 80]
    assert some[60, 80]
    assert not none.any()
    one_end = changed(draw_instances(canvas(), ONE, threshold=0.7))
    assert one_end[60, 20]
    assert not one_end[60, 80]  # a limb needs both its ends
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="threshold must be in"):
            draw_instances(canvas(), ONE, threshold=wrong)


def test_missing_keypoints_are_not_drawn() -> None:
    lost = instances_of([[0, 0, 0], [140, 60, 0.6], [np.nan, np.inf, 0.5]])
    drawn = changed(draw_instances(canvas(), lost, scores=True, boxes=True))
    assert not drawn[:30, :60].any()
    assert not changed(draw_instances(canvas(), instances_of(np.zeros((3, 3))), scores=True, boxes=True)).any()
    assert not changed(draw_instances(canvas(), instances_of([]), scores=True, boxes=True)).any()


def test_the_best_lies_on_top() -> None:
    two = instances_of([ONE.keypoints[0], ONE.keypoints[0]])
    np.testing.assert_array_equal(draw_instances(canvas(), two)[60, 80], palette(1)[0])


def test_boxes_and_scores_are_seen() -> None:
    plain, box, score = (draw_instances(canvas(), ONE, **o) for o in ({}, {"boxes": True}, {"scores": True}))
    assert changed(box)[80, :20].any()  # the box's left side
    assert not changed(plain)[80, :20].any()
    assert (score != plain).any(axis=2).sum() > 100
    labelled = draw_instances(canvas(), replace(ONE, score=np.array([0.11], np.float32)), scores=True)
    assert (labelled != score).any()  # it is the number that is written


def test_labels_do_not_cover_each_other() -> None:
    two = instances_of([ONE.keypoints[0], ONE.keypoints[0] + np.float32([1, 0, 0])])
    drawn = draw_instances(canvas(), two, scores=True)
    areas = [(drawn[:55] == colour).all(axis=2).sum() for colour in palette(2)]
    assert min(areas) > 60
    assert abs(areas[0] - areas[1]) < 60


def test_widths_follow_the_person_and_the_image() -> None:
    def radius(person: float, image: int) -> float:
        return limb_radius((np.zeros(2), np.full(2, person)), (image, image))

    assert radius(20, 400) < radius(200, 400) <= radius(390, 400) < radius(3900, 4000)
    assert radius(3, 400) > 0.5


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image is \(8, 8\), but the instances were found in one of \(120, 160\)"):
        draw_instances(canvas(size=(8, 8)), ONE)
    for image in (np.zeros(SIZE, np.uint8), np.zeros((*SIZE, 3))):
        with pytest.raises(ValueError, match="image must be"):
            draw_instances(image, ONE)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 30),
    st.sampled_from([1.0, 100.0, 1e9, 3e38]),
    st.integers(0, 999),
)
def test_nothing_breaks_it(height: int, width: int, n: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints = (rng.uniform(-1, 1, (n, 17, 3)) * [spread, spread, 1]).astype(np.float32)
    found = instances_of(keypoints, COCO_17, (height, width))
    drawn = draw_instances(canvas(size=(height, width)), found, scores=True, boxes=True)
    assert drawn.shape == (height, width, 3)


def test_what_has_neither_skeleton_nor_mask_is_not_drawn() -> None:
    bare = Instances(np.ones(1, np.float32), np.ones(1, np.int64), np.zeros((1, 1)), np.zeros((1, 0, 3)), SIZE, None)
    assert not changed(draw_instances(canvas(), bare, scores=True, boxes=True)).any()


def test_names_and_a_legend_are_drawn_where_they_are_asked_for() -> None:
    size = (300, 400)
    found = instances_of(ONE.keypoints, size=size)
    plain, names, legend = (
        draw_instances(canvas(size=size), found, **o) for o in ({}, {"names": True}, {"legend": True})
    )
    assert (names != plain).any(axis=2)[40:120, :250].sum() > 100  # beside the keypoints
    corner = (legend != plain).any(axis=2)
    assert corner.any()
    assert not corner[[60, 60, 100], [20, 140, 80]].any()  # no keypoint is covered
    nobody = draw_instances(canvas(size=size), instances_of([], size=size), names=True, legend=True)
    assert (nobody == 128).all()


def test_without_known_sides_each_type_has_its_colour() -> None:
    fly = Skeleton.build("fly", ["head", "thorax", "tip"], [("head", "thorax"), ("thorax", "tip")])
    colours = keypoint_colours(fly)
    assert len(set(colours)) == 3
    assert legend_entries(fly) == list(zip(fly.keypoints, colours, strict=True))
    drawn = draw_instances(canvas(), replace(ONE, skeleton=fly))
    assert [tuple(drawn[y, x]) for y, x in ((60, 20), (60, 140), (100, 80))] == list(colours)


def test_a_path_is_drawn_below_the_people() -> None:
    path = {1: np.array([[20.5, 20.5], [140.5, 20.5], [140.5, 60.5]])}
    plain, drawn = draw_instances(canvas(), ONE), draw_instances(canvas(), ONE, trails=path)
    assert (drawn != plain).any(axis=2)[20, 60:130].any()
    assert tuple(drawn[60, 140]) == SIDE_COLOURS["r"]
