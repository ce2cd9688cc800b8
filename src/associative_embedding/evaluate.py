"""How good a model is: the same `Predictor` that users call, then the official metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.checkpoint import ModelInfo
from associative_embedding.config import Recipe
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.geometry import ImageGeometry
from associative_embedding.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.metrics.oks import evaluate_keypoints, format_table, read_truth
from associative_embedding.models.network import Network
from associative_embedding.output import write_json
from associative_embedding.predict import Predictor, load
from associative_embedding.skeleton import Skeleton, load_skeleton
from associative_embedding.training_data import open_source
from associative_embedding.types import Array, Detections, Instances, Maps, Sample


def truth_of(samples: Iterable[Sample], skeleton: Skeleton) -> dict[str, Any]:
    """Samples as a COCO dataset; image ids are their places 0, 1, 2 ..."""
    images, annotations = [], []
    for i, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        images.append({"id": i, "file_name": sample.file_name, "width": width, "height": height})
        for keypoints, area in zip(sample.keypoints, sample.area, strict=True):
            xy = keypoints[keypoints[:, 2] > 0, :2]
            if not len(xy):
                continue
            low, high = xy.min(axis=0), xy.max(axis=0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i,
                    "category_id": 1,
                    "keypoints": keypoints.ravel().tolist(),
                    "num_keypoints": len(xy),
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "area": float(area),
                    "iscrowd": 0,
                }
            )
    return {"images": images, "annotations": annotations, "categories": [skeleton.to_category()]}


def tags_at_truth(maps: Maps, geometry: ImageGeometry, keypoints: Array, order: Array) -> tuple[Detections, Array]:
    """Detections as a perfect heatmap would give them: one at every labelled keypoint, tags read from the maps.

    Args:
        keypoints: ``(N, K, 3)`` of the truth, image pixels.
        order: ``(K,)`` keypoint types in grouping order.

    Returns:
        the detections and the ``(M, 2)`` person and keypoint type of each.
    """
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    height, width = geometry.map_size
    place = np.stack(np.nonzero(keypoints[:, :, 2] > 0), axis=1)
    xy = geometry.to_map(keypoints[place[:, 0], place[:, 1], :2].astype(np.float64))
    x, y = np.clip(np.rint(xy), 0, [width - 1, height - 1]).astype(np.int64).T
    tag = maps.tag[0, place[:, 1], :, y, x].double().cpu().numpy()
    return Detections(score=np.ones(len(place)), tag=tag, xy=xy, step=rank[place[:, 1]]), place


def grouping_of_truth(predictor: Predictor, sample: Sample) -> RightGrouping:
    """How well the tags alone group the true keypoints of one image: detection has no part in it."""
    maps, geometry = predictor.maps(sample.image)
    detections, place = tags_at_truth(maps, geometry, sample.keypoints, predictor.info.skeleton.group_index)
    groups = predictor.task.group(detections)
    labelled = sample.keypoints[:, :, 2] > 0
    assigned = np.full(labelled.shape, -1, dtype=np.int64)
    assigned[place[:, 0], place[:, 1]] = groups.group
    return right_grouping(assigned, labelled)


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


def evaluate_samples(predictor: Predictor, samples: Sequence[Sample], *, progress: bool = True) -> dict[str, Any]:
    """COCO's ten numbers, and the rates of rightly grouped keypoints and people given the true detections."""
    found: list[tuple[int, Instances]] = []
    grouping = RightGrouping()
    for i, sample in enumerate(tqdm(samples, disable=None if progress else True, desc="evaluate", unit="image")):
        found.append((i, predictor(sample.image, keep_image=False)))
        grouping += grouping_of_truth(predictor, sample)
    skeleton = predictor.info.skeleton
    metrics: dict[str, Any] = dict(evaluate_keypoints(truth_of(samples, skeleton), coco_results(found)))
    return {**metrics, "keypoints_grouped_right": grouping.keypoint_rate, "people_grouped_right": grouping.person_rate}


def build_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, Any]] | None:
    """What the trainer calls to validate: the samples of ``data.validation``, read once; None without any."""
    if not recipe.data.validation:
        return None
    skeleton = load_skeleton(recipe.data.skeleton)
    limit = recipe.data.validation_images or None
    sets = [open_source(source, skeleton, part="validation") for source in recipe.data.validation]
    samples = [data[i] for data in sets for i in range(len(data))[:limit]]
    if not samples:
        raise ValueError("data.validation holds no image with people")

    def validate(network: Network, info: ModelInfo) -> dict[str, Any]:
        training = network.training
        try:
            return evaluate_samples(Predictor(network.eval(), info), samples)
        finally:
            network.train(training)

    return validate


