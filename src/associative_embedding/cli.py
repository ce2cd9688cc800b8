"""The command ``ae``: train, evaluate, predict, export, convert, data.

A mistake of the user's gets one line on the error output and exit status 2 (usage) or 1 (bad input); never a traceback.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from associative_embedding.cli_data import DATA_BUILDERS, build_data, run_data
from associative_embedding.errors import UsageError
from associative_embedding.version import VERSION

# All else is imported inside of `main`, so that Ctrl-C is one line from the start.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

    from associative_embedding.config import Recipe

# The allocator otherwise returns the large buffers of a forward pass to the system after every image.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        with terminable():
            options = parse(list(sys.argv[1:] if argv is None else argv))
            return COMMANDS[options.command](options[options.command])
    except KeyboardInterrupt as error:
        print(f"ae: {str(error) or 'interrupted'}", file=sys.stderr)
        return 130
    except expected_errors() as error:
        print(f"ae: error: {one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM is Ctrl-C: what was computed is kept. Python delivers signals to the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt("terminated")

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def expected_errors() -> tuple[type[Exception], ...]:
    """What bad input or too little memory raises; torch's own are RuntimeErrors, and OpenCV may not be in use."""
    opencv = [sys.modules["cv2"].error] if "cv2" in sys.modules else []
    return (ValueError, OSError, MemoryError, RuntimeError, *opencv)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:1000] or type(error).__name__


def parse(arguments: list[str]) -> Namespace:
    """
    Raises:
        UsageError: one line, with the nearest known name for an unknown one.
    """
    from jsonargparse import ArgumentError

    if not arguments:
        raise UsageError(f"which command? one of {','.join(BUILDERS)}")
    if arguments[:1] == ["train"]:
        arguments = ["train", *spell_recipe(arguments[1:])]
    try:
        return build_parser().parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(explain(str(error), arguments)) from None


def spell_recipe(arguments: list[str]) -> list[str]:
    """``recipe.yaml ...`` -> ``--config recipe.yaml ...``, when the recipe is one."""
    from associative_embedding.recipe_file import check_recipe

    if arguments[:1] in (["-h"], ["--help"]):
        return arguments
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("the recipe comes first: ae train RECIPE.yaml [--setting value ...]")
    try:
        check_recipe(arguments[0])
    except ValueError as error:
        raise UsageError(error) from None
    return ["--config", *arguments]


def explain(message: str, arguments: Sequence[str]) -> str:
    """A parser's complaint on one line, in words that a person used."""
    from associative_embedding.recipe_file import setting_names, suggestion

    text = " ".join(message.split())
    if unknown := re.search(r"[Uu]nrecognized arguments?: (?:--([\w.-]+)|(\S+))", text):
        if unknown[2]:
            return f"unexpected argument {unknown[2]!r}"
        names = setting_names() if arguments[0] == "train" else option_names(arguments)
        return f"unknown option {unknown[1]!r}{suggestion(unknown[1], names)}"
    for pattern, words in COMPLAINTS:
        text = re.sub(pattern, words, text)
    return text[:400]


# what jsonargparse says -> what it means
COMPLAINTS = (
    (r"<class '(\w+)'>", r"\1"),
    (r"typing\.Literal\[(.*?)\]", r"one of \1"),
    (r"Problem with given class_path '[\w.]+': ", ""),
    (r'Parser key "([\w.]+)"', r"\1"),
    (r"Expected an? (.*?)\. Got value: (.*)", r"must be \1, not '\2'"),
    (r"(required: |, )(?:\w+\.)+(?=\w)", r"\1"),
    (r"expected \"(?:\w+\.)?(\w+)\" to be one of {(.*?)}.*", r"which \1? one of \2"),
)


def option_names(arguments: Sequence[str]) -> list[str]:
    from jsonargparse import ArgumentParser

    kinds = {"data": DATA_BUILDERS}.get(arguments[0], {})
    build = next((kinds[word][0] for word in arguments[1:2] if word in kinds), BUILDERS[arguments[0]])
    actions = build(ArgumentParser())._actions
    return [option.lstrip("-") for action in actions for option in action.option_strings]


