"""The command ``ae data``: a subcommand for each way to make or change a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from associative_embedding.apps.cli.help_pages import PAGES
from associative_embedding.apps.cli.plain_values import new_parser
from associative_embedding.apps.cli.reading_options import add_reading_options, reading_of

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]


def build_data(parser: ArgumentParser) -> ArgumentParser:
    kinds = parser.add_subcommands(dest="kind", title="kinds")
    for name, build in DATA_BUILDERS.items():
        page = f"data {name}"
        kinds.add_subcommand(name, build(new_parser(page)), help=PAGES[page].purpose)
    return parser


def build_synthetic(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("folder", type=str, help="folder to write: annotations.json and images/")
    add("--images", type=int, default=100, help="number of images; with --frames, number of videos")
    text = "keypoints of the figures: coco-17, crowdpose-14, mpii-16, lsp-14, or a COCO json"
    add("--skeleton", type=str, default="coco-17", metavar="NAME", help=text)
    add("--size", type=int, default=256, metavar="PIXELS", help="side of the square images")
    text = "lowest and highest number of figures in an image"
    add("--people", type=int, nargs=2, default=[1, 3], metavar=("LOWEST", "HIGHEST"), help=text)
    add("--seed", type=int, default=0, help="seed of the random numbers; equal seeds give equal images")
    text = "frames per video: draw videos of moving figures, with track ids; 0 = draw single images"
    add("--frames", type=int, default=0, help=text)
    return parser


def build_mpii(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("annotation", type=str, help="mpii_human_pose_v1_u12_1.mat")
    text = "folder of MPII's images; annotations of images that are not in it are left out"
    add("--images", type=str, required=True, metavar="FOLDER", help=text)
    add("--output", type=str, required=True, metavar="JSON", help="COCO json to write")
    add("--part", type=Literal["train", "test", "all"], default="all", help="part of MPII to convert")
    return parser


def build_split(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("annotations", type=str, help="COCO json of a video")
    add("--output", type=str, required=True, metavar="FOLDER", help="folder to write train.json and test.json to")
    # Neighbouring frames are almost equal, so a random split would put copies of the training images into the test.
    text = "share of the images, from the end of the video, that becomes test.json, for example 0.2"
    add("--last", type=float, required=True, metavar="SHARE", help=text)
    return parser


def build_convert(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    sources = Literal["coco", "cvat", "deeplabcut", "label-studio", "labels", "sleap", "yolo"]
    add(
        "source",
        type=str,
        help="labels to read: a file, or the folder that the tool wrote; of label images also labels/{name}_gt.tif",
    )
    add("--from", type=sources, required=True, help="format of the labels")
    add("--to", type=Literal["coco", "cvat", "label-studio", "yolo"], default="coco", help="format to write")
    text = "file to write; for yolo the folder to write"
    add("--output", type=str, required=True, metavar="FILE", help=text)
    text = (
        "folder of the images, for their sizes; with --to yolo the images are copied from it, "
        "with --from sleap embedded frames are written to it (default: not used)"
    )
    add("--images", type=str, metavar="FOLDER", help=text)
    return parser


def build_shard(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("annotations", type=str, help="COCO json")
    add("--images", type=str, required=True, metavar="FOLDER", help="folder of its images")
    text = "folder to write the tar files to; a recipe reads it by data.sources: [{shards: FOLDER}]"
    add("--output", type=str, required=True, metavar="FOLDER", help=text)
    add("--size", type=int, default=1000, help="images per tar file")
    add_reading_options(parser)
    return parser


DATA_BUILDERS: dict[str, Callable[[ArgumentParser], ArgumentParser]] = {
    "synthetic": build_synthetic,
    "mpii": build_mpii,
    "split": build_split,
    "convert": build_convert,
    "shard": build_shard,
}


def run_data(options: Namespace) -> int:
    return DATA_COMMANDS[options.kind](options[options.kind])


def run_synthetic(options: Namespace) -> int:
    from associative_embedding.data.synthetic.figures import write_synthetic_dataset
    from associative_embedding.data.synthetic.videos import write_moving_dataset
    from associative_embedding.data.synthetic.write_samples import check_samples
    from associative_embedding.io.coco_json import load_skeleton
    from associative_embedding.io.console import say, visible

    check_samples(Path(options.folder), options.images * max(1, options.frames), options.skeleton)
    settings = {"seed": options.seed, "size": (options.size, options.size), "people": tuple(options.people)}
    skeleton = load_skeleton(options.skeleton)
    if options.frames:
        path = write_moving_dataset(options.folder, skeleton, options.images, options.frames, **settings)
    else:
        path = write_synthetic_dataset(options.folder, skeleton, options.images, **settings)
    say(visible(path))
    return 0


def run_mpii(options: Namespace) -> int:
    from associative_embedding.data.preparation.mpii import write_mpii_as_coco
    from associative_embedding.io.console import say, visible

    say(visible(write_mpii_as_coco(options.annotation, options.images, options.output, part=options.part)))
    return 0


def run_split(options: Namespace) -> int:
    from associative_embedding.data.preparation.split import write_split
    from associative_embedding.io.console import say, visible

    for path in write_split(options.annotations, options.output, options.last):
        say(visible(path))
    return 0


def run_convert_labels(options: Namespace) -> int:
    from associative_embedding.data.label_formats.convert import convert_labels
    from associative_embedding.io.console import say, visible

    say(visible(convert_labels(options.source, options["from"], options.to, options.output, options.images)))
    return 0


def run_shard(options: Namespace) -> int:
    from associative_embedding.data.preparation.write_shards import write_shards
    from associative_embedding.io.console import say, visible

    reading = reading_of(options)
    say(visible(write_shards(options.annotations, options.images, options.output, options.size, reading)))
    return 0


DATA_COMMANDS: dict[str, Callable[[Any], int]] = {
    "synthetic": run_synthetic,
    "mpii": run_mpii,
    "split": run_split,
    "convert": run_convert_labels,
    "shard": run_shard,
}