def evaluate_files(
    *,
    model: str,
    annotations: str,
    images: str,
    input_size: int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    device: str = "cpu",
    held_out_share: float = 0.0,
    limit: int = 0,
    json_path: str | None = None,
    results_path: str | None = None,
    decode: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """``ae evaluate``: the official numbers of a model on a COCO json, printed, and written where asked.

    The truth's keypoints are matched with the model's by name: types that only one of the two has do not count.

    Args:
        held_out_share: only images that a recipe with this ``held_out`` leaves to validation (0 = all).
        limit: only the first so many images (0 = all).
        decode: settings that replace the model's.

    Returns:
        the metrics.

    Raises:
        ValueError: for a model, truth or image that cannot be used.
    """
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip)
    predictor = predictor.with_decode(**(decode or {}))
    skeleton = predictor.info.skeleton
    data = CocoKeypoints(annotations, images, skeleton, people_only=False, cache=False)
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    count = min(len(data), limit or len(data))
    if not count:
        raise ValueError(f"{annotations}: no image to evaluate on")
    truth, category_id, reorder = truth_for(annotations, skeleton)

    found: list[tuple[int, Instances]] = []
    grouping = RightGrouping()
    for i in tqdm(range(count), disable=None, desc="evaluate", unit="image"):
        sample = data[i]
        instances = predictor(sample.image, keep_image=False)
        found.append((sample.image_id, instances))
        grouping += grouping_of_truth(predictor, sample)
    results = coco_results(found, category_id=category_id, order=reorder)
    ids = [image_id for image_id, _ in found]
    metrics: dict[str, Any] = dict(evaluate_keypoints(truth, results, image_ids=ids))
    metrics["keypoints_grouped_right"] = grouping.keypoint_rate
    metrics["people_grouped_right"] = grouping.person_rate
    print(format_table(metrics))
    if results_path:
        write_json(results_path, results)
    if json_path:
        settings = {
            "annotations": annotations,
            "images": count,
            "held_out": held_out_share,
            "input_size": predictor.input_size,
            "scales": list(predictor.scales),
            "flip": flip,
            "decode": dataclasses.asdict(predictor.info.decode),
        }
        write_json(json_path, {"metrics": metrics, "model": model, "settings": settings})
    return metrics


def truth_for(annotations: str, skeleton: Skeleton) -> tuple[dict[str, Any], int, Array]:
    """A COCO json's truth, the id of the category whose keypoints are the model's, and how to reorder keypoints to it.

    Returns:
        the dataset, the category id, and for each of the category's keypoints its index in the model's skeleton (-1 =
        the model does not have it; then the truth's label is removed).

    Raises:
        ValueError: when no category shares a keypoint name with the model.
    """
    truth = read_truth(annotations)
    names = {c["id"]: c["keypoints"] for c in truth["categories"] if c.get("keypoints")}
    common = {key: len(set(value) & set(skeleton.keypoints)) for key, value in names.items()}
    category_id = max(common, key=lambda key: common[key], default=None)
    if category_id is None or not common[category_id]:
        raise ValueError(f"{annotations}: no category has a keypoint in common with the model ({skeleton.name})")
    order = np.array([skeleton.index.get(name, -1) for name in names[category_id]], dtype=np.int64)
    if (order < 0).any():
        truth["annotations"] = [without_labels(row, np.flatnonzero(order < 0)) for row in truth["annotations"]]
    truth["annotations"] = [row for row in truth["annotations"] if row.get("category_id") == category_id]
    truth["categories"] = [c for c in truth["categories"] if c["id"] == category_id]
    return truth, category_id, order


def without_labels(annotation: dict[str, Any], types: Array) -> dict[str, Any]:
    """A copy of an annotation in which some keypoint types are unlabelled."""
    keypoints = np.array(annotation.get("keypoints", []), dtype=np.float64).reshape(-1, 3)
    if not len(keypoints):
        return annotation
    keypoints[types] = 0
    count = int((keypoints[:, 2] > 0).sum())
    return {**annotation, "keypoints": keypoints.ravel().tolist(), "num_keypoints": count}
