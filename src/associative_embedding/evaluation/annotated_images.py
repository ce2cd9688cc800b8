"""The annotated images that settings choose, opened for the model that is to be measured on them."""

from __future__ import annotations

from associative_embedding.evaluation.masks import MaskTestSet, open_mask_test_set
from associative_embedding.evaluation.poses import PoseTestSet, open_pose_test_set, pose_task
from associative_embedding.evaluation.protocols import build_protocol
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.inference.predictor import Predictor


def open_for(predictor: Predictor, settings: EvaluationSettings) -> PoseTestSet | MaskTestSet:
    """Returns the images with annotated people, or masks, as the model finds; errors: see `people_for`."""
    return (objects_for if predictor.task.finds_masks else people_for)(predictor, settings)


def people_for(predictor: Predictor, settings: EvaluationSettings) -> PoseTestSet:
    """Returns the images with annotated people for a model that finds keypoints.

    Raises:
        ValueError: for annotations or settings that do not fit the model, or when no image is left.
        OSError: for a file that cannot be read.
    """
    if settings.split or settings.images is None:
        raise ValueError("a pose model needs a COCO json and --images, the folder of its images, and no --split")
    return open_pose_test_set(
        settings.annotations,
        settings.images,
        pose_task(predictor).skeleton,
        held_out_share=settings.held_out,
        ids=settings.ids,
        limit=settings.limit,
        protocol=build_protocol(settings.protocol or "coco", settings.groups),
    )


def objects_for(predictor: Predictor, settings: EvaluationSettings) -> MaskTestSet:
    """Returns the images with annotated masks for a model that finds masks; errors: see `people_for`."""
    if settings.groups:
        raise ValueError("--groups is only for pose models, and this model finds masks")
    return open_mask_test_set(
        settings.annotations,
        settings.images,
        [category["name"] for category in predictor.task.categories],
        split=settings.split,
        protocol=settings.protocol,
        held_out_share=settings.held_out,
        ids=settings.ids,
        limit=settings.limit,
    )
