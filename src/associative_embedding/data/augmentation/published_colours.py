"""The colours of the published code's training images (pose-ae-train): the paper says nothing of augmentation."""

from __future__ import annotations

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

HUE = 72.0  # largest turn, degrees
BRIGHTNESS = 0.3  # largest value added to all channels, of 0..1
FACTORS = (0.5, 1.5)  # of saturation, and of the distance of the channels from their mean


def vary_as_published(image: Array, rng: np.random.Generator) -> Array:
    """Returns a ``(H, W, 3)`` uint8 RGB image in random colours; padding changes with it, as in the published code."""
    hue, brightness = rng.uniform(-HUE, HUE), rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    saturation, spread = rng.uniform(*FACTORS, 2)
    values = change_colours(image.astype(np.float32) / 255, hue, saturation, brightness, spread)
    return np.asarray(np.rint(values * 255).astype(np.uint8))


def change_colours(rgb: Array, hue: float, saturation: float, brightness: float, spread: float) -> Array:
    """Returns the image with the published changes, one after the other.

    Args:
        rgb: ``(H, W, 3)`` float32 in [0, 1].
        hue: turn of the hue, degrees.
        saturation: factor of the saturation.
        brightness: is added to all channels.
        spread: factor of the distance of the channels from their mean in each pixel. The code calls it contrast; it
            changes the saturation once more.
    """
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = np.mod(hsv[..., 0] + hue, 360)
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
    bright = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) + np.float32(brightness)
    mean = bright.mean(axis=2, keepdims=True)
    return np.asarray(np.clip(mean + (bright - mean) * np.float32(spread), 0, 1))
