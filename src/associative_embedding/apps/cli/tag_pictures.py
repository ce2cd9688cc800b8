"""Pictures of tags, as the paper's figures 4, 5 and 7."""

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
    """The tags as in the paper: maps over the image (figure 7), and a plot (figure 4) or histogram (figure 5)."""
    found = decoded.instances
    if found.image is None:
        raise ValueError("these instances keep no image")
    view = warp(found.image, geometry)  # what the maps cover
    if found.masks is not None:
        return pixel_tag_pictures(decoded, found.masks, maps, view)
    return keypoint_tag_pictures(decoded, found.skeleton, maps, view) if found.skeleton else []


def keypoint_tag_pictures(decoded: Decoded, skeleton: Skeleton, maps: Maps, view: Array) -> list[Array]:
    """Maps of about six keypoint types, and a row of dots a keypoint type."""
    titles = {name: skeleton.index[name] for name in skeleton.group_order[:: max(1, len(skeleton) // 6)]}
    tag, heatmap = (value.float().cpu().numpy() for value in (maps.tag[0, :, 0], maps.heatmap[0]))
    plot = draw_tag_plot(replace(decoded.detections, step=decoded.channel), shown_groups(decoded), skeleton)
    return [draw_tag_maps(view, tag, heatmap.clip(0, 1), titles), plot]


def pixel_tag_pictures(decoded: Decoded, masks: Masks, maps: Maps, view: Array) -> list[Array]:
    """Maps of the foreground, and a histogram: of the six classes with the most pixels that went to an instance."""
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
    """The groups numbered as the instances are, so that each has one colour in all pictures; the others dropped."""
    groups, found = decoded.groups, decoded.instances
    instance = np.full(len(groups) + 1, -1)  # the last one for detections that have no group: index -1
    known = np.flatnonzero(decoded.group >= 0)  # -1: found in another view than the one that is shown
    instance[decoded.group[known]] = known
    return Groups(group=instance[groups.group], tag=found.tag, score=found.score)


def stack(pictures: Sequence[Array]) -> Array:
    """Pictures one below the other, on white."""
    width = max(picture.shape[1] for picture in pictures)
    canvas = np.full((sum(picture.shape[0] for picture in pictures), width, 3), 255, np.uint8)
    top = 0
    for item in pictures:
        canvas[top : top + item.shape[0], : item.shape[1]] = item
        top += item.shape[0]
    return canvas
