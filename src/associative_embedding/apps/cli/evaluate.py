"""``ae evaluate``: prints the official metrics of a model on annotated images, and writes them to a file."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from associative_embedding.evaluation import masks, poses
from associative_embedding.evaluation.annotated_images import objects_for, people_for
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.mpii_submission import (
    check_release,
    mpii_submission_path,
    write_mpii_predictions,
)
from associative_embedding.evaluation.results_file import check_outputs, write_metrics, write_results
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.evaluation.submission import find_without_truth, open_pose_images, submission_path
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.coco_json import NoAnnotations
from associative_embedding.io.console import say, visible
from associative_embedding.io.counts import counted

Evaluated = tuple[Metrics, dict[str, Any]]  # metrics, and the settings of the test set


def evaluate_model(model: str, options: Options, settings: EvaluationSettings) -> Metrics:
    """Prints the official metrics of a model, and writes them if the settings name a file.

    Keypoint types and classes of the annotations and of the model are matched by name. A type or class that only one of
    them has does not count.

    Annotations that list images alone, as those of COCO's test-dev, and MPII's test images, whose people have no
    labels, give no metrics but results.

    Returns:
        the metrics; none without annotations.

    Raises:
        ValueError: for a model, annotations or an image that cannot be used, or a file that no evaluation wrote.
        OSError: for a file that cannot be written, before any image is read.
        KeyboardInterrupt: the results so far are kept.
    """
    if settings.results and settings.results.lower().endswith(".mat"):
        raise ValueError(
            f"{settings.results}: --results writes json; --submission NAME writes the file of MPII's toolkit"
        )
    if settings.submission is not None:
        settings = dataclasses.replace(settings, results=official_path(settings, settings.submission))
    check_outputs([model, settings.annotations, settings.groups, settings.ids], settings.json, settings.results)
    predictor = load(model, options)
    evaluate = evaluate_masks if predictor.task.finds_masks else evaluate_or_find_people
    metrics, notes = evaluate(predictor, settings)
    if settings.json:
        refined = {"refined": notes.pop("refined")} if "refined" in notes else {}
        # The test set's own entries replace the common ones: masks choose their protocol, if the user chose none.
        common = {"held_out": settings.held_out, "ids": settings.ids, "protocol": settings.protocol or "coco"}
        all_settings = {**common, **notes, **predictor.settings}
        write_metrics(settings.json, {"metrics": metrics, **refined, "model": model, "settings": all_settings})
    return metrics


def official_path(settings: EvaluationSettings, name: str) -> str:
    """Returns the file of a submission under its official name.

    Raises:
        ValueError: for a name, or settings, that give no official file.
    """
    if settings.protocol != "mpii":
        return submission_path(settings.annotations, name)
    if settings.groups is None:
        raise ValueError("--submission with --protocol mpii needs --groups, the groups that are evaluated")
    for option in ("held_out", "ids", "limit"):
        if getattr(settings, option):
            raise ValueError(f"MPII's toolkit evaluates all groups: leave --{option} out with --submission")
    return mpii_submission_path(name)


def evaluate_or_find_people(predictor: Predictor, settings: EvaluationSettings) -> Evaluated:
    """Evaluates a model that finds keypoints; without annotations it only writes what the model finds.

    Raises:
        ValueError, OSError: see `evaluate_model`.
    """
    try:
        metrics, notes = evaluate_people(predictor, settings)
    except NoAnnotations:
        return {}, find_people_without_truth(predictor, settings)
    if settings.submission is not None and metrics:
        say(f"-> {visible(str(settings.results))}")
    return metrics, notes


def find_people_without_truth(predictor: Predictor, settings: EvaluationSettings) -> dict[str, Any]:
    """Writes the results of a model on images without annotations; returns what it was run on.

    Raises:
        ValueError, OSError: see `evaluate_model`.
    """
    if settings.protocol or settings.groups:
        raise ValueError(f"{settings.annotations} has no annotations to score: leave out --protocol and --groups")
    if not settings.results:
        text = "has no annotations, so there are no metrics; --submission NAME writes the file for COCO's server"
        raise ValueError(f"{settings.annotations} {text}, --results FILE the same results")
    images = open_pose_images(
        settings.annotations,
        str(settings.images),
        poses.pose_task(predictor).skeleton,
        held_out_share=settings.held_out,
        ids=settings.ids,
        limit=settings.limit,
    )
    count = find_without_truth(predictor, images, settings.results)
    people, shown = counted(count, "person", "people"), counted(len(images.data), "image")
    say(f"{people} found in {shown} without annotations -> {visible(settings.results)}")
    return images.settings


def evaluate_people(predictor: Predictor, settings: EvaluationSettings) -> Evaluated:
    """Evaluates a model that finds keypoints.

    Raises:
        ValueError, OSError: see `evaluate_model`.
    """
    test_set = people_for(predictor, settings)
    protocol = test_set.protocol
    scored = protocol.groups is None or test_set.labelled
    if not scored and not settings.results:
        text = "no person has labels, as in MPII's test images, so there are no metrics; --submission NAME writes the"
        raise ValueError(f"{settings.annotations}: {text} file for MPII's toolkit, --results FILE the same results")
    write = write_results
    if settings.submission is not None and protocol.groups is not None:
        check_release(test_set.truth.dataset, protocol.groups, settings.annotations)
        write = partial(write_mpii_predictions, test_set.truth.dataset, protocol.groups)
    # Metrics are printed before a file is written: if the disk is full, they are not lost.
    metrics, changes = poses.evaluate_pose_model(
        predictor,
        test_set,
        results_path=settings.results,
        write=write,
        announce=lambda found: say(poses.pose_table(test_set, found)) if scored else None,
    )
    if not scored:
        metrics = {}
        say(f"no labels in {counted(len(test_set.data), 'image')}, so no metrics -> {visible(str(settings.results))}")
    if predictor.refiner is None:
        return metrics, test_set.settings
    say(f"refined by {predictor.refiner.name}: {changes}")
    return metrics, {**test_set.settings, "refined": dataclasses.asdict(changes)}


def evaluate_masks(predictor: Predictor, settings: EvaluationSettings) -> Evaluated:
    """Evaluates a model that finds masks.

    Raises:
        ValueError, OSError: see `evaluate_model`.
    """
    if settings.submission is not None:
        raise ValueError("--submission is only for pose models, and this model finds masks: --results FILE")
    test_set = objects_for(predictor, settings)
    metrics = masks.evaluate_mask_model(
        predictor,
        test_set,
        results_path=settings.results,
        announce=lambda found: say(masks.mask_tables(test_set, found)),
    )
    return metrics, test_set.settings
