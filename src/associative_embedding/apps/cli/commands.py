"""What each command of ``ae`` does with its options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from associative_embedding.apps.cli.data_commands import run_data
from associative_embedding.apps.cli.options import build_predict, build_train, model_options, new_parser
from associative_embedding.apps.errors import UsageError

# All else is imported inside of functions, so that Ctrl-C is one line from the start.
if TYPE_CHECKING:
    from jsonargparse import Namespace  # type: ignore[attr-defined]

    from associative_embedding.training.recipe import Recipe


def run_predict(options: Namespace) -> int:
    if options.min_score is not None and not 0 <= options.min_score <= 1:
        raise UsageError(f"min_score must be in [0, 1], not {options.min_score}")
    check_engine(options)
    if options.engine == "ray":
        return run_predict_ray(options)
    if is_of_video(options):
        return run_predict_video(options)
    from associative_embedding.apps.cli.predict_images import predict_sources

    return predict_sources(
        options.sources,
        model=options.model,
        output=options.output,
        json_path=options.json,
        **model_options(options),
        min_score=options.min_score,
        show=options.show,
        scores=options.scores,
        labels=options.labels,
        recursive=options.recursive,
        resume=options.resume,
    )


VIDEO_OPTIONS = ("link", "smooth", "every", "start", "end", "fps", "formats", "window")
IMAGE_OPTIONS = ("json", "labels", "recursive", "resume")  # have no meaning for a video


def is_of_video(options: Namespace) -> bool:
    """Whether videos are asked for.

    Raises:
        UsageError: for videos and images at once, or options of the one for the other.
    """
    from associative_embedding.io.videos import is_video

    videos = [options.track or is_video(source) for source in options.sources]
    if any(videos) != all(videos):
        raise UsageError("images and videos at once: run ae predict for each")
    wrong = IMAGE_OPTIONS if any(videos) else VIDEO_OPTIONS
    defaults = build_predict(new_parser()).get_defaults()
    for name in wrong:
        if options[name] != defaults[name]:
            why = "not of videos" if any(videos) else "of videos, or of a folder of frames with --track"
            raise UsageError(f"--{name} is {why}")
    if any(videos) and options.show == "tags":
        raise UsageError("--show tags is of images, not of videos")
    return any(videos)


RAY_OPTIONS = ("workers", "shard_size", "batch", "gpus")
HERE_OPTIONS = ("json", "show", "scores", "labels", "track", *VIDEO_OPTIONS)  # have no meaning for Ray


def check_engine(options: Namespace) -> None:
    """
    Raises:
        UsageError: for options of the other engine.
    """
    defaults = build_predict(new_parser()).get_defaults()
    for name in HERE_OPTIONS if options.engine == "ray" else RAY_OPTIONS:
        if options[name] != defaults[name]:
            raise UsageError(f"--{name} is {'not ' if options.engine == 'ray' else ''}of --engine ray")


def run_predict_ray(options: Namespace) -> int:
    from associative_embedding.apps.cluster.job import Job
    from associative_embedding.apps.cluster.predict import predict_on_ray

    names = ("model", "batch", "min_score")
    return predict_on_ray(
        options.sources,
        Job(folder=options.output, **{name: options[name] for name in names}, **model_options(options)),
        workers=options.workers,
        shard_size=options.shard_size,
        gpus=options.gpus,
        recursive=options.recursive,
    )


def run_predict_video(options: Namespace) -> int:
    if options.smooth is not None and not options.track:
        raise UsageError("--smooth is of tracks: add --track")
    if options.link is not None and not options.track:
        raise UsageError("--link is of tracks: add --track")
    from associative_embedding.apps.cli.predict_videos import predict_videos
    from associative_embedding.io.videos import Part

    try:
        part = Part(options.start, options.end, options.every)
    except ValueError as error:
        raise UsageError(error) from None
    formats = options.formats or (["jsonl"] if options.show == "nothing" else ["mp4", "jsonl"])
    return predict_videos(
        options.sources,
        model=options.model,
        output=options.output,
        part=part,
        track=options.track,
        link=options.link or {},
        smooth=options.smooth,
        formats=formats,
        fps=options.fps,
        window=options.window,
        **model_options(options),
        min_score=options.min_score,
        scores=options.scores,
    )


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
    if options.ablation and options.truth_detections:
        raise UsageError("ablation and truth_detections are two experiments: ask for one")
    if options.results and (options.ablation or options.truth_detections):
        raise UsageError("results are of one evaluation, an experiment is of several: leave --results out")
    if options.groups and options.protocol != "mpii":
        raise UsageError(f"groups belong to --protocol mpii, not {options.protocol or 'coco'}")
    if options.track or options.link is not None or options.every != 1:
        return run_evaluate_tracks(options)
    experiment = options.ablation or options.truth_detections
    if experiment and (options.images is None or options.split or options.zoom is not None):
        raise UsageError("ablation and truth_detections are for poses: they need --images, and no --split or --zoom")
    from associative_embedding.apps.cli.evaluate import evaluate_files
    from associative_embedding.evaluation.experiments import compare_files

    settings = {
        "model": options.model,
        "annotations": options.annotations,
        "images": options.images,
        "held_out_share": options.held_out,
        "limit": options.limit,
        "json_path": options.json,
        "decode": options.decode or {},
        "protocol": options.protocol,
        "groups": options.groups,
    }
    if experiment:
        look = {name: value for name, value in model_options(options).items() if name != "zoom"}
        compare_files("ablation" if options.ablation else "truth_detections", **settings, **look)
    else:
        evaluate_files(**settings, split=options.split, results_path=options.results, **model_options(options))
    return 0


def run_evaluate_tracks(options: Namespace) -> int:
    from associative_embedding.evaluation.tracks import evaluate_tracks

    if not options.track:
        raise UsageError("--link and --every are of tracks: add --track")
    if options.every < 1:
        raise UsageError(f"every must be 1 or more, not {options.every}")
    if options.images is None:
        raise UsageError("--track needs --images, the folder of the frames")
    wrong = ("split", "protocol", "groups", "ablation", "truth_detections", "held_out", "results", "zoom")
    if given := [name for name in wrong if options[name]]:
        raise UsageError(f"--{given[0]} has no meaning with --track")
    evaluate_tracks(
        model=options.model,
        annotations=options.annotations,
        images=options.images,
        link=options.link,
        limit=options.limit,
        every=options.every,
        json_path=options.json,
        decode=options.decode or {},
        **model_options(options),
    )
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
        from associative_embedding.apps.server.service import Limits, serve
    except ImportError as error:
        raise ValueError(f"ae serve needs {error.name}: pip install 'associative-embedding[serve]'") from None

    names = ("queue", "max_bytes", "max_pixels", "timeout", "urls", "private_urls")
    limits = {name: options[name] for name in names}
    try:
        Limits(**limits, batch=1 if options.batch is None else options.batch)  # before the model is read
    except ValueError as error:
        raise UsageError(error) from None
    predictor = load(options.model, **model_options(options))
    # on a CPU one by one is as fast to a quarter, and batches of many sizes leave the memory in pieces
    batch = options.batch or (8 if predictor.device.type == "cuda" else 1)
    print(f"ae: http://{options.host}:{options.port} (Ctrl-C stops)", file=sys.stderr)
    serve(predictor, Limits(**limits, batch=batch), options.host, options.port)
    return 0


def run_info(options: Namespace) -> int:
    from associative_embedding.io.console import say
    from associative_embedding.io.files import check_writable, write_json
    from associative_embedding.model_files.describe import describe, details, overview
    from associative_embedding.model_files.find import shipped_models

    if options.json:
        check_writable(options.json)
    told = [describe(model) for model in options.models or shipped_models()]
    say("\n\n".join("\n".join(details(each)) for each in told) if options.models else "\n".join(map(overview, told)))
    if options.json:
        write_json(options.json, told)
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
