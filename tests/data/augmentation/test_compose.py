"""Mosaics and overlaps keep labels on their pixels, and know what is covered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.data.augmentation.compose import blend, cut_tiles, fill_tile, limb_mask, mosaic, overlap
from associative_embedding.data.synthetic.figures import synthetic_sample
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

EDGES = np.asarray(COCO_17.edge_index)


def figure(seed: int, people: tuple[int, int] = (1, 2)) -> Sample:
    return synthetic_sample(np.random.default_rng(seed), COCO_17, (180, 200), people)


def flat(xy: Array, level: int, size: tuple[int, int] = (100, 100)) -> Sample:
    """A picture of one grey level with one person of two keypoints, the limb 5 - 7, and nothing else."""
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, [5, 7], :2], keypoints[0, [5, 7], 2] = xy, 2
    return Sample(np.full((*size, 3), level, np.uint8), keypoints, np.array([500.0], np.float32), np.ones(17, bool))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), sides=st.tuples(st.integers(24, 90), st.integers(24, 90)))
@settings(max_examples=60, deadline=None)
def test_tiles_cover_every_pixel_once(seed: int, n: int, sides: tuple[int, int]) -> None:
    tiles = cut_tiles((0, 0, *sides), n, np.random.default_rng(seed))
    count = np.zeros(sides[::-1], int)
    for x0, y0, x1, y1 in tiles:
        assert x0 < x1
        assert y0 < y1
        count[y0:y1, x0:x1] += 1
    assert len(tiles) == n
    assert (count == 1).all()


def test_layouts_vary() -> None:
    layouts = {tuple(cut_tiles((0, 0, 100, 100), 3, np.random.default_rng(s))) for s in range(30)}
    stacked = sum(all(x0 == 0 and x1 == 100 for x0, _, x1, _ in tiles) for tiles in layouts)
    assert len(layouts) == 30
    assert 0 < stacked < 20


@given(seed=st.integers(0, 10**6), n=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_mosaic_shows_its_tiles(seed: int, n: int) -> None:
    samples = [figure(seed + i) for i in range(n)]
    result = mosaic(samples, np.random.default_rng(seed), (160, 192))
    assert result.image.shape == (160, 192, 3)
    rng = np.random.default_rng(seed)
    boxes = cut_tiles((0, 0, 192, 160), n, rng)
    parts = [fill_tile(s, (y1 - y0, x1 - x0), rng) for s, (x0, y0, x1, y1) in zip(samples, boxes, strict=True)]
    assert len(result.keypoints) == len(result.area) == sum(len(p.keypoints) for p in parts)
    people = iter(result.keypoints)
    for part, (x0, y0, x1, y1) in zip(parts, boxes, strict=True):
        assert np.array_equal(result.image[y0:y1, x0:x1], part.image)
        assert result.ignore is not None
        assert np.array_equal(result.ignore[y0:y1, x0:x1], part.ignore)
        for expected in part.keypoints:
            placed = next(people)
            assert np.allclose(placed - expected, (x0, y0, 0), atol=1e-4)
            seen = placed[placed[:, 2] > 0]
            assert ((seen[:, :2] >= (x0, y0)) & (seen[:, :2] <= (x1, y1))).all()  # nobody reaches into another tile


def test_mosaic_of_images_without_people() -> None:
    empty = replace(figure(0), keypoints=np.zeros((0, 17, 3), np.float32), area=np.zeros(0, np.float32))
    result = mosaic([empty, empty, empty], np.random.default_rng(0), (64, 64))
    assert result.keypoints.shape == (0, 17, 3)
    assert result.ignore is not None
    assert not result.ignore.any()  # each tile is filled


def test_sources_that_label_other_types_do_not_mix() -> None:
    one, other = figure(0), replace(figure(1), labelled=np.arange(17) > 4)
    with pytest.raises(ValueError, match="one source"):
        mosaic([one, other], np.random.default_rng(0), (64, 64))
    with pytest.raises(ValueError, match="one source"):
        overlap(one, other, np.random.default_rng(0), EDGES)
    with pytest.raises(ValueError, match="at least one"):
        mosaic([], np.random.default_rng(0), (64, 64))
    with pytest.raises(ValueError, match="does not fit"):
        mosaic([one] * 4, np.random.default_rng(0), (64, 7))


def test_limb_mask_is_the_set_of_points_near_the_limb() -> None:
    sample = flat(np.array([[20.5, 30.5], [70.5, 60.5]]), 0)
    mask = limb_mask(sample.keypoints[0], EDGES, (100, 100), 8)
    a, b = sample.keypoints[0, 5, :2], sample.keypoints[0, 7, :2]
    y, x = np.mgrid[:100, :100] + 0.5
    t = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
    distance = np.hypot(x - a[0] - t * (b - a)[0], y - a[1] - t * (b - a)[1])
    assert (mask[distance < 6.5] == 255).all()
    assert (mask[distance > 9.5] == 0).all()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_what_is_pasted_covers_what_lies_below(seed: int) -> None:
    above, below = flat(np.array([[20, 50], [80, 50]]), 250), flat(np.array([[50, 20], [50, 80]]), 10)
    result = overlap(above, below, np.random.default_rng(seed), EDGES)
    level = result.image[..., 0].astype(int)
    assert set(np.unique(result.keypoints[..., 2])) <= {0, 1, 2}
    is_under = (result.keypoints[:, [5, 7], :2] == below.keypoints[:, [5, 7], :2]).all(axis=(1, 2))
    under, over = result.keypoints[is_under], result.keypoints[~is_under]
    assert len(under) <= 1
    assert len(over) <= 1
    for k in (5, 7):
        x, y = below.keypoints[0, k, :2].astype(int)
        visible = under[0, k, 2] if len(under) else 0
        if visible == 2:
            assert level[y, x] < 200  # at most under the soft border
        else:
            assert level[y, x] > 60
        for p in over:
            if p[k, 2]:
                assert level[int(p[k, 1]), int(p[k, 0])] > 60
    assert len(result.area) == len(result.keypoints)
    assert (level == 10).any() or not len(over)


def test_overlap_hides_and_half_hides() -> None:
    rng, seen = np.random.default_rng(0), set()
    above, below = flat(np.array([[20, 50], [80, 50]]), 250), flat(np.array([[50, 20], [50, 80]]), 10)
    for _ in range(150):
        for p in overlap(above, below, rng, EDGES).keypoints:
            if np.allclose(p[5, :2], (50, 20)):
                seen.update(p[[5, 7], 2].tolist())
    assert seen == {0, 1, 2}


def test_people_who_are_not_cut_out_do_not_come_along() -> None:
    one, other = flat(np.array([[10, 15], [35, 15]]), 250), flat(np.array([[10, 30], [35, 30]]), 250)
    above = replace(one, keypoints=np.concatenate([one.keypoints, other.keypoints]), area=np.ones(2, np.float32))
    empty = replace(
        flat(np.zeros((2, 2)), 10), keypoints=np.zeros((0, 17, 3), np.float32), area=np.zeros(0, np.float32)
    )
    for seed in range(20):
        assert len(overlap(above, empty, np.random.default_rng(seed), EDGES).keypoints) <= 1


def test_overlap_leaves_its_inputs_and_the_rest_alone() -> None:
    above, below = figure(3), figure(4)
    images = above.image.copy(), below.image.copy(), above.keypoints.copy(), below.keypoints.copy()
    result = overlap(above, below, np.random.default_rng(0), EDGES)
    assert not np.array_equal(result.image, below.image)
    assert (result.image == below.image).all(axis=2).mean() > 0.3
    for array, copy in zip((above.image, below.image, above.keypoints, below.keypoints), images, strict=True):
        assert np.array_equal(array, copy)


def test_ignored_regions_are_pasted_with_the_person() -> None:
    above, below = figure(3), figure(4)
    all_ignored = np.ones(below.image.shape[:2], bool)
    result = overlap(above, replace(below, ignore=all_ignored), np.random.default_rng(0), EDGES)
    assert result.ignore is not None
    assert not result.ignore.all()  # the pasted person may be taught, whatever it lies on
    changed = (result.image != below.image).any(axis=2)
    assert changed[~result.ignore].mean() > 0.9


def test_nobody_to_paste_and_nobody_to_cover() -> None:
    empty = replace(figure(0), keypoints=np.zeros((0, 17, 3), np.float32), area=np.zeros(0, np.float32))
    assert overlap(empty, figure(1), np.random.default_rng(0), EDGES) is not None
    assert np.array_equal(overlap(empty, figure(1), np.random.default_rng(0), EDGES).image, figure(1).image)
    assert len(overlap(figure(1, (1, 1)), empty, np.random.default_rng(0), EDGES).keypoints) == 1


def test_blend_of_nothing_is_below() -> None:
    above, below = np.full((20, 20, 3), 200, np.uint8), np.full((20, 20, 3), 9, np.uint8)
    assert np.array_equal(blend(above, below, np.zeros((20, 20), np.uint8), feather=1), below)
    assert np.array_equal(blend(above, below, np.full((20, 20), 255, np.uint8), feather=1), above)


def test_masks_are_not_composed() -> None:
    size = (100, 100)
    part = flat(np.array([[10, 10], [30, 30]]), 100)
    region = replace(
        part,
        keypoints=np.zeros((0, 0, 3), np.float32),
        area=np.zeros(0, np.float32),
        masks=Masks.empty(size),
        class_id=np.zeros(0, np.int64),
    )
    with pytest.raises(ValueError, match="not with masks"):
        mosaic([region, region], np.random.default_rng(0), size)
    with pytest.raises(ValueError, match="not with masks"):
        overlap(region, region, np.random.default_rng(0), EDGES)
