"""Image, keypoints and ignored regions move as one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.data.augmentation.augment import (
    LUMA,
    augment,
    colour_matrix,
    random_view,
    vary_colours,
    view,
)
from associative_embedding.data.augmentation.warp_masks import warp_masks
from associative_embedding.data.settings import Augment
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, reduction, warp
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

FLIP = np.asarray(COCO_17.flip_index)
PLAIN = Augment(rotation=0, scale=(1, 1), shift=0, mirror=0, colour=0, grey=0, blur=0)
SHAPES = replace(Augment(), colour=0, grey=0, blur=0)


def dotted(size: tuple[int, int] = (160, 220), k: int = 17, seed: int = 0) -> Sample:
    """One person; keypoint k is the centre of an 8 x 8 square of grey level 50 + 12 k, away from the others."""
    image = np.zeros((*size, 3), np.uint8)
    places = [(y, x) for y in range(12, size[0] - 20, 30) for x in range(12, size[1] - 20, 30)]
    order = np.random.default_rng(seed).permutation(len(places))[:k]
    keypoints = np.zeros((1, k, 3), np.float32)
    for i, place in enumerate(order):
        y, x = places[place]
        image[y : y + 8, x : x + 8] = 50 + 12 * i
        keypoints[0, i] = x + 4, y + 4, 2
    return Sample(image, keypoints, np.array([1000.0], np.float32), np.arange(k) != 3)


def centre_of_light(image: np.ndarray, xy: np.ndarray, reach: int) -> np.ndarray:
    """The centroid, in continuous coordinates, of the brightness around a point."""
    x, y = (int(v) for v in xy)
    patch = image[y - reach : y + reach + 1, x - reach : x + reach + 1].max(axis=2).astype(float)
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
    at = np.array([(columns * patch).sum(), (rows * patch).sum()]) / patch.sum()
    return at + np.array([x - reach + 0.5, y - reach + 0.5])


@given(seed=st.integers(0, 10**6), size=st.sampled_from([(128, 128), (96, 160), (256, 192)]))
@settings(max_examples=40, deadline=None)
def test_keypoints_stay_on_their_pixels(seed: int, size: tuple[int, int]) -> None:
    sample = dotted()
    result = augment(sample, np.random.default_rng(seed), SHAPES, size, FLIP)
    geometry = random_view(sample, np.random.default_rng(seed), SHAPES, size)
    assert result.image.shape == (*size, 3)
    assert result.ignore is not None
    assert result.ignore.shape == size
    reach = int(np.ceil(6.5 * geometry.scale)) + 1
    mirrored = geometry.mirrored
    checked = 0
    for k, (x, y, v) in enumerate(result.keypoints[0] if len(result.keypoints) else ()):
        assert (v > 0) == (0 <= x < size[1] and 0 <= y < size[0])
        if reach < x < size[1] - reach - 1 and reach < y < size[0] - reach - 1:
            assert np.abs(centre_of_light(result.image, np.array([x, y]), reach) - (x, y)).max() < 0.35
            source = FLIP[k] if mirrored else k  # in a mirror the left wrist is what was the right one
            assert abs(int(result.image[int(y), int(x)].max()) - (50 + 12 * source)) <= 2
            checked += 1
    assert checked or seed
    assert np.array_equal(result.labelled, sample.labelled[FLIP] if mirrored else sample.labelled)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_ignored_regions_move_with_the_image(seed: int) -> None:
    sample = dotted()
    ignore = np.zeros(sample.image.shape[:2], bool)
    ignore[30:70, 60:150] = True
    image = np.where(ignore, 100, 200).astype(np.uint8)[..., None].repeat(3, axis=2)
    sample = replace(sample, image=image, ignore=ignore)
    result = augment(sample, np.random.default_rng(seed), SHAPES, (128, 128), FLIP)
    assert result.ignore is not None
    level = result.image[..., 0]
    pure = np.isin(level, (0, 100, 200))  # off the borders, where levels mix
    assert pure.mean() > 0.8
    differ = result.ignore[pure] != (level[pure] < 150)  # ignored, or outside of the image
    assert differ.mean() < 0.002  # 0 and 200 may mix to 100


def test_without_variation_nothing_changes() -> None:
    sample = dotted((128, 128))
    result = augment(sample, np.random.default_rng(0), PLAIN, (128, 128), FLIP)
    assert np.array_equal(result.image, sample.image)
    assert np.array_equal(result.keypoints, sample.keypoints)
    assert result.area.tolist() == [1000]
    assert result.ignore is not None
    assert not result.ignore.any()


def test_mirror_twice_is_the_sample() -> None:
    sample = dotted((100, 141))
    geometry = centred((100, 141), (100, 141), stride=4, scale=1, mirror=True)
    once = view(sample, geometry, FLIP)
    assert not np.array_equal(once.image, sample.image)
    assert np.allclose(once.keypoints[0, 5], (141 - sample.keypoints[0, 6, 0], sample.keypoints[0, 6, 1], 2))
    twice = view(once, geometry, FLIP)
    assert np.array_equal(twice.image, sample.image)
    assert np.allclose(twice.keypoints, sample.keypoints, atol=1e-4)
    assert np.array_equal(twice.labelled, sample.labelled)


def test_the_input_is_not_changed() -> None:
    sample = dotted()
    before = sample.image.copy(), sample.keypoints.copy(), sample.area.copy()
    augment(sample, np.random.default_rng(1), Augment(), (96, 96), FLIP)
    for array, copy in zip((sample.image, sample.keypoints, sample.area), before, strict=True):
        assert np.array_equal(array, copy)


def test_area_follows_scale_and_people_out_of_view_are_left_out() -> None:
    sample = dotted((128, 128))
    far = sample.keypoints + np.array([1000, 0, 0], np.float32)
    hidden = sample.keypoints * np.array([1, 1, 0], np.float32)
    two = replace(
        sample,
        keypoints=np.concatenate([far, sample.keypoints, hidden]),
        area=np.array([1, 2, 3], np.float32),
    )
    result = augment(two, np.random.default_rng(0), PLAIN, (64, 64), FLIP)
    assert len(result.keypoints) == 1
    assert result.area.tolist() == [2 / 4]


def test_nobody_in_the_image() -> None:
    sample = replace(dotted(), keypoints=np.zeros((0, 17, 3), np.float32), area=np.zeros(0, np.float32))
    result = augment(sample, np.random.default_rng(0), Augment(), (64, 64), FLIP)
    assert result.keypoints.shape == (0, 17, 3)
    assert result.area.shape == (0,)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 2)])
def test_tiny_images(size: tuple[int, int]) -> None:
    sample = Sample(
        np.full((*size, 3), 9, np.uint8), np.zeros((0, 17, 3), np.float32), np.zeros(0, np.float32), np.ones(17, bool)
    )
    assert augment(sample, np.random.default_rng(0), Augment(), (64, 96), FLIP).image.shape == (64, 96, 3)


def test_the_same_seed_gives_the_same_view_and_another_another() -> None:
    first, again, other = (augment(dotted(), np.random.default_rng(s), Augment(), (96, 96), FLIP) for s in (5, 5, 6))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.keypoints, again.keypoints)
    assert not np.array_equal(first.image, other.image)


def test_ranges_are_reached_and_kept() -> None:
    rng, half = np.random.default_rng(0), 0.5
    choice = Augment(rotation=20, scale=(0.5, 2), shift=0.1, mirror=half)
    sample = dotted((100, 200))
    found = []
    for _ in range(400):
        geometry = random_view(sample, rng, choice, (64, 64))
        linear = geometry.matrix[:, :2]
        angle = np.degrees(np.arctan2(linear[0, 1], linear[1, 1]))
        middle = geometry.to_input(np.array([100.0, 50.0])) - 32
        found.append((geometry.scale / (64 / 200), angle, geometry.mirrored, np.abs(middle).max() / 64))
    scale, angle, mirror, shift = np.array(found).T
    assert 0.5 <= scale.min() < 0.55
    assert 1.85 < scale.max() <= 2.0001
    assert -20.001 <= angle.min() < -18.5
    assert 18.5 < angle.max() <= 20.001
    assert 0.4 < mirror.mean() < 0.6
    assert 0.09 < shift.max() < 0.1 * np.sqrt(2)


# ---- colours


def test_colour_matrix_does_what_it_says() -> None:
    rgb = np.array([120.0, 60.0, 200.0])

    def changed(**values: float) -> np.ndarray:
        matrix = colour_matrix(**{"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0, "mean": 100, **values})
        return matrix[:, :3] @ rgb + matrix[:, 3]

    grey = LUMA @ rgb
    assert np.allclose(changed(), rgb)
    assert np.allclose(changed(brightness=1.3), 1.3 * rgb)
    assert np.allclose(changed(contrast=0.5), (rgb + 100) / 2)
    assert np.allclose(changed(saturation=0), grey)
    assert np.allclose(changed(saturation=2), grey + 2 * (rgb - grey))
    assert np.allclose(changed(hue=2 * np.pi / 3), np.roll(rgb, 1))  # a third of the circle: red becomes green
    assert np.allclose(changed(hue=0.3).sum(), rgb.sum())


def test_padding_stays_black_and_grey_is_grey() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (40, 40, 3), dtype=np.uint8)
    image[:, :10] = 0
    for _ in range(20):
        assert not vary_colours(image, rng, replace(Augment(), blur=0))[:, :10].any()
    grey = vary_colours(image, rng, Augment(grey=1, blur=0))
    assert grey[:, 10:].any()
    assert np.abs(grey.astype(int) - grey[..., :1]).max() <= 1
    assert np.array_equal(vary_colours(image, rng, PLAIN), image)
    assert not np.array_equal(vary_colours(image, rng, replace(PLAIN, blur=1)), image)


def test_inverted_images_are_the_negative_with_black_padding() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    sample = Sample(image, np.zeros((0, 1, 3), np.float32), np.zeros(0, np.float32), np.ones(1, bool))
    seen = [
        augment(sample, np.random.default_rng(0), replace(PLAIN, invert=share), (64, 64), np.arange(1)).image
        for share in (0.0, 1.0)
    ]
    inside = np.zeros((64, 64), bool)
    inside[16:48] = True
    assert np.array_equal(seen[1][inside], 255 - seen[0][inside])
    assert not seen[0][~inside].any()
    assert not seen[1][~inside].any()


@pytest.mark.parametrize(
    "values",
    [
        {"scale": (0, 1)},
        {"scale": (2, 1)},
        {"scale": (1,)},
        {"rotation": -1},
        {"shift": -0.1},
        {"colour": 1},
        {"mirror": 1.1},
        {"grey": -0.1},
        {"blur": 2},
        {"invert": 2},
    ],
)
def test_settings_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="augment: "):
        Augment(**values)  # type: ignore[arg-type]


# ---- regions


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
