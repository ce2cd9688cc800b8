"""Keeps every value that a user gives to jsonargparse a plain value: number, text, list or mapping.

By default jsonargparse takes ``{class_path: subprocess.Popen, init_args: ...}`` for an object to be made, imports the
class and calls it. A recipe is data that people exchange, so nothing in it is ever imported or called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from associative_embedding.apps.errors import UsageError

# Everything else is imported inside functions: until Python has read its modules, Ctrl-C prints a traceback.
if TYPE_CHECKING:
    from jsonargparse import ArgumentParser  # type: ignore[attr-defined]

PARSER_MODE = "limited yaml"  # of all parsers of the commands
SHOWN = 60  # characters of a value in a message


def plain_values(*settings: type[Any]) -> str:
    """Forbids jsonargparse to import what a value names, limits the YAML it reads, and returns `PARSER_MODE`.

    Call it before a parser is made. It holds for the whole process.

    Args:
        settings: dataclasses in lists, whose own names jsonargparse adds to the values of a list.
    """
    import yaml
    from jsonargparse import get_loader, set_loader, set_parsing_settings  # type: ignore[attr-defined]

    from associative_embedding.io.yaml_files import check_yaml

    set_parsing_settings(
        import_path_denylist=["*"],  # of classes, functions, types and modules, wherever a value names one
        import_path_allowlist=[f"{kind.__module__}.{kind.__qualname__}" for kind in settings],
        instantiate_subclass_spec_in_any=False,
        config_read_mode_urls_enabled=False,  # a recipe is a file, not an address
        config_read_mode_fsspec_enabled=False,
    )
    load = get_loader("yaml")

    def load_limited(text: str) -> Any:
        check_yaml(text, "the value")
        value = load(text)
        check_texts(value)
        return value

    set_loader(PARSER_MODE, load_limited, (yaml.YAMLError,))
    return PARSER_MODE


def new_parser(name: str = "") -> ArgumentParser:
    """Returns a parser that has no option but ``--help``. It raises errors, so that `main` can print them on one line.

    Args:
        name: of a command, a key of `help_pages.PAGES`; "" = of all commands.
    """
    from jsonargparse import ArgumentParser

    from associative_embedding.apps.cli.help_text import HelpFormatter, add_help

    mode = plain_values()
    parser = ArgumentParser(exit_on_error=False, parser_mode=mode, formatter_class=HelpFormatter, add_help=False)
    add_help(parser, name)
    return parser


def check_argument(argument: str) -> None:
    """Checks one word of a command line, see `check_text`."""
    _, equals, value = argument.partition("=")
    check_text(value if equals and argument.startswith("-") else argument)


def check_texts(value: Any) -> None:
    """Checks all texts in a value, see `check_text`."""
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            check_texts(item)


def check_text(text: str) -> None:
    """Checks a text that jsonargparse may read as YAML, without limits, where it wants a number.

    Raises:
        UsageError: for a text that aliases make larger than the limits of `check_yaml`.
    """
    if "&" not in text or "*" not in text:  # without aliases a value is no larger than its text
        return
    import yaml

    from associative_embedding.io.yaml_files import OverLimitError, check_yaml

    try:
        check_yaml(text, f"{text[:SHOWN]} ...")
    except OverLimitError as error:
        raise UsageError(error) from None
    except yaml.YAMLError:
        pass  # a text, such as a pattern of file names
