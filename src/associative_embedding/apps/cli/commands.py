"""Runs each command of ``ae``, except ``ae data``: checks its options and calls the function that does the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from os.path import isfile
from typing import TYPE_CHECKING, Any

from associative_embedding.apps.cli.data_commands import run_data
from associative_embedding.apps.cli.options import build_predict, build_train, model_options
from associative_embedding.apps.cli.other_names import setting_hint
from associative_embedding.apps.cli.plain_values import new_parser
from associative_embedding.apps.cli.reading_options import value_of
from associative_embedding.apps.errors import UsageError

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import Namespace  # type: ignore[attr-defined]

    from associative_embedding.inference.options import Options
    from associative_embedding.inference.predictor import Predictor
    from associative_embedding.training.recipe import Recipe


def run_predict(options: Namespace) -> int:
    if options.min_score is not None and not 0 <= options.min_score <= 1:
        raise UsageError(f"min_score must be in [0, 1], not {options.min_score}")
    if options.pixel_size is not None and not 0 < options.pixel_size < float("inf"):
        raise UsageError(f"pixel_size must be above 0, not {options.pixel_size}")
    if text := next(filter(None, map(setting_hint, options.sources)), ""):
        raise UsageError(text)
    check_engine(options)
    if options.engine == "ray":
        return run_predict_ray(options)
    if sources_are_videos(options):
        return run_predict_videos(options)
    from associative_embedding.apps.cli.predict_images import ImageSettings, predict_images

    settings = value_of(ImageSettings, options)
    if settings.images_of is not None and settings.recursive:
        raise UsageError("--recursive has no effect with --images_of, whose json names the files: leave it out")
    return predict_images(options.sources, options.model, model_options(options), settings)


# Options for one kind of source or one engine. With another one they would do nothing, so they are refused.
VIDEO_OPTIONS = ("link", "smooth", "every", "start", "end", "fps", "window")
IMAGE_OPTIONS = ("json", "labels", "pixel_size", "recursive", "resume", "images_of")
VIDEO_FORMATS = ("mp4", "jsonl", "csv", "mot")  # of --formats
IMAGE_FORMATS = ("csv", "labels", "roi", "geojson", "overlay")
RAY_OPTIONS = ("workers", "shard_size", "batch", "gpus")
ANIMATIONS = (".gif", ".apng")  # images that PyAV also reads as films
LOCAL_OPTIONS = (
    *("json", "show", "scores", "names", "labels", "pixel_size", "track", "images_of", "formats"),
    *VIDEO_OPTIONS,
)


def sources_are_videos(options: Namespace) -> bool:
    """Returns whether the sources of ``ae predict`` are videos.

    Raises:
        UsageError: for videos and images in one command, or for options that belong to the other kind.
    """
    from associative_embedding.io.find_images import EXTENSIONS
    from associative_embedding.io.find_videos import is_video
    from associative_embedding.io.images import is_stack

    single = [source for source in options.sources if isfile(source) and source.lower().endswith(EXTENSIONS)]
    stacks = [source for source in options.sources if is_stack(source)]
    single = [source for source in single if source not in stacks]
    still = [source for source in single if not source.lower().endswith(ANIMATIONS)]
    if options.track and (still or len(single) > 1):
        raise UsageError(
            f"--track needs frames as one source: their folder, or a pattern in quotes; {single[0]} is one image"
        )
    videos = [options.track or is_video(source) for source in options.sources]
    if any(videos) != all(videos):
        raise UsageError("the sources are images and videos: run ae predict once for each kind")
    reason = "works only for images" if any(videos) else "works only for videos, or with --track for folders of frames"
    of_images = [name for name in IMAGE_OPTIONS if name != "labels" or not all(is_stack(s) for s in options.sources)]
    refuse_given(options, of_images if any(videos) else VIDEO_OPTIONS, reason)
    if any(videos) and options.labels == "png":
        raise UsageError("--labels png: the labels of several planes need --labels tif")
    if not any(videos) and (other := [kind for kind in options.formats or () if kind not in IMAGE_FORMATS]):
        raise UsageError(f"--formats {other[0]} is for videos; images have json and, with --formats csv, a table")
    if any(videos) and (other := [kind for kind in options.formats or () if kind not in VIDEO_FORMATS]):
        raise UsageError(f"--formats {other[0]} is for images; videos have {', '.join(VIDEO_FORMATS)}")
    if any(videos) and options.show == "tags":
        raise UsageError("--show tags works only for images")
    return any(videos)


def check_engine(options: Namespace) -> None:
    """Checks that the options of ``ae predict`` belong to its engine.

    Raises:
        UsageError: for an option of the other engine.
    """
    if options.engine == "ray":
        refuse_given(options, LOCAL_OPTIONS, "has no effect with --engine ray")
    else:
        refuse_given(options, RAY_OPTIONS, "needs --engine ray")


def refuse_given(options: Namespace, names: Sequence[str], reason: str) -> None:
    """Refuses options of ``ae predict`` that the user gave.

    Args:
        names: the options to refuse.
        reason: end of the message, after the name of the option.

    Raises:
        UsageError: when one of them differs from its default.
    """
    # The parser does not record which options were given. A given default changes nothing, so it may pass.
    defaults = build_predict(new_parser()).get_defaults()
    for name in names:
        if options[name] != defaults[name]:
            raise UsageError(f"--{name} {reason}")


def run_predict_ray(options: Namespace) -> int:
    from associative_embedding.apps.cluster.job import Job
    from associative_embedding.apps.cluster.predict import Pool, predict_on_ray

    job = Job(options.output, options.model, model_options(options), batch=options.batch, min_score=options.min_score)
    return predict_on_ray(options.sources, job, value_of(Pool, options), recursive=options.recursive)


def run_predict_videos(options: Namespace) -> int:
    from associative_embedding.apps.cli.predict_videos import VideoSettings, predict_videos

    settings = value_of(VideoSettings, options)
    return predict_videos(options.sources, options.model, model_options(options), settings)


def run_train(options: Namespace) -> int:
    from associative_embedding.io.console import say, visible
    from associative_embedding.training.train import train
    from associative_embedding.training.validation import build_validation

    recipe = build_recipe(options)
    say(visible(train(recipe, validate=build_validation(recipe))))
    return 0


def build_recipe(options: Namespace) -> Recipe:
    """Returns the recipe of ``ae train``: the file, with the settings after it.

    Raises:
        UsageError: for a value out of its range.
    """
    from jsonargparse import Namespace

    from associative_embedding.training.recipe import Recipe

    values = Namespace(  # type: ignore[no-untyped-call]
        {key: value for key, value in options.items() if key != "config"}
    )
    try:
        built = build_train(new_parser()).instantiate(values)
        return Recipe(**{field.name: built[field.name] for field in fields(Recipe)})
    except ValueError as error:
        raise UsageError(error) from None


def run_evaluate(options: Namespace) -> int:
    experiments = [name for name in ("ablation", "truth_detections") if options[name]]
    if len(experiments) > 1:
        raise UsageError("--ablation and --truth_detections are two experiments: give only one")
    for name in ("results", "submission"):
        if options[name] and experiments:
            raise UsageError(f"--{experiments[0]} runs several evaluations, but --{name} holds one: leave --{name} out")
    if options.results and options.submission:
        raise UsageError("--results and --submission are two names of one file: give only one")
    if options.ids is not None and options.held_out:
        raise UsageError("--ids and --held_out choose the images: give only one")
    if options.groups and options.protocol != "mpii":
        raise UsageError(f"--groups needs --protocol mpii, not {options.protocol or 'coco'}")
    if options.track or options.link is not None or options.every != 1:
        return run_evaluate_tracks(options)
    from associative_embedding.evaluation.settings import EvaluationSettings

    arguments = (options.model, model_options(options), value_of(EvaluationSettings, options))
    if experiments:
        from associative_embedding.evaluation.experiments import run_experiment

        run_experiment(experiments[0], *arguments)
    else:
        from associative_embedding.apps.cli.evaluate import evaluate_model

        evaluate_model(*arguments)
    return 0


def run_calibrate(options: Namespace) -> int:
    if options.ids is not None and options.held_out:
        raise UsageError("--ids and --held_out choose the images: give only one")
    from associative_embedding.apps.cli.calibrate import CalibrationSettings, calibrate

    calibrate(options.model, value_of(CalibrationSettings, options))
    return 0


def run_evaluate_tracks(options: Namespace) -> int:
    from associative_embedding.evaluation.tracks import TrackSettings, evaluate_tracks

    if not options.track:
        raise UsageError("--link and --every need --track")
    if options.every < 1:
        raise UsageError(f"every must be 1 or more, not {options.every}")
    if options.images is None:
        raise UsageError("--track needs --images, the folder of the frames")
    wrong = (
        "split",
        "protocol",
        "groups",
        "ablation",
        "truth_detections",
        "held_out",
        "ids",
        "results",
        "submission",
        "zoom",
    )
    if given := [name for name in wrong if options[name]]:
        raise UsageError(f"--{given[0]} has no effect with --track: leave it out")
    evaluate_tracks(options.model, model_options(options), value_of(TrackSettings, options))
    return 0


def run_export(options: Namespace) -> int:
    from associative_embedding.io.console import say, visible
    from associative_embedding.model_files.export import export_model
    from associative_embedding.model_files.find import model_path

    path = model_path(options.model, offline=options.offline)
    files = export_model(path, options.output, options.format, with_peaks=options.with_peaks)
    for file in files:
        say(visible(file))
    return 0


def run_serve(options: Namespace) -> int:
    from associative_embedding.apps.cli.allocator import ALLOCATOR

    try:
        from associative_embedding.apps.server.limits import Limits
        from associative_embedding.apps.server.service import serve
    except ImportError as error:
        raise ValueError(f"ae serve needs {error.name}: pip install 'associative-embedding[serve]'") from None

    try:
        limits = value_of(Limits, options)
    except ValueError as error:
        raise UsageError(error) from None
    # For the process of the model, which `serve` starts.
    os.environ.update({name: value for name, value in ALLOCATOR.items() if name not in os.environ})
    load = partial(load_and_remark, options.model, model_options(options))
    serve(load, limits, options.host, options.port, options.allow_host)
    return 0


def load_and_remark(model: str, options: Options) -> Predictor:
    """Returns a model; prints what a single-person model does with a whole image."""
    from associative_embedding.inference.load import load, remark_one_person

    predictor = load(model, options)
    remark_one_person(predictor)
    return predictor


def run_info(options: Namespace) -> int:
    if options.published:
        return run_info_published(options)
    from associative_embedding.io.console import say
    from associative_embedding.io.files import check_writable, write_json
    from associative_embedding.io.outputs import check_output, own_form
    from associative_embedding.model_files.describe import model_summary, summary_line, summary_lines
    from associative_embedding.model_files.find import shipped_models

    if options.json:
        # The list has no place for a mark: its first entry shows who wrote it.
        own = own_form(r'\[\{"model": "[^"]*", "file": "[^"]*", "bytes": \d+, "sha256": "', rb"\}\]\n")
        check_output(options.json, own, options.models)
        check_writable(options.json)  # now: digests and parameters of all models take seconds
    summaries = [model_summary(model) for model in options.models or shipped_models()]
    if options.models:
        say("\n\n".join("\n".join(summary_lines(summary)) for summary in summaries))
    else:
        say("\n".join(map(summary_line, summaries)))
    if options.json:
        write_json(options.json, summaries)
    return 0


def run_info_published(options: Namespace) -> int:
    from associative_embedding.io.console import say
    from associative_embedding.io.files import write_json
    from associative_embedding.io.outputs import check_output, marked, own_json
    from associative_embedding.model_files.published.table import published_models, summary, table_lines

    if options.models:
        raise UsageError("--published lists all published models: leave out the names")
    if options.json:
        check_output(options.json, own_json("info --published"))
        write_json(options.json, marked({"models": list(map(summary, published_models()))}, "info --published"))
    say("\n".join(table_lines()))
    return 0


def run_convert(options: Namespace) -> int:
    from associative_embedding.io.console import say, visible
    from associative_embedding.model_files.converters.convert import convert

    sizes = {"skeleton": options.skeleton, "input_size": options.input_size}
    say(visible(convert(options.file, options["from"], options.output, **sizes)))
    return 0


COMMANDS: dict[str, Callable[[Any], int]] = {
    "predict": run_predict,
    "train": run_train,
    "evaluate": run_evaluate,
    "calibrate": run_calibrate,
    "export": run_export,
    "serve": run_serve,
    "info": run_info,
    "convert": run_convert,
    "data": run_data,
}
