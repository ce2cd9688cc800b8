"""The command ``ae``: train, evaluate, predict, convert, data.

A mistake of the user's gets one line on the error output and exit status 2 (usage) or 1 (bad input); never a traceback.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from associative_embedding.version import VERSION

# The allocator otherwise returns the large buffers of a forward pass to the system after every image.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        options = parser.parse_args(spell_recipe(arguments))
    except ArgumentError as error:
        print(f"ae: {explain(str(error), parser)}", file=sys.stderr)
        return 2
    try:
        return COMMANDS[options.command](options[options.command])
    except KeyboardInterrupt as error:
        print(f"ae: {error or 'interrupted'}", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"ae: error: {one_line(error)}", file=sys.stderr)
        return 1


def spell_recipe(arguments: list[str]) -> list[str]:
    """``train recipe.yaml ...`` -> ``train --config recipe.yaml ...``."""
    if len(arguments) > 1 and arguments[0] == "train" and not arguments[1].startswith("-"):
        return ["train", "--config", *arguments[1:]]
    return arguments


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def explain(message: str, parser: ArgumentParser) -> str:
    """A parser's complaint on one line, with the nearest known name for an unknown one."""
    text = " ".join(message.split())
    unknown = re.search(r"[Kk]ey '([\w.]+)' is not expected|[Uu]nrecognized arguments?: --([\w.-]+)", text)
    if unknown:
        name = (unknown[1] or unknown[2]).removeprefix("train.")
        near = difflib.get_close_matches(name, known_names(parser), n=1, cutoff=0.4)
        return f"error: unknown setting '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")
    return "error: " + text[:400]


def known_names(parser: ArgumentParser) -> list[str]:
    train = build_train(ArgumentParser())
    names = [action.dest for action in train._actions]
    for command in (build_predict, build_evaluate, build_convert):
        names += [option.lstrip("-") for action in command(ArgumentParser())._actions for option in action.option_strings]
    return names


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="ae", exit_on_error=False, description="Associative embedding: joint detection and grouping."
    )
    parser.add_argument("--version", action="version", version=f"associative-embedding {VERSION}")
    commands = parser.add_subcommands(dest="command")
    for name, build, text in (
        ("predict", build_predict, "find people in images"),
        ("train", build_train, "train by a recipe (YAML); the same command resumes"),
        ("evaluate", build_evaluate, "official metrics of a model on a COCO json"),
        ("convert", build_convert, "other projects' weights to a file to start from"),
        ("data", build_data, "make a synthetic data set of drawn figures"),
    ):
        commands.add_subcommand(name, build(ArgumentParser(exit_on_error=False)), help=text)
    return parser


def add_model_options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", type=str, default="person", help="name of a shipped model, or a model file")
    parser.add_argument("--input_size", "--input-size", type=int | None, default=None, help="long side of the network's input, pixels")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0], help="test-time scales of the input size")
    parser.add_argument("--flip", action="store_true", help="also run the mirror image")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 ...")


