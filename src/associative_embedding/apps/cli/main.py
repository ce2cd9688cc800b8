"""The command ``ae``: predict, train, evaluate, export, serve, info, convert, data.

A mistake of the user's gets one line on the error output and exit status 2 (usage) or 1 (bad input); never a traceback.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from associative_embedding import __version__
from associative_embedding.apps.cli.commands import COMMANDS
from associative_embedding.apps.cli.data_commands import DATA_BUILDERS
from associative_embedding.apps.cli.options import BUILDERS
from associative_embedding.apps.errors import UsageError

# All else is imported inside of `main`, so that Ctrl-C is one line from the start.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

# The allocator otherwise returns the large buffers of a forward pass to the system after every image.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


UNDERSCORED = re.compile(r"(?<=^--)[a-z]+(-[a-z]+)+(?=$|=)")  # --input-size is --input_size


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
        from associative_embedding.io.console import one_line

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


def parse(arguments: list[str]) -> Namespace:
    """
    Raises:
        UsageError: one line, with the nearest known name for an unknown one.
    """
    from jsonargparse import ArgumentError

    if not arguments:
        raise UsageError(f"which command? one of {','.join(BUILDERS)}")
    arguments = [UNDERSCORED.sub(lambda name: name[0].replace("-", "_"), argument) for argument in arguments]
    if arguments[:1] == ["train"]:
        arguments = ["train", *spell_recipe(arguments[1:])]
    try:
        return build_parser().parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(explain(str(error), arguments)) from None


def spell_recipe(arguments: list[str]) -> list[str]:
    """``recipe.yaml ...`` -> ``--config recipe.yaml ...``, when the recipe is one."""
    from associative_embedding.training.recipe_file import check_recipe

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
    from associative_embedding.training.recipe_file import setting_names, suggestion

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
    parser.add_argument("--version", action="version", version=f"associative-embedding {__version__}")
    commands = parser.add_subcommands(dest="command")
    for name, text in (
        ("predict", "find people or objects in images"),
        ("train", "train by a recipe (YAML): ae train RECIPE.yaml [--setting value ...]; the same command resumes"),
        ("evaluate", "official metrics of a model on a COCO json"),
        ("export", "a model's network for ONNX Runtime or OpenVINO, faster on a CPU"),
        ("serve", "an HTTP service, and a page to try a model in the browser"),
        ("info", "what models there are, and what one is: its size, what it finds, its settings"),
        ("convert", "other projects' weights to a file to start from"),
        ("data", "make a data set: of drawn figures, or of MPII's annotation"),
    ):
        command = ArgumentParser(exit_on_error=False)
        commands.add_subcommand(name, command, help=text)
        BUILDERS[name](command)  # after it: levels of subcommands must be added from the top
    return parser


def script() -> None:
    """The console script: the process starts anew once with allocator settings that glibc reads only at its start."""
    missing = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    if missing and sys.platform == "linux" and len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        os.environ.update(missing)
        os.execv(sys.executable, [sys.executable, "-m", "associative_embedding", *sys.argv[1:]])
    sys.exit(main())
