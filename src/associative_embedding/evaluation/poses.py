"""The official metrics of a model that finds people, on a COCO json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.sources import select_test_images
from associative_embedding.evaluation.ground_truth import GroundTruth, is_labelled, truth_for
from associative_embedding.evaluation.group_views import Region, Regions, at_scale, cut, of_region, read_regions
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.grouping import RightGrouping
from associative_embedding.evaluation.oracle import Given, people_from_true_detections, people_from_true_tags
from associative_embedding.evaluation.pixel_errors import PixelErrors, pixel_errors
from associative_embedding.evaluation.protocols import PROTOCOLS, Protocol
from associative_embedding.evaluation.results_file import WriteResults, keeping, write_results
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Changes
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name, visible
from associative_embedding.io.progress import Progress
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.single_person.task import SinglePersonTask


@dataclass(frozen=True)
class PoseTestSet:
    """Images with annotated people, ready to score models with one skeleton.

    Attributes:
        data: the images.
        truth: their annotations, without the keypoint types that the skeleton lacks.
        protocol: the rules of the metrics.
        name: of the annotations, for messages.
    """

    data: CocoKeypoints
    truth: GroundTruth
    protocol: Protocol
    name: str

    @property
    def labelled(self) -> bool:
        """Whether a person to find has a labelled keypoint; those of MPII's test images have none."""
        return any(map(is_labelled, self.truth.dataset["annotations"]))

    def regions(self) -> Regions | None:
        """What is evaluated in each image by MPII's groups; None: whole images are evaluated."""
        if self.protocol.groups is None:
            return None
        return read_regions(self.truth.dataset, self.protocol.groups, self.name)

    @property
    def unknown(self) -> list[str]:
        """The annotated keypoint types that the skeleton lacks: they do not count."""
        names = self.truth.dataset["categories"][0]["keypoints"]
        return [name for name, index in zip(names, self.truth.order, strict=True) if index < 0]

    @property
    def settings(self) -> dict[str, Any]:
        """What metrics on it are computed on, for json."""
        categories, splits = self.data.categories, self.data.coco_splits
        return {
            "annotations": self.name,
            "images": len(self.data),
            "coco_splits": {split: splits[split] for split in sorted(splits) if split},
            "categories": dict(categories.read),
            "categories_left_out": dict(categories.left_out),
            "not_counted": self.unknown,
        }


def open_pose_test_set(
    annotations: str,
    images: str,
    skeleton: Skeleton,
    *,
    held_out_share: float = 0.0,
    ids: str | None = None,
    limit: int = 0,
    protocol: Protocol = PROTOCOLS["coco"],
) -> PoseTestSet:
    """Reads a COCO json for models with a skeleton; keypoint types are matched by name.

    Args:
        annotations: a COCO json.
        images: folder of its images.
        skeleton: of the models.
        held_out_share: use only the images that a recipe with this ``held_out`` keeps for validation (0 = all).
        ids: file with the ids of the images to use, one a line (None = all).
        limit: use only the first N images (0 = all).
        protocol: the rules of the metrics.

    Raises:
        ValueError: for annotations that cannot be used, or when no image is left.
    """
    data = CocoKeypoints(annotations, images, skeleton, people_only=False, cache=False)
    data = select_test_images(data, held_out_share, limit, annotations, ids)
    truth = truth_for(annotations, skeleton, set(data.image_ids), protocol=protocol)
    return PoseTestSet(data, truth, protocol, annotations)


