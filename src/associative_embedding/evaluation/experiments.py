"""Several ways to run one model, in one table: the ablation (table 4) and the bottleneck of the paper's section 4.1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from associative_embedding.evaluation.annotated_images import objects_for, people_for
from associative_embedding.evaluation.masks import evaluate_mask_model
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.mpii_coco import MPII_COUNTS
from associative_embedding.evaluation.oracle import Given
from associative_embedding.evaluation.poses import evaluate_pose_model, pose_task
from associative_embedding.evaluation.results_file import check_outputs, write_metrics
from associative_embedding.evaluation.settings import EvaluationSettings
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import NO_REFINER
from associative_embedding.io.coco_json import NoAnnotations
from associative_embedding.io.console import say, visible
from associative_embedding.io.counts import of_them


@dataclass(frozen=True)
class Variant:
    """One way to run a model.

    Attributes:
        name: of its row.
        scales, flip, refine: as in `Options`.
        given: what of the ground truth replaces predictions, see `poses.find_people`.
        tag_scales: as in `Options`; None = those of the user's options.
    """

    name: str
    scales: tuple[float, ...]
    flip: bool = False
    refine: str = NO_REFINER
    given: Given = "nothing"
    tag_scales: tuple[float, ...] | None = None


def ablation(
    scales: tuple[float, ...],
    refine: str = NO_REFINER,
    *,
    mirror: tuple[bool, ...] = (False, True),
    tag_scales: tuple[float, ...] | None = None,
    one_scale: bool = False,
) -> tuple[Variant, ...]:
    """Returns the rows of the paper's table 4: one scale and several, each without and with the mirror image.

    Args:
        scales: of the rows "multi scale". "Single scale" is 1, the model's input size.
        refine: single-person model of the refined rows; "none" = no refined rows.
        mirror: without, with the mirror image, or both.
        tag_scales: the scales whose tags the rows "multi scale" use; None = all.
        one_scale: where there is only one, return its rows, without and with the mirror image.

    Raises:
        ValueError: when there is only one scale.
    """
    if len(scales) < 2 and not one_scale:
        raise ValueError("an ablation needs several scales, and the model has one: state them, --scales 1 0.5")
    tags = tag_scales or scales
    # A scale and the mirror image are two changes. Each has its own row, so that a gain has one cause.
    return tuple(
        Variant(row_name(used, with_tags, flip, model), used, flip, model, tag_scales=with_tags)
        for used, with_tags in dict.fromkeys((((1.0,), (1.0,)), (scales, tags)))
        for flip in mirror
        for model in dict.fromkeys([NO_REFINER, refine])
    )


def row_name(scales: tuple[float, ...], tag_scales: tuple[float, ...], flip: bool, refine: str) -> str:
    """Returns the name of a row of `ablation`, such as "multi scale (1, 0.5; mirror) + refine"."""
    parts = [", ".join(f"{scale:g}" for scale in scales)]
    parts += [f"tags of {', '.join(f'{scale:g}' for scale in tag_scales)}"] if set(tag_scales) != set(scales) else []
    parts += ["mirror"] if flip else []
    number = "multi" if len(scales) > 1 else "single"
    return f"{number} scale ({'; '.join(parts)}){'' if refine == NO_REFINER else ' + refine'}"


def mirror_choices(predictor: Predictor, options: Options) -> tuple[bool, ...]:
    """Returns whether the rows of `ablation` use the mirror image: as ``--flip`` states, else both, if it can be."""
    if options.flip is not None:
        return (options.flip,)
    return (False,) if predictor.task.flip_index is None else (False, True)


def bottleneck(scales: tuple[float, ...], flip: bool, refine: str = NO_REFINER) -> tuple[Variant, ...]:
    """Returns three rows: detections and grouping predicted, grouping alone, detections alone (end of section 4.1)."""
    return (
        Variant("predicted detections", scales, flip, refine),
        Variant("true detections, predicted tags", scales, flip, given="detections"),
        Variant("predicted detections, true tags", scales, flip, given="tags"),
    )


def refiner_of(predictor: Predictor) -> str:
    return predictor.refiner.name if predictor.refiner else NO_REFINER


EXPERIMENTS: dict[str, Callable[[Predictor, Options], tuple[Variant, ...]]] = {
    "ablation": lambda predictor, options: ablation(
        predictor.scales,
        refiner_of(predictor),
        mirror=mirror_choices(predictor, options),
        tag_scales=predictor.tag_scales,
        one_scale=predictor.task.finds_masks,  # tiles of one scale are usual for them
    ),
    "truth_detections": lambda predictor, _: bottleneck(predictor.scales, predictor.flip, refiner_of(predictor)),
}


def changed_options(options: Options, variant: Variant) -> Options:
    """Returns the options with which a row runs."""
    tag_scales = variant.tag_scales or options.tag_scales
    if variant.refine == NO_REFINER:
        options = replace(options, refine=NO_REFINER, refine_rule=None, refine_views=None, refine_size=None)
    # A refined row has the refiner of the options, not its name: a model file states the crops of its own refiner.
    return replace(options, scales=variant.scales, flip=variant.flip, tag_scales=tag_scales)


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
    check_outputs([model, settings.annotations, settings.groups, settings.ids], settings.json)
    first = load(model, options)
    try:
        trial = (mask_trial if first.task.finds_masks else pose_trial)(experiment, first, settings)
    except NoAnnotations:
        text = "has no annotations to score: evaluate each row by itself, with --submission NAME"
        raise ValueError(f"{settings.annotations} {text}") from None
    variants = EXPERIMENTS[experiment](first, options)
    for line in trial.lines:
        say(f"{line}\n")
    rows: dict[str, Metrics] = {}
    notes: dict[str, Any] = {}
    for variant in variants:
        # Loaded anew for each row: a variant may need another refiner, and the first model is not changed.
        predictor = load(model, changed_options(options, variant))
        metrics, refined = trial.evaluate(predictor, variant)
        head = [] if rows else markdown_head(metrics)
        # Row by row: a row takes minutes, and an interrupt must not lose the rows before it.
        say("\n".join([*head, markdown_row(variant.name, metrics, trial.digits)]))
        rows[variant.name] = metrics
        notes[variant.name] = {**asdict(variant), **trial.settings, **predictor.settings, **refined}
    if settings.json:
        given = {"held_out": settings.held_out, "ids": settings.ids, "protocol": trial.protocol}
        write_metrics(settings.json, {"metrics": rows, "model": model, **given, "settings": notes})
    return rows


# ---- what the rows are evaluated on


@dataclass(frozen=True)
class Trial:
    """A test set for all rows.

    Attributes:
        evaluate: predictor and variant -> the metrics, and what the refiner changed, for json.
        settings: what metrics on it are computed on, for json.
        protocol: name of the rules.
        digits: decimal places of the metrics.
        lines: to print before the table.
    """

    evaluate: Callable[[Predictor, Variant], tuple[Metrics, dict[str, Any]]]
    settings: dict[str, Any]
    protocol: str
    digits: int
    lines: Sequence[str]


def pose_trial(experiment: str, first: Predictor, settings: EvaluationSettings) -> Trial:
    """Opens annotated people for the rows; arguments: see `run_experiment`.

    Raises:
        ValueError: for annotations that cannot be used.
    """
    test_set = people_for(first, settings)
    names = visible(", ".join(test_set.unknown))
    lines = [f"the model has no {names}: they do not count"] if names else []
    if experiment == "truth_detections" and (count := test_set.data.coco_splits["val2017"]):
        # The paper's experiment is on held-out training images; a reader of the table must not take these for such.
        lines.append(
            f"COCO's val2017 has {of_them(count, len(test_set.data), 'image')}: not held out of its training images"
        )

    def evaluate(predictor: Predictor, variant: Variant) -> tuple[Metrics, dict[str, Any]]:
        metrics, changed = evaluate_pose_model(predictor, test_set, given=variant.given)
        return metrics, {"refined": asdict(changed)} if predictor.refiner else {}

    return Trial(evaluate, test_set.settings, settings.protocol or "coco", test_set.protocol.digits, lines)


def mask_trial(experiment: str, first: Predictor, settings: EvaluationSettings) -> Trial:
    """Opens annotated masks for the rows; arguments: see `run_experiment`.

    Raises:
        ValueError: for annotations that cannot be used, or the experiment of true detections, which are keypoints.
    """
    if experiment != "ablation":
        pose_task(first)  # an error: true detections are keypoints
    test_set = objects_for(first, settings)
    names = visible(", ".join(test_set.unknown))
    lines = [f"the model has no {names}: they do not count"] if names else []

    def evaluate(predictor: Predictor, variant: Variant) -> tuple[Metrics, dict[str, Any]]:
        return evaluate_mask_model(predictor, test_set), {}

    return Trial(evaluate, test_set.settings, test_set.settings["protocol"], 3, lines)


# ---- Markdown


def columns(metrics: Metrics) -> list[str]:
    # Numbers of each class ("AP50 cat") are in the json; twenty classes are no columns.
    return [name for name in metrics if name not in MPII_COUNTS and " " not in name]


def markdown_head(metrics: Metrics) -> list[str]:
    names = [name.replace("_", " ") for name in columns(metrics)]
    return [markdown_line(["", *names]), "|".join(["", "---", *["---:"] * len(names), ""])]


def markdown_row(name: str, metrics: Metrics, digits: int) -> str:
    def cell(key: str) -> str:
        value = metrics[key]
        # Shares of grouping are in 0..1, also where the protocol counts in percent.
        return "-" if value is None else f"{value:.{3 if key.endswith('grouped_right') else digits}f}"

    return markdown_line([name, *map(cell, columns(metrics))])


def markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
