"""``ae evaluate`` of a model that finds people: on a COCO json, the official numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.sources import choose
from associative_embedding.evaluation.ground_truth import truth_for
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.grouping import RightGrouping
from associative_embedding.evaluation.oracle import Given, group_by_truth, group_truth
from associative_embedding.evaluation.protocols import PROTOCOLS, Protocol
from associative_embedding.evaluation.results_file import keeping
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Changes
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.task import PoseTask


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
    data = CocoKeypoints(annotations, images, skeleton, people_only=False, cache=False)
    data = choose(data, held_out_share, limit, annotations)
    truth = truth_for(annotations, skeleton, set(data.image_ids), protocol=protocol)
    return Trial(data, *truth, protocol, annotations)


def evaluate_trial(
    predictor: Predictor,
    trial: Trial,
    *,
    given: Given = "nothing",
    results_path: str | None = None,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> tuple[Metrics, Changes]:
    """The protocol's numbers and the rates of right grouping, see `all_numbers`; and what refinement changed.

    Args:
        given: of the truth, see `look`.
        results_path: COCO results are written here, now and then while it works.
        announce: told the numbers before anything else is written.

    Raises:
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    grouping, changed = RightGrouping(), Changes()
    with keeping(results, results_path, len(trial.data)) as done:
        for i in tqdm(range(len(trial.data)), disable=None, desc="evaluate", unit="image"):
            sample = trial.data[i]
            instances, counts = look(predictor, sample, given)
            if given == "nothing":
                instances, here = look_again(predictor, sample, instances)
                changed += here
            results += coco_results([(sample.image_id, instances)], category_id=trial.category_id, order=trial.order)
            grouping += counts
            done()
        metrics = all_numbers(trial.truth, results, grouping, trial.name, trial.protocol)
        announce(metrics)
    return metrics, changed


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
        "refine": predictor.refiner.name if predictor.refiner else None,
        "decode": dataclasses.asdict(predictor.task.decode_config),
    }


def pose_task(predictor: Predictor) -> PoseTask:
    """
    Raises:
        ValueError: when the model finds something else than poses.
    """
    if not isinstance(predictor.task, PoseTask):
        raise ValueError(f"a model of the task {predictor.task.name} does not find the people of an image")
    return predictor.task


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
