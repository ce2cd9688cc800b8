"""The options that say what is read of an image, and how options become values."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from associative_embedding.apps.errors import UsageError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace  # type: ignore[attr-defined]

    from associative_embedding.io.reading import Reading

T = TypeVar("T")


def value_of(kind: type[T], options: Namespace) -> T:
    """Returns a dataclass whose fields have the values of the options with the same names."""
    return kind(**{field.name: options[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def reading_of(options: Namespace) -> Reading:
    """Returns what is read of images, by the flags of `add_reading_options`.

    Raises:
        UsageError: for a value that is not one of its values.
    """
    from associative_embedding.io.reading import Reading

    try:
        return value_of(Reading, options)
    except ValueError as error:
        raise UsageError(error) from None


def add_reading_options(parser: ArgumentParser) -> None:
    """Adds a flag for each field of `Reading`."""
    add = group_of(parser, "input").add_argument
    text = "number, from 1, or name of the channel to read; needed where an image has several that are no colours"
    add("--channel", type=str, default=None, metavar="CHANNEL", help=text)
    text = "plane to read, such as 3, z3, t2 or t2z3; all = each by itself (default: of a depth the maximum, else all)"
    add("--page", type=str, default=None, metavar="PAGE", help=text)
    text = "join the planes of the depth, or of the only axis, to their maximum or mean"
    add("--project", type=Literal["max", "mean"], default=None, help=text)
    text = "what the dimensions of a TIFF mean, such as tzcyx (default: as the file states)"
    add("--axes", type=str, default=None, metavar="AXES", help=text)
    add("--level", type=int, default=0, metavar="N", help="resolution to read of several in a file; 0 = the finest")
    text = (
        "values that become black and white: LOW:HIGH such as 100:4000 or 0.1%:99.9%, percentiles = 1%:99.8%, "
        "none = the whole range, auto = percentiles where deep values use little of their range"
    )
    add("--normalize", type=str, default=None, metavar="HOW", help=text)


def group_of(parser: ArgumentParser, title: str) -> Any:
    """Returns the group of options with a title, which is made if there is none."""
    known = [group for group in parser._action_groups if group.title == title]
    return known[0] if known else parser.add_argument_group(title)
