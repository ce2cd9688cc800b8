"""What ``--help`` prints: one screen with the usual options; ``--help-all`` prints every option in full."""

from __future__ import annotations

import re
import sys
import textwrap
from argparse import SUPPRESS, Action, _HelpAction, _SubParsersAction
from collections.abc import Iterator, Sequence
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from associative_embedding.apps.cli.help_pages import PAGES, Page

WIDTH = 80  # columns of the narrowest usual terminal
COLUMN = 26  # where the texts begin
TYPES = {int: "N", float: "NUMBER", str: "TEXT", dict: "'{NAME: VALUE}'"}  # Python's names mean nothing to users


class HelpFormatter(DefaultHelpFormatter):
    """Prints kinds of values as users write them, and leaves out types and defaults that explain nothing.

    A default of ``null`` means that the program chooses; the help text then states the rule.
    """

    def _get_help_string(self, action: Action) -> str:  # argparse has no public hook for this and the following
        text = without(super()._get_help_string(action), "type: %(type)s")
        if action.default in (None, "", {}, [], False):
            text = without(text, "default: %(default)s")
        return text.replace(") (", ", ")  # one list in parentheses, where the text ends with its own

    def _format_args(self, action: Action, default_metavar: str) -> str:
        return value_words(action)


def without(text: str, note: str) -> str:
    """Removes a note from the list in parentheses at the end of a help text."""
    return text.replace(f", {note}", "").replace(f"{note}, ", "").replace(f" ({note})", "")


def add_help(parser: ArgumentParser, name: str) -> None:
    """Gives a parser without a help of its own ``--help`` and ``--help-all``.

    Args:
        parser: of a command.
        name: a key of `PAGES`.
    """
    page = PAGES[name]

    class Help(_HelpAction):
        """Prints the first page, or everything."""

        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            whole = str(option_string).endswith("all")
            parser._print_message(parser.format_help() if whole else first_page(parser, name, page), sys.stdout)
            parser.exit()

    parser._positionals.title = "arguments"
    parser.usage = " ".join(["ae", *name.split(), page.arguments])
    parser.description = sentence(page.purpose)
    group = parser.add_argument_group("help")
    group.add_argument("-h", "--help", action=Help, help="this page")
    # `main` writes the hyphens of options as underscores.
    group.add_argument("--help-all", "--help_all", action=Help, help="every option in full")


def first_page(parser: ArgumentParser, name: str, page: Page) -> str:
    """Returns the help of a command on one screen, `WIDTH` columns wide."""
    lines = [f"usage: {parser.usage}", "", *textwrap.wrap(sentence(page.purpose), WIDTH)]
    lines += [f"  {command}  # {meaning}" if meaning else f"  {command}" for command, meaning in aligned(page.examples)]
    if page.title:
        lines += ["", f"{page.title}:", *group_lines(usual_actions(parser, page), ())]
    for group in parser._action_groups if not page.title else ():
        entries = list(group_lines(group._group_actions, page.usual.split()))
        if entries and group.title != "help":
            lines += ["", f"{group.title}:", *entries]
    if page.usual:
        lines += ["", f"Every option in full: ae {name} --help-all"]
    return "\n".join(lines) + "\n"


def usual_actions(parser: ArgumentParser, page: Page) -> list[Action]:
    """Returns the usual options of all groups, in the order of the page."""
    actions = {action.dest: action for group in parser._action_groups for action in group._group_actions}
    return [actions[name] for name in page.usual.split()]


def aligned(examples: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the examples with commands of one length."""
    longest = max(len(command) for command, _ in examples)
    return [(command.ljust(longest) if meaning else command, meaning) for command, meaning in examples]


def group_lines(actions: Sequence[Action], usual: Sequence[str]) -> Iterator[str]:
    """Yields a line for each usual option of a group, and the names of the others; no `usual` = all are."""
    shown = [action for action in actions if action.help != SUPPRESS]
    for action in shown:
        if isinstance(action, _SubParsersAction):
            for command in action._choices_actions:
                yield from line(command.dest, str(command.help))
        elif not usual or action.dest in usual:
            yield from line(f"{option_name(action)} {value_words(action)}".strip(), short_text(action))
    if others := [option_name(action) for action in shown if usual and action.dest not in usual]:
        yield from textwrap.wrap(" ".join(others), WIDTH, initial_indent="  also: ", subsequent_indent="        ")


def line(words: str, text: str) -> list[str]:
    """Returns words and their text on one line, or on more if they are long."""
    head = f"  {words}".ljust(COLUMN)
    start = [] if len(head) == COLUMN and head.endswith(" ") else [head]
    first = " " * COLUMN if start else head
    return start + textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * COLUMN)


def option_name(action: Action) -> str:
    """Returns the long name of an option; "" for an argument, which has only its `value_words`."""
    return next((name for name in action.option_strings if name.startswith("--")), "")


def value_words(action: Action) -> str:
    """Returns what the user writes behind an option: ``N``, ``tif|png``; "" for a switch."""
    if action.nargs == 0 or (action.option_strings and action.nargs == "?" and type(action).__name__ == "ActionYesNo"):
        return ""
    kind: Any = getattr(action, "_typehint", action.type)
    words = action.metavar or (TYPES.get(kind) if action.option_strings else None) or action.dest.upper()
    if isinstance(words, tuple):
        return " ".join(words)
    words = words.strip("{}").replace(",", "|") if words.startswith("{") else words  # argparse's form of a choice
    return f"{words} ..." if action.nargs in ("+", "*") else words


def short_text(action: Action) -> str:
    """Returns the first part of a help text, and the default if it is short."""
    text = re.split(r"; |\. | \(", str(action.help).replace("`", ""))[0].rstrip(".")
    default = action.default
    if default in (None, "", {}, [], False, SUPPRESS) or "default" in text:
        return text
    whole = f"{text} (default: {default})"
    return whole if len(whole) <= WIDTH - COLUMN else text


def sentence(text: str) -> str:
    """Returns a text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."
