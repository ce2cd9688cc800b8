"""Validation during training: on which images, and by which numbers; one builder for each kind of model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from associative_embedding.data.label_counts import count_labels
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_keypoints, open_masks, open_person_crops, select_test_images
from associative_embedding.data.stream import Samples
from associative_embedding.evaluation.ground_truth import truth_of_source
from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.evaluation.person_crops import crop_accuracy
from associative_embedding.evaluation.poses import evaluate_samples
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.io.console import errors_name
from associative_embedding.model_files.checkpoint import ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.training.batches import build_task
from associative_embedding.training.log import Numbers
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.run_folder import Validation


def build_validation(recipe: Recipe) -> Validation | None:
    """Returns the function that validates a network on ``data.validation``; None if that is empty.

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


def build_pose_validation(recipe: Recipe) -> Validation:
    """Returns a function that computes the numbers of ``ae evaluate``, without refinement."""
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

    return validate


def open_pose_images(source: SourceConfig, skeleton: Skeleton, limit: int) -> CocoKeypoints:
    """Opens the held-out images of a source, also those without people: every person found in them is a mistake."""
    rename = source.rename or None
    # Not cached: every image is read once per validation, and memory is kept for the training images.
    images = CocoKeypoints(source.annotations, source.images, skeleton, people_only=False, cache=False, rename=rename)
    return select_test_images(images, source.held_out, limit, images.source, source.held_out_ids)


def build_mask_validation(recipe: Recipe) -> Validation:
    """Returns a function that computes the numbers usual for cells; all classes count as one."""
    task, limit = build_task(recipe), recipe.data.validation_images
    assert isinstance(task, SegmentationTask)
    sources = []
    for source in recipe.data.validation:
        images = open_masks(source, task.classes, part="validation")
        sources.append(select_test_images(images, 0, limit, images.source))
    check_labelled(sources)

    def validate(network: Network, info: ModelInfo) -> Numbers:
        predictor, scores = Predictor(network, info), CellScores()
        # Metrics for cells, also of several classes: they need no scores, so they are meaningful from the first steps.
        count = sum(map(len, sources))
        for sample in tqdm(samples_of(sources), total=count, disable=None, leave=False, desc="evaluate", unit="image"):
            with errors_name(sample.file_name):
                found = predictor.find(sample.image)
            scores += cell_scores(require_masks(sample.masks), require_masks(found.masks), sample.ignore)
        return dict(scores.numbers())

    return validate


def build_crop_validation(recipe: Recipe) -> Validation:
    """Returns a function that computes OKS and PCK of a single-person model on crops around annotated people."""
    skeleton = load_skeleton(recipe.data.skeleton)
    crop, limit = recipe.refine, recipe.data.validation_images
    sources = []
    for source in recipe.data.validation:
        images = open_keypoints(source, skeleton, part="validation")
        images = select_test_images(images, 0, limit, images.source)
        sources.append(open_person_crops(source, images, margin=crop.margin, min_size=crop.min_size))

    def validate(network: Network, info: ModelInfo) -> Numbers:
        count = sum(map(len, sources))
        people = tqdm(samples_of(sources), total=count, disable=None, leave=False, desc="validate", unit="person")
        return dict(crop_accuracy(Refiner(network, info, skeleton), people))

    return validate


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
