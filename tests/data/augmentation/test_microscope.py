"""What microscopes do to images, and that masks follow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.augmentation.microscope import (
    add_noise,
    empty_field,
    expose,
    paste_touching,
    under_microscope,
    vary_stains,
)
from associative_embedding.data.settings import Augment, Microscope
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample

STILL = Augment(rotation=0, scale=(1.0, 1.0), shift=0, mirror=0, colour=0, grey=0, blur=0)


def discs(size: int = 128) -> Sample:
    """Four bright discs on a dark background, apart from each other."""
    labels, image = np.zeros((size, size), np.int32), np.full((size, size, 3), 20, np.uint8)
    for i, (x, y) in enumerate([(30, 30), (90, 30), (30, 90), (90, 90)]):
        cv2.circle(labels, (x, y), 10, i + 1, -1)
        cv2.circle(image, (x, y), 10, (200, 200, 200), -1)
    masks = Masks.from_labels(labels)
    n = len(masks)
    return Sample(
        image,
        np.zeros((n, 0, 3), np.float32),
        masks.area.astype(np.float32),
        np.ones(1, bool),
        masks=masks,
        class_id=np.zeros(n, np.int64),
    )


def touching(masks: Masks) -> int:
    """Pairs of 4-neighbours that belong to different objects."""
    labels = masks.labels()
    pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    return sum(int(((a != b) & (a > 0) & (b > 0)).sum()) for a, b in pairs)


def test_copies_touch_and_lie_on_their_pixels() -> None:
    sample, met = discs(), 0
    assert sample.masks is not None
    assert not touching(sample.masks)
    for seed in range(10):
        pasted = paste_touching(sample, np.random.default_rng(seed))
        assert pasted.masks is not None
        assert pasted.class_id is not None
        assert len(pasted.masks) == len(pasted.class_id) == len(pasted.area)
        assert pasted.masks.dense().sum(axis=0).max() == 1  # what a copy covers belongs to it alone
        inside = pasted.masks.labels() > 0
        core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3))) > 0
        assert pasted.image[core].min() > 100  # bright: the pixels moved with the mask
        met += touching(pasted.masks) > 0
    assert met >= 8


def test_an_empty_field_has_nothing_to_find() -> None:
    for seed in range(20):
        field = under_microscope(discs(), np.random.default_rng(seed), Microscope(empty=1.0))
        assert field.masks is not None
        assert field.class_id is not None
        assert not len(field.masks)
        assert not len(field.class_id)
        assert field.image.min() >= 1  # black means padding


def test_empty_fields_differ() -> None:
    means = [empty_field((64, 64), np.random.default_rng(seed)).mean() for seed in range(20)]
    assert np.std(means) > 20


def test_black_stays_black() -> None:
    sample = discs()
    sample.image[:40] = 0
    for seed in range(10):
        changed = under_microscope(sample, np.random.default_rng(seed), Microscope(gamma=0.5, noise=1.0, stain=0.3))
        assert not changed.image[:40].any()


def test_noise_grows_with_its_image_and_is_grey_on_grey() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    noisy = add_noise(image, np.random.default_rng(0))
    assert noisy.std() > 0
    assert np.array_equal(noisy[..., 0], noisy[..., 2])


def test_gamma_keeps_the_order_of_brightness() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(4, axis=0)
    for seed in range(10):
        assert (np.diff(expose(ramp, np.random.default_rng(seed), 0.5)[0, :, 0].astype(int)) >= 0).all()


def test_without_strength_stains_stay() -> None:
    image = np.random.default_rng(0).integers(1, 256, (16, 16, 3), dtype=np.uint8)
    same = vary_stains(image, np.random.default_rng(0), 0.0)
    assert np.abs(same.astype(int) - image).max() <= 1
    assert np.abs(vary_stains(image, np.random.default_rng(0), 0.5).astype(int) - image).max() > 20


def test_older_recipes_read_the_same_samples() -> None:
    """Without these changes no random number is drawn for them."""
    settings = Augment(colour=0.3)
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    a = augment(discs(), first, settings, (96, 96), np.arange(1))
    b = augment(discs(), second, replace(settings, microscope=Microscope()), (96, 96), np.arange(1))
    assert np.array_equal(a.image, b.image)
    assert first.random() == second.random()


@pytest.mark.parametrize("size", [96, 300])
def test_a_scale_of_pixels_does_not_depend_on_the_size_of_the_image(size: int) -> None:
    sample = discs(300 if size == 300 else 128)
    settings = replace(STILL, scale=(2.0, 2.0), scale_of="pixel")
    seen = augment(sample, np.random.default_rng(0), replace(settings, shift=0.2), (600, 600), np.arange(1))
    assert seen.masks is not None
    assert sample.masks is not None
    whole = seen.masks.area.max()
    assert whole == pytest.approx(4 * sample.masks.area.max(), rel=0.1)


@pytest.mark.parametrize(("name", "value"), [("noise", 1.5), ("stain", 1.0), ("gamma", -1.0), ("empty", -0.1)])
def test_a_value_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"augment.microscope.{name} must be"):
        Microscope(**{name: value})
