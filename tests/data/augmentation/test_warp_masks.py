"""Masks are warped as their pictures are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.data.augmentation.augment import (
    augment,
    view,
)
from associative_embedding.data.augmentation.warp_masks import warp_masks
from associative_embedding.data.settings import Augment
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, reduction, warp
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

SHAPES = replace(Augment(), colour=0, grey=0, blur=0)


def regions(seed: int, size: tuple[int, int], count: int = 12) -> Masks:
    """Ellipses of all sizes, some of which the image cuts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    centre, radius = rng.uniform(0, size, (count, 2)), rng.uniform(1, 0.3 * min(size), (count, 2))
    dense = [((y - c[0]) / r[0]) ** 2 + ((x - c[1]) / r[1]) ** 2 < 1 for c, r in zip(centre, radius, strict=True)]
    return Masks.from_dense(dense, size)


def outlined(masks: Masks, labelled: int = 3) -> Sample:
    """A sample of regions, their image grey inside of them."""
    n = len(masks)
    image = np.where(masks.labels() > 0, 200, 0).astype(np.uint8)[..., None].repeat(3, axis=2)
    return Sample(
        image=image,
        keypoints=np.zeros((n, 0, 3), np.float32),
        area=masks.area.astype(np.float32),
        labelled=np.arange(labelled) != 1,
        masks=masks,
        class_id=np.arange(n) % labelled,
    )


def densely(masks: Masks, geometry: ImageGeometry) -> Array:
    """``(N, H, W)`` bool by `geometry.warp` of whole pictures, grown to a multiple of the squares that it averages."""
    margin = [(0, -side % reduction(geometry)) for side in masks.size]
    return np.array([warp(np.pad(mask, margin).astype(np.uint8) * 255, geometry) >= 128 for mask in masks.dense()])


@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([(128, 128), (97, 160), (256, 193)]),
    scale=st.floats(0.15, 3),
    rotation=st.floats(-180, 180),
    mirror=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_regions_are_warped_as_their_pictures_are(
    seed: int, size: tuple[int, int], scale: float, rotation: float, mirror: bool
) -> None:
    masks = regions(seed, size)
    centre = np.random.default_rng(seed).uniform(0, size[::-1])
    geometry = centred(size, (96, 128), stride=4, scale=scale, centre=tuple(centre), rotation=rotation, mirror=mirror)
    warped = warp_masks(masks, geometry)
    assert warped.size == (96, 128)
    expected = densely(masks, geometry)
    common, either = (warped.dense() & expected).sum(axis=(1, 2)), (warped.dense() | expected).sum(axis=(1, 2))
    assert ((common > 0.97 * either) | (either - common <= 2)).all()


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 0.21, 1 / 8])
def test_a_strong_reduction_averages_what_it_would_skip(scale: float) -> None:
    masks = regions(1, (240, 240), 60)
    geometry = centred((240, 240), (240, 240), stride=4, scale=scale)
    expected = densely(masks, geometry)
    different = (warp_masks(masks, geometry).dense() != expected).mean()  # 240 is a multiple of all the squares
    assert different <= (0 if int(cv2.__version__.split(".")[0]) >= 5 else 1e-3)  # OpenCV 4: steps of 1/32 pixel
    column = np.tile(np.arange(240) % 4, (240, 1))
    stripes = Masks.from_dense([column == 3, column < 3], (240, 240))
    assert warp_masks(stripes, centred((240, 240), (60, 60), stride=4, scale=1 / 4)).area.tolist() == [0, 3600]


def test_whole_pixels_stay_whole() -> None:
    masks = regions(3, (90, 120))
    dense = masks.dense()
    same = centred((90, 120), (90, 120), stride=4, scale=1)
    assert np.array_equal(warp_masks(masks, same).dense(), dense)
    mirror = replace(same, matrix=np.array([[-1.0, 0, 120], [0, 1, 0]]))
    assert np.array_equal(warp_masks(masks, mirror).dense(), dense[:, :, ::-1])
    moved = replace(same, matrix=np.array([[1.0, 0, 30], [0, 1, -7]]))
    assert np.array_equal(warp_masks(masks, moved).dense()[:, :-7, 30:], dense[:, 7:, :-30])
    doubled = replace(same, input_size=(180, 240), matrix=np.array([[2.0, 0, 0], [0, 2, 0]]))
    assert abs(warp_masks(masks, doubled).area / (4 * masks.area) - 1).max() < 0.05


def test_regions_out_of_view_are_empty_and_their_instances_left_out() -> None:
    dense = np.zeros((3, 40, 60), bool)
    dense[0, 5:10, 5:10], dense[1, 30:38, 40:55] = True, True
    sample = outlined(Masks.from_dense(dense, (40, 60)))
    corner = replace(centred((40, 60), (32, 32), stride=4, scale=1), matrix=np.array([[1.0, 0, -40], [0, 1, -20]]))
    assert warp_masks(sample.masks, corner).area.tolist() == [0, 120, 0]
    result = view(sample, corner, np.arange(3))
    assert result.masks is not None
    assert np.array_equal(result.masks.dense()[:, :20, :20], dense[1:2, 20:, 40:])
    assert result.class_id.tolist() == [1]
    assert result.area.tolist() == [120]
    assert result.keypoints.shape == (1, 0, 3)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_regions_stay_on_their_pixels(seed: int) -> None:
    sample = outlined(regions(seed, (100, 140)))
    result = augment(sample, np.random.default_rng(seed), SHAPES, (128, 96), np.arange(3))
    assert result.masks is not None
    inside = result.masks.labels() > 0
    assert ((result.image[..., 0] >= 100) == inside).mean() > 0.995
    assert np.array_equal(result.labelled, sample.labelled)
    assert np.array_equal(result.area, result.masks.area)
    assert (result.area > 0).all()
    assert len(result.class_id) == len(result.masks) == len(result.keypoints)
