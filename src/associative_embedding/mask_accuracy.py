"""Validation of a model that finds masks, while it is trained: the numbers that are usual for cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from associative_embedding.checkpoint import ModelInfo
from associative_embedding.config import Recipe
from associative_embedding.metrics.cells import CellScores, cell_scores
from associative_embedding.models.network import Network
from associative_embedding.predict import Predictor
from associative_embedding.tiles import masks_of
from associative_embedding.training_data import build_task, open_masks
from associative_embedding.types import Sample


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
    return cell_scores(masks_of(sample), masks_of(found), sample.ignore)
