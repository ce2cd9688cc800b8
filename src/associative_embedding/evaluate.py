"""How good a model is: the same `Predictor` that users call, then the official metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.checkpoint import ModelInfo
from associative_embedding.coco_json import read_coco
from associative_embedding.config import Recipe, SourceConfig
from associative_embedding.crop_accuracy import build_crop_validation
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.geometry import ImageGeometry
from associative_embedding.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.metrics.oks import evaluate_keypoints, format_table
from associative_embedding.models.network import Network
from associative_embedding.output import Periodic, check_writable, say, write_json
from associative_embedding.predict import Predictor, load
from associative_embedding.refine import Changes, changes
from associative_embedding.skeleton import Skeleton, load_skeleton
from associative_embedding.tasks.pose import PoseTask
from associative_embedding.types import Array, Detections, Instances, Maps, Sample


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


def pose_task(predictor: Predictor) -> PoseTask:
    """
    Raises:
        ValueError: when the model finds something else than poses.
    """
    if not isinstance(predictor.task, PoseTask):
        raise ValueError(f"a model of the task {predictor.task.name} does not find the people of an image")
    return predictor.task


def look(predictor: Predictor, sample: Sample) -> tuple[Instances, RightGrouping]:
    """The people found in one image, and how well the tags alone group its true keypoints.

    Raises:
        ValueError: when the network's output is not finite.
    """
    task = pose_task(predictor)
    maps, geometry = predictor.maps(sample.image)
    try:
        found = task.decode(maps, geometry)
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None
    detections, place = tags_at_truth(maps, geometry, sample.keypoints, task.skeleton.group_index)
    labelled = sample.keypoints[:, :, 2] > 0
    assigned = np.full(labelled.shape, -1, dtype=np.int64)
    assigned[place[:, 0], place[:, 1]] = task.group(detections).group
    return found, right_grouping(assigned, labelled)


def look_again(predictor: Predictor, sample: Sample, found: Instances) -> tuple[Instances, Changes]:
    """The people of one image after refinement, if the predictor refines, and what that changed.

    Raises:
        ValueError: when the network's output is not finite.
    """
    try:
        refined = predictor.refine(found, sample.image)
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None
    return refined, changes(found, refined)


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
    truth: dict[str, Any], results: list[dict[str, Any]], grouping: RightGrouping, name: str | None = None
) -> dict[str, Any]:
    """COCO's ten numbers, and the rates of rightly grouped keypoints and people given the true detections.

    Args:
        name: what messages call the truth.
    """
    return {
        **evaluate_keypoints(truth, results, image_ids=[image["id"] for image in truth["images"]], name=name),
        "keypoints_grouped_right": grouping.keypoint_rate,
        "people_grouped_right": grouping.person_rate,
    }


def evaluate_samples(
    predictor: Predictor, samples: Iterable[tuple[Sample, Sequence[dict[str, Any]]]], *, count: int | None = None
) -> dict[str, Any]:
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


def truth_of_source(source: SourceConfig, skeleton: Skeleton, image_ids: set[int]) -> dict[int, list[dict[str, Any]]]:
    """Image id -> its annotations as `truth_for` has them, crowds and unlabelled people too, in the skeleton's order.

    Raises:
        ValueError: see `truth_for`.
    """
    rows: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in image_ids}
    if source.annotations is None:
        return rows
    truth, _, order = truth_for(source.annotations, skeleton, image_ids, source.rename)
    for annotation in truth["annotations"]:
        keypoints = np.zeros((len(skeleton), 3))
        if annotation.get("keypoints"):
            keypoints[order[order >= 0]] = np.reshape(annotation["keypoints"], (-1, 3))[order >= 0]
        rows[annotation["image_id"]].append({**annotation, "keypoints": keypoints.ravel().tolist()})
    return rows


def build_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, Any]] | None:
    """What the trainer calls to validate on ``data.validation``, as `evaluate_files` would; None without any.

    Raises:
        ValueError: when its files cannot be read, or no image is left.
    """
    if recipe.task == "single-person":
        return build_crop_validation(recipe)
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


def evaluate_files(
    *,
    model: str,
    annotations: str,
    images: str,
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    refine: str | None = None,
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
        refine: single-person model, see `predict.load`; what it changed is counted.
        decode: settings that replace the model's.

    Returns:
        the metrics.

    Raises:
        ValueError: for a model, truth or image that cannot be used.
        OSError: for a file that cannot be written, before any image is read.
        KeyboardInterrupt: the results so far are kept.
    """
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip, refine=refine)
    predictor = predictor.with_decode(**{str(key): value for key, value in (decode or {}).items()})
    data = CocoKeypoints(annotations, images, pose_task(predictor).skeleton, people_only=False, cache=False)
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    count = min(len(data), limit or len(data))
    if not count:
        raise ValueError(f"{annotations}: no image to evaluate on")
    truth, category_id, order = truth_for(annotations, pose_task(predictor).skeleton, set(data.image_ids[:count]))

    for path in (results_path, json_path):
        if path:
            check_writable(path)

    results: list[dict[str, Any]] = []
    grouping, changed, done = RightGrouping(), Changes(), 0
    save = Periodic(lambda: write_json(results_path, results) if results_path else None)
    try:
        for i in tqdm(range(count), disable=None, desc="evaluate", unit="image"):
            sample = data[i]
            instances, counts = look(predictor, sample)
            instances, changes_here = look_again(predictor, sample, instances)
            results += coco_results([(sample.image_id, instances)], category_id=category_id, order=order)
            grouping, changed = grouping + counts, changed + changes_here
            done += 1
            save()
        metrics = all_numbers(truth, results, grouping, annotations)
        say(format_table(metrics))
        if refine:
            say(f"refined by {refine}: {changed}")
    except KeyboardInterrupt:
        kept = f"are in {results_path}" if results_path and done else "were done"
        kept += "" if results_path else "; --results would have kept them"
        raise KeyboardInterrupt(f"interrupted; {done} of {count} images {kept}") from None
    finally:  # what was computed is kept, whatever comes in between
        if done:
            save.now()
    if json_path:
        settings = {
            "annotations": annotations,
            "images": count,
            "held_out": held_out_share,
            "input_size": predictor.input_size,
            "scales": list(predictor.scales),
            "flip": flip,
            "refine": refine,
            "decode": dataclasses.asdict(predictor.task.decode_config),
        }
        refined = {"refined": dataclasses.asdict(changed)} if refine else {}
        write_json(json_path, {"metrics": metrics, **refined, "model": model, "settings": settings})
    return metrics