def build_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="ae", exit_on_error=False, description="Associative embedding: joint detection and grouping."
    )
    parser.add_argument("--version", action="version", version=f"associative-embedding {VERSION}")
    commands = parser.add_subcommands(dest="command")
    for name, text in (
        ("predict", "find people or objects in images"),
        ("train", "train by a recipe (YAML): ae train RECIPE.yaml [--setting value ...]; the same command resumes"),
        ("evaluate", "official metrics of a model on a COCO json"),
        ("export", "a model's network for ONNX Runtime or OpenVINO, two or three times as fast on a CPU"),
        ("serve", "an HTTP service, and a page to try a model in the browser"),
        ("convert", "other projects' weights to a file to start from"),
        ("data", "make a data set: of drawn figures, or of MPII's annotation"),
    ):
        command = ArgumentParser(exit_on_error=False)
        commands.add_subcommand(name, command, help=text)
        BUILDERS[name](command)  # after it: levels of subcommands must be added from the top
    return parser


def add_model_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=str, default="person", help="name of a shipped model, or a model file")
    add("--input_size", "--input-size", type=int, default=None, help="side of the network's input, pixels")
    add("--scales", type=float, nargs="+", default=None, help="input scales to average (default: the model's)")
    add("--flip", action="store_true", help="also run the mirror image")
    add("--zoom", type=float, default=None, help="input pixels per image pixel, of models that see tiles; 0 = no tiles")
    add("--refine", type=str, default=None, help="single-person model that looks at everybody a second time")
    add("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 ...")
    text = "what computes the network (default: on a CPU the fastest that is installed)"
    add("--runtime", type=Literal["auto", "torch", "onnx", "openvino"], default="auto", help=text)


