"""Draws the tags of an image, as the figures 4, 5 and 7 of the paper do (``ae predict --show tags``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from associative_embedding.drawing.masks import mask_colours
from associative_embedding.drawing.tag_maps import draw_tag_maps, foreground_maps
from associative_embedding.drawing.tag_plots import draw_tag_histogram, draw_tag_plot
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Groups
from associative_embedding.structures.geometry import ImageGeometry, warp
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.task import Decoded


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
    titles = {name: skeleton.index[name] for name in skeleton.group_order[:: max(1, len(skeleton) // 6)]}
    tag, heatmap = (value.float().cpu().numpy() for value in (maps.tag[0, :, 0], maps.heatmap[0]))
    plot = draw_tag_plot(replace(decoded.detections, step=decoded.channel), shown_groups(decoded), skeleton)
    return [draw_tag_maps(view, tag, heatmap.clip(0, 1), titles), plot]


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
    return [
        draw_tag_maps(view, tag, score, titles, columns=3),
        draw_tag_histogram(pixels, groups, titles, mask_colours(masks)),
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


def stack_pictures(pictures: Sequence[Array]) -> Array:
    """Returns pictures ``(H, W, 3)`` one below the other as one picture; the rest of it is white."""
    width = max(picture.shape[1] for picture in pictures)
    canvas = np.full((sum(picture.shape[0] for picture in pictures), width, 3), 255, np.uint8)
    top = 0
    for picture in pictures:
        canvas[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0]
    return canvas
