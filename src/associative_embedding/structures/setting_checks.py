"""Checks that the values of a settings dataclass have their type and lie in their range."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

Range = tuple[str, Callable[[Any], bool]]  # words for the message, and whether a value lies in the range
POSITIVE: Range = ("positive", lambda v: 0 < v < math.inf)
NOT_NEGATIVE: Range = ("at least 0", lambda v: 0 <= v < math.inf)
ONE_OR_MORE: Range = ("at least 1", lambda v: v >= 1)
SHARE: Range = ("in [0, 1]", lambda v: 0 <= v <= 1)
ABOVE_0: Range = ("above 0 and at most 1", lambda v: 0 < v <= 1)
MOST = 2**63 - 1  # a json or YAML file can state whole numbers that no float or array holds
BELOW_ONE: Range = ("at least 0 and below 1", lambda v: 0 <= v < 1)


def check(section: str, config: Any, ranges: dict[str, Range]) -> None:
    """Checks every field of a settings dataclass.

    Args:
        section: put before the field's name in a message, for example ``"train."``.
        config: the settings.
        ranges: field name -> allowed range; fields that are not listed are checked for their type alone.

    Raises:
        ValueError: for a value that has not its field's type or is not in its range.
    """
    # types first: a range cannot be tested on a text
    for name, hint in hints_of(type(config)).items():  # type: ignore[arg-type]  # a type is hashable
        value = getattr(config, name)
        if not fits(value, hint):
            raise ValueError(f"{section}{name} must be {in_words(hint)}, not {value!r:.60}")
    for name, (words, holds) in ranges.items():
        if not holds(getattr(config, name)):
            raise ValueError(f"{section}{name} must be {words}, not {getattr(config, name)}")


@cache
def hints_of(kind: Hashable) -> dict[str, Any]:
    """Returns the type hints of a class; settings are copied for each training image, so they are read once."""
    return get_type_hints(kind)


def fits(value: Any, hint: Any) -> bool:
    """Returns whether a value has the type of a hint; the items of a list, tuple or dict are not checked."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Literal:
        return isinstance(value, str) and value in arguments
    if hint in (int, float):
        # a bool is an Integral in Python, and NumPy's numbers are no int or float
        number = isinstance(value, Integral if hint is int else Real) and value is not True and value is not False
        return number and not (isinstance(value, Integral) and abs(int(value)) > MOST)
    if arguments and kind not in (list, dict, tuple):  # a union
        return any(fits(value, argument) for argument in arguments)
    # YAML has lists only, so a list passes for a tuple
    return isinstance(value, (list, tuple) if kind in (list, tuple) else kind or hint)


def in_words(hint: Any) -> str:
    """Returns a type hint in words, for messages."""
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", dict: "a mapping"}
    return words.get(get_origin(hint) or hint, str(getattr(hint, "__name__", hint)))
