"""``ae evaluate``: prints the official metrics of a model on annotated images, and writes them to a file."""

from __future__ import annotations

import dataclasses
from typing import Any

from associative_embedding.evaluation import masks, poses
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.protocols import build_protocol
from associative_embedding.evaluation.results_file import check_outputs, write_metrics
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.console import say

Evaluated = tuple[Metrics, dict[str, Any]]  # metrics, and the settings of the test set


def evaluate_model(model: str, options: Options, settings: EvaluationSettings) -> Metrics:
    """Prints the official metrics of a model, and writes them if the settings name a file.

    Keypoint types and classes of the annotations and of the model are matched by name. A type or class that only one of
    them has does not count.

    Returns:
        the metrics.

    Raises:
        ValueError: for a model, annotations or an image that cannot be used, or a file that no evaluation wrote.
        OSError: for a file that cannot be written, before any image is read.
        KeyboardInterrupt: the results so far are kept.
    """
    check_outputs([model, settings.annotations, settings.groups, settings.ids], settings.json, settings.results)
    predictor = load(model, options)
    evaluate = evaluate_masks if predictor.task.finds_masks else evaluate_people
    metrics, notes = evaluate(predictor, settings)
    if settings.json:
        refined = {"refined": notes.pop("refined")} if "refined" in notes else {}
        # The test set's own entries replace the common ones: masks choose their protocol, if the user chose none.
        common = {"held_out": settings.held_out, "ids": settings.ids, "protocol": settings.protocol or "coco"}
        all_settings = {**common, **notes, **predictor.settings}
        write_metrics(settings.json, {"metrics": metrics, **refined, "model": model, "settings": all_settings})
    return metrics


def evaluate_people(predictor: Predictor, settings: EvaluationSettings) -> Evaluated:
    """Evaluates a model that finds keypoints.

    Raises:
        ValueError, OSError: see `evaluate_model`.
    """
    if settings.split or settings.images is None:
        raise ValueError("a pose model needs a COCO json and --images, the folder of its images, and no --split")
    test_set = poses.open_pose_test_set(
        settings.annotations,
        settings.images,
        poses.pose_task(predictor).skeleton,
        held_out_share=settings.held_out,
        ids=settings.ids,
        limit=settings.limit,
        protocol=build_protocol(settings.protocol or "coco", settings.groups),
    )
    # Metrics are printed before a file is written: if the disk is full, they are not lost.
    metrics, changes = poses.evaluate_pose_model(
        predictor,
        test_set,
        results_path=settings.results,
        announce=lambda found: say(poses.pose_table(test_set, found)),
    )
    if predictor.refiner is None:
        return metrics, test_set.settings
    say(f"refined by {predictor.refiner.name}: {changes}")
    return metrics, {**test_set.settings, "refined": dataclasses.asdict(changes)}


def evaluate_masks(predictor: Predictor, settings: EvaluationSettings) -> Evaluated:
    """Evaluates a model that finds masks.

    Raises:
        ValueError, OSError: see `evaluate_model`.
    """
    if settings.groups:
        raise ValueError("--groups is only for pose models, and this model finds masks")
    test_set = masks.open_mask_test_set(
        settings.annotations,
        settings.images,
        [category["name"] for category in predictor.task.categories],
        split=settings.split,
        protocol=settings.protocol,
        held_out_share=settings.held_out,
        ids=settings.ids,
        limit=settings.limit,
    )
    metrics = masks.evaluate_mask_model(
        predictor,
        test_set,
        results_path=settings.results,
        announce=lambda found: say(masks.mask_tables(test_set, found)),
    )
    return metrics, test_set.settings
