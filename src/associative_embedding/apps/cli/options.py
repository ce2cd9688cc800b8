"""The options of each command of ``ae``, with the texts of ``ae COMMAND --help``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from associative_embedding.apps.cli.completion import model_names
from associative_embedding.apps.cli.data_commands import build_data
from associative_embedding.apps.cli.plain_values import plain_values
from associative_embedding.apps.cli.reading_options import add_reading_options, group_of, reading_of

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

    from associative_embedding.inference.options import Options

T = TypeVar("T")
READING = "reading"  # the field of `Options` whose own fields are flags


def model_options(options: Namespace) -> Options:
    """Returns how the model of a command runs, and what it reads of images.

    Raises:
        UsageError: for a value of `Reading` that is not one of its values.
    """
    from associative_embedding.inference.options import Options

    values = {field.name: options[field.name] for field in fields(Options) if field.name != READING}
    return Options(**values, reading=reading_of(options))


# What users write behind the flags of `Options`; the others get a word by their type.
METAVARS = {
    "input_size": "PIXELS",
    "scales": "FACTOR",
    "zoom": "FACTOR",
    "tag_scales": "FACTOR",
    "refine": "MODEL",
    "device": "cpu|cuda|auto",
}


def add_model_options(parser: ArgumentParser) -> None:
    """Adds ``--model``, and a flag for each field of `Options` with its text in the docstring of `Options`."""
    from docstring_parser import parse

    from associative_embedding.inference.options import Options

    group = parser.add_argument_group("model")
    text = "name (ae info) or file; ae info --published lists models of other projects"
    # `words`: what a shell may put there, see `completion`.
    group.add_argument("--model", type=str, default="person", metavar="NAME", help=text).words = model_names
    texts = {
        field.arg_name: str(field.description).replace("``", "").rstrip(".")
        for field in parse(str(Options.__doc__)).params
    }
    for name, hint in get_type_hints(Options).items():
        if name != READING:
            add_flag(group, name, hint, default=getattr(Options(), name), text=texts[name])
    add_reading_options(parser)


def add_flag(group: Any, name: str, hint: Any, *, default: Any, text: str) -> None:
    """Adds a flag of a field's type: bool takes no value, a tuple one or more, a mapping text such as '{a: 1}'."""
    if default is None and "default" not in text:
        text = f"{text} (default: the value in the model file)"
    kind = next((part for part in get_args(hint) if NoneType in get_args(hint) and part is not NoneType), hint)
    word = {"metavar": METAVARS[name]} if name in METAVARS else {}
    if kind is bool:
        from jsonargparse import ActionYesNo  # type: ignore[attr-defined]

        group.add_argument(f"--{name}", action=ActionYesNo(no_prefix="no_"), default=default, help=text)
    elif get_origin(kind) is tuple:
        group.add_argument(f"--{name}", type=get_args(kind)[0], nargs="+", default=default, help=text, **word)
    else:
        is_mapping = get_origin(kind) not in (None, Literal)
        group.add_argument(f"--{name}", type=dict if is_mapping else kind, default=default, help=text, **word)


def build_predict(parser: ArgumentParser) -> ArgumentParser:
    add_input_options(parser)
    add_model_options(parser)
    add_output_options(parser)
    add_video_options(parser)
    add_mask_options(parser)
    add_cluster_options(parser)
    return parser


def add_input_options(parser: ArgumentParser) -> None:
    add = group_of(parser, "input").add_argument
    text = (
        "image, video, folder, URL, stream, camera, '*.jpg'. A camera has a number, a pattern is in quotes. "
        # A flag with several values takes every word behind it.
        "Write the sources before --scales, --tag-scales and --formats"
    )
    add("sources", nargs="+", type=str, metavar="SOURCE", help=text)
    add("--recursive", action="store_true", help="include the images in subfolders")
    text = (
        "COCO json, with or without annotations; predict the images that it lists, whose folder is SOURCE, and give "
        "them its ids in the results file"
    )
    add("--images_of", type=str, default=None, metavar="JSON", help=text)


