"""Measures objects with masks: place, size, shape and intensity, a column for each."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from associative_embedding.instances.found import Found
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks

COLOURS = ("red", "green", "blue")


def measurements(instances: Found) -> dict[str, Array]:
    """Returns column name -> ``(N,)`` measurements of objects with masks.

    - ``label``: value of the object in the label image.
    - ``centroid_x``, ``centroid_y``: in pixels; the first pixel covers [0, 1), its centre is at 0.5.
    - ``area``, ``perimeter``: square pixels and pixels. The perimeter is estimated from the pixels of the border, as
      scikit-image's `perimeter` does (Benkrid and Crookes, 2000).
    - ``eccentricity``: of the ellipse with the same second moments, 0 for a circle to 1 for a line.
    - ``..._um`` and ``area_um2``: the same in micrometres, if the size of a pixel is known.
    - ``mean_...``, ``max_...``: of the values in each channel, if the image is kept.

    An object without pixels has the area 0 and is not measured further: NaN.
    """
    masks = instances.masks
    assert masks is not None
    columns = {"label": np.arange(1, len(masks) + 1), **shapes(masks)}
    if (size := instances.pixel_size) is not None:
        lengths = {f"{name}_um": columns[name] * size for name in ("centroid_x", "centroid_y", "perimeter")}
        columns |= {"area_um2": columns["area"] * size**2, **lengths}
    return columns | intensities(masks, *values_of(instances))


def shapes(masks: Masks) -> dict[str, Array]:
    """Returns centroid, area, perimeter and eccentricity of N masks, a column ``(N,)`` for each."""
    # From scikit-image only what OpenCV lacks: its regionprops takes a millisecond for a cell and seconds for a field.
    from skimage.measure import perimeter  # it has no types

    border: Callable[[Array], float] = perimeter
    rows = np.full((len(masks), 4), np.nan)
    for i, crop in enumerate(masks.crops):
        if (m := cv2.moments(np.ascontiguousarray(crop).view(np.uint8), binaryImage=True) if crop.size else {}).get(
            "m00"
        ):
            y, x = masks.corners[i]
            # moments count from the centre of the first pixel, which lies at 0.5
            rows[i] = x + m["m10"] / m["m00"] + 0.5, y + m["m01"] / m["m00"] + 0.5, border(crop), eccentricity(m)
    x, y, around, eccentric = rows.T
    return {"centroid_x": x, "centroid_y": y, "area": masks.area, "perimeter": around, "eccentricity": eccentric}


def eccentricity(moments: dict[str, float]) -> float:
    """Returns the eccentricity of the ellipse with the same second moments, in [0, 1]; 0 for a single pixel."""
    a, b, c = (moments[name] for name in ("mu20", "mu02", "mu11"))
    spread = float(np.hypot(a - b, 2 * c))
    large, small = a + b + spread, a + b - spread  # twice the eigenvalues
    return float(np.sqrt(1 - max(0.0, small) / large)) if large > 0 else 0.0


def values_of(instances: Found) -> tuple[Array | None, tuple[str, ...]]:
    """Returns the values to measure, ``(H, W, C)``, and the names of the C channels.

    The values are as the file has them, where they are known: pictures of deep images are normalised.
    """
    if instances.values is not None:
        return instances.values, instances.channel_names
    image = instances.image
    if image is None:
        return None, ()
    grey = bool((image[:, :, 0] == image[:, :, 1]).all() and (image[:, :, 1] == image[:, :, 2]).all())
    return (image[:, :, :1], ("intensity",)) if grey else (image, COLOURS)


def intensities(masks: Masks, values: Array | None, names: tuple[str, ...]) -> dict[str, Array]:
    """Returns the mean and the maximum of each channel in each mask; no column without values.

    Args:
        values: ``(H, W, C)``, or None. NaN does not count.
        names: of the C channels.
    """
    if values is None:
        return {}
    rows = np.full((len(masks), 2, values.shape[2]), np.nan)
    for i, crop in enumerate(masks.crops):
        pixels = values[masks.window(i)][crop]
        if pixels.dtype.kind == "f":
            pixels = np.where(np.isfinite(pixels), pixels, np.nan)
            pixels = pixels[np.isfinite(pixels).any(axis=1)]
        if len(pixels):
            rows[i] = np.nanmean(pixels, axis=0, dtype=np.float64), np.nanmax(pixels, axis=0)
    pairs = enumerate(names)
    return {f"{what}_{name}": rows[:, k, c] for c, name in pairs for k, what in enumerate(("mean", "max"))}
