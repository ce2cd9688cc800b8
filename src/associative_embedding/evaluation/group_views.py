"""The parts of an image that a model runs on for MPII Multi-Person: one for each group of people.

MPII's protocol gives a method the box around the positions of a group's people, and their mean scale. The image is
cropped to this box and its surroundings, and the crop is resampled so that people of the mean scale have one height in
every group. Neither is used for single people of a group, whose places and scales a method must not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from associative_embedding.data.preparation.mpii_file import PERSON_HEIGHT
from associative_embedding.evaluation.metrics.mpii_coco import region_of
from associative_embedding.evaluation.metrics.mpii_groups import assign_to_group
from associative_embedding.evaluation.metrics.mpii_people import GROUP_KEY, read_scenes
from associative_embedding.inference.pipeline import MIN_SIDE
from associative_embedding.inference.predictor import Predictor
from associative_embedding.model_files.check_description import MAX_SIDE
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoints import hide_outside
from associative_embedding.structures.sample import Sample

# The protocol fixes what may be used, not how: these three are ours (docs/results.md).
MARGIN = 0.75  # mean heights around the box that are cropped, too: half a body, and arms
HEIGHT = 0.5  # of the model's input size: the mean height in the network's input
SMALLEST, LARGEST = 0.25, 2.0  # input sizes: limits of a crop's input; a very long group is shown smaller


@dataclass(frozen=True, eq=False)
class Region:
    """What a method may use of a group, or of a person who stands apart.

    Attributes:
        box: ``(4,)`` xyxy around the positions, in image pixels.
        scale: mean height / 200 pixels.
        group: place of the group in its image; -1 = a person who stands apart.
    """

    box: Array
    scale: float
    group: int


Regions = Mapping[Any, Sequence[Region]]  # image id -> what is evaluated in the image


def read_regions(dataset: Mapping[str, Any], groups: Sequence[Sequence[Array]], name: str) -> Regions:
    """Returns the regions of each image of a COCO dataset: its evaluated groups, and labelled people who stand apart.

    Args:
        dataset: a COCO dataset of MPII.
        groups: of `read_groups`.
        name: of the dataset, for messages.

    Raises:
        ValueError: for an image without its place in the release.
    """
    scenes = read_scenes(dataset, [], groups, name)
    return {
        image["id"]: [
            *(Region(*region_of(people), i) for i, people in enumerate(scene.groups) if people),
            *(Region(*region_of([person]), -1) for person in scene.single_people),
        ]
        for image, scene in zip(dataset["images"], scenes, strict=True)
    }


def cut(sample: Sample, region: Region) -> tuple[Sample, Array]:
    """Returns the part of an image that shows a region, and ``(2,)`` x, y of its corner in the image, in pixels."""
    height, width = sample.image.shape[:2]
    margin, last = MARGIN * PERSON_HEIGHT * region.scale, np.array([width - 1, height - 1])
    low = np.clip(np.floor(region.box[:2] - margin), 0, last).astype(np.int64)
    # A pixel at least: positions of a faulty file may lie outside of the image.
    high = np.clip(np.ceil(region.box[2:] + margin), low + 1, last + 1).astype(np.int64)
    image = np.ascontiguousarray(sample.image[low[1] : high[1], low[0] : high[0]])
    keypoints = sample.keypoints - np.array([*low, 0], sample.keypoints.dtype)
    part = replace(sample, image=image, keypoints=hide_outside(keypoints, image.shape[:2]), ignore=None)
    return part, low


def at_scale(predictor: Predictor, size: tuple[int, int], scale: float) -> Predictor:
    """Returns the model at the input size at which a person of a scale has the height `HEIGHT`.

    Args:
        predictor: the model.
        size: (H, W) of the crop.
        scale: height of the person / 200 pixels.
    """
    side, scales = predictor.input_size, predictor.scales
    wanted = HEIGHT * side / (PERSON_HEIGHT * scale)  # input pixels per pixel of the crop
    factor = wanted / predictor.rules.geometry(size, 1.0).scale
    lowest, highest = max(SMALLEST * side, MIN_SIDE / min(scales)), min(LARGEST * side, MAX_SIDE / max(scales))
    return predictor.with_input_size(int(np.clip(np.ceil(factor * side), np.ceil(lowest), highest)))


def in_region(keypoints: Array, region: Region, regions: Sequence[Region]) -> Array:
    """Returns ``(N,)`` bool: the prediction is of this region, not a bystander and not nearer to another group.

    Args:
        keypoints: ``(N, K, 3)`` x, y in image pixels and score.
        region: one of `regions`.
        regions: of the image.
    """
    rivals = [region] if region.group < 0 else [other for other in regions if other.group >= 0]
    boxes, scales = np.stack([other.box for other in rivals]), np.array([other.scale for other in rivals])
    return np.asarray(assign_to_group(keypoints, boxes, scales) == rivals.index(region))


def of_region(
    results: Sequence[dict[str, Any]], corner: Array, region: Region, regions: Sequence[Region]
) -> list[dict[str, Any]]:
    """Returns the results of a crop that are of its region, in pixels of the image, with their group.

    Args:
        results: COCO results in pixels of the crop.
        corner: ``(2,)`` x, y of the crop in the image.
        region, regions: see `in_region`.
    """
    if not results:
        return []
    keypoints = np.array([row["keypoints"] for row in results], np.float64).reshape(len(results), -1, 3)
    keypoints[..., :2] += corner * (keypoints[..., 2:] != 0)
    kept = in_region(keypoints, region, regions)
    return [
        {**row, "keypoints": np.round(found, 4).ravel().tolist(), GROUP_KEY: region.group}
        for row, found, keep in zip(results, keypoints, kept, strict=True)
        if keep
    ]