def truth_for(
    annotations: str, skeleton: Skeleton, image_ids: set[int], rename: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], int, Array]:
    """A COCO json's truth, the id of the category whose keypoints are the model's, and how to reorder keypoints to it.

    Args:
        image_ids: of the images to keep.
        rename: name in the file -> name in the skeleton, where they differ.

    Returns:
        the dataset, the category id, and for each of the category's keypoints its index in the model's skeleton (-1 =
        the model does not have it; then the truth's label is removed).

    Raises:
        ValueError: when no category shares a keypoint name with the model.
    """
    truth = read_coco(annotations)
    new = rename or {}
    names = {c["id"]: [new.get(n, n) for n in c["keypoints"]] for c in truth["categories"] if c.get("keypoints")}
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
    if truth["images"]:
        evaluate_keypoints(truth, [], name=annotations)  # complains now, not after the work
    return truth, category_id, order


def without_labels(annotation: dict[str, Any], types: Array) -> dict[str, Any]:
    """A copy of an annotation in which some keypoint types are unlabelled."""
    keypoints = np.array(annotation.get("keypoints", []), dtype=np.float64).reshape(-1, 3)
    if not len(keypoints):
        return annotation
    keypoints[types] = 0
    count = int((keypoints[:, 2] > 0).sum())
    return {**annotation, "keypoints": keypoints.ravel().tolist(), "num_keypoints": count}
