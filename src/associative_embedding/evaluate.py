"""How good a model is: the same `Predictor` that users call, then the official metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.checkpoint import ModelInfo
from associative_embedding.config import Recipe
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.geometry import ImageGeometry
from associative_embedding.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.metrics.oks import Metrics
from associative_embedding.models.network import Network
from associative_embedding.output import Periodic, check_writable, say, write_json
from associative_embedding.predict import Predictor, load
from associative_embedding.protocols import PROTOCOLS, Protocol, build_protocol
from associative_embedding.skeleton import Skeleton, load_skeleton
from associative_embedding.tasks.pose import PoseTask
from associative_embedding.truth import truth_for, truth_of_source
from associative_embedding.types import Array, Detections, Instances, Maps, Sample


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
        raise ValueError(f"a model of the task {predictor.task.name} has no keypoints to evaluate")
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


def look(predictor: Predictor, sample: Sample, truth_detections: bool = False) -> tuple[Instances, RightGrouping]:
    """The people found in one image, and how well the tags alone group its true keypoints.

    Args:
        truth_detections: the people are those of `group_truth`.

    Raises:
        ValueError: when the network's output is not finite.
    """
    task = pose_task(predictor)
    maps, geometry = predictor.maps(sample.image)
    try:
        grouped, counts = group_truth(task, maps, geometry, sample.keypoints)
        return (grouped if truth_detections else task.decode(maps, geometry)), counts
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None


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
    """What the trainer calls to validate on ``data.validation``, as `evaluate_files` would; None without any.

    Raises:
        ValueError: when its files cannot be read, or no image is left.
    """
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


@dataclass(frozen=True)
class Trial:
    """What models are tried on.

    Attributes:
        data: the images.
        truth: their COCO dataset, without labels that the models do not know.
        category_id: of the truth's category.
        order: for each of its keypoints the index in the models' skeleton, -1 = none.
        protocol: by which the results are scored.
        name: what messages call the truth.
    """

    data: CocoKeypoints
    truth: dict[str, Any]
    category_id: int
    order: Array
    protocol: Protocol
    name: str

    @property
    def unknown(self) -> list[str]:
        """The truth's keypoint types that the models do not have: they do not count."""
        names = self.truth["categories"][0]["keypoints"]
        return [name for name, index in zip(names, self.order, strict=True) if index < 0]


def open_trial(
    annotations: str,
    images: str,
    skeleton: Skeleton,
    *,
    held_out_share: float = 0.0,
    limit: int = 0,
    protocol: Protocol = PROTOCOLS["coco"],
) -> Trial:
    """
    Args:
        skeleton: of the models.
        held_out_share: only images that a recipe with this ``held_out`` leaves to validation (0 = all).
        limit: only the first so many images (0 = all).

    Raises:
        ValueError: for a truth that cannot be used, or no image.
    """
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    data = CocoKeypoints(annotations, images, skeleton, people_only=False, cache=False)
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    chosen = set(data.image_ids[: limit or len(data)])
    if not chosen:
        raise ValueError(f"{annotations}: no image to evaluate on")
    truth = truth_for(annotations, skeleton, chosen, protocol=protocol)
    return Trial(data.select(chosen.__contains__), *truth, protocol, annotations)


def evaluate_trial(
    predictor: Predictor,
    trial: Trial,
    *,
    truth_detections: bool = False,
    results_path: str | None = None,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> Metrics:
    """The protocol's numbers, and the rates of rightly grouped keypoints and people; see `all_numbers`.

    Args:
        truth_detections: see `look`.
        results_path: COCO results are written here, now and then while it works.
        announce: told the numbers before anything else is written.

    Raises:
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    grouping, done = RightGrouping(), 0
    save = Periodic(lambda: write_json(results_path, results) if results_path else None)
    try:
        for i in tqdm(range(len(trial.data)), disable=None, desc="evaluate", unit="image"):
            sample = trial.data[i]
            instances, counts = look(predictor, sample, truth_detections)
            results += coco_results([(sample.image_id, instances)], category_id=trial.category_id, order=trial.order)
            grouping += counts
            done += 1
            save()
        metrics = all_numbers(trial.truth, results, grouping, trial.name, trial.protocol)
        announce(metrics)
        return metrics
    except KeyboardInterrupt:
        kept = f"are in {results_path}" if results_path and done else "were done"
        kept += "" if results_path else "; --results would have kept them"
        raise KeyboardInterrupt(f"interrupted; {done} of {len(trial.data)} images {kept}") from None
    finally:  # what was computed is kept, whatever comes in between
        if done:
            save.now()


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
    protocol: str = "coco",
    groups: str | None = None,
) -> Metrics:
    """``ae evaluate``: the official numbers of a model on a COCO json, printed, and written where asked.

    The truth's keypoints are matched with the model's by name: types that only one of the two has do not count.

    Args:
        held_out_share, limit: see `open_trial`.
        decode: settings that replace the model's.
        protocol, groups: see `protocols.build_protocol`.

    Returns:
        the metrics.

    Raises:
        ValueError: for a model, truth or image that cannot be used.
        OSError: for a file that cannot be written, before any image is read.
        KeyboardInterrupt: the results so far are kept.
    """
    rules = build_protocol(protocol, groups)
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip)
    predictor = predictor.with_decode(**{str(key): value for key, value in (decode or {}).items()})
    skeleton = pose_task(predictor).skeleton
    trial = open_trial(annotations, images, skeleton, held_out_share=held_out_share, limit=limit, protocol=rules)
    for path in (results_path, json_path):
        if path:
            check_writable(path)
    metrics = evaluate_trial(
        predictor, trial, results_path=results_path, announce=lambda numbers: say(report(trial, numbers))
    )
    if json_path:
        settings = {"held_out": held_out_share, "protocol": protocol, **describe(predictor, trial)}
        write_json(json_path, {"metrics": metrics, "model": model, "settings": settings})
    return metrics


def report(trial: Trial, metrics: Metrics) -> str:
    """The table, and what does not count in it."""
    unknown = f"the model has no {', '.join(trial.unknown)}: they do not count\n" if trial.unknown else ""
    return unknown + trial.protocol.show(metrics)


def describe(predictor: Predictor, trial: Trial) -> dict[str, Any]:
    """What the numbers are of, for json."""
    return {
        "annotations": trial.name,
        "images": len(trial.data),
        "not_counted": trial.unknown,
        "input_size": predictor.input_size,
        "scales": list(predictor.scales),
        "flip": predictor.flip,
        "decode": dataclasses.asdict(predictor.task.decode_config),
    }
