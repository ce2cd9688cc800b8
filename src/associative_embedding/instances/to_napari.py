"""Instances with masks -> layers of napari (napari.org)."""

from __future__ import annotations

from typing import Any

from associative_embedding.instances.found import Found
from associative_embedding.instances.measure import measurements
from associative_embedding.io.optional_packages import need
from associative_embedding.structures.masks import require_masks


def to_napari(instances: Found) -> list[Any]:
    """Returns layers to add to a viewer: the image, if it is kept, and the labels with a row of features for each.

    ``for layer in cells.to_napari(): viewer.add_layer(layer)``. Corrected labels are saved by napari, and read again
    for training. Layers are in micrometres if the size of a pixel is known.

    Raises:
        ValueError: for instances without masks, or when napari is not installed (extra ``[napari]``).
    """
    masks = require_masks(instances.masks)
    layers = need("napari.layers", "napari", "a layer of napari")
    size = instances.pixel_size
    place = {} if size is None else {"scale": (size, size), "units": ("um", "um")}
    # napari finds the row of an object by the value of its pixels, in the column "index".
    features = {"index": list(range(1, len(masks) + 1)), "class": instances.class_name, "score": instances.score}
    features |= measurements(instances)
    found = [layers.Labels(masks.labels(), name="objects", features=features, **place)]
    if instances.image is not None:
        found.insert(0, layers.Image(instances.image, name=instances.source or "image", rgb=True, **place))
    return found
