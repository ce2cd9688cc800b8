"""The options of each command of ``ae``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from associative_embedding.apps.cli.data_commands import build_data

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

    from associative_embedding.inference.options import Options

T = TypeVar("T")


def value_of(kind: type[T], options: Namespace) -> T:
    """Returns a dataclass whose fields are the options of the same names."""
    return kind(**{field.name: options[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def model_options(options: Namespace) -> Options:
    from associative_embedding.inference.options import Options

    return value_of(Options, options)


def new_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    return ArgumentParser(exit_on_error=False)


def add_model_options(parser: ArgumentParser) -> None:
    """Adds ``--model``, and a flag for each field of `Options` with its text there."""
    from docstring_parser import parse

    from associative_embedding.inference.options import Options

    parser.add_argument("--model", type=str, default="person", help="name of a shipped model, or a model file")
    texts = {field.arg_name: field.description for field in parse(str(Options.__doc__)).params}
    defaults: dict[str, Any] = {field.name: getattr(Options(), field.name) for field in fields(Options)}
    defaults["device"] = "auto"  # a command uses the GPU that is there; a library call does not take it unasked
    for name, hint in get_type_hints(Options).items():
        add_flag(parser, name, hint, default=defaults[name], text=str(texts[name]))


def add_flag(parser: ArgumentParser, name: str, hint: Any, *, default: Any, text: str) -> None:
    """Adds a flag of a field's type: bool takes no value, a tuple one or more, a mapping text such as '{a: 1}'."""
    kind = next((part for part in get_args(hint) if NoneType in get_args(hint) and part is not NoneType), hint)
    if kind is bool:
        parser.add_argument(f"--{name}", action="store_true", help=text)
    elif get_origin(kind) is tuple:
        parser.add_argument(f"--{name}", type=get_args(kind)[0], nargs="+", default=default, help=text)
    else:
        is_mapping = get_origin(kind) not in (None, Literal)
        parser.add_argument(f"--{name}", type=dict if is_mapping else kind, default=default, help=text)


def build_predict(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    text = "image, folder, 'glob*.jpg' or URL; video file, stream or number of a camera; write it before --scales"
    add("sources", nargs="+", type=str, metavar="SOURCE", help=text)
    add_model_options(parser)
    add("--output", type=str, default="output", help="folder of annotated pictures")
    add("--json", type=str, default=None, help="results file (default: OUTPUT/predictions.json)")
    add("--min_score", type=float, default=None, help="lowest score, 0 to 1 (default: the model's)")
    add(
        "--show",
        type=Literal["found", "people", "tags", "nothing"],  # people: the old name of found
        default="found",
        help="what to draw: found (or people) = instances, tags = instances and their tags, nothing",
    )
    add("--scores", action="store_true", help="write each score, and the class if there are several, into the picture")
    add("--labels", type=Literal["tif", "png", "none"], default=None, help="label images of masks (default: tif)")
    add("--recursive", action="store_true", help="include subfolders")
    add("--resume", action="store_true", help="continue the results file of a run that was stopped")
    add_video_options(parser)
    add_engine_options(parser)
    return parser


def add_engine_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    engines = Literal["here", "ray"]
    text = (
        "here = in this process; ray = on a Ray cluster (RAY_ADDRESS), which writes parquet files to the folder OUTPUT"
    )
    add("--engine", type=engines, default="here", help=text)
    add("--workers", type=int, default=None, help="ray: number of workers (default: one per GPU, or per CPU)")
    add("--shard_size", type=int, default=256, help="ray: images per parquet file")
    add("--batch", type=int, default=None, help="ray: most images in one batch (default: 1, on a GPU 8)")
    add("--gpus", type=float, default=None, help="ray: GPUs per worker, 0.5 = two share one (default: 1, if any)")


def add_video_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--track",
        action="store_true",
        help="link the frames, so that every instance keeps its number; a folder is one video",
    )
    add("--link", type=dict, default=None, help="settings for --track that replace the model's, '{by: motion}'")
    add("--smooth", type=float, default=None, help="smooth the keypoints of tracks: cutoff in Hz, 1 is calm, 5 quick")
    add("--every", type=int, default=1, help="use every N-th frame of a video")
    add("--start", type=float, default=0.0, help="start of the part to process, seconds")
    add("--end", type=float, default=None, help="end of the part to process, seconds")
    add("--fps", type=float, default=None, help="frame rate of a folder of frames (default: 30)")
    kinds = Literal["mp4", "jsonl", "csv", "mot"]
    add("--formats", type=kinds, nargs="+", default=None, help="files to write for a video (default: mp4 jsonl)")
    add("--window", action="store_true", help="show the video in a window during the work")


