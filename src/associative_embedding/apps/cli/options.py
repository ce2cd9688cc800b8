"""The options of each command of ``ae``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from associative_embedding.apps.cli.data_commands import build_data

# All else is imported inside of functions, so that Ctrl-C is one line from the start.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

# how to look, whatever at: keyword arguments of `loading.load`
MODEL_OPTIONS = ("input_size", "scales", "flip", "zoom", "refine", "device", "runtime")


def model_options(options: Namespace) -> dict[str, Any]:
    return {name: options[name] for name in MODEL_OPTIONS}


def new_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    return ArgumentParser(exit_on_error=False)


def add_model_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=str, default="person", help="name of a shipped model, or a model file")
    add("--input_size", "--input-size", type=int, default=None, help="side of the network's input, pixels")
    add("--scales", type=float, nargs="+", default=None, help="input scales to average (default: the model's)")
    add("--flip", action="store_true", help="also run the mirror image")
    add("--zoom", type=float, default=None, help="input pixels per image pixel, of models that see tiles; 0 = no tiles")
    add("--refine", type=str, default=None, help="single-person model of a second look (default: the model's; or none)")
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

    from associative_embedding.training.recipe import Recipe

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
    add("--truth_detections", "--truth-detections", action="store_true", help="a table: true detections, true tags")
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
    add("file", type=str, help="a checkpoint (.pth, .pth.tar), or the json of a MoveNet")
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


def build_info(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add(
        "models",
        nargs="*",
        type=str,
        metavar="MODEL",
        help="shipped models or model files; none = all that are shipped",
    )
    add("--json", type=str, default=None, help="write all of it here")
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
