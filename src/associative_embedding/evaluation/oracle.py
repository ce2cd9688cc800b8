"""How good a model is: the same `Predictor` that users call, image by image, then the official metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from associative_embedding.checkpoint import ModelInfo
from associative_embedding.config import Recipe
from associative_embedding.crop_accuracy import build_crop_validation
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.geometry import ImageGeometry
from associative_embedding.mask_accuracy import build_mask_validation
from associative_embedding.metrics.coco_eval import Metrics
from associative_embedding.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.models.network import Network
from associative_embedding.predict import Predictor
from associative_embedding.protocols import PROTOCOLS, Protocol
from associative_embedding.refine import Changes
from associative_embedding.skeleton import load_skeleton
from associative_embedding.tasks.pose import PoseTask
from associative_embedding.truth import truth_of_source
from associative_embedding.types import Array, Detections, Instances, Maps, Sample

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


def pose_task(predictor: Predictor) -> PoseTask:
    """
    Raises:
        ValueError: when the model finds something else than poses.
    """
    if not isinstance(predictor.task, PoseTask):
        raise ValueError(f"a model of the task {predictor.task.name} does not find the people of an image")
    return predictor.task


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


def look(predictor: Predictor, sample: Sample, given: Given = "nothing") -> tuple[Instances, RightGrouping]:
    """The people found in one image, and how well the tags alone group its true keypoints.

    Args:
        given: "detections": the people are those of `group_truth`; "tags": of `group_by_truth`.

    Raises:
        ValueError: when the network's output is not finite.
    """
    task = pose_task(predictor)
    maps, geometry = predictor.maps(sample.image)
    try:
        grouped, counts = group_truth(task, maps, geometry, sample.keypoints)
        if given == "detections":
            return grouped, counts
        decoded = task.decode(maps, geometry) if given == "nothing" else group_by_truth(task, maps, geometry, sample)
        return decoded, counts
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None


def look_again(predictor: Predictor, sample: Sample, found: Instances) -> tuple[Instances, Changes]:
    """The people of one image after refinement, if the predictor refines, and what that changed.

    Raises:
        ValueError: when the network's output is not finite.
    """
    try:
        refined = predictor.refine(found, sample.image)
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None
    return refined.people, refined.changes


def coco_results(
    found: Iterable[tuple[int, Instances]], *, category_id: int = 1, order: Array | None = None
) -> list[dict[str, Any]]:
    """Official COCO results: image_id, category_id, keypoints, score.

    Args:
        order: for each keypoint of the truth's category, its index in the model's skeleton, -1 = none.
    """
    rows = []
    for image_id, instances in found:
        for row in instances.to_coco(image_id):
            keypoints = np.array(row["keypoints"]).reshape(-1, 3)
            if order is not None:
                keypoints = np.where(order[:, None] >= 0, keypoints[order], 0)
            rows.append(
                {
                    "image_id": image_id,
                    "category_id": category_id,
                    "keypoints": keypoints.ravel().tolist(),
                    "score": row["score"],
                }
            )
    return rows


def all_numbers(
    truth: dict[str, Any],
    results: list[dict[str, Any]],
    grouping: RightGrouping,
    name: str | None = None,
    protocol: Protocol = PROTOCOLS["coco"],
) -> Metrics:
    """The official numbers, and the rates of rightly grouped keypoints and people given the true detections.

    Args:
        name: what messages call the truth.
    """
    return {
        **protocol.score(truth, results, name=name),
        "keypoints_grouped_right": grouping.keypoint_rate,
        "people_grouped_right": grouping.person_rate,
    }


def evaluate_samples(
    predictor: Predictor, samples: Iterable[tuple[Sample, Sequence[dict[str, Any]]]], *, count: int | None = None
) -> Metrics:
    """How well a predictor does on samples of its own skeleton; see `all_numbers`.

    Args:
        samples: each with all its annotations, see `truth_of_source`; read once, one at a time.
        count: how many there are, for the progress bar.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    found: list[tuple[int, Instances]] = []
    grouping = RightGrouping()
    progress = tqdm(samples, total=count, disable=None, leave=False, desc="evaluate", unit="image")
    for i, (sample, rows) in enumerate(progress):  # of several sources, whose ids may be the same
        instances, counts = look(predictor, sample)
        height, width = sample.image.shape[:2]
        images.append({"id": i, "file_name": sample.file_name, "width": width, "height": height})
        annotations += [{**row, "image_id": i, "category_id": 1} for row in rows]
        found.append((i, instances))
        grouping += counts
    categories = [pose_task(predictor).skeleton.to_category()]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return all_numbers(truth, coco_results(found), grouping)


def build_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, Any]] | None:
    """What the trainer calls to validate on ``data.validation``, as ``ae evaluate`` would; None without any.

    Raises:
        ValueError: when its files cannot be read, or no image is left.
    """
    if recipe.task == "single-person":
        return build_crop_validation(recipe)
    if recipe.task == "segmentation":
        return build_mask_validation(recipe)
    if not recipe.data.validation:
        return None
    skeleton = load_skeleton(recipe.data.skeleton)
    chosen = []
    for source in recipe.data.validation:
        data = CocoKeypoints(
            source.annotations, source.images, skeleton, people_only=False, cache=False, rename=source.rename or None
        )
        if source.held_out:
            data = data.select(partial(held_out, fraction=source.held_out))
        if not len(data):
            raise ValueError(f"{source.annotations or source.images}: no image to validate on is left")
        count = min(len(data), recipe.data.validation_images or len(data))
        rows = truth_of_source(source, skeleton, set(data.image_ids[:count]))
        chosen += [(data, i, rows[data.image_ids[i]]) for i in range(count)]

    def validate(network: Network, info: ModelInfo) -> dict[str, Any]:
        training = network.training
        try:
            predictor = Predictor(network.eval(), info)
            return evaluate_samples(predictor, ((data[i], rows) for data, i, rows in chosen), count=len(chosen))
        finally:
            network.train(training)

    return validate