def build_predict(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    text = "image, folder, 'glob*.jpg' or URL; video file, stream or camera's number; before --scales"
    add("sources", nargs="+", type=str, metavar="SOURCE", help=text)
    add_model_options(parser)
    add("--output", type=str, default="output", help="folder of annotated pictures")
    add("--json", type=str, default=None, help="results file (default: OUTPUT/predictions.json)")
    add("--min_score", "--min-score", type=float, default=None, help="lowest score, 0 to 1 (default: the model's)")
    add(
        "--show",
        type=Literal["found", "people", "tags", "nothing"],  # people: the name of found when nothing else was
        default="found",
        help="what to draw: what was found (also called people), its tags too, or nothing",
    )
    add("--scores", action="store_true", help="write each score, and the class of several, into the picture")
    add("--labels", type=Literal["tif", "png", "none"], default=None, help="label images of masks (default: tif)")
    add("--recursive", action="store_true", help="also look into subfolders")
    add("--resume", action="store_true", help="go on in the results file of a run that was stopped")
    add_video_options(parser)
    add_engine_options(parser)
    return parser


def add_engine_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    engines = Literal["here", "ray"]
    text = "who does the work: this process, or Ray (RAY_ADDRESS), which writes a folder of parquet files to OUTPUT"
    add("--engine", type=engines, default="here", help=text)
    add("--workers", type=int, default=None, help="of ray: models at work (default: one a GPU, else one a CPU)")
    add("--shard_size", "--shard-size", type=int, default=256, help="of ray: images of a file")
    add("--batch", type=int, default=None, help="of ray: images seen together at most (default: 1, on a GPU 8)")
    add("--gpus", type=float, default=None, help="of ray: GPUs of a worker, 0.5 = two share one (default: 1, if any)")


def add_video_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--track", action="store_true", help="link the frames: every instance keeps its number; a folder is one video")
    add("--link", type=dict, default=None, help="settings of --track that replace the model's, '{by: motion}'")
    add("--smooth", type=float, default=None, help="steady the keypoints of tracks: Hz, 1 is calm, 5 quick")
    add("--every", type=int, default=1, help="look at every so many-th frame of a video")
    add("--start", type=float, default=0.0, help="of a video: seconds")
    add("--end", type=float, default=None, help="of a video: seconds")
    add("--fps", type=float, default=None, help="of a folder of frames (default: 30)")
    kinds = Literal["mp4", "jsonl", "csv", "mot"]
    add("--formats", type=kinds, nargs="+", default=None, help="what to write of a video (default: mp4 jsonl)")
    add("--window", action="store_true", help="show a video while it is made")


def build_train(parser: ArgumentParser) -> ArgumentParser:
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    from associative_embedding.config import Recipe

    parser.add_argument("--config", action=ActionConfigFile, help="the recipe; settings after it override it")
    parser.add_class_arguments(Recipe)
    return parser


def build_evaluate(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add_model_options(parser)
    add("--annotations", type=str, required=True, help="COCO json with the truth, or for masks a VOC tree")
    add("--images", type=str, default=None, help="folder of its images (default: JPEGImages of a VOC tree)")
    add("--split", type=str, default="", help="image set of a VOC tree, such as val")
    rules = Literal["coco", "crowdpose", "mpii", "voc"]
    add("--protocol", type=rules, default=None, help="by whose rules to score (default: coco, voc for a VOC tree)")
    add("--groups", type=str, default=None, help="mpii_groups_v12.mat (default: all people of an image are one group)")
    add("--ablation", action="store_true", help="a table: one scale, and several with the mirror image")
    add("--truth_detections", "--truth-detections", action="store_true", help="a table: also group true detections")
    add("--track", action="store_true", help="of a video whose annotations have track_id: link its frames, three ways")
    add("--link", type=dict, default=None, help="settings of --track that replace the model's, '{max_gap: 30}'")
    add("--every", type=int, default=1, help="of --track: look at every so many-th frame")
    add("--held_out", "--held-out", type=float, default=0.0, help="only this share, by image id, as in a recipe")
    add("--limit", type=int, default=0, help="only the first so many images (0 = all)")
    add("--json", type=str, default=None, help="write metrics, model and settings here")
    add("--results", type=str, default=None, help="write official COCO results here")
    add("--decode", type=dict, default=None, help="decode settings that replace the model's, '{threshold: 0.2}'")
    return parser


def build_convert(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    sources = Literal["pose-ae", "higherhrnet", "mmpose", "movenet", "efficientnet-lite0"]
    add("file", type=str, help="a checkpoint (.pth, .pth.tar), or movenet-lightning.json")
    add("--from", type=sources, required=True, help="whose weights they are; the last two are encoders to start from")
    add("--output", type=str, default=None, help="default: FILE's name in this folder, .safetensors")
    add("--skeleton", type=str, default=None, help="of a checkpoint (default: coco-17, or crowdpose-14 for 14 types)")
    return parser


def build_export(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("model", type=str, help="name of a shipped model, or a model file")
    add("--format", type=Literal["onnx", "openvino"], default="onnx")
    add("--output", type=str, default=None, help="file to write (default: the model's name in this folder)")
    add("--with_peaks", "--with-peaks", action="store_true", help="look for peaks inside the graph; poses, one size")
    return parser


def build_serve(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add_model_options(parser)
    add("--host", type=str, default="127.0.0.1", help="address to listen at; 0.0.0.0 = every one of this machine")
    add("--port", type=int, default=8000)
    add("--queue", type=int, default=64, help="requests that wait at most; the next one gets status 429")
    add("--batch", type=int, default=None, help="images that are looked at together at most (default: 1, on a GPU 8)")
    add("--max_bytes", "--max-bytes", type=int, default=20 * 2**20, help="of an image file")
    add("--max_pixels", "--max-pixels", type=int, default=40_000_000, help="of an image")
    add("--timeout", type=float, default=30.0, help="seconds that a request may take")
    add("--urls", action="store_true", help="images may be named by URL; only public addresses are read")
    add("--private_urls", "--private-urls", action="store_true", help="also addresses of this machine and its network")
    return parser


BUILDERS: dict[str, Callable[[ArgumentParser], ArgumentParser]] = {
    "predict": build_predict,
    "train": build_train,
    "evaluate": build_evaluate,
    "export": build_export,
    "serve": build_serve,
    "convert": build_convert,
    "data": build_data,
}


def run_predict(options: Namespace) -> int:
    if options.min_score is not None and not 0 <= options.min_score <= 1:
        raise UsageError(f"min_score must be in [0, 1], not {options.min_score}")
    check_engine(options)
    if options.engine == "ray":
        return run_predict_ray(options)
    if is_of_video(options):
        return run_predict_video(options)
    from associative_embedding.run_predict import predict_sources

    return predict_sources(
        options.sources,
        model=options.model,
        output=options.output,
        json_path=options.json,
        input_size=options.input_size,
        scales=options.scales,
        flip=options.flip,
        zoom=options.zoom,
        refine=options.refine,
        device=options.device,
        runtime=options.runtime,
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
    from associative_embedding.video_io import is_video

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
    from associative_embedding.ray_job import Job
    from associative_embedding.run_ray import predict_on_ray

    names = ("model", "refine", "input_size", "scales", "flip", "zoom", "device", "runtime", "batch", "min_score")
    return predict_on_ray(
        options.sources,
        Job(folder=options.output, **{name: options[name] for name in names}),
        workers=options.workers,
        shard_size=options.shard_size,
        gpus=options.gpus,
        recursive=options.recursive,
    )


def new_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    return ArgumentParser(exit_on_error=False)


def run_predict_video(options: Namespace) -> int:
    if options.smooth is not None and not options.track:
        raise UsageError("--smooth is of tracks: add --track")
    if options.link is not None and not options.track:
        raise UsageError("--link is of tracks: add --track")
    from associative_embedding.run_video import predict_videos
    from associative_embedding.video_io import Part

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
        input_size=options.input_size,
        scales=options.scales,
        flip=options.flip,
        zoom=options.zoom,
        refine=options.refine,
        device=options.device,
        runtime=options.runtime,
        min_score=options.min_score,
        scores=options.scores,
    )


def run_train(options: Namespace) -> int:
    from associative_embedding.evaluate import build_validation
    from associative_embedding.train import train

    recipe = build_recipe(options)
    print(train(recipe, validate=build_validation(recipe)))
    return 0


def build_recipe(options: Namespace) -> Recipe:
    """
    Raises:
        UsageError: for a value out of its range.
    """
    from jsonargparse import ArgumentParser, Namespace

    from associative_embedding.config import Recipe

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
    from associative_embedding.compare import compare_files
    from associative_embedding.run_evaluate import evaluate_files

    settings = {
        "model": options.model,
        "annotations": options.annotations,
        "images": options.images,
        "input_size": options.input_size,
        "scales": options.scales,
        "flip": options.flip,
        "refine": options.refine,
        "device": options.device,
        "runtime": options.runtime,
        "held_out_share": options.held_out,
        "limit": options.limit,
        "json_path": options.json,
        "decode": options.decode or {},
        "protocol": options.protocol,
        "groups": options.groups,
    }
    if experiment:
        compare_files("ablation" if options.ablation else "truth_detections", **settings)
    else:
        evaluate_files(**settings, split=options.split, zoom=options.zoom, results_path=options.results)
    return 0


def run_evaluate_tracks(options: Namespace) -> int:
    from associative_embedding.track_trial import evaluate_tracks

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
        input_size=options.input_size,
        scales=options.scales,
        flip=options.flip,
        refine=options.refine,
        device=options.device,
        runtime=options.runtime,
    )
    return 0


def run_export(options: Namespace) -> int:
    from associative_embedding.export import export_model
    from associative_embedding.predict import model_path

    files = export_model(model_path(options.model), options.output, options.format, with_peaks=options.with_peaks)
    print(*files, sep="\n")
    return 0


def run_serve(options: Namespace) -> int:
    from associative_embedding.predict import load

    try:
        from associative_embedding.server import Limits, serve
    except ImportError as error:
        raise ValueError(f"ae serve needs {error.name}: pip install 'associative-embedding[serve]'") from None

    model = ("input_size", "scales", "flip", "zoom", "refine", "device", "runtime")
    names = ("queue", "max_bytes", "max_pixels", "timeout", "urls", "private_urls")
    limits = {name: options[name] for name in names}
    try:
        Limits(**limits, batch=1 if options.batch is None else options.batch)  # before the model is read
    except ValueError as error:
        raise UsageError(error) from None
    predictor = load(options.model, **{name: options[name] for name in model})
    # on a CPU one by one is as fast to a quarter, and batches of many sizes leave the memory in pieces
    batch = options.batch or (8 if predictor.device.type == "cuda" else 1)
    print(f"ae: http://{options.host}:{options.port} (Ctrl-C stops)", file=sys.stderr)
    serve(predictor, Limits(**limits, batch=batch), options.host, options.port)
    return 0


def run_convert(options: Namespace) -> int:
    from associative_embedding.convert import convert

    print(convert(options.file, options["from"], options.output, skeleton=options.skeleton))
    return 0


COMMANDS: dict[str, Callable[[Any], int]] = {
    "predict": run_predict,
    "train": run_train,
    "evaluate": run_evaluate,
    "export": run_export,
    "serve": run_serve,
    "convert": run_convert,
    "data": run_data,
}


def script() -> None:
    """The console script: the process starts anew once with allocator settings that glibc reads only at its start."""
    missing = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    if missing and sys.platform == "linux" and len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        os.environ.update(missing)
        os.execv(sys.executable, [sys.executable, "-m", "associative_embedding", *sys.argv[1:]])
    sys.exit(main())
