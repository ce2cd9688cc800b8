"""Tells a shell what may follow on its command line, by argcomplete (the extra ``[completion]``).

argcomplete looks into parsers of Python's own argparse, and not into those of jsonargparse, so it gets a copy.
"""

from __future__ import annotations

import os
from argparse import Action, ArgumentParser, _SubParsersAction
from typing import Any, Literal, get_args, get_origin

VARIABLE = "_ARGCOMPLETE"  # of the environment: the shell asks


def complete(build_parser: Any) -> None:
    """Prints the words that may follow, and ends the process; does nothing without argcomplete.

    Args:
        build_parser: returns the parser of ``ae``, with the options of the command of a name.
    """
    try:
        import argcomplete
    except ImportError:
        return
    words = os.environ.get("COMP_LINE", "").split()
    command = words[1] if len(words) > 1 else ""
    parser = copy_of(build_parser(command), ArgumentParser(add_help=False))
    argcomplete.autocomplete(parser, always_complete_options=False, exclude=["-h", "--help_all"])


def copy_of(parser: Any, copy: ArgumentParser) -> ArgumentParser:
    """Adds the options and subcommands of a parser to an empty one, and returns it."""
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            kinds = copy.add_subparsers()
            for name, below in (action.choices or {}).items():
                copy_of(below, kinds.add_parser(name, add_help=False))
        elif action.dest == "config":  # the recipe, which users give as an argument
            copy.add_argument("recipe", nargs="?")
        else:
            add_copy(copy, action)
    return copy


def add_copy(parser: ArgumentParser, action: Action) -> None:
    """Adds an option or argument that takes as many values, of the same choices."""
    names = action.option_strings or [action.dest]
    if action.nargs == 0 or type(action).__name__ == "ActionYesNo":
        parser.add_argument(*names, action="store_true")
        return
    kind = getattr(action, "_typehint", None)  # jsonargparse keeps a `Literal` here
    choices = list(get_args(kind)) if get_origin(kind) is Literal else None
    added = parser.add_argument(*names, nargs=action.nargs, choices=choices)
    added.completer = getattr(action, "words", None)  # type: ignore[attr-defined]


def model_names(prefix: str, **_: Any) -> list[str]:
    """Returns what may be written behind ``--model``: names of shipped models, and files."""
    from argcomplete.completers import FilesCompleter

    from associative_embedding.model_files.find import shipped_models

    files = FilesCompleter([".safetensors", ".onnx", ".xml"])(prefix)
    return [name for name in shipped_models() if name.startswith(prefix)] + list(files)
