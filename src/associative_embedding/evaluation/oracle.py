"""Two experiments that replace one half of a prediction by the ground truth: is detection or grouping the bottleneck?

- **True detections, predicted tags** (`people_from_true_detections`): how well do the tags group, if every keypoint is
  found? This is the experiment at the end of the paper's section 4.1. There AP rises from 59.2 to 94.0, so detection is
  the bottleneck and grouping is nearly solved.
- **Predicted detections, true tags** (`people_from_true_tags`): how good is the AP of the heatmaps, if the tags were
  perfect? The paper does not have this half. It separates what better tags could still gain from what only better
  heatmaps can.

Both use the decoder that users call, but fill in no missing keypoints: with true detections none is missing, and with
true tags the maps have no tags to compare with. ``ae evaluate --truth_detections`` prints both, and the normal result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from associative_embedding.evaluation.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.map_values import as_array
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.task import PoseTask

Given = Literal["nothing", "detections", "tags"]  # the half of a prediction that the ground truth replaces
# Smallest term of the OKS at which a detection belongs to a true person: the distance is then 2.1 x (2 sigma) x the
# square root of the area. Detections further away are errors, and get no true tag.
NEAR_OKS = 0.1
FAR_APART = 1e4  # distance between the tags of two people; more than any tag threshold


def people_from_true_detections(
    task: PoseTask, maps: Maps, geometry: ImageGeometry, keypoints: Array
) -> tuple[Instances, RightGrouping]:
    """Groups the true keypoints of one image by the predicted tags.

    Args:
        task: decodes and scores.
        maps: predicted maps (batch 1); only the tags are read.
        geometry: of the image.
        keypoints: ``(N, K, 3)`` true x, y in image pixels and visibility; > 0 is labelled.

    Returns:
        the people, and how many keypoints and people are grouped correctly.
    """
    detections, place = true_detections(maps, geometry, keypoints, task.skeleton.group_index)
    bare = replace(task, decode_config=replace(task.decode_config, fill=False))
    decoded = bare.people(detections, place[:, 1], maps, geometry)
    labelled = keypoints[:, :, 2] > 0
    assigned = np.full(labelled.shape, -1, dtype=np.int64)
    assigned[place[:, 0], place[:, 1]] = decoded.groups.group
    return decoded.instances, right_grouping(assigned, labelled)


def true_detections(maps: Maps, geometry: ImageGeometry, keypoints: Array, order: Array) -> tuple[Detections, Array]:
    """The detections of a perfect heatmap: score 1 at every labelled keypoint, with the tag of the nearest map pixel.

    Args:
        maps: predicted maps (batch 1).
        geometry: of the image.
        keypoints: ``(N, K, 3)`` true x, y in image pixels and visibility.
        order: ``(K,)`` keypoint types in the order of grouping.

    Returns:
        M detections, and ``(M, 2)`` the person and keypoint type of each.
    """
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    height, width = geometry.map_size
    # Shuffled: listed person by person, detections of equal tags would be grouped correctly by accident. The seed is
    # fixed, so that the metric of a model does not change from run to run.
    place = np.random.default_rng(0).permutation(np.stack(np.nonzero(keypoints[:, :, 2] > 0), axis=1))
    xy = geometry.to_map(keypoints[place[:, 0], place[:, 1], :2].astype(np.float64))
    # annotated keypoints may lie outside of the image; the nearest pixel of the map has a tag for them, too
    x, y = np.clip(np.rint(xy), 0, [width - 1, height - 1]).astype(np.int64).T
    tag = as_array(maps.tag[0])[place[:, 1], :, y, x].astype(np.float64)
    return Detections(score=np.ones(len(place)), tag=tag, xy=xy, step=rank[place[:, 1]]), place


def people_from_true_tags(task: PoseTask, maps: Maps, geometry: ImageGeometry, sample: Sample) -> Instances:
    """Groups the predicted detections of one image by the true people.

    Args:
        task: detects, decodes and scores.
        maps: predicted maps (batch 1).
        geometry: of the image.
        sample: the annotated image, in image pixels.

    Raises:
        ValueError: see `PoseTask.detect`.
    """
    detections, channel = task.detect(maps)
    detections = with_true_tags(detections, channel, geometry, sample, task.skeleton.sigmas)
    return task.people(detections, channel, None, geometry).instances  # no maps: nothing is filled in


def with_true_tags(
    detections: Detections, channel: Array, geometry: ImageGeometry, sample: Sample, sigmas: Array
) -> Detections:
    """Returns the detections with the tags of a perfect network: one number for each true person, D = 1.

    A detection belongs to the true person whose keypoint of this type has the highest term of the OKS, if the term is
    at least `NEAR_OKS`. Every other detection gets a tag that no other detection has.

    Args:
        channel: ``(M,)`` keypoint type of each detection.
        geometry: of the image.
        sample: the annotated image, in image pixels.
        sigmas: ``(K,)`` OKS sigmas.
    """
    tag = -1.0 - np.arange(len(detections))  # below 0, where no true person has its tag
    if len(sample.keypoints):
        xy = geometry.to_image(detections.xy)
        truth = sample.keypoints[:, channel].astype(np.float64)  # (N, M, 3)
        squared = np.square(truth[:, :, :2] - xy).sum(axis=2)
        # the term of `oks`: 8 sigma² = 2 (2 sigma)²
        term = np.exp(-squared / (8 * np.square(sigmas[channel]) * np.maximum(1.0, sample.area[:, None])))
        term[truth[:, :, 2] == 0] = 0
        tag = np.where(term.max(axis=0) >= NEAR_OKS, term.argmax(axis=0), tag)
    return replace(detections, tag=tag[:, None] * FAR_APART)