def add_output_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--output", type=str, default="output", metavar="FOLDER", help="folder of pictures and other results")
    text = "lowest score of what is shown and written, 0 to 1 (default: the model's)"
    add("--min_score", type=float, default=None, help=text)
    shown = Literal["found", "people", "tags", "nothing"]  # people: the old name of found
    text = "found, tags or nothing; found (or people) = draw what was found, tags = its tags as well"
    add("--show", type=shown, default="found", metavar="WHAT", help=text)
    add("--scores", action="store_true", help="draw the score of each instance; and its class, if there are several")
    add("--names", action="store_true", help="draw the names of keypoints, and what their colours mean")
    text = (
        "csv = a table, beside the json; of masks also labels roi geojson overlay, for videos mp4 jsonl mot. A table "
        "has a row for each instance. roi = zip for ImageJ's ROI Manager, geojson = objects for QuPath; labels and "
        "overlay, the annotated picture, are written unless --labels none or --show nothing. Of videos only these "
        "files are written: mp4 = annotated video, jsonl = COCO in json lines, mot = MOTChallenge text (default: mp4 "
        "jsonl)"
    )
    kinds = Literal["csv", "labels", "roi", "geojson", "overlay", "mp4", "jsonl", "mot"]
    add("--formats", type=kinds, nargs="+", default=None, metavar="FORMAT", help=text)
    text = "results file of images, a COCO dataset (default: predictions.json in the folder of --output)"
    add("--json", type=str, default=None, metavar="FILE", help=text)
    text = "go on where the same command was stopped; images whose results are in the results file are skipped"
    add("--resume", action="store_true", help=text)


def add_video_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("video").add_argument
    add("--track", action="store_true", help="link frames to tracks with ids; a folder of images is then one video")
    text = "settings of --track that replace the model's, for example '{by: motion}'; see link.* in ae train --help-all"
    add("--link", type=dict, default=None, help=text)
    text = "smooth the keypoints of tracks; cutoff frequency, 1 = strong, 5 = weak (default: no smoothing)"
    add("--smooth", type=float, default=None, metavar="HZ", help=text)
    add("--every", type=int, default=1, help="use every N-th frame")
    add("--start", type=float, default=0.0, metavar="SECONDS", help="start of the part to process")
    text = "end of the part to process (default: the video's end)"
    add("--end", type=float, default=None, metavar="SECONDS", help=text)
    text = "frames per second of a folder of images or a pattern (default: 30)"
    add("--fps", type=float, default=None, help=text)
    add("--window", action="store_true", help="show the annotated video in a window while it is computed")


def add_mask_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("masks").add_argument
    text = "file type of label images; a pixel is the number of its object; none = write none (default: tif)"
    add("--labels", type=Literal["tif", "png", "none"], default=None, help=text)
    text = "side of a pixel, for tables in micrometres (default: as the file states it)"
    add("--pixel_size", type=float, default=None, metavar="MICROMETRES", help=text)


def add_cluster_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("cluster").add_argument
    text = (
        "ray = on a Ray cluster, or on all cores; the address of the cluster is RAY_ADDRESS. It writes parquet files "
        "to the folder of --output; here = compute in this process"
    )
    add("--engine", type=Literal["here", "ray"], default="here", help=text)
    text = "number of worker processes (default: one per GPU, or per CPU core without a GPU)"
    add("--workers", type=int, default=None, help=text)
    add("--shard_size", type=int, default=256, help="images per parquet file")
    text = "highest number of images in one batch (default: 8 on a GPU, 1 on a CPU)"
    add("--batch", type=int, default=None, help=text)
    text = "GPUs per worker, 0.5 = two workers share one (default: 1 if the cluster has a GPU)"
    add("--gpus", type=float, default=None, help=text)


def build_train(parser: ArgumentParser) -> ArgumentParser:
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    from associative_embedding.data.settings import SourceConfig
    from associative_embedding.tasks.published.conventions import Conventions
    from associative_embedding.training.recipe import Recipe

    plain_values(SourceConfig, Conventions)
    # `main.recipe_arguments` writes the flag; users give the recipe without it, as the first argument.
    text = "the recipe: ae train RECIPE.yaml [--setting value ...]; settings after it replace values in it"
    parser.add_argument("--config", action=ActionConfigFile, metavar="RECIPE", help=text)
    parser.add_class_arguments(Recipe)
    return parser


