"""What each command of ``ae`` does with its options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from associative_embedding.apps.cli.data_commands import run_data
from associative_embedding.apps.cli.options import build_predict, build_train, model_options, new_parser, value_of
from associative_embedding.apps.errors import UsageError

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import Namespace  # type: ignore[attr-defined]

    from associative_embedding.training.recipe import Recipe


def run_predict(options: Namespace) -> int:
    if options.min_score is not None and not 0 <= options.min_score <= 1:
        raise UsageError(f"min_score must be in [0, 1], not {options.min_score}")
    check_engine(options)
    if options.engine == "ray":
        return run_predict_ray(options)
    if asks_for_videos(options):
        return run_predict_videos(options)
    from associative_embedding.apps.cli.predict_images import ImageSettings, predict_images

    settings = value_of(ImageSettings, options)
    return predict_images(options.sources, options.model, model_options(options), settings)


# Options of one kind of source or engine; given with another kind they would do nothing, so they are refused.
VIDEO_OPTIONS = ("link", "smooth", "every", "start", "end", "fps", "formats", "window")
IMAGE_OPTIONS = ("json", "labels", "recursive", "resume")
RAY_OPTIONS = ("workers", "shard_size", "batch", "gpus")
HERE_OPTIONS = ("json", "show", "scores", "labels", "track", *VIDEO_OPTIONS)


def asks_for_videos(options: Namespace) -> bool:
    """Whether the sources of ``ae predict`` are videos.

    Raises:
        UsageError: for videos and images in one command, or options of one kind for the other.
    """
    from associative_embedding.io.videos import is_video

    videos = [options.track or is_video(source) for source in options.sources]
    if any(videos) != all(videos):
        raise UsageError("images and videos at once: run ae predict for each")
    why = "not of videos" if any(videos) else "of videos, or of a folder of frames with --track"
    refuse_changed(options, IMAGE_OPTIONS if any(videos) else VIDEO_OPTIONS, why)
    if any(videos) and options.show == "tags":
        raise UsageError("--show tags is of images, not of videos")
    return any(videos)


def check_engine(options: Namespace) -> None:
    """
    Raises:
        UsageError: for options of the other engine.
    """
    if options.engine == "ray":
        refuse_changed(options, HERE_OPTIONS, "not of --engine ray")
    else:
        refuse_changed(options, RAY_OPTIONS, "of --engine ray")


def refuse_changed(options: Namespace, names: tuple[str, ...], why: str) -> None:
    """
    Raises:
        UsageError: when one of the options of ``ae predict`` has another value than its default.
    """
    defaults = build_predict(new_parser()).get_defaults()
    for name in names:
        if options[name] != defaults[name]:
            raise UsageError(f"--{name} is {why}")


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
    from associative_embedding.training.train import train
    from associative_embedding.training.validation import build_validation

    recipe = build_recipe(options)
    print(train(recipe, validate=build_validation(recipe)))
    return 0


def build_recipe(options: Namespace) -> Recipe:
    """
    Raises:
        UsageError: for a value out of its range.
    """
    from jsonargparse import ArgumentParser, Namespace

    from associative_embedding.training.recipe import Recipe

    values = Namespace(  # type: ignore[no-untyped-call]
        {key: value for key, value in options.items() if key != "config"}
    )
    try:
        parser = build_train(ArgumentParser())
        instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # its name before 4.49
        built = instantiate(values)
        return Recipe(**{field.name: built[field.name] for field in fields(Recipe)})
    except ValueError as error:
        raise UsageError(error) from None


def run_evaluate(options: Namespace) -> int:
    experiments = [name for name in ("ablation", "truth_detections") if options[name]]
    if len(experiments) > 1:
        raise UsageError("ablation and truth_detections are two experiments: ask for one")
    if options.results and experiments:
        raise UsageError("results are of one evaluation, an experiment is of several: leave --results out")
    if options.groups and options.protocol != "mpii":
        raise UsageError(f"groups belong to --protocol mpii, not {options.protocol or 'coco'}")
    if options.track or options.link is not None or options.every != 1:
        return run_evaluate_tracks(options)
    from associative_embedding.evaluation.settings import EvaluationSettings

    arguments = (options.model, model_options(options), value_of(EvaluationSettings, options))
    if experiments:
        if options.images is None or options.split or options.zoom is not None:
            text = "ablation and truth_detections are for poses: they need --images, and no --split or --zoom"
            raise UsageError(text)
        from associative_embedding.evaluation.experiments import run_experiment

        run_experiment(experiments[0], *arguments)
    else:
        from associative_embedding.apps.cli.evaluate import evaluate_model

        evaluate_model(*arguments)
    return 0


def run_evaluate_tracks(options: Namespace) -> int:
    from associative_embedding.evaluation.tracks import TrackSettings, evaluate_tracks

    if not options.track:
        raise UsageError("--link and --every are of tracks: add --track")
    if options.every < 1:
        raise UsageError(f"every must be 1 or more, not {options.every}")
    if options.images is None:
        raise UsageError("--track needs --images, the folder of the frames")
    wrong = ("split", "protocol", "groups", "ablation", "truth_detections", "held_out", "results", "zoom")
    if given := [name for name in wrong if options[name]]:
        raise UsageError(f"--{given[0]} has no meaning with --track")
    evaluate_tracks(options.model, model_options(options), value_of(TrackSettings, options))
    return 0


def run_export(options: Namespace) -> int:
    from associative_embedding.model_files.export import export_model
    from associative_embedding.model_files.find import model_path

    files = export_model(model_path(options.model), options.output, options.format, with_peaks=options.with_peaks)
    print(*files, sep="\n")
    return 0


def run_serve(options: Namespace) -> int:
    from associative_embedding.inference.load import load

    try:
        from associative_embedding.apps.server.limits import Limits
        from associative_embedding.apps.server.service import serve
    except ImportError as error:
        raise ValueError(f"ae serve needs {error.name}: pip install 'associative-embedding[serve]'") from None

    names = ("queue", "max_bytes", "max_pixels", "timeout", "urls", "private_urls")
    limits = {name: options[name] for name in names}
    try:
        Limits(**limits, batch=1 if options.batch is None else options.batch)  # an error before the model is read
    except ValueError as error:
        raise UsageError(error) from None
    predictor = load(options.model, model_options(options))
    # On a CPU batches are at most a quarter faster, and inputs of many sizes fragment the memory.
    batch = options.batch or (8 if predictor.device.type == "cuda" else 1)
    print(f"ae: http://{options.host}:{options.port} (Ctrl-C stops)", file=sys.stderr)
    serve(predictor, Limits(**limits, batch=batch), options.host, options.port)
    return 0


def run_info(options: Namespace) -> int:
    from associative_embedding.io.console import say
    from associative_embedding.io.files import check_writable, write_json
    from associative_embedding.model_files.describe import model_summary, summary_line, summary_lines
    from associative_embedding.model_files.find import shipped_models

    if options.json:
        check_writable(options.json)
    summaries = [model_summary(model) for model in options.models or shipped_models()]
    if options.models:
        say("\n\n".join("\n".join(summary_lines(summary)) for summary in summaries))
    else:
        say("\n".join(map(summary_line, summaries)))
    if options.json:
        write_json(options.json, summaries)
    return 0


def run_convert(options: Namespace) -> int:
    from associative_embedding.model_files.converters.convert import convert

    print(convert(options.file, options["from"], options.output, skeleton=options.skeleton))
    return 0


COMMANDS: dict[str, Callable[[Any], int]] = {
    "predict": run_predict,
    "train": run_train,
    "evaluate": run_evaluate,
    "export": run_export,
    "serve": run_serve,
    "info": run_info,
    "convert": run_convert,
    "data": run_data,
}
