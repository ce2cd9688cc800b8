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


def truth_rows(i: int, sample: Sample, first_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A sample as a COCO image with the id `i` and its annotations, numbered from `first_id`."""
    height, width = sample.image.shape[:2]
    annotations: list[dict[str, Any]] = []
    for keypoints, area in zip(sample.keypoints, sample.area, strict=True):
        xy = keypoints[keypoints[:, 2] > 0, :2]
        if len(xy):
            low, high = xy.min(axis=0), xy.max(axis=0)
            annotations.append(
                {
                    "id": first_id + len(annotations),
                    "image_id": i,
                    "category_id": 1,
                    "keypoints": keypoints.ravel().tolist(),
                    "num_keypoints": len(xy),
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "area": float(area),
                    "iscrowd": 0,
                }
            )
    return {"id": i, "file_name": sample.file_name, "width": width, "height": height}, annotations


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


def look(predictor: Predictor, sample: Sample) -> tuple[Instances, RightGrouping]:
    """The people found in one image, and how well the tags alone group its true keypoints.

    Raises:
        ValueError: when the network's output is not finite.
    """
    maps, geometry = predictor.maps(sample.image)
    try:
        found = predictor.task.decode(maps, geometry)
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None
    detections, place = tags_at_truth(maps, geometry, sample.keypoints, predictor.info.skeleton.group_index)
    labelled = sample.keypoints[:, :, 2] > 0
    assigned = np.full(labelled.shape, -1, dtype=np.int64)
    assigned[place[:, 0], place[:, 1]] = predictor.task.group(detections).group
    return found, right_grouping(assigned, labelled)


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


def all_numbers(truth: dict[str, Any], results: list[dict[str, Any]], grouping: RightGrouping) -> dict[str, Any]:
    """COCO's ten numbers, and the rates of rightly grouped keypoints and people given the true detections."""
    return {
        **evaluate_keypoints(truth, results, image_ids=[image["id"] for image in truth["images"]]),
        "keypoints_grouped_right": grouping.keypoint_rate,
        "people_grouped_right": grouping.person_rate,
    }


def evaluate_samples(predictor: Predictor, samples: Iterable[Sample], *, count: int | None = None) -> dict[str, Any]:
    """How well a predictor does on samples of its own skeleton; see `all_numbers`.

    Args:
        samples: read once, one at a time.
        count: how many there are, for the progress bar.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    found: list[tuple[int, Instances]] = []
    grouping = RightGrouping()
    for i, sample in enumerate(tqdm(samples, total=count, disable=None, leave=False, desc="evaluate", unit="image")):
        instances, counts = look(predictor, sample)
        image, rows = truth_rows(i, sample, len(annotations) + 1)
        images.append(image)
        annotations += rows
        found.append((i, instances))
        grouping += counts
    categories = [predictor.info.skeleton.to_category()]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return all_numbers(truth, coco_results(found), grouping)


def build_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, Any]] | None:
    """What the trainer calls to validate on ``data.validation``; None without any.

    Raises:
        ValueError: when its files cannot be read, or no image is left.
    """
    if not recipe.data.validation:
        return None
    skeleton = load_skeleton(recipe.data.skeleton)
    limit = recipe.data.validation_images or None
    sets = [open_source(source, skeleton, part="validation") for source in recipe.data.validation]
    chosen = [(data, i) for data in sets for i in range(len(data))[:limit]]
    if not chosen:
        raise ValueError("data.validation holds no image with people")

    def validate(network: Network, info: ModelInfo) -> dict[str, Any]:
        training = network.training
        try:
            predictor = Predictor(network.eval(), info)
            return evaluate_samples(predictor, (data[i] for data, i in chosen), count=len(chosen))
        finally:
            network.train(training)

    return validate


def evaluate_files(
    *,
    model: str,
    annotations: str,
    images: str,
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    device: str = "auto",
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
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip)
    predictor = predictor.with_decode(**(decode or {}))
    data = CocoKeypoints(annotations, images, predictor.info.skeleton, people_only=False, cache=False)
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    count = min(len(data), limit or len(data))
    if not count:
        raise ValueError(f"{annotations}: no image to evaluate on")
    truth, category_id, order = truth_for(annotations, predictor.info.skeleton, set(data.image_ids[:count]))

    results: list[dict[str, Any]] = []
    grouping = RightGrouping()
    try:
        for i in tqdm(range(count), disable=None, desc="evaluate", unit="image"):
            sample = data[i]
            instances, counts = look(predictor, sample)
            results += coco_results([(sample.image_id, instances)], category_id=category_id, order=order)
            grouping += counts
    finally:  # what was computed is kept, whatever comes in between
        if results_path:
            write_json(results_path, results)
    metrics = all_numbers(truth, results, grouping)
    print(format_table(metrics))
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


def truth_for(annotations: str, skeleton: Skeleton, image_ids: set[int]) -> tuple[dict[str, Any], int, Array]:
    """A COCO json's truth, the id of the category whose keypoints are the model's, and how to reorder keypoints to it.

    Args:
        image_ids: of the images to keep.

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
    truth["images"] = [image for image in truth["images"] if image["id"] in image_ids]
    truth["annotations"] = [
        row
        for row in truth["annotations"]
        if row.get("category_id") == category_id and row.get("image_id") in image_ids
    ]
    truth["categories"] = [c for c in truth["categories"] if c["id"] == category_id]
    if (order < 0).any():
        truth["annotations"] = [without_labels(row, np.flatnonzero(order < 0)) for row in truth["annotations"]]
    return truth, category_id, order


def without_labels(annotation: dict[str, Any], types: Array) -> dict[str, Any]:
    """A copy of an annotation in which some keypoint types are unlabelled."""
    keypoints = np.array(annotation.get("keypoints", []), dtype=np.float64).reshape(-1, 3)
    if not len(keypoints):
        return annotation
    keypoints[types] = 0
    count = int((keypoints[:, 2] > 0).sum())
    return {**annotation, "keypoints": keypoints.ravel().tolist(), "num_keypoints": count}
