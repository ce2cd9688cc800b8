"""What a run is validated on, and by which numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from tqdm import tqdm

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints, held_out
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_masks, open_people, open_source
from associative_embedding.evaluation.ground_truth import truth_of_source
from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.evaluation.person_crops import crop_accuracy
from associative_embedding.evaluation.poses import evaluate_samples
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.model_files.checkpoint import ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.known_skeletons import load_skeleton
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.training.batches import build_task
from associative_embedding.training.recipe import Recipe


def build_crop_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, float]] | None:
    """What the trainer calls to validate a single-person model on ``data.validation``; None without any.

    Raises:
        ValueError: when its files cannot be read, or no person is left.
    """
    if not recipe.data.validation:
        return None
    skeleton = load_skeleton(recipe.data.skeleton)
    sources = [validation_people(source, skeleton, recipe) for source in recipe.data.validation]
    count = sum(map(len, sources))

    def validate(network: Network, info: ModelInfo) -> dict[str, float]:
        training = network.training
        try:
            refiner = Refiner(network.eval(), info, skeleton)
            samples = chain.from_iterable((people[i] for i in range(len(people))) for people in sources)
            return crop_accuracy(refiner, tqdm(samples, total=count, disable=None, leave=False, desc="validate"))
        finally:
            network.train(training)

    return validate


def validation_people(source: SourceConfig, skeleton: Skeleton, recipe: Recipe) -> PersonCrops:
    """The people of a source's held-out images, or of the first ``data.validation_images`` of them."""
    images = open_source(source, skeleton, part="validation")
    first = set(images.image_ids[: recipe.data.validation_images or None])
    crop = recipe.refine
    return open_people(source, images.select(first.__contains__), margin=crop.margin, min_size=crop.min_size)


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


def build_mask_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, Any]] | None:
    """What the trainer calls to validate on ``data.validation``; None without any. All classes count as one.

    Raises:
        ValueError: when its files cannot be read, or no image is left.
    """
    sources = recipe.data.validation
    if not sources:
        return None
    classes = list(build_task(recipe).describe()["classes"])
    sets = [open_masks(source, classes, part="validation") for source in sources]
    if any(not len(images) for images in sets):
        raise ValueError("data.validation: a source has no image to validate on")
    chosen = [
        (images, i) for images in sets for i in range(min(len(images), recipe.data.validation_images or len(images)))
    ]

    def validate(network: Network, info: ModelInfo) -> dict[str, Any]:
        training = network.training
        try:
            predictor = Predictor(network.eval(), info)
            scores = CellScores()
            for images, i in tqdm(chosen, disable=None, leave=False, desc="evaluate", unit="image"):
                scores += score_sample(predictor, images[i])
            return dict(scores.numbers())
        finally:
            network.train(training)

    return validate


def score_sample(predictor: Predictor, sample: Sample) -> CellScores:
    """How well the objects of one image are found."""
    found = predictor(sample.image, keep_image=False)
    return cell_scores(require_masks(sample.masks), require_masks(found.masks), sample.ignore)