def evaluate_pose_model(
    predictor: Predictor,
    test_set: PoseTestSet,
    *,
    given: Given = "nothing",
    results_path: str | None = None,
    write: WriteResults = write_results,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> tuple[Metrics, Changes]:
    """Returns the metrics of a model (see `pose_metrics`), and what its refiner changed.

    Args:
        given: what of the ground truth replaces predictions, see `find_people`.
        results_path: results are written to this file, now and then during the work.
        write: writes them; default: as COCO results.
        announce: gets the metrics before anything else is written.

    Raises:
        KeyboardInterrupt: the results so far are kept.
    """
    found = Found()
    with keeping(found.results, results_path, len(test_set.data), write) as done:
        for part in results_of_images(predictor, test_set, given):
            found.add(part)
            done()
        metrics = pose_metrics(test_set.truth.dataset, found.results, found.grouping, test_set.name, test_set.protocol)
        announce(metrics)
    return metrics, found.changes


@dataclass
class Found:
    """What was found in some images: COCO results, true keypoints grouped correctly, and what refinement changed."""

    results: list[dict[str, Any]] = field(default_factory=list)
    grouping: RightGrouping = field(default_factory=RightGrouping)
    changes: Changes = field(default_factory=Changes)

    def add(self, other: Found) -> None:
        """Adds what was found in other images; `results` stays the same list."""
        self.results += other.results
        self.grouping += other.grouping
        self.changes += other.changes


def results_of_images(predictor: Predictor, test_set: PoseTestSet, given: Given = "nothing") -> Iterator[Found]:
    """Yields what is found in each image of a test set; by MPII's groups in the crops around these.

    Args:
        given: what of the ground truth replaces predictions, see `find_people`.

    Raises:
        ValueError: when an image cannot be read, or the network's output is not finite.
    """
    data, regions = test_set.data.read_as(predictor.reading), test_set.regions()
    for i, image_id in enumerate(Progress(data.image_ids, "evaluate", "image")):
        if regions is not None and not regions[image_id]:  # as most images of MPII: the file is not read
            yield Found()
            continue
        sample = data[i]
        with errors_name(sample.file_name):
            if regions is None:
                yield results_of(predictor, sample, test_set.truth, given)
            else:
                yield results_of_groups(predictor, sample, test_set.truth, given, regions[image_id])


def results_of_groups(
    predictor: Predictor, sample: Sample, truth: GroundTruth, given: Given, regions: Sequence[Region]
) -> Found:
    """Returns what is found in the crops around the groups of one image, in its pixels, without bystanders.

    Raises:
        ValueError: when the network's output is not finite.
    """
    found = Found()
    for region in regions:
        crop, corner = cut(sample, region)
        part = results_of(at_scale(predictor, crop.image.shape[:2], region.scale), crop, truth, given)
        part.results = of_region(part.results, corner, region, regions)
        found.add(part)
    return found


def results_of(predictor: Predictor, sample: Sample, truth: GroundTruth, given: Given = "nothing") -> Found:
    """Returns what is found in one image or crop, in its pixels.

    Raises:
        ValueError: when the network's output is not finite.
    """
    people, counts = find_people(predictor, sample, given)
    changed = Changes()
    # With parts of the ground truth given, the question is what tags or heatmaps are worth alone.
    if given == "nothing":
        refined = predictor.refine(people, sample.image)
        people, changed = refined.people, refined.changes
    rows = coco_results([(sample.image_id, people)], category_id=truth.category_id, order=truth.order)
    return Found(rows, counts, changed)


def pose_table(test_set: PoseTestSet, metrics: Metrics) -> str:
    """Returns the table of metrics as text, below the keypoint types that do not count."""
    names = visible(", ".join(test_set.unknown))
    unknown = f"the model has no {names}: they do not count\n" if names else ""
    return unknown + test_set.protocol.show(metrics)


def pose_task(predictor: Predictor) -> PoseTask:
    """Returns the task of a model that finds people.

    Raises:
        ValueError: when the model has another task.
    """
    if not isinstance(predictor.task, PoseTask):
        hint = "; evaluate a pose model with --refine" if isinstance(predictor.task, SinglePersonTask) else ""
        raise ValueError(f"a model of the task {predictor.task.name} does not find the people of an image{hint}")
    return predictor.task


def find_people(predictor: Predictor, sample: Sample, given: Given = "nothing") -> tuple[Instances, RightGrouping]:
    """Returns the people in one image before refinement, and how well the tags alone group its true keypoints.

    Args:
        given: "detections" = the true keypoints, grouped by predicted tags (`people_from_true_detections`); "tags" =
            predicted keypoints, grouped by the ground truth (`people_from_true_tags`); "nothing" = both are predicted.

    Raises:
        ValueError: when the network's output is not finite.
    """
    task = pose_task(predictor)
    # One run of the network gives both numbers: people by predicted detections, and grouping of true ones.
    maps, geometry = predictor.maps(sample.image)
    grouped, counts = people_from_true_detections(task, maps, geometry, sample.keypoints)
    if given == "detections":
        return grouped, counts
    people = task.decode(maps, geometry) if given == "nothing" else people_from_true_tags(task, maps, geometry, sample)
    return people, counts


def coco_results(
    found: Iterable[tuple[int, Instances]], *, category_id: int = 1, order: Array | None = None
) -> list[dict[str, Any]]:
    """Returns official COCO results: image_id, category_id, keypoints, score.

    Args:
        found: image id and people of each image.
        order: see `GroundTruth`; None = the keypoint types are those of the annotations.
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


def pose_metrics(
    truth: dict[str, Any],
    results: list[dict[str, Any]],
    grouping: RightGrouping,
    name: str | None = None,
    protocol: Protocol = PROTOCOLS["coco"],
) -> Metrics:
    """Returns the metrics of the protocol, and the shares of true keypoints and people that the tags group correctly.

    Args:
        name: of the annotations, for messages.
    """
    return {
        **protocol.score(truth, results, name=name),
        "keypoints_grouped_right": grouping.keypoint_rate,
        "people_grouped_right": grouping.person_rate,
        "crowds_grouped_right": grouping.crowd_rate,
    }


def evaluate_samples(
    predictor: Predictor, samples: Iterable[tuple[Sample, Sequence[dict[str, Any]]]], *, count: int | None = None
) -> Metrics:
    """Returns `pose_metrics` and `PixelErrors` of a predictor on samples of its own skeleton; nobody is refined.

    Args:
        samples: each with all its annotations (`truth_of_source`); read once, one at a time.
        count: number of samples, for the progress bar.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    found: list[tuple[int, Instances]] = []
    grouping, errors = RightGrouping(), PixelErrors()
    sigmas = pose_task(predictor).skeleton.sigmas
    progress = tqdm(samples, total=count, disable=None, leave=False, desc="evaluate", unit="image")
    # Samples of several sources may have equal image ids, so they are numbered anew.
    for i, (sample, rows) in enumerate(progress):
        with errors_name(sample.file_name):
            instances, counts = find_people(predictor, sample)
        height, width = sample.image.shape[:2]
        images.append({"id": i, "file_name": sample.file_name, "width": width, "height": height})
        annotations += [{**row, "image_id": i, "category_id": 1} for row in rows]
        found.append((i, instances))
        grouping += counts
        errors += pixel_errors(instances.keypoints, sample.keypoints, sample.area, sigmas)
    categories = [pose_task(predictor).skeleton.to_category()]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return {**pose_metrics(truth, coco_results(found), grouping), **errors.numbers()}