def build_evaluate(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument_group("data and metrics").add_argument
    text = (
        "COCO json with the ground truth, of masks also label images or a VOC tree; a json of images alone, as of "
        "COCO's test-dev, gives no metrics but --submission or --results"
    )
    add("--annotations", type=str, required=True, metavar="JSON", help=text)
    add_test_set_options(add)
    rules = Literal["coco", "crowdpose", "mpii", "voc"]
    text = "rules of the metrics (default: coco; for a VOC tree voc)"
    add("--protocol", type=rules, default=None, help=text)
    text = (
        "mpii_groups_v12.mat, for --protocol mpii: predict and score by these groups (default: all people in an image "
        "are one group)"
    )
    add("--groups", type=str, default=None, metavar="FILE", help=text)
    text = "file for metrics, model and settings (default: not written)"
    add("--json", type=str, default=None, metavar="FILE", help=text)
    text = "file for results in COCO's format; zipped if it ends in .zip (default: not written)"
    add("--results", type=str, default=None, metavar="FILE", help=text)
    text = (
        "name of your method, for COCO's server; write the results of a pose model into the zip file "
        "person_keypoints_SET_NAME_results.zip, after the annotations, image_info_SET.json; with --groups the file "
        "of MPII's toolkit, NAME/pred_keypoints_mpii_multi.mat"
    )
    add("--submission", type=str, default=None, metavar="NAME", help=text)
    add_experiment_options(parser)
    add_model_options(parser)
    return parser


def add_test_set_options(add: Callable[..., Any]) -> None:
    """Adds the options that choose the images of a test set; `add` is the method of a parser or group."""
    text = "folder of the images (default: where VOC trees and label images have them)"
    add("--images", type=str, default=None, metavar="FOLDER", help=text)
    add("--split", type=str, default="", metavar="NAME", help="image set of a VOC tree, for example val")
    text = "use only the images that a recipe with this held_out keeps for validation, a share in [0, 1]; 0 = all"
    add("--held_out", type=float, default=0.0, help=text)
    text = "use only the images whose ids a text file lists, one a line, such as a published split (default: all)"
    add("--ids", type=str, default=None, metavar="FILE", help=text)
    add("--limit", type=int, default=0, help="use only the first N images; 0 = all")


def add_experiment_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("experiments, in one table").add_argument
    text = (
        "scales, mirror image and refiner, one by one; table 4 of the paper: one scale and several, each without and "
        "with the mirror image and the refiner; with "
        "--flip or --no_flip only the rows with or without the mirror image"
    )
    add("--ablation", action="store_true", help=text)
    text = "predictions; true detections with predicted tags; predicted detections with true tags (paper, section 4.1)"
    add("--truth_detections", action="store_true", help=text)
    text = "frames of a video, linked in three ways; by tags, by motion, by both; the annotations need track_id"
    add("--track", action="store_true", help=text)
    text = "settings of --track that replace the model's, for example '{max_gap: 30}'"
    add("--link", type=dict, default=None, help=text)
    add("--every", type=int, default=1, help="with --track: use every N-th frame")


def build_calibrate(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("model", type=str, metavar="MODEL", help="name of a shipped model (ae info), or a model file")
    text = "ground truth of images that the model was not trained on: COCO json, label images or VOC tree"
    add("--annotations", type=str, required=True, metavar="JSON", help=text)
    add_test_set_options(add)
    text = "name or file of the single-person model that the map is for; none = without one (default: the model's own)"
    add("--refine", type=str, default=None, metavar="MODEL", help=text)
    add("--output", type=str, required=True, metavar="FILE", help="model file to write")
    text = "picture of the shares before and after (default: not written)"
    add("--plot", type=str, default=None, metavar="FILE", help=text)
    return parser


def build_convert(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add(
        "file",
        type=str,
        metavar="FILE",
        help="a checkpoint (.pth, .pth.tar), or the model.json of a MoveNet for TensorFlow.js",
    )
    models = Literal["pose-ae", "higherhrnet", "mmpose", "litepose", "swahr"]
    starts = Literal["movenet", "efficientnet-lite0", "hrnet-imagenet"]
    sources = Literal[models, starts]
    text = (
        f"project of the weights; a pose model of {', '.join(get_args(models))}, which its tensors show (default); or "
        f"weights to start training from: {', '.join(get_args(starts))}"
    )
    add("--from", type=sources, default=None, metavar="PROJECT", help=text)
    text = "file to write (default: the name of FILE with .safetensors, in the current folder)"
    add("--output", type=str, default=None, metavar="FILE", help=text)
    text = (
        "keypoints of a pose model: a known name or a COCO json (default: of the data set that the file or its name "
        "tells, else of the only one with this number of keypoints)"
    )
    add("--skeleton", type=str, default=None, metavar="NAME", help=text)
    text = "input size of a pose model, in pixels (default: what the file or its name tells, else the published one)"
    add("--input_size", type=int, default=None, metavar="PIXELS", help=text)
    return parser


def build_export(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    text = "name of a shipped model (ae info) or of a published one (ae info --published), or a model file"
    add("model", type=str, help=text)
    text = "onnx = one .onnx file, openvino = a pair of .xml and .bin"
    add("--format", type=Literal["onnx", "openvino"], default="onnx", help=text)
    text = "file to write (default: the model's name, in the current folder)"
    add("--output", type=str, default=None, metavar="FILE", help=text)
    text = "let the graph find the heatmap peaks too; only for pose models, and prediction is limited to one scale"
    add("--with_peaks", action="store_true", help=text)
    add("--offline", action="store_true", help="download no model: it must be in the cache")
    return parser


def build_serve(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument_group("service").add_argument
    add(
        "--host",
        type=str,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; 0.0.0.0 = all addresses of this machine",
    )
    add("--port", type=int, default=8000, help="port to listen on; 0 = a free one")
    text = (
        "names by which browsers may call it, behind a proxy; without http:// and port "
        "(default: localhost, HOST, and if others can reach it, the name and numbers of this machine)"
    )
    add("--allow_host", type=str, nargs="+", default=[], metavar="NAME", help=text)
    add("--queue", type=int, default=64, help="highest number of waiting requests; further requests get status 429")
    text = "highest number of images in one batch (default: 8 on a GPU, 1 on a CPU)"
    add("--batch", type=int, default=None, help=text)
    add("--max_bytes", type=int, default=20 * 2**20, metavar="BYTES", help="size limit of an image file")
    add("--max_pixels", type=int, default=40_000_000, metavar="PIXELS", help="size limit of an image")
    text = "longest time for a request, waiting included"
    add("--timeout", type=float, default=30.0, metavar="SECONDS", help=text)
    text = "longest time that one image may keep the model (default: half of --timeout)"
    add("--max_seconds", type=float, default=None, metavar="SECONDS", help=text)
    text = "for all requests, in arrival and in the queue, and the images kept for the page"
    add("--memory", type=int, default=512 * 2**20, metavar="BYTES", help=text)
    add("--connections", type=int, default=512, help="highest number of open connections")
    text = "accept the URL of an image instead of the image; only public addresses are read"
    add("--urls", action="store_true", help=text)
    text = "with --urls: also read addresses of this machine and its network"
    add("--private_urls", action="store_true", help=text)
    add_model_options(parser)
    return parser


def build_info(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    text = "name of a shipped or published model, or a model file (default: one line for each shipped model)"
    add("models", nargs="*", type=str, metavar="MODEL", help=text)
    text = "list the models of other projects that ae downloads and converts by name, with their licences"
    add("--published", action="store_true", help=text)
    text = "file for the same information as json (default: not written)"
    add("--json", type=str, default=None, metavar="FILE", help=text)
    return parser


BUILDERS: dict[str, Callable[[ArgumentParser], ArgumentParser]] = {
    "predict": build_predict,
    "train": build_train,
    "evaluate": build_evaluate,
    "calibrate": build_calibrate,
    "export": build_export,
    "serve": build_serve,
    "info": build_info,
    "convert": build_convert,
    "data": build_data,
}
