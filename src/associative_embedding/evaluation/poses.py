"""``ae evaluate`` of a model that finds people: on a COCO json, the official numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tqdm import tqdm

from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.data.images import ImageFolder
from associative_embedding.evaluate import Given, all_numbers, coco_results, look, look_again
from associative_embedding.metrics.coco_eval import Metrics
from associative_embedding.metrics.grouping import RightGrouping
from associative_embedding.output import Periodic, write_json
from associative_embedding.predict import Predictor
from associative_embedding.protocols import PROTOCOLS, Protocol
from associative_embedding.refine import Changes
from associative_embedding.skeleton import Skeleton
from associative_embedding.truth import truth_for
from associative_embedding.types import Array

D = TypeVar("D", bound=ImageFolder[Any])


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
    data = CocoKeypoints(annotations, images, skeleton, people_only=False, cache=False)
    data = choose(data, held_out_share, limit, annotations)
    truth = truth_for(annotations, skeleton, set(data.image_ids), protocol=protocol)
    return Trial(data, *truth, protocol, annotations)


def choose(data: D, held_out_share: float, limit: int, name: str) -> D:
    """The held-out images, and the first of them; see `open_trial`. Messages call them `name`.

    Raises:
        ValueError: for a share or limit out of range, or no image.
    """
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    chosen = set(data.image_ids[: limit or len(data)])
    if not chosen:
        raise ValueError(f"{name}: no image to evaluate on")
    return data.select(chosen.__contains__)


def evaluate_trial(
    predictor: Predictor,
    trial: Trial,
    *,
    given: Given = "nothing",
    results_path: str | None = None,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> tuple[Metrics, Changes]:
    """The protocol's numbers and the rates of right grouping, see `all_numbers`; and what refinement changed.

    Args:
        given: of the truth, see `look`.
        results_path: COCO results are written here, now and then while it works.
        announce: told the numbers before anything else is written.

    Raises:
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    grouping, changed = RightGrouping(), Changes()
    with keeping(results, results_path, len(trial.data)) as done:
        for i in tqdm(range(len(trial.data)), disable=None, desc="evaluate", unit="image"):
            sample = trial.data[i]
            instances, counts = look(predictor, sample, given)
            if given == "nothing":
                instances, here = look_again(predictor, sample, instances)
                changed += here
            results += coco_results([(sample.image_id, instances)], category_id=trial.category_id, order=trial.order)
            grouping += counts
            done()
        metrics = all_numbers(trial.truth, results, grouping, trial.name, trial.protocol)
        announce(metrics)
    return metrics, changed


@contextmanager
def keeping(results: list[dict[str, Any]], path: str | None, total: int) -> Iterator[Callable[[], None]]:
    """Gives a function to call after each of `total` images; the results so far are written to `path` now and then.

    Raises:
        KeyboardInterrupt: saying what was kept.
    """
    count = 0
    save = Periodic(lambda: write_json(path, results) if path else None)

    def done() -> None:
        nonlocal count
        count += 1
        save()

    try:
        yield done
    except KeyboardInterrupt:
        kept = f"are in {path}" if path and count else "were done"
        kept += "" if path else "; --results would have kept them"
        raise KeyboardInterrupt(f"interrupted; {count} of {total} images {kept}") from None
    finally:  # what was computed is kept, whatever comes in between
        if count:
            save.now()


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
        "refine": predictor.refiner.name if predictor.refiner else None,
        "decode": dataclasses.asdict(predictor.task.decode_config),
    }