def build_train(parser: ArgumentParser) -> ArgumentParser:
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    from associative_embedding.training.recipe import Recipe

    parser.add_argument("--config", action=ActionConfigFile, help="the recipe; settings after it override it")
    parser.add_class_arguments(Recipe)
    return parser


def build_evaluate(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add_model_options(parser)
    add("--annotations", type=str, required=True, help="COCO json with the ground truth, or a VOC tree with masks")
    add("--images", type=str, default=None, help="folder of its images (default: JPEGImages of a VOC tree)")
    add("--split", type=str, default="", help="image set of a VOC tree, such as val")
    rules = Literal["coco", "crowdpose", "mpii", "voc"]
    add("--protocol", type=rules, default=None, help="rules of the metrics (default: coco; voc for a VOC tree)")
    add("--groups", type=str, default=None, help="mpii_groups_v12.mat (default: all people of an image are one group)")
    add("--ablation", action="store_true", help="a table: one scale, and several with the mirror image")
    add(
        "--truth_detections",
        action="store_true",
        help="a table: predicted and true detections, predicted and true tags",
    )
    add("--track", action="store_true", help="link the frames of a video with track ids, in three ways")
    add("--link", type=dict, default=None, help="settings for --track that replace the model's, '{max_gap: 30}'")
    add("--every", type=int, default=1, help="with --track: use every N-th frame")
    add("--held_out", type=float, default=0.0, help="use only the share that a recipe with this held_out leaves out")
    add("--limit", type=int, default=0, help="use only the first N images (0 = all)")
    add("--json", type=str, default=None, help="write metrics, model and settings to this file")
    add("--results", type=str, default=None, help="write official COCO results to this file")
    return parser


def build_convert(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    sources = Literal["pose-ae", "higherhrnet", "mmpose", "movenet", "efficientnet-lite0"]
    add("file", type=str, help="a checkpoint (.pth, .pth.tar), or the json of a MoveNet")
    add(
        "--from",
        type=sources,
        required=True,
        help="project of the weights; movenet and efficientnet-lite0 are encoders",
    )
    add("--output", type=str, default=None, help="file to write (default: FILE's name in this folder, .safetensors)")
    add(
        "--skeleton",
        type=str,
        default=None,
        help="keypoints of a checkpoint (default: coco-17, or crowdpose-14 for 14)",
    )
    return parser


def build_export(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("model", type=str, help="name of a shipped model, or a model file")
    add("--format", type=Literal["onnx", "openvino"], default="onnx", help="onnx = a file, openvino = .xml and .bin")
    add("--output", type=str, default=None, help="file to write (default: the model's name in this folder)")
    add("--with_peaks", action="store_true", help="find the peaks inside the graph; only poses, only one size")
    return parser


def build_serve(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add_model_options(parser)
    add("--host", type=str, default="127.0.0.1", help="address to listen on; 0.0.0.0 = all of this machine")
    add("--port", type=int, default=8000, help="port to listen on")
    add("--queue", type=int, default=64, help="most requests that wait; the next one gets status 429")
    add("--batch", type=int, default=None, help="most images in one batch (default: 1, on a GPU 8)")
    add("--max_bytes", type=int, default=20 * 2**20, help="largest image file, bytes")
    add("--max_pixels", type=int, default=40_000_000, help="largest image, pixels")
    add("--timeout", type=float, default=30.0, help="longest time of a request, seconds")
    add("--urls", action="store_true", help="accept the URL of an image; only public addresses are read")
    add("--private_urls", action="store_true", help="also read addresses of this machine and its network")
    return parser


def build_info(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    text = "shipped models or model files (default: all shipped models)"
    add("models", nargs="*", type=str, metavar="MODEL", help=text)
    add("--json", type=str, default=None, help="write everything to this file")
    return parser


BUILDERS: dict[str, Callable[[ArgumentParser], ArgumentParser]] = {
    "predict": build_predict,
    "train": build_train,
    "evaluate": build_evaluate,
    "export": build_export,
    "serve": build_serve,
    "info": build_info,
    "convert": build_convert,
    "data": build_data,
}
