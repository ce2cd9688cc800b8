"""Whether a setting is of its type and in its range, said in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

Range = tuple[str, Callable[[Any], bool]]  # in words, and whether a value is in it
POSITIVE: Range = ("positive", lambda v: 0 < v < math.inf)
NOT_NEGATIVE: Range = ("at least 0", lambda v: 0 <= v < math.inf)
ONE_OR_MORE: Range = ("at least 1", lambda v: v >= 1)
SHARE: Range = ("in [0, 1]", lambda v: 0 <= v <= 1)
ABOVE_0: Range = ("above 0 and at most 1", lambda v: 0 < v <= 1)
BELOW_ONE: Range = ("at least 0 and below 1", lambda v: 0 <= v < 1)


def check(section: str, config: Any, ranges: dict[str, Range]) -> None:
    """
    Raises:
        ValueError: for a value that is not of its field's type or not in its range.
    """
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if not fits(value, hint):
            raise ValueError(f"{section}{name} must be {in_words(hint)}, not {value!r:.60}")
    for name, (words, holds) in ranges.items():
        if not holds(getattr(config, name)):
            raise ValueError(f"{section}{name} must be {words}, not {getattr(config, name)}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; lists pass for tuples, and what is inside of either is not looked at."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Literal:
        return isinstance(value, str) and value in arguments
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and value is not True and value is not False
    if arguments and kind not in (list, dict, tuple):  # a union
        return any(fits(value, argument) for argument in arguments)
    return isinstance(value, (list, tuple) if kind in (list, tuple) else kind or hint)


def in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", dict: "a mapping"}
    return words.get(get_origin(hint) or hint, str(getattr(hint, "__name__", hint)))
