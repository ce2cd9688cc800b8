"""``ae evaluate``: a model tried on the images of a COCO json, the official numbers printed and written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.evaluate import all_numbers, coco_results, look, look_again, pose_task
from associative_embedding.metrics.coco_eval import Metrics
from associative_embedding.metrics.grouping import RightGrouping
from associative_embedding.output import Periodic, check_writable, say, write_json
from associative_embedding.predict import Predictor, load
from associative_embedding.protocols import PROTOCOLS, Protocol, build_protocol
from associative_embedding.refine import Changes
from associative_embedding.skeleton import Skeleton
from associative_embedding.truth import truth_for
from associative_embedding.types import Array


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
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    data = CocoKeypoints(annotations, images, skeleton, people_only=False, cache=False)
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    chosen = set(data.image_ids[: limit or len(data)])
    if not chosen:
        raise ValueError(f"{annotations}: no image to evaluate on")
    truth = truth_for(annotations, skeleton, chosen, protocol=protocol)
    return Trial(data.select(chosen.__contains__), *truth, protocol, annotations)


def evaluate_trial(
    predictor: Predictor,
    trial: Trial,
    *,
    truth_detections: bool = False,
    results_path: str | None = None,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> tuple[Metrics, Changes]:
    """The protocol's numbers and the rates of right grouping, see `all_numbers`; and what refinement changed.

    Args:
        truth_detections: see `look`.
        results_path: COCO results are written here, now and then while it works.
        announce: told the numbers before anything else is written.

    Raises:
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    grouping, changed, done = RightGrouping(), Changes(), 0
    save = Periodic(lambda: write_json(results_path, results) if results_path else None)
    try:
        for i in tqdm(range(len(trial.data)), disable=None, desc="evaluate", unit="image"):
            sample = trial.data[i]
            instances, counts = look(predictor, sample, truth_detections)
            if not truth_detections:
                instances, here = look_again(predictor, sample, instances)
                changed += here
            results += coco_results([(sample.image_id, instances)], category_id=trial.category_id, order=trial.order)
            grouping += counts
            done += 1
            save()
        metrics = all_numbers(trial.truth, results, grouping, trial.name, trial.protocol)
        announce(metrics)
        return metrics, changed
    except KeyboardInterrupt:
        kept = f"are in {results_path}" if results_path and done else "were done"
        kept += "" if results_path else "; --results would have kept them"
        raise KeyboardInterrupt(f"interrupted; {done} of {len(trial.data)} images {kept}") from None
    finally:  # what was computed is kept, whatever comes in between
        if done:
            save.now()


def evaluate_files(
    *,
    model: str,
    annotations: str,
    images: str,
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    refine: str | None = None,
    device: str = "auto",
    held_out_share: float = 0.0,
    limit: int = 0,
    json_path: str | None = None,
    results_path: str | None = None,
    decode: dict[str, Any] | None = None,
    protocol: str = "coco",
    groups: str | None = None,
) -> Metrics:
    """``ae evaluate``: the official numbers of a model on a COCO json, printed, and written where asked.

    The truth's keypoints are matched with the model's by name: types that only one of the two has do not count.

    Args:
        held_out_share, limit: see `open_trial`.
        refine: single-person model, see `predict.load`; what it changed is counted.
        decode: settings that replace the model's.
        protocol, groups: see `protocols.build_protocol`.

    Returns:
        the metrics.

    Raises:
        ValueError: for a model, truth or image that cannot be used.
        OSError: for a file that cannot be written, before any image is read.
        KeyboardInterrupt: the results so far are kept.
    """
    rules = build_protocol(protocol, groups)
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip, refine=refine)
    predictor = predictor.with_decode(**{str(key): value for key, value in (decode or {}).items()})
    skeleton = pose_task(predictor).skeleton
    trial = open_trial(annotations, images, skeleton, held_out_share=held_out_share, limit=limit, protocol=rules)
    for path in (results_path, json_path):
        if path:
            check_writable(path)
    metrics, changed = evaluate_trial(
        predictor, trial, results_path=results_path, announce=lambda numbers: say(report(trial, numbers))
    )
    if refine:
        say(f"refined by {refine}: {changed}")
    if json_path:
        settings = {"held_out": held_out_share, "protocol": protocol, "refine": refine, **describe(predictor, trial)}
        refined = {"refined": dataclasses.asdict(changed)} if refine else {}
        write_json(json_path, {"metrics": metrics, **refined, "model": model, "settings": settings})
    return metrics


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
        "decode": dataclasses.asdict(predictor.task.decode_config),
    }
