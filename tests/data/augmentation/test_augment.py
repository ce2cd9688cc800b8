"""Image, keypoints and ignored regions move as one."""

from __future__ import annotations

from dataclasses import replace

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
from associative_embedding.data.settings import Augment
from associative_embedding.structures.geometry import centred
from associative_embedding.structures.known_skeletons import COCO_17
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


# ---- regions


def test_views_on_an_object_show_it_in_their_middle() -> None:
    """A small animal at the border of a large image: without `on_object` few views would show it."""
    keypoints = np.array([[[990, 20, 2], [994, 24, 2], [0, 0, 0]], [[0, 0, 0]] * 3], np.float32)
    sample = Sample(np.zeros((500, 1000, 3), np.uint8), keypoints, np.array([9.0, 9.0], np.float32), np.ones(3, bool))
    for scale in (1.0, 4.0):
        near = replace(PLAIN, scale=(scale, scale), on_object=1.0)
        geometry = random_view(sample, np.random.default_rng(0), near, (100, 100))
        np.testing.assert_allclose(geometry.to_input(np.array([992.0, 22.0])), [50, 50])
    nobody = replace(sample, keypoints=keypoints * 0)
    geometry = random_view(nobody, np.random.default_rng(0), replace(PLAIN, on_object=1.0), (100, 100))
    np.testing.assert_allclose(geometry.to_input(np.array([500.0, 250.0])), [50, 50])


def test_the_setting_leaves_other_samples_as_they_are() -> None:
    sample = dotted()
    old, new = (
        random_view(sample, np.random.default_rng(3), replace(SHAPES, on_object=p), (96, 96)) for p in (0.0, 1e-12)
    )
    np.testing.assert_array_equal(old.matrix, new.matrix)
