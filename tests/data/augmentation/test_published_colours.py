"""The colours of the published code; `test_published_samples.py` compares them with its own pictures."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest

from associative_embedding.data.augmentation import published_colours
from associative_embedding.data.augmentation.augment import augment, random_view, vary_colours
from associative_embedding.data.augmentation.published_colours import change_colours, vary_as_published
from associative_embedding.data.settings import Augment
from associative_embedding.structures.sample import Sample

PUBLISHED = Augment(rotation=0, scale=(1, 1), shift=0, mirror=0, grey=0, blur=0, colours="published")


def blocks(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.repeat(np.repeat(np.array([colours], np.uint8), 8, axis=1), 8, axis=0)


@pytest.mark.parametrize("seed", range(20))
def test_a_pixel_is_changed_as_written(seed: int) -> None:
    """Against the standard library's colours, one pixel at a time."""
    rng = np.random.default_rng(seed)
    rgb = rng.random(3)
    hue, saturation, brightness, spread = rng.uniform([-72, 0.5, -0.3, 0.5], [72, 1.5, 0.3, 1.5])
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    bright = np.array(colorsys.hsv_to_rgb((h + hue / 360) % 1, min(1, s * saturation), v)) + brightness
    expected = np.clip(bright.mean() + spread * (bright - bright.mean()), 0, 1)
    found = change_colours(rgb.astype(np.float32)[None, None], hue, saturation, brightness, spread)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-4)


def test_the_ranges_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hue turns by up to 72 degrees, where ours turns by 6."""
    drawn = []

    def note(rgb: np.ndarray, *values: float) -> np.ndarray:
        drawn.append(values)
        return rgb

    monkeypatch.setattr(published_colours, "change_colours", note)
    image = blocks((200, 40, 40), (0, 0, 0))
    for seed in range(400):
        assert np.array_equal(vary_as_published(image, np.random.default_rng(seed)), image)
    np.testing.assert_allclose(np.min(drawn, axis=0), [-72, 0.5, -0.3, 0.5], rtol=0.05)
    np.testing.assert_allclose(np.max(drawn, axis=0), [72, 1.5, 0.3, 1.5], rtol=0.05)


def test_brightness_is_added_also_to_padding() -> None:
    black = np.array([vary_as_published(blocks((0, 0, 0)), np.random.default_rng(seed))[0, 0] for seed in range(100)])
    assert black.min() == 0
    assert 70 < black.max() <= 77  # 0.3 of 255
    assert np.ptp(black, axis=1).max() <= 1


def test_recipes_reach_them() -> None:
    image = blocks((200, 40, 40), (10, 90, 30))
    sample = Sample(image, np.zeros((0, 17, 3), np.float32), np.zeros(0, np.float32), np.ones(17, bool))
    seen = augment(sample, np.random.default_rng(2), PUBLISHED, (8, 16), np.arange(17)).image
    first = np.random.default_rng(2)
    random_view(sample, first, PUBLISHED, (8, 16))
    first.random()  # of the negative
    assert np.array_equal(seen, vary_as_published(image, first))
    grey = vary_colours(image, np.random.default_rng(2), replace(PUBLISHED, grey=1.0))
    assert np.ptp(grey.astype(int), axis=2).max() <= 1


def test_a_scale_of_the_short_side_fits_it() -> None:
    sample = Sample(np.zeros((100, 300, 3), np.uint8), np.zeros((0, 1, 3)), np.zeros(0), np.ones(1, bool))
    fits = {
        scale_of: random_view(sample, np.random.default_rng(0), replace(PUBLISHED, scale_of=scale_of), (64, 64)).scale
        for scale_of in ("image", "short", "pixel")
    }
    assert fits == pytest.approx({"image": 64 / 300, "short": 64 / 100, "pixel": 1})