def build_predict(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("sources", nargs="+", type=str, metavar="SOURCE", help="file, folder, 'glob*.jpg' or URL")
    add_model_options(parser)
    parser.add_argument("--output", type=str, default="output", help="folder of annotated pictures")
    parser.add_argument("--json", type=str | None, default=None, help="results file (default: OUTPUT/predictions.json)")
    parser.add_argument("--min_score", "--min-score", type=float | None, default=None, help="lowest person score (default: 0.15)")
    parser.add_argument("--show", type=str, default="people", choices=["people", "tags", "nothing"], help="what to draw")
    parser.add_argument("--scores", action="store_true", help="write each person's score into the picture")
    parser.add_argument("--recursive", action="store_true", help="also look into subfolders")
    return parser


def build_train(parser: ArgumentParser) -> ArgumentParser:
    from associative_embedding.config import Recipe

    parser.add_argument("--config", action=ActionConfigFile, help="the recipe; settings after it override it")
    parser.add_class_arguments(Recipe)
    return parser


def build_evaluate(parser: ArgumentParser) -> ArgumentParser:
    add_model_options(parser)
    parser.add_argument("--annotations", type=str, required=True, help="COCO json with the truth")
    parser.add_argument("--images", type=str, required=True, help="folder of its images")
    parser.add_argument("--held_out", "--held-out", type=float, default=0.0, help="only this share, chosen by image id, as in a recipe")
    parser.add_argument("--limit", type=int, default=0, help="only the first so many images (0 = all)")
    parser.add_argument("--json", type=str | None, default=None, help="write metrics, model and settings here")
    parser.add_argument("--results", type=str | None, default=None, help="write official COCO results here")
    parser.add_argument("--decode", type=dict | None, default=None, help="decode settings that replace the model's, e.g. '{threshold: 0.2}'")
    return parser


def build_convert(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("file", type=str, help="movenet-lightning.json, or efficientnet-lite0's .pth")
    parser.add_argument("--from", dest="source", type=str, required=True, choices=["movenet", "efficientnet-lite0"])
    parser.add_argument("--output", type=str | None, default=None, help="default: FILE's name in this folder, .safetensors")
    return parser


def build_data(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("kind", type=str, choices=["synthetic"])
    parser.add_argument("folder", type=str)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--skeleton", type=str, default="coco-17", help="coco-17, crowdpose-14, mpii-16, lsp-14, or a COCO json")
    parser.add_argument("--size", type=int, default=256, help="side of the images, pixels")
    parser.add_argument("--people", type=int, nargs=2, default=[1, 3], help="fewest and most in an image")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def run_predict(options: Namespace) -> int:
    from associative_embedding.run_predict import predict_sources
    from associative_embedding.train import choose_device

    return predict_sources(
        options.sources,
        model=options.model,
        output=options.output,
        json_path=options.json,
        input_size=options.input_size,
        scales=options.scales,
        flip=options.flip,
        device=str(choose_device(options.device)),
        min_score=options.min_score,
        show=options.show,
        scores=options.scores,
        recursive=options.recursive,
    )


def run_train(options: Namespace) -> int:
    from associative_embedding.config import Recipe
    from associative_embedding.evaluate import build_validation
    from associative_embedding.train import train

    parser = build_train(ArgumentParser())
    values = parser.instantiate_classes(Namespace({k: v for k, v in options.items() if k != "config"}))
    recipe = Recipe(**{key: values[key] for key in ("output", "network", "data", "loss", "decode", "train")})
    path = train(recipe, validate=build_validation(recipe))
    print(path)
    return 0


def run_evaluate(options: Namespace) -> int:
    from associative_embedding.evaluate import evaluate_files
    from associative_embedding.train import choose_device

    evaluate_files(
        model=options.model,
        annotations=options.annotations,
        images=options.images,
        input_size=options.input_size,
        scales=options.scales,
        flip=options.flip,
        device=str(choose_device(options.device)),
        held_out_share=options.held_out,
        limit=options.limit,
        json_path=options.json,
        results_path=options.results,
        decode=options.decode or {},
    )
    return 0


def run_convert(options: Namespace) -> int:
    from associative_embedding.convert import convert

    print(convert(options.file, options.source, options.output))
    return 0


def run_data(options: Namespace) -> int:
    from associative_embedding.data.synthetic import write_synthetic_dataset
    from associative_embedding.skeleton import load_skeleton

    path = write_synthetic_dataset(
        options.folder,
        load_skeleton(options.skeleton),
        images=options.images,
        seed=options.seed,
        size=(options.size, options.size),
        people=tuple(options.people),
    )
    print(path)
    return 0


COMMANDS: dict[str, Callable[[Any], int]] = {
    "predict": run_predict,
    "train": run_train,
    "evaluate": run_evaluate,
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
