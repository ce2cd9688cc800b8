"""The command ``ae``: predict, train, evaluate, export, serve, info, convert, data.

A mistake of the user gives one line on the error output and exit status 2 (wrong usage) or 1 (wrong input), never a
traceback.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from associative_embedding import __version__
from associative_embedding.apps.cli import completion
from associative_embedding.apps.cli.allocator import ALLOCATOR
from associative_embedding.apps.cli.commands import COMMANDS
from associative_embedding.apps.cli.data_commands import DATA_BUILDERS
from associative_embedding.apps.cli.help_pages import PAGES
from associative_embedding.apps.cli.options import BUILDERS
from associative_embedding.apps.cli.other_names import hint
from associative_embedding.apps.cli.plain_values import check_argument, new_parser
from associative_embedding.apps.errors import UsageError
from associative_embedding.io.standard_streams import open_streams, output_status

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

HYPHENATED = re.compile(r"(?<=^--)[a-z]+(-[a-z]+)+(?=$|=)")  # --input-size is accepted for --input_size

INTERRUPTED = 130  # exit status of a command that Ctrl-C ended: 128 + SIGINT, as shells expect


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status.

    Args:
        argv: the arguments after ``ae``; default: the arguments of the process.
    """
    if completion.VARIABLE in os.environ:
        completion.complete(build_parser)
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of a file need not fit the encoding: printing never fails
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Also with PYTHONUNBUFFERED: argparse hides the error of a write, but not the error of the flush at the end.
        sys.stdout.reconfigure(write_through=False)
    try:
        return output_status(run_arguments(list(sys.argv[1:] if argv is None else argv)))
    except SystemExit as end:  # of --help and --version
        raise SystemExit(output_status(int(end.code or 0))) from None


def run_arguments(arguments: list[str]) -> int:
    """Runs the command of the arguments, prints its error on one line, and returns the exit status."""
    try:
        with sigterm_interrupts():
            return run(parse(arguments))
    except KeyboardInterrupt as error:
        return fail(str(error) or "interrupted", INTERRUPTED)
    except expected_errors() as error:
        return fail(error, 2 if isinstance(error, UsageError) else 1)


def run(options: Namespace) -> int:
    """Runs the command of the options and returns its exit status."""
    try:
        return COMMANDS[options.command](options[options.command])
    finally:
        from associative_embedding.io.console import count_remarks

        count_remarks()


