"""``ae evaluate``: a model tried on images whose truth is known; the official numbers printed and written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from associative_embedding.evaluation import masks as mask_trial
from associative_embedding.evaluation import poses as trial
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.poses import pose_task
from associative_embedding.evaluation.protocols import build_protocol
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Changes
from associative_embedding.io.console import say
from associative_embedding.io.files import check_writable, write_json


def evaluate_files(
    *,
    model: str,
    annotations: str,
    images: str | None = None,
    split: str = "",
    refine: str | None = None,
    held_out_share: float = 0.0,
    limit: int = 0,
    json_path: str | None = None,
    results_path: str | None = None,
    decode: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    groups: str | None = None,
    **options: Any,
) -> Metrics:
    """``ae evaluate``: the official numbers of a model.

    The truth's keypoints or classes are matched with the model's by name: what only one of the two has does not count.

    Args:
        annotations: a COCO json, or for masks the folder of a VOC tree, whose image set is `split`.
        images: folder of the images; None = JPEGImages of the VOC tree.
        model, options: see `loading.load`.
        refine: single-person model, see `loading.load`; what it changed is counted.
        held_out_share, limit: see `trial.open_trial`.
        decode: settings that replace the model's.
        protocol: of poses "coco" (None), "crowdpose" or "mpii", see `protocols.build_protocol`; of masks "coco" or
            "voc", None = the one of the truth's format.
        groups: see `protocols.build_protocol`.

    Returns:
        the metrics.

    Raises:
        ValueError: for a model, truth or image that cannot be used.
        OSError: for a file that cannot be written, before any image is read.
        KeyboardInterrupt: the results so far are kept.
    """
    predictor = load(model, refine=refine, **options)
    predictor = predictor.with_decode(**{str(key): value for key, value in (decode or {}).items()})
    part = Part(annotations, images, split, held_out_share, limit, protocol, groups)
    try_it = try_masks if predictor.task.finds_masks else try_poses
    metrics, settings, changed = try_it(predictor, part, results_path, json_path)
    refined = {}
    if predictor.refiner and changed:
        say(f"refined by {predictor.refiner.name}: {changed}")
        refined = {"refined": dataclasses.asdict(changed)}
    if json_path:
        given = {"held_out": held_out_share, "protocol": protocol or "coco"}
        write_json(json_path, {"metrics": metrics, **refined, "model": model, "settings": {**given, **settings}})
    return metrics


@dataclass(frozen=True)
class Part:
    """What of which data is looked at, and by whose rules it is scored; see `evaluate_files`."""

    annotations: str
    images: str | None
    split: str
    held_out_share: float
    limit: int
    protocol: str | None
    groups: str | None


Tried = tuple[Metrics, dict[str, Any], Changes | None]  # numbers, what they are of, and what refinement changed


def try_poses(predictor: Predictor, part: Part, results_path: str | None, json_path: str | None) -> Tried:
    if part.split or part.images is None:
        raise ValueError("poses need a COCO json and --images, the folder of its images; a split is of VOC trees")
    opened = trial.open_trial(
        part.annotations,
        part.images,
        pose_task(predictor).skeleton,
        held_out_share=part.held_out_share,
        limit=part.limit,
        protocol=build_protocol(part.protocol or "coco", part.groups),
    )
    check_outputs(results_path, json_path)
    metrics, changed = trial.evaluate_trial(
        predictor, opened, results_path=results_path, announce=lambda found: say(trial.report(opened, found))
    )
    return metrics, trial.describe(predictor, opened), changed


def try_masks(predictor: Predictor, part: Part, results_path: str | None, json_path: str | None) -> Tried:
    if part.groups:
        raise ValueError("groups belong to the protocol mpii, which is for poses")
    opened = mask_trial.open_mask_trial(
        part.annotations,
        part.images,
        [category["name"] for category in predictor.task.categories],
        split=part.split,
        protocol=part.protocol,
        held_out_share=part.held_out_share,
        limit=part.limit,
    )
    check_outputs(results_path, json_path)
    metrics = mask_trial.evaluate_mask_trial(
        predictor, opened, results_path=results_path, announce=lambda found: say(mask_trial.report(opened, found))
    )
    return metrics, mask_trial.describe(predictor, opened), None


def check_outputs(*paths: str | None) -> None:
    """
    Raises:
        OSError: for a file that cannot be written.
    """
    for path in paths:
        if path:
            check_writable(path)
