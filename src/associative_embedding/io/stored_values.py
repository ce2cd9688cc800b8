"""The values of a picture as its file has them, in every channel: what is measured, whatever is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.io.console import remark_file
from associative_embedding.io.image_limits import MAX_MEMORY
from associative_embedding.io.image_values import type_of
from associative_embedding.io.orientation import turned
from associative_embedding.io.pillow_images import errors_of_decoders
from associative_embedding.io.stacks import Pictures, whole
from associative_embedding.structures.arrays import Array

COLOURS = ("red", "green", "blue")
MOST_BYTES = MAX_MEMORY // 4  # of the values of all channels


def stored_values(pictures: Pictures, number: int) -> tuple[Array | None, tuple[str, ...]]:
    """Returns the values of all channels of a picture, ``(H, W, C)``, upright, and the names of the channels.

    None for pictures of 8 bits that are shown as they are: their pixels are the values. Without names, nothing can be
    measured: a line says that the picture is too large.

    Args:
        pictures: of the image.
        number: of the picture, from 0.

    Raises:
        ImageError: for a channel that is damaged.
    """
    stack = pictures.stack
    with errors_of_decoders(stack.name):
        names = stack.channels or COLOURS
        kind = type_of(pictures.values(number))
        if not stack.channels and kind == np.uint8 and pictures.reading.how in ("auto", "none"):
            return None, ()
        if stack.size[0] * stack.size[1] * len(names) * kind.itemsize > MOST_BYTES:
            remark_file(stack.name, "is too large to measure intensities")
            return np.zeros((0, 0, 0)), ()
        if not stack.channels:
            colours = replace(pictures, reading=replace(pictures.reading, channel=None))
            values = np.atleast_3d(whole(colours.values(number)))[:, :, :3]
            if values.shape[2] < 3 or (values == values[:, :, :1]).all():  # grey, perhaps with transparency
                values, names = values[:, :, :1], ("",)
        else:
            chosen = (replace(pictures.reading, channel=c + 1) for c in range(len(names)))
            planes = [whole(replace(pictures, reading=reading).values(number)) for reading in chosen]
            values = np.concatenate([np.atleast_3d(plane) for plane in planes], axis=2)
        titles = tuple(
            name or (f"channel{c}" if len(names) > 1 else "intensity") for c, name in enumerate(names, start=1)
        )
        return turned(values, stack.orientation), titles