def fail(error: BaseException | str, status: int) -> int:
    """Prints what ended the command, on one line, and returns the exit status."""
    from associative_embedding.io.console import one_line, say

    kind = "" if status == INTERRUPTED else "error: "
    say(f"ae: {kind}{one_line(error)}", file=sys.stderr)
    return status


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Inside, SIGTERM acts as Ctrl-C does: the command keeps its results and ends."""
    # Python lets only the main thread install a signal handler; tests and notebooks may run `main` in another one.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt("terminated")

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def expected_errors() -> tuple[type[Exception], ...]:
    """Returns the errors that bad input or too little memory raises; torch raises RuntimeErrors for both."""
    # Importing OpenCV only for its error would delay the message of every other error.
    opencv = [sys.modules["cv2"].error] if "cv2" in sys.modules else []
    return (ValueError, OSError, MemoryError, RuntimeError, *opencv)


def parse(arguments: list[str]) -> Namespace:
    """Returns the command and its options.

    Raises:
        UsageError: one line, with the nearest known name for an unknown one.
    """
    from jsonargparse import ArgumentError

    if not arguments:
        raise UsageError(f"which command? one of {','.join(BUILDERS)}")
    arguments = [HYPHENATED.sub(lambda name: name[0].replace("-", "_"), argument) for argument in arguments]
    for argument in arguments:
        check_argument(argument)
    if arguments[:1] == ["train"]:
        arguments = ["train", *recipe_arguments(arguments[1:])]
    try:
        return build_parser(arguments[0]).parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(usage_message(str(error), arguments)) from None


def recipe_arguments(arguments: list[str]) -> list[str]:
    """Turns ``recipe.yaml ...`` into ``--config recipe.yaml ...``, after a check of the recipe's names.

    With ``--data`` in place of the recipe, one is written first.

    Raises:
        UsageError: when the first argument is no recipe.
    """
    from associative_embedding.apps.cli.start_arguments import has_data, long_names, with_recipe
    from associative_embedding.training.recipe_file import check_recipe

    if {"-h", "--help", "--help_all"} & set(arguments):
        return arguments
    if has_data(arguments):
        arguments = with_recipe(arguments)
    # The parser applies arguments in their order: settings before the recipe would be overwritten by it.
    if not arguments or arguments[0].startswith("-"):
        usage = "ae train RECIPE.yaml [--setting value ...]; without a recipe: ae train --data annotations.json"
        raise UsageError(f"the recipe comes first: {usage}")
    arguments = ["--config", *long_names(arguments)]
    try:
        # Settings may name further recipes, which the parser would read without these checks.
        for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
            name, equals, given = flag.partition("=")
            if len(name) > 2 and "--config".startswith(name):  # argparse takes --conf, too
                check_recipe(given if equals else value)
    except ValueError as error:
        raise UsageError(error) from None
    return arguments


def usage_message(message: str, arguments: Sequence[str]) -> str:
    """Returns a message of jsonargparse on one line, in words that a user can act on."""
    from associative_embedding.training.recipe_file import setting_names, suggestion

    text = " ".join(message.split())
    if unknown := re.search(r"[Uu]nrecognized arguments?: (?:--([\w.-]+)|(\S+))", text):
        name = unknown[2] or f"--{unknown[1]}"
        if name.startswith("-") and os.path.exists(name):
            return f"a name that begins with '-' is taken for an option; write ./{name}"
        names = setting_names() if arguments[0] == "train" else option_names(arguments)
        if unknown[2]:
            short = re.fullmatch(r"-\w", name)
            return f"unexpected argument {name!r}{hint(name[1:], names) if short else ''}"
        return f"unknown option {unknown[1]!r}{hint(unknown[1], names) or suggestion(unknown[1], names)}"
    for pattern, words in REWORDINGS:
        text = re.sub(pattern, words, text)
    return text[:400]


# Messages of jsonargparse (a pattern) and the words that replace them. Python's names of types mean nothing to users.
REWORDINGS = (
    (r"<class '(\w+)'>", r"\1"),
    (r"typing\.Literal\[(.*?)\]", r"one of \1"),
    (r"Problem with given class_path '[\w.]+': ", ""),
    (r"Importing '(.*?)' is not allowed.*", r"must be a mapping of settings, not '\1'"),
    (r'Parser key "([\w.]+)"', r"\1"),
    (r"Expected an? (.*?)\. Got value: (.*)", r"must be \1, not '\2'"),
    (r"(required: |, )(?:\w+\.)+(?=\w)", r"\1"),
    (r"expected \"(?:\w+\.)?(\w+)\" to be one of {(.*?)}.*", r"which \1? one of \2"),
)


def option_names(arguments: Sequence[str]) -> list[str]:
    """Returns the names of all options of the command, or the kind of ``ae data``, in these arguments."""
    kinds = {"data": DATA_BUILDERS}.get(arguments[0], {})
    build = next((kinds[word] for word in arguments[1:2] if word in kinds), BUILDERS[arguments[0]])
    actions = build(new_parser())._actions
    return [option.lstrip("-") for action in actions for option in action.option_strings]


def build_parser(chosen: str) -> ArgumentParser:
    """Returns the parser of all commands; only the chosen one has its options."""
    parser = new_parser()
    parser.add_argument("--version", action="version", version=f"associative-embedding {__version__}")
    commands = parser.add_subcommands(dest="command", title="commands")
    for name, build in BUILDERS.items():
        command = new_parser(name)
        commands.add_subcommand(name, command, help=PAGES[name].purpose)
        # The options of all commands would delay each start of `ae` by about 40 ms.
        if name == chosen:
            build(command)  # after `add_subcommand`: jsonargparse requires that the outer level is added first
    return parser


def script() -> None:
    """Runs the installed command ``ae``.

    The process starts itself a second time, with the settings of `ALLOCATOR`: glibc reads them only at its start.
    """
    missing = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    # `ae serve` runs the model in a process of its own, and its first process should return the memory of requests.
    if missing and sys.platform == "linux" and len(sys.argv) > 1 and sys.argv[1] in COMMANDS.keys() - {"serve"}:
        os.environ.update(missing)
        # -P: without it, a file torch.py in the current folder would be imported in place of PyTorch.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "associative_embedding", *sys.argv[1:]])
    sys.exit(main())
