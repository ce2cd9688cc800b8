"""Several ways to run one model, in one table: the ablation (table 4) and the bottleneck of the paper's section 4.1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.mpii_coco import LEFT_OUT
from associative_embedding.evaluation.oracle import Given
from associative_embedding.evaluation.poses import describe, evaluate_trial, open_trial, pose_task
from associative_embedding.evaluation.protocols import Protocol, build_protocol
from associative_embedding.inference.load import NO_REFINER, load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.console import say
from associative_embedding.io.files import check_writable, write_json
from associative_embedding.model_files.runtime import Runtime


@dataclass(frozen=True)
class Variant:
    """One way to run a model.

    Attributes:
        name: of its row.
        scales: of the input; None = the model's own.
        flip: also run the mirror image.
        refine: a single-person model to refine the people with, or "none".
        given: of the truth, see `evaluate.look`.
    """

    name: str
    scales: tuple[float, ...] | None = None
    flip: bool = False
    refine: str = NO_REFINER
    given: Given = "nothing"


def ablation(scales: Sequence[float], refine: str = NO_REFINER) -> tuple[Variant, ...]:
    """The rows of the paper's table 4: one scale or several with the mirror image, without and with refinement.

    Args:
        scales: of "multi scale". "Single scale" is 1, the model's input size, without a mirror.
        refine: single-person model of the refinement; "none" = there are no such rows.

    Raises:
        ValueError: when there is only one scale.
    """
    if len(scales) < 2:
        raise ValueError("an ablation needs several scales, and the model has one: state them, --scales 1 0.5")
    listed = ", ".join(f"{scale:g}" for scale in scales)
    plain = (
        Variant("single scale (1)", (1.0,)),
        Variant(f"multi scale ({listed}; mirror)", tuple(scales), flip=True),
    )
    return tuple(
        Variant(v.name if model == NO_REFINER else f"{v.name} + refine", v.scales, v.flip, model)
        for v in plain
        for model in dict.fromkeys([NO_REFINER, refine])
    )


def bottleneck(scales: Sequence[float] | None, flip: bool, refine: str = NO_REFINER) -> tuple[Variant, ...]:
    """Detections and grouping predicted, grouping alone (the end of the paper's section 4.1), and detections alone."""
    own = tuple(scales) if scales else None
    return (
        Variant("predicted detections", own, flip, refine),
        Variant("true detections, predicted tags", own, flip, given="detections"),
        Variant("predicted detections, true tags", own, flip, given="tags"),
    )


def compare_files(
    experiment: str,
    *,
    model: str,
    annotations: str,
    images: str,
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    device: str = "auto",
    held_out_share: float = 0.0,
    limit: int = 0,
    json_path: str | None = None,
    decode: dict[str, Any] | None = None,
    protocol: str | None = None,
    groups: str | None = None,
    refine: str | None = None,
    runtime: Runtime = "auto",
) -> dict[str, Metrics]:
    """``ae evaluate --ablation`` and ``--truth_detections``: a table in Markdown, printed row by row.

    Args:
        experiment: "ablation" or "truth_detections".
        refine: single-person model, see `loading.load`.
        others: see `run_evaluate.evaluate_files`.

    Returns:
        the metrics of each row.

    Raises:
        ValueError, OSError: as `run_evaluate.evaluate_files`.
    """
    rules = build_protocol(protocol or "coco", groups)
    first = load(model, device=device, input_size=input_size, scales=scales, flip=flip, refine=refine, runtime=runtime)
    trial = open_trial(
        annotations, images, pose_task(first).skeleton, held_out_share=held_out_share, limit=limit, protocol=rules
    )
    second = first.refiner.name if first.refiner else NO_REFINER
    variants = ablation(first.scales, second) if experiment == "ablation" else bottleneck(scales, flip, second)
    if json_path:
        check_writable(json_path)
    if trial.unknown:
        say(f"the model has no {', '.join(trial.unknown)}: they do not count\n")
    rows: dict[str, Metrics] = {}
    settings: dict[str, Any] = {}
    for variant in variants:
        options = {"device": device, "input_size": input_size, "runtime": runtime}
        predictor = run_as(variant, model, decode or {}, **options)
        settings[variant.name] = {**asdict(variant), **describe(predictor, trial)}
        metrics, changed = evaluate_trial(predictor, trial, given=variant.given)
        rows[variant.name] = metrics
        if predictor.refiner:
            settings[variant.name]["refined"] = asdict(changed)
        say("\n".join([*([] if len(rows) > 1 else markdown_head(metrics)), markdown_row(variant.name, metrics, rules)]))
    if json_path:
        document = {"model": model, "held_out": held_out_share, "protocol": protocol or "coco", "settings": settings}
        write_json(json_path, {"metrics": rows, **document})
    return rows


def run_as(variant: Variant, model: str, decode: dict[str, Any], **options: Any) -> Predictor:
    """The only place that knows how a variant becomes a predictor. `options`: see `loading.load`."""
    predictor = load(model, scales=variant.scales, flip=variant.flip, refine=variant.refine, **options)
    return predictor.with_decode(**{str(key): value for key, value in decode.items()})


# ---- Markdown


def columns(metrics: Metrics) -> list[str]:
    return [name for name in metrics if name not in LEFT_OUT]


def markdown_head(metrics: Metrics) -> list[str]:
    names = [name.replace("_", " ") for name in columns(metrics)]
    return [markdown_line(["", *names]), "|".join(["", "---", *["---:"] * len(names), ""])]


def markdown_row(name: str, metrics: Metrics, protocol: Protocol) -> str:
    def cell(key: str) -> str:
        value = metrics[key]
        digits = 3 if key.endswith("grouped_right") else protocol.digits
        return "-" if value is None else f"{value:.{digits}f}"

    return markdown_line([name, *map(cell, columns(metrics))])


def markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
