"""Masks in pictures: exact outlines, colours that tell neighbours apart, texts where there is room."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree

from associative_embedding.drawing import masks as draw_masks_module
from associative_embedding.drawing.masks import FILL, MANY, SHADE, draw_masks, mask_colours, territories
from associative_embedding.drawing.palette import RIM, colour_distance, palette
from associative_embedding.instances import Instances, draw_instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from support.pictures import SIZE, canvas, changed

NAMES = {3: "cell", 7: "debris"}


def found_of(masks: Masks, names: dict[int, str] | None = None) -> Instances:
    n = len(masks)
    score = np.linspace(0.9, 0.5, n, dtype=np.float32)
    empty = np.zeros((n, 0, 3), np.float32)
    return Instances(
        score, np.full(n, 3), np.zeros((n, 1)), empty, masks.size, None, masks=masks, class_names=names or {3: "cell"}
    )


def boxes_of(*boxes: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> Masks:
    """Rectangles from y0, x0 to y1, x1."""
    dense = np.zeros((len(boxes), *size), bool)
    for mask, (y0, x0, y1, x1) in zip(dense, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Masks.from_dense(dense, size)


def cells(count: int, size: tuple[int, int], gap: float, seed: int = 0) -> Array:
    """``(H, W)`` labels of cells with straight walls, `gap` pixels apart."""
    seeds = np.random.default_rng(seed).uniform(0, 1, (count, 2)) * size
    place = np.stack(np.mgrid[: size[0], : size[1]], axis=-1) + 0.5
    distance, index = cKDTree(seeds).query(place, k=2)
    return np.where(distance[..., 1] - distance[..., 0] > gap, index[..., 0] + 1, 0).astype(np.int32)


def test_a_region_is_filled_and_its_border_is_drawn() -> None:
    image = canvas()
    drawn = draw_instances(image, found_of(boxes_of((20, 30, 60, 90)))).astype(float)
    assert (image == 128).all()  # the given image stays
    colour = palette(1)[0].astype(float)
    border = np.zeros(SIZE, bool)
    border[20:60, 30:90] = True
    border[21:59, 31:89] = False
    seam = np.zeros(SIZE, bool)
    seam[19:61, 30:90] = seam[20:60, 29:91] = True
    seam[20:60, 30:90] = False
    np.testing.assert_array_equal(drawn[border], np.broadcast_to(colour, (border.sum(), 3)))
    np.testing.assert_allclose(drawn[21:59, 31:89], np.broadcast_to(128 + FILL * (colour - 128), (38, 58, 3)), atol=1)
    np.testing.assert_allclose(
        drawn[seam], np.broadcast_to(128 + SHADE * (np.array(RIM) - 128), (seam.sum(), 3)), atol=1
    )
    drawn[19:61, 29:91] = 128
    assert (drawn == 128).all()


def test_a_region_at_the_edge_and_one_of_a_pixel() -> None:
    drawn = draw_instances(canvas(), found_of(boxes_of((0, 0, 30, 160), (119, 159, 120, 160))))
    first, second = palette(2)
    for y, x in ((0, 0), (0, 80), (29, 80), (10, 159)):
        assert tuple(drawn[y, x]) == tuple(first)
    assert tuple(drawn[119, 159]) == tuple(second)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_outlines_show_on_any_background(value: int) -> None:
    """Every colour of the palette, or the seam beside it, differs in lightness, or is far more colourful."""
    colours = palette(100)
    background = np.full((1, 3), value, np.uint8)
    seam = np.uint8(background + SHADE * (np.array([RIM]) - background.astype(float)))
    distance = colour_distance(np.concatenate([background, colours, seam]))
    assert np.maximum(distance[0, 1:-1], distance[0, -1]).min() > 40


def test_the_best_lies_on_top() -> None:
    drawn = draw_instances(canvas(), found_of(boxes_of((20, 30, 60, 90), (20, 30, 60, 90))))
    np.testing.assert_array_equal(drawn[20, 50], palette(1)[0])


def test_lines_follow_the_size_of_the_image() -> None:
    def width(side: int) -> int:
        masks = boxes_of((side // 4, side // 4, side // 2, side // 2), size=(side, side))
        column = draw_instances(canvas(size=(side, side)), found_of(masks))[: side * 3 // 8, side * 3 // 8]
        return int((column == palette(1)[0]).all(axis=1).sum())

    assert [width(side) for side in (64, 512, 1000, 2000)] == [1, 1, 2, 4]


def test_what_is_of_keypoints_means_nothing_to_masks() -> None:
    found = found_of(boxes_of((20, 30, 60, 90)))
    np.testing.assert_array_equal(draw_instances(canvas(), found, threshold=1), draw_instances(canvas(), found))


def test_boxes() -> None:
    dense = np.zeros((1, *SIZE), bool)
    dense[0, [30, 70], [40, 100]] = True
    drawn = draw_instances(canvas(), found_of(Masks.from_dense(dense, SIZE)), boxes=True)
    assert changed(drawn)[30, 41:100].all()
    assert changed(drawn)[31:70, 40].all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 8), st.floats(0, 1), st.integers(0, 999))
def test_only_the_regions_and_their_seams_change(h: int, w: int, n: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.random((n, h, w)) < share * rng.random((n, 1, 1))
    image = canvas(255, (h, w))
    draw_masks(image, Masks.from_dense(dense, (h, w)))
    region = dense.any(axis=0)
    expected = ndimage.binary_dilation(region) if n else np.zeros((h, w), bool)
    np.testing.assert_array_equal(changed(image, 255), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 8), st.integers(0, 999))
def test_nothing_breaks_it(height: int, width: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.random((n, height, width)) < 0.5
    found = found_of(Masks.from_dense(dense, (height, width)), NAMES)
    assert draw_instances(canvas(size=(height, width)), found, scores=True, boxes=True).shape == (height, width, 3)


# --- colours


def neighbours(labels: Array, reach: int) -> set[tuple[int, int]]:
    """Pairs of labels that lie in one window of 2 x reach + 1 pixels."""
    pairs = set()
    for label in range(1, labels.max() + 1):
        grown = ndimage.binary_dilation(labels == label, iterations=reach)
        pairs |= {(label - 1, int(other) - 1) for other in np.unique(labels[grown]) if other > label}
    return pairs


@pytest.mark.parametrize(("gap", "reach"), [(0.0, 1), (3.0, 6)])
def test_hundreds_of_neighbours_are_told_apart(gap: float, reach: int) -> None:
    labels = cells(300, (256, 256), gap)
    colours = mask_colours(Masks.from_labels(labels, 300))
    distance = colour_distance(colours)
    pairs = neighbours(labels, reach)
    assert len(pairs) > 500
    assert min(distance[pair] for pair in pairs) > 40
    plain = colour_distance(palette(300))  # which is why the palette alone does not do
    assert sum(plain[pair] < 40 for pair in pairs) > 50


def test_a_region_has_its_number_s_colour_unless_a_neighbour_is_like_it() -> None:
    far = boxes_of((0, 0, 5, 5), (0, 150, 5, 160), (110, 0, 120, 5))
    np.testing.assert_array_equal(mask_colours(far), palette(3))
    colours = mask_colours(Masks.from_labels(cells(200, (128, 128), 0), 200))
    assert (colours == palette(200)).all(axis=1).mean() > 0.3
    assert mask_colours(Masks.empty(SIZE)).shape == (0, 3)
    assert len(mask_colours(Masks.from_dense(np.zeros((3, 5, 5), bool), (5, 5)))) == 3


def test_large_images_are_looked_at_in_less_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        draw_masks_module, "territories", lambda labels: (seen.append(labels.shape), territories(labels))[1]
    )
    labels = cells(60, (64, 64), 0).repeat(40, axis=0).repeat(40, axis=1)
    distance = colour_distance(mask_colours(Masks.from_labels(labels, 60)))
    assert min(distance[pair] for pair in neighbours(labels[::40, ::40], 1)) > 40
    assert max(seen[0]) <= 1024


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 6), st.integers(0, 999))
def test_territories_belong_to_the_nearest(h: int, w: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((h, w), np.int32)
    labels.flat[rng.integers(0, h * w, n)] = np.arange(1, n + 1)
    land = territories(labels)
    if not labels.any():
        assert not land.any()
        return
    distance = np.stack([ndimage.distance_transform_edt(labels != label) for label in np.unique(labels[labels > 0])])
    own = ndimage.distance_transform_edt  # of each pixel to the label that it was given
    given_label = np.select([land == label for label in np.unique(land)], [own(labels != v) for v in np.unique(land)])
    np.testing.assert_array_less(given_label, distance.min(axis=0) * 1.05 + 0.1)  # cv2's distance is that exact


# --- texts


def test_scores_are_written_where_there_is_room() -> None:
    masks = boxes_of((10, 10, 60, 100), (90, 120, 100, 130))
    found = found_of(masks)
    plain, scored = draw_instances(canvas(), found), draw_instances(canvas(), found, scores=True)
    written = (plain != scored).any(axis=2)
    assert written[10:60, 10:100].sum() > 100
    written[10:60, 10:100] = False
    assert not written.any()  # the small one has none, and no text leaves its region
    other = draw_instances(canvas(), replace(found, score=np.float32([0.11, 0.1])), scores=True)
    assert (other != scored).any()  # it is the number that is written


def test_a_text_lies_around_the_innermost_pixel() -> None:
    """Of a frying pan, in the pan."""
    dense = np.zeros((1, *SIZE), bool)
    cv2.circle(dense[0].view(np.uint8), (120, 60), 30, 1, -1)
    dense[0, 58:63, :120] = True
    found = found_of(Masks.from_dense(dense, SIZE))
    written = (draw_instances(canvas(), found) != draw_instances(canvas(), found, scores=True)).any(axis=2)
    y, x = np.nonzero(written)
    assert (x.min() + x.max()) / 2 == pytest.approx(120, abs=2)
    assert (y.min() + y.max()) / 2 == pytest.approx(60, abs=2)


def written_width(names: dict[int, str], **options: Any) -> int:
    found = found_of(boxes_of((10, 10, 100, 150)), names)
    plain, scored = draw_instances(canvas(), found), draw_instances(canvas(), found, scores=True, **options)
    return int((plain != scored).any(axis=(0, 2)).sum())


def test_the_class_is_written_where_there_are_several() -> None:
    assert written_width({3: "cell"}) == written_width({3: "a very long name"}) < written_width(NAMES)
    assert written_width({3: "c", 7: "d"}) < written_width(NAMES)
    assert written_width({7: "d", 8: "e"}) > 0  # a class without a name is a number


def test_texts_do_not_cover_each_other() -> None:
    """Of two regions with the same middle, the best has its score."""
    masks = boxes_of((10, 10, 90, 120), (10, 10, 90, 120), (92, 10, 118, 120))
    found = found_of(masks)
    plain, scored = draw_instances(canvas(), found), draw_instances(canvas(), found, scores=True)
    _, count = ndimage.label(ndimage.binary_closing((plain != scored).any(axis=2), iterations=2))
    assert count == 2
    colours = mask_colours(masks)
    plates = [(scored[30:70] == colour).all(axis=2).sum() for colour in colours[:2]]
    assert plates[0] > 100 > 10 > plates[1]


# --- speed


def test_hundreds_of_cells_are_drawn_at_once() -> None:
    masks = Masks.from_labels(cells(400, (512, 512), 3), 400)
    found, image = found_of(masks), canvas(size=(512, 512))
    times = []
    for _ in range(5):
        start = time.process_time()
        draw_instances(image, found, scores=True)
        times.append(time.process_time() - start)
    assert min(times) < 0.25  # about 0.06 s; the whole picture for each would be 20 times as much


def test_outlines_of_small_masks_are_thin_and_of_many_hollow() -> None:
    """In a large picture the outline of a cell was as wide as the cell."""
    labels = np.zeros((2000, 2000), np.int32)
    labels[10:26, 10:26] = 1
    canvas = np.full((2000, 2000, 3), 90, np.uint8)
    few = canvas.copy()
    draw_masks(few, Masks.from_labels(labels))
    filled = few[12:24, 12:24].reshape(-1, 3)
    assert (filled == filled[0]).all()  # all but the outermost pixels, which are the outline
    assert (few[10, 10] != filled[0]).any()
    for i in range(MANY):
        labels[100 + 20 * (i // 50) : 112 + 20 * (i // 50), 100 + 20 * (i % 50) : 112 + 20 * (i % 50)] = i + 2
    draw_masks(canvas, Masks.from_labels(labels))
    assert (canvas[12:24, 12:24] == 90).all()
    assert (canvas[10, 10] != 90).any()
