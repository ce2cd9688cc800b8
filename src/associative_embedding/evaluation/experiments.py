"""Several ways to run one model, in one table: the ablation (table 4) and the bottleneck of the paper's section 4.1."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.mpii_coco import MPII_COUNTS
from associative_embedding.evaluation.oracle import Given
from associative_embedding.evaluation.poses import evaluate_pose_model, open_pose_test_set, pose_task
from associative_embedding.evaluation.protocols import Protocol, build_protocol
from associative_embedding.evaluation.results_file import check_outputs, write_metrics
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.inference.load import NO_REFINER, load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.console import say, visible


@dataclass(frozen=True)
class Variant:
    """One way to run a model.

    Attributes:
        name: of its row.
        scales, flip, refine: as in `Options`.
        given: what of the ground truth replaces predictions, see `poses.find_people`.
    """

    name: str
    scales: tuple[float, ...]
    flip: bool = False
    refine: str = NO_REFINER
    given: Given = "nothing"


def ablation(scales: tuple[float, ...], refine: str = NO_REFINER) -> tuple[Variant, ...]:
    """Returns the rows of the paper's table 4: one scale; several with the mirror image; the same with refinement.

    Args:
        scales: of the row "multi scale". "Single scale" is 1, the model's input size, without the mirror image.
        refine: single-person model of the refined rows; "none" = no refined rows.

    Raises:
        ValueError: when there is only one scale.
    """
    if len(scales) < 2:
        raise ValueError("an ablation needs several scales, and the model has one: state them, --scales 1 0.5")
    listed = ", ".join(f"{scale:g}" for scale in scales)
    plain = (
        Variant("single scale (1)", (1.0,)),
        Variant(f"multi scale ({listed}; mirror)", scales, flip=True),
    )
    return tuple(
        Variant(v.name if model == NO_REFINER else f"{v.name} + refine", v.scales, v.flip, model)
        for v in plain
        for model in dict.fromkeys([NO_REFINER, refine])
    )


def bottleneck(scales: tuple[float, ...], flip: bool, refine: str = NO_REFINER) -> tuple[Variant, ...]:
    """Returns three rows: detections and grouping predicted, grouping alone, detections alone (end of section 4.1)."""
    return (
        Variant("predicted detections", scales, flip, refine),
        Variant("true detections, predicted tags", scales, flip, given="detections"),
        Variant("predicted detections, true tags", scales, flip, given="tags"),
    )


def refiner_of(predictor: Predictor) -> str:
    return predictor.refiner.name if predictor.refiner else NO_REFINER


EXPERIMENTS: dict[str, Callable[[Predictor], tuple[Variant, ...]]] = {
    "ablation": lambda predictor: ablation(predictor.scales, refiner_of(predictor)),
    "truth_detections": lambda predictor: bottleneck(predictor.scales, predictor.flip, refiner_of(predictor)),
}


def run_experiment(experiment: str, model: str, options: Options, settings: EvaluationSettings) -> dict[str, Metrics]:
    """Prints a Markdown table, a row for each variant of a model as soon as it is evaluated, and writes the metrics.

    Args:
        experiment: a key of `EXPERIMENTS`.

    Returns:
        the metrics of each row.

    Raises:
        ValueError: for a model, annotations or an image that cannot be used.
        OSError: for a file that cannot be written, before any image is read.
    """
    rules = build_protocol(settings.protocol or "coco", settings.groups)
    check_outputs([model, settings.annotations, settings.groups], settings.json)
    first = load(model, options)
    test_set = open_pose_test_set(
        settings.annotations,
        str(settings.images),
        pose_task(first).skeleton,
        held_out_share=settings.held_out,
        limit=settings.limit,
        protocol=rules,
    )
    variants = EXPERIMENTS[experiment](first)
    if test_set.unknown:
        say(f"the model has no {visible(', '.join(test_set.unknown))}: they do not count\n")
    rows: dict[str, Metrics] = {}
    notes: dict[str, Any] = {}
    for variant in variants:
        # Loaded anew for each row: a variant may need another refiner, and the first model is not changed.
        predictor = load(model, replace(options, scales=variant.scales, flip=variant.flip, refine=variant.refine))
        metrics, changed = evaluate_pose_model(predictor, test_set, given=variant.given)
        head = [] if rows else markdown_head(metrics)
        # Row by row: a row takes minutes, and an interrupt must not lose the rows before it.
        say("\n".join([*head, markdown_row(variant.name, metrics, rules)]))
        rows[variant.name] = metrics
        refined = {"refined": asdict(changed)} if predictor.refiner else {}
        notes[variant.name] = {**asdict(variant), **test_set.settings, **predictor.settings, **refined}
    if settings.json:
        given = {"held_out": settings.held_out, "protocol": settings.protocol or "coco"}
        write_metrics(settings.json, {"metrics": rows, "model": model, **given, "settings": notes})
    return rows


# ---- Markdown


def columns(metrics: Metrics) -> list[str]:
    return [name for name in metrics if name not in MPII_COUNTS]


def markdown_head(metrics: Metrics) -> list[str]:
    names = [name.replace("_", " ") for name in columns(metrics)]
    return [markdown_line(["", *names]), "|".join(["", "---", *["---:"] * len(names), ""])]


def markdown_row(name: str, metrics: Metrics, protocol: Protocol) -> str:
    def cell(key: str) -> str:
        value = metrics[key]
        # Shares of grouping are in 0..1, also where the protocol counts in percent.
        digits = 3 if key.endswith("grouped_right") else protocol.digits
        return "-" if value is None else f"{value:.{digits}f}"

    return markdown_line([name, *map(cell, columns(metrics))])


def markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
