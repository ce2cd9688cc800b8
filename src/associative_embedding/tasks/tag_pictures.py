"""Draws the tags of an image, as the figures 4, 5 and 7 of the paper do (``ae predict --show tags``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from associative_embedding.drawing.canvas import write_text
from associative_embedding.drawing.masks import mask_colours
from associative_embedding.drawing.palette import palette
from associative_embedding.drawing.tag_maps import draw_tag_maps, foreground_maps, tints_of
from associative_embedding.drawing.tag_plots import INK, draw_tag_histogram, draw_tag_plot
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Groups
from associative_embedding.structures.geometry import ImageGeometry, warp
from associative_embedding.structures.map_values import as_array
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.task import Decoded

MAPS, COLUMNS = 6, 3  # tag maps of keypoints, and in a row
WIDTH, HIGHEST, GAP, CAPTION = 1640, 1000, 16, 26  # pixels: of a sheet, of its parts, between them, of a line of text


def tag_pictures(decoded: Decoded, maps: Maps, geometry: ImageGeometry) -> list[Array]:
    """Returns pictures of the tags in one image.

    The first shows tag maps over the image (figure 7 of the paper). The second is a plot of the keypoints' tags
    (figure 4), or for masks a histogram of the pixels' tags (figure 5).

    Args:
        decoded: the instances, with their image, and the detections and groups that they were made from.
        maps: the maps that were decoded, of one image.
        geometry: from the image to the network's input.

    Returns:
        pictures, each ``(H, W, 3)`` uint8 RGB; none for instances without keypoints and masks.

    Raises:
        ValueError: when the instances have no image.
    """
    found = decoded.instances
    if found.image is None:
        raise ValueError("the instances have no image to draw on")
    view = warp(found.image, geometry)  # the network's input, padding included: the maps cover exactly this
    if found.masks is not None:
        return pixel_tag_pictures(decoded, found.masks, maps, view)
    return keypoint_tag_pictures(decoded, found.skeleton, maps, view) if found.skeleton else []


def keypoint_tag_pictures(decoded: Decoded, skeleton: Skeleton, maps: Maps, view: Array) -> list[Array]:
    """Returns the tag maps of about six keypoint types, and a plot with a row of dots for each keypoint type."""
    # In the grouping order every n-th type is from another part of the body, so six maps show all of it.
    titles = {name: skeleton.index[name] for name in skeleton.group_order[:: -(-len(skeleton) // MAPS)]}
    groups = shown_groups(decoded)
    tag, heatmap = (as_array(values) for values in (maps.tag[0], maps.heatmap[0]))
    tints = tints_of(tag, groups.tag, palette(len(groups)))
    plot = draw_tag_plot(replace(decoded.detections, step=decoded.channel), groups, skeleton)
    return [draw_tag_maps(view, tag[:, 0], heatmap.clip(0, 1), titles, columns=COLUMNS, tints=tints), plot]


def pixel_tag_pictures(decoded: Decoded, masks: Masks, maps: Maps, view: Array) -> list[Array]:
    """Returns the tag maps of the foreground, and a histogram of its tags.

    Both show at most six classes: those with the most pixels in instances.
    """
    pixels, groups = replace(decoded.detections, step=decoded.channel), shown_groups(decoded)
    channels, (height, width) = maps.heatmap.shape[1], maps.heatmap.shape[-2:]
    count = np.bincount(decoded.channel[groups.group >= 0], minlength=channels)
    shown = [int(c) for c in np.argsort(-count, kind="stable")[:6] if count[c]] or [0]
    names = dict(enumerate(decoded.instances.class_names.values()))
    titles = {names.get(c, f"class {c}"): c for c in shown}
    tag, score = foreground_maps(pixels, channels, (height, width))
    colours = mask_colours(masks)
    tints = tints_of(as_array(maps.tag[0]), groups.tag, colours)
    return [
        draw_tag_maps(view, tag, score, titles, columns=COLUMNS, tints=tints),
        draw_tag_histogram(pixels, groups, titles, colours),
    ]


def shown_groups(decoded: Decoded) -> Groups:
    """Returns the groups numbered as the instances. Detections of all other groups are dropped (-1).

    Colours depend on the number, so an instance has the same colour in all pictures.
    """
    groups, found = decoded.groups, decoded.instances
    instance = np.full(len(groups) + 1, -1)  # one more entry: detections without a group have the index -1
    known = np.flatnonzero(decoded.group >= 0)  # -1: an instance from another scale than the one that is drawn
    instance[decoded.group[known]] = known
    return Groups(group=instance[groups.group], tag=found.tag, score=found.score)


def tag_sheet(picture: Array, tags: Sequence[Array]) -> Array:
    """Returns one picture of a result and its tags: large the result, beside it the plot, below both the maps.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB, the result.
        tags: the maps and the plot of `tag_pictures`; none = the result alone.
    """
    if not tags:
        return picture
    maps, plot = tags
    plot = captioned(plot, "a dot or bar: tags of that colour's instance; line: its mean tag; grey: in no instance")
    result = captioned(fitting(picture, WIDTH - plot.shape[1] - GAP, HIGHEST), "what was found")
    upper = np.full((max(len(result), len(plot)), WIDTH, 3), 255, np.uint8)
    upper[: len(result), : result.shape[1]] = result
    upper[: len(plot), WIDTH - plot.shape[1] :] = plot
    text = "tag maps: the colour is the instance with the nearest tag, its strength the heatmap"
    lower = captioned(fitting(maps, WIDTH, HIGHEST), text)
    space = np.full((GAP, WIDTH, 3), 255, np.uint8)
    rest = np.full((len(lower), WIDTH - lower.shape[1], 3), 255, np.uint8)
    return np.concatenate([upper, space, np.concatenate([lower, rest], axis=1)])


def fitting(picture: Array, width: int, height: int) -> Array:
    """Returns a picture as large as fits into `width` x `height` pixels."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def captioned(picture: Array, text: str) -> Array:
    """Returns a picture with a line of text above it."""
    line = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
    write_text(line, text, (2, CAPTION / 2), 14, INK, anchor="lm")
    return np.concatenate([line, picture])
