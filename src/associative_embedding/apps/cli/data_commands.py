"""The command ``ae data``: one subcommand a kind of data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

# All else is imported inside of functions, so that Ctrl-C is one line from the start.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]


def build_data(parser: ArgumentParser) -> ArgumentParser:
    from jsonargparse import ArgumentParser

    kinds = parser.add_subcommands(dest="kind")
    for name, (build, text) in DATA_BUILDERS.items():
        kinds.add_subcommand(name, build(ArgumentParser(exit_on_error=False)), help=text)
    return parser


def build_synthetic(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("folder", type=str)
    add("--images", type=int, default=100)
    add("--skeleton", type=str, default="coco-17", help="coco-17, crowdpose-14, mpii-16, lsp-14, or a COCO json")
    add("--size", type=int, default=256, help="side of the images, pixels")
    add("--people", type=int, nargs=2, default=[1, 3], help="fewest and most in an image")
    add("--seed", type=int, default=0)
    add("--frames", type=int, default=0, help="draw videos of so many frames, as many as --images, of moving figures")
    return parser


def build_mpii(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("annotation", type=str, help="mpii_human_pose_v1_u12_1.mat")
    add("--images", type=str, required=True, help="folder of its images; those that are not in it are left out")
    add("--output", type=str, required=True, help="the COCO json to write")
    add("--part", type=Literal["train", "test", "all"], default="all", help="which images")
    return parser


def build_split(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("annotations", type=str, help="a COCO json")
    add("--output", type=str, required=True, help="folder of train.json and test.json")
    add("--last", type=float, required=True, help="share of the images, from the end on, that goes to test.json")
    return parser


def build_convert(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    sources = Literal["coco", "cvat", "deeplabcut", "label-studio", "sleap", "yolo"]
    add("source", type=str, help="the labels: a file, or a folder as the tool writes it")
    add("--from", type=sources, required=True, help="whose labels they are")
    add("--to", type=Literal["coco", "cvat", "label-studio", "yolo"], default="coco", help="whose they become")
    add("--output", type=str, required=True, help="the file to write; of yolo the folder")
    add("--images", type=str, help="folder of the images, for their sizes; of yolo they are copied into the output")
    return parser


def build_shard(parser: ArgumentParser) -> ArgumentParser:
    add = parser.add_argument
    add("annotations", type=str, help="a COCO json")
    add("--images", type=str, required=True, help="folder of its images")
    add("--output", type=str, required=True, help="folder of the tar files, and for a recipe: sources: [{shards: ...}]")
    add("--size", type=int, default=1000, help="images of a tar file")
    return parser


DATA_BUILDERS: dict[str, tuple[Callable[[ArgumentParser], ArgumentParser], str]] = {
    "synthetic": (build_synthetic, "draw figures"),
    "mpii": (build_mpii, "MPII Human Pose's annotation to a COCO json"),
    "split": (build_split, "a COCO json of a video into its beginning and its end"),
    "convert": (build_convert, "labels of other tools (YOLO, CVAT, Label Studio, SLEAP, DeepLabCut), from and to"),
    "shard": (build_shard, "a COCO json and its images into tar files, which training reads as they are"),
}


def run_data(options: Namespace) -> int:
    return DATA_COMMANDS[options.kind](options[options.kind])


def run_synthetic(options: Namespace) -> int:
    from associative_embedding.data.synthetic.figures import write_synthetic_dataset
    from associative_embedding.data.synthetic.videos import write_moving_dataset
    from associative_embedding.structures.known_skeletons import load_skeleton

    settings = {"seed": options.seed, "size": (options.size, options.size), "people": tuple(options.people)}
    skeleton = load_skeleton(options.skeleton)
    if options.frames:
        path = write_moving_dataset(options.folder, skeleton, options.images, options.frames, **settings)
    else:
        path = write_synthetic_dataset(options.folder, skeleton, options.images, **settings)
    print(path)
    return 0


def run_mpii(options: Namespace) -> int:
    from associative_embedding.data.preparation.mpii import write_mpii_as_coco

    print(write_mpii_as_coco(options.annotation, options.images, options.output, part=options.part))
    return 0


def run_split(options: Namespace) -> int:
    from associative_embedding.data.preparation.split import write_split

    print(*write_split(options.annotations, options.output, options.last), sep="\n")
    return 0


def run_convert_labels(options: Namespace) -> int:
    from associative_embedding.data.label_formats.convert import convert_labels

    print(convert_labels(options.source, options["from"], options.to, options.output, options.images))
    return 0


def run_shard(options: Namespace) -> int:
    from associative_embedding.data.preparation.write_shards import write_shards

    print(write_shards(options.annotations, options.images, options.output, options.size))
    return 0


DATA_COMMANDS: dict[str, Callable[[Any], int]] = {
    "synthetic": run_synthetic,
    "mpii": run_mpii,
    "split": run_split,
    "convert": run_convert_labels,
    "shard": run_shard,
}
