"""How good a model is: the same `Predictor` that users call, image by image, then the official metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from associative_embedding.evaluation.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.task import PoseTask

Given = Literal["nothing", "detections", "tags"]  # what of the truth is given in place of what is predicted
NEAR_OKS = 0.1  # a detection with less, 2.1 (2 sigma) from the keypoint and further, is of nobody
FAR_APART = 1e4  # more than any tag threshold


def tags_at_truth(maps: Maps, geometry: ImageGeometry, keypoints: Array, order: Array) -> tuple[Detections, Array]:
    """Detections as a perfect heatmap would give them: one at every labelled keypoint, tags read from the maps.

    They are in no order of people, which would group equal tags rightly.

    Args:
        keypoints: ``(N, K, 3)`` of the truth, image pixels.
        order: ``(K,)`` keypoint types in grouping order.

    Returns:
        the detections and the ``(M, 2)`` person and keypoint type of each.
    """
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    height, width = geometry.map_size
    place = np.random.default_rng(0).permutation(np.stack(np.nonzero(keypoints[:, :, 2] > 0), axis=1))
    xy = geometry.to_map(keypoints[place[:, 0], place[:, 1], :2].astype(np.float64))
    x, y = np.clip(np.rint(xy), 0, [width - 1, height - 1]).astype(np.int64).T
    tag = maps.tag[0, place[:, 1], :, y, x].double().cpu().numpy()
    return Detections(score=np.ones(len(place)), tag=tag, xy=xy, step=rank[place[:, 1]]), place


def group_truth(
    task: PoseTask, maps: Maps, geometry: ImageGeometry, keypoints: Array
) -> tuple[Instances, RightGrouping]:
    """The people whose detections are the true keypoints, of whom only the grouping is predicted, and how right it is.

    That is the experiment at the end of the paper's section 4.1. Nothing is filled in.

    Args:
        keypoints: ``(N, K, 3)`` of the truth, image pixels.
    """
    detections, place = tags_at_truth(maps, geometry, keypoints, task.skeleton.group_index)
    bare = replace(task, decode_config=replace(task.decode_config, fill=False))
    decoded = bare.people(detections, place[:, 1], maps, geometry)
    labelled = keypoints[:, :, 2] > 0
    assigned = np.full(labelled.shape, -1, dtype=np.int64)
    assigned[place[:, 0], place[:, 1]] = decoded.groups.group
    return decoded.instances, right_grouping(assigned, labelled)


def tags_of_truth(
    detections: Detections, channel: Array, geometry: ImageGeometry, sample: Sample, sigmas: Array
) -> Detections:
    """Detections whose tags are the people of the truth, as perfect tags would give them; D = 1.

    A detection is of the person whose keypoint of its type is nearest in units of the OKS, if that keypoint's own term
    of the OKS is at least `NEAR_OKS`; all others are of nobody and get tags of their own.
    """
    tag = -1.0 - np.arange(len(detections))
    if len(sample.keypoints):
        xy = geometry.to_image(detections.xy)
        truth = sample.keypoints[:, channel].astype(np.float64)  # (N, M, 3)
        squared = np.square(truth[:, :, :2] - xy).sum(axis=2)
        term = np.exp(-squared / (8 * np.square(sigmas[channel]) * np.maximum(1.0, sample.area[:, None])))
        term[truth[:, :, 2] == 0] = 0
        tag = np.where(term.max(axis=0) >= NEAR_OKS, term.argmax(axis=0), tag)
    return replace(detections, tag=tag[:, None] * FAR_APART)


def group_by_truth(task: PoseTask, maps: Maps, geometry: ImageGeometry, sample: Sample) -> Instances:
    """The people of the predicted detections, grouped by the truth: what the heatmaps alone are worth.

    The other half of `group_truth`. Nothing is filled in, as the maps have no true tags.
    """
    detections, channel = task.detect(maps)
    detections = tags_of_truth(detections, channel, geometry, sample, task.skeleton.sigmas)
    return task.people(detections, channel, None, geometry).instances
