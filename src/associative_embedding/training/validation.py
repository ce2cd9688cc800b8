"""Validation during training: on which images, by which numbers and pictures; one builder for each kind of model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from associative_embedding.data.label_counts import count_labels
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_keypoints, open_masks, open_person_crops, select_test_images
from associative_embedding.data.stream import Samples
from associative_embedding.evaluation.ground_truth import truth_of_source
from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.evaluation.metrics.voc import VocImage, voc_map
from associative_embedding.evaluation.person_crops import crop_accuracy
from associative_embedding.evaluation.poses import evaluate_samples
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.io.console import errors_name
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.training.batches import build_task
from associative_embedding.training.log import Numbers
from associative_embedding.training.pictures import picture_of_tags, truth_beside_found
from associative_embedding.training.recipe import Recipe

Validation = Callable[[Network, ModelInfo], Numbers]

PICTURES = 6  # images that are drawn at each validation
COLUMNS = 79  # of a progress bar


@dataclass(frozen=True)
class ValidationSet:
    """A `Validation` that can be seen; it expects a network in eval mode.

    Attributes:
        sources: the samples of each source.
        numbers: network, info -> numbers for the log.
        skeleton: of the keypoints; None for masks.
        crops: samples are crops around one person.
    """

    sources: Sequence[Samples]
    numbers: Validation
    skeleton: Skeleton | None = None
    crops: bool = False

    def __call__(self, network: Network, info: ModelInfo) -> Numbers:
        """Returns the numbers for the log."""
        return self.numbers(network, info)

    def pictures(self, network: Network, info: ModelInfo) -> Iterator[tuple[str, Array]]:
        """Yields a name and a picture: truth beside prediction in a few images, always the same, and the tags of one.

        Images are spread over all sources; those without an object are left out while there are others.
        """
        chosen = [sample for sample in spread(self.sources, 4 * PICTURES) if has_objects(sample)][:PICTURES]
        if not chosen:
            return
        if self.crops:
            refiner = Refiner(network, info, self.skeleton)  # type: ignore[arg-type]  # crops have keypoints
            yield "found", truth_beside_found([person_in_crop(refiner, sample) for sample in chosen], self.skeleton)
            return
        predictor = Predictor(network, info)
        found = [predictor.shown(predictor.find(sample.image)) for sample in chosen]
        shown = [people.keypoints if people.masks is None else people.masks for people in found]
        yield "found", truth_beside_found(list(zip(chosen, shown, strict=True)), self.skeleton)
        # The image with the most objects has the most tags to separate.
        most = max(chosen, key=lambda sample: len(sample.keypoints))
        if (sheet := picture_of_tags(predictor, most.image)) is not None:
            yield "tags", sheet


def spread(sources: Sequence[Samples], count: int) -> Iterator[Sample]:
    """Yields up to `count` samples, evenly spread over all sources; none twice."""
    places = [(source, i) for source in sources for i in range(len(source))]
    order = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    # In the order of halves, so that also the first few are spread.
    for k in np.argsort([int(f"{i:032b}"[::-1], 2) for i in range(len(order))], kind="stable"):
        source, i = places[order[k]]
        yield source[i]


def has_objects(sample: Sample) -> bool:
    """Returns whether there is a person or an object in a sample."""
    return len(sample.keypoints) > 0


def person_in_crop(refiner: Refiner, sample: Sample) -> tuple[Sample, Array]:
    """Returns the crop of one person, and the keypoints ``(1, K, 3)`` that a single-person model finds in it."""
    assert sample.focus is not None
    found, truth = refiner.keypoints_in(sample.image, sample.focus[None]).copy(), sample.keypoints.copy()
    x, y = np.maximum(np.floor(sample.focus[:2]), 0).astype(int)
    width, height = np.maximum(np.ceil(sample.focus[2:]), 1).astype(int)
    for keypoints in (found, truth):
        keypoints[..., :2] -= [x, y]
    crop = np.ascontiguousarray(sample.image[y : y + height, x : x + width])
    return replace(sample, image=crop, keypoints=truth, ignore=None, focus=None), found


def build_validation(recipe: Recipe) -> ValidationSet | None:
    """Returns what validates a network on ``data.validation``; None if that is empty.

    The files are checked here, so that a run does not end with an error at its first validation. The function expects a
    network in eval mode.

    Raises:
        ValueError: when the files cannot be read, or no image or person is left to validate on.
    """
    if not recipe.data.validation:
        return None
    if recipe.task == "single-person":
        return build_crop_validation(recipe)
    return build_mask_validation(recipe) if recipe.task == "segmentation" else build_pose_validation(recipe)


def build_pose_validation(recipe: Recipe) -> ValidationSet:
    """Returns a validation with the numbers of ``ae evaluate``, without refinement, and the pixel error."""
    skeleton = load_skeleton(recipe.data.skeleton)
    sources, annotations = [], []
    for source in recipe.data.validation:
        images = open_pose_images(source, skeleton, recipe.data.validation_images)
        rows = truth_of_source(source, skeleton, set(images.image_ids))
        sources.append(images)
        # All annotations of the file, because the reader's samples lack crowds and unlabelled people.
        annotations += [rows[image_id] for image_id in images.image_ids]
    check_labelled(sources)

    def validate(network: Network, info: ModelInfo) -> Numbers:
        samples = zip(samples_of(sources), annotations, strict=True)
        return evaluate_samples(Predictor(network, info), samples, count=len(annotations))

    return ValidationSet(sources, validate, skeleton)


def open_pose_images(source: SourceConfig, skeleton: Skeleton, limit: int) -> CocoKeypoints:
    """Opens the held-out images of a source, also those without people: every person found in them is a mistake."""
    rename = source.rename or None
    # Not cached: every image is read once per validation, and memory is kept for the training images.
    images = CocoKeypoints(source.annotations, source.images, skeleton, people_only=False, cache=False, rename=rename)
    return select_test_images(images, source.held_out, limit, images.source, source.held_out_ids)


def build_mask_validation(recipe: Recipe) -> ValidationSet:
    """Returns a validation with the numbers usual for cells, all classes as one, and mAP^r of several classes."""
    task, limit = build_task(recipe), recipe.data.validation_images
    assert isinstance(task, SegmentationTask)
    sources = []
    for source in recipe.data.validation:
        images = open_masks(source, task.classes, part="validation")
        sources.append(select_test_images(images, 0, limit, images.source))
    check_labelled(sources)
    # The numbers for cells need no scores, so they mean something from the first steps; one class needs no others.
    names = dict(enumerate(task.classes, start=1)) if len(task.classes) > 1 else {}

    def validate(network: Network, info: ModelInfo) -> Numbers:
        cells: list[CellScores] = []
        images = compared(Predictor(network, info), sources, cells)
        classes = voc_map(images, names)  # reads all images
        return {**sum(cells, CellScores()).numbers(), **(classes if names else {})}

    return ValidationSet(sources, validate)


def compared(predictor: Predictor, sources: Sequence[Samples], cells: list[CellScores]) -> Iterator[VocImage]:
    """Yields the true and the found objects of each image, and adds its scores to `cells`."""
    count = sum(map(len, sources))
    bar = tqdm(samples_of(sources), total=count, disable=None, leave=False, desc="evaluate", ncols=COLUMNS)
    for sample in bar:
        assert sample.class_id is not None
        with errors_name(sample.file_name):
            found = predictor.find(sample.image)
        truth, masks = require_masks(sample.masks), require_masks(found.masks)
        cells.append(cell_scores(truth, masks, sample.ignore))
        # Ids of classes count from 1 in a model, from 0 in a sample.
        yield VocImage(truth, sample.class_id + 1, masks, found.class_id, found.score, sample.ignore)


def build_crop_validation(recipe: Recipe) -> ValidationSet:
    """Returns a validation with OKS and PCK of a single-person model on crops around annotated people."""
    skeleton = load_skeleton(recipe.data.skeleton)
    limit = recipe.data.validation_images
    sources = []
    for source in recipe.data.validation:
        images = open_keypoints(source, skeleton, part="validation")
        images = select_test_images(images, 0, limit, images.source)
        sources.append(open_person_crops(source, images, recipe.refine.crops))

    def validate(network: Network, info: ModelInfo) -> Numbers:
        count = sum(map(len, sources))
        people = tqdm(samples_of(sources), total=count, disable=None, leave=False, desc="evaluate", ncols=COLUMNS)
        return dict(crop_accuracy(Refiner(network, info, skeleton), people))

    return ValidationSet(sources, validate, skeleton, crops=True)


def check_labelled(sources: Sequence[Samples]) -> None:
    """Checks that there is something to find: all numbers of a validation would be empty.

    Raises:
        ValueError: when no source has a labelled object.
    """
    if all(count_labels(source).objects == 0 for source in sources):
        raise ValueError("data.validation: no image has a labelled object to validate on")


def samples_of(sources: Sequence[Samples]) -> Iterator[Sample]:
    """Yields the samples of all sources in order; each is read when it is needed, so one at a time is in memory."""
    return (source[i] for source in sources for i in range(len(source)))
