"""Reads YAML of unknown origin within limits: a few lines with aliases can stand for billions of values.

The limits are checked on the stream of YAML's events, before any value is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 2**20  # PyYAML needs seconds for a megabyte
MAX_VALUES = 100_000  # with the values that aliases repeat
VALUE_SIZE = 40  # characters; a longer text counts as several values
MAX_DEPTH = 50  # levels of lists and mappings
MAX_NUMBER = 100  # characters of a number; Python's own limit is 4300 digits, and its error names no file
MAX_REASON = 200  # characters of a parser's message
TAGS = {None, "!"} | {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

# libyaml is ten times as fast, and not every build of PyYAML has it.
_Parser: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class OverLimitError(ValueError):
    """YAML that is well formed and not read: it is too large, or has a key twice or a tag of a program."""


class _Loader(_Parser):  # type: ignore[misc]  # known only at run time
    """A date stays a text, as json and the settings have none."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass
class _Level:
    """A list or mapping that is not closed yet.

    Attributes:
        anchor: the name by which aliases repeat it.
        is_mapping: its children are keys and values in turn.
        children: number of its children so far.
        size: number of values in it so far, at every depth.
        keys: of a mapping: whether the key is plain, and its text.
    """

    anchor: str | None = None
    is_mapping: bool = False
    children: int = 0
    size: int = 1
    keys: set[tuple[bool, str]] = field(default_factory=set)


def read_yaml(path: str | Path, what: str) -> Any:
    """Returns the content of a YAML file; see `load_yaml`.

    Args:
        path: the file, in UTF-8.
        what: its content, for the message: "the recipe".

    Raises:
        ValueError: also for a file that cannot be read or is larger than `MAX_BYTES`.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)  # not more: the size of a pipe is not known before
        return load_yaml(content.decode("utf-8-sig" if len(content) <= MAX_BYTES else "latin-1"), path)
    except OSError as error:
        raise ValueError(f"{path}: cannot read {what} ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a YAML file ({error})") from None


def load_yaml(text: str, where: object) -> Any:
    """Returns the content of a YAML text: numbers, texts, lists and mappings.

    Args:
        text: the YAML.
        where: the file, for messages.

    Raises:
        ValueError: one line, for a text that is no YAML, has a key twice or a tag of Python, or is beyond a limit.
    """
    try:
        check_yaml(text, where)
        return yaml.load(text, Loader=_Loader)
    except OverLimitError:
        raise
    except Exception as error:  # PyYAML's constructors raise errors of nearly any type
        reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
        raise ValueError(f"{where}: not a YAML file ({reason})") from None


def check_yaml(text: str, where: object) -> None:
    """Checks that a YAML text is within the limits, and that no mapping has a key twice.

    Raises:
        OverLimitError: if it is not; one line.
        yaml.YAMLError: if it is no YAML.
    """
    if len(text) > MAX_BYTES:
        raise OverLimitError(f"{where}: is larger than the {MAX_BYTES >> 10} kB of YAML that are read")
    for problem, line in _problems(text):
        raise OverLimitError(f"{where}: line {line}: {problem}")


def _problems(text: str) -> Iterator[tuple[str, int]]:
    """Yields what is beyond a limit, with its line, counted from 1."""
    sizes: dict[str, int] = {}  # anchor -> number of values that an alias to it repeats
    levels = [_Level()]  # the document itself is the outermost
    event: Any  # PyYAML's stubs leave out what the kinds of events have
    for event in yaml.parse(text, Loader=_Parser):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            levels.append(_Level(event.anchor, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = levels.pop()
            _add(levels[-1], closed.size, closed.anchor, sizes)
        elif isinstance(event, yaml.ScalarEvent):
            _add(levels[-1], 1 + len(event.value) // VALUE_SIZE, event.anchor, sizes)
        elif isinstance(event, yaml.AliasEvent):
            _add(levels[-1], sizes.get(str(event.anchor), 1), None, sizes)
        if problem := _problem(event, levels, sizes):
            yield problem, line


def _add(level: _Level, size: int, anchor: str | None, sizes: dict[str, int]) -> None:
    """Adds a child to the level that it is in."""
    level.children += 1
    level.size += size
    if anchor is not None:
        sizes[anchor] = size


def _problem(event: Any, levels: list[_Level], sizes: dict[str, int]) -> str | None:
    """Returns what is wrong with an event, or None.

    Args:
        event: is counted already.
        levels: the lists and mappings that it is in, from the outermost.
        sizes: the anchors of all values that are complete.
    """
    if len(levels) > MAX_DEPTH:
        return f"lists and mappings are nested more than {MAX_DEPTH} levels deep"
    if levels[-1].size > MAX_VALUES:
        return f"more than {MAX_VALUES} values, counted with those that aliases repeat"
    if isinstance(event, yaml.AliasEvent) and event.anchor not in sizes:
        return f"the alias *{str(event.anchor)[:60]} has no complete value before it"
    if getattr(event, "tag", None) not in TAGS:
        return f"the tag {event.tag[:60]!r} is not read; only texts, numbers, lists and mappings are"
    return _scalar_problem(event, levels[-1]) if isinstance(event, yaml.ScalarEvent) else None


def _scalar_problem(event: Any, level: _Level) -> str | None:
    """Returns what is wrong with a scalar in a list or mapping, or None."""
    value = event.value
    if len(value) > MAX_NUMBER and (event.tag in NUMBERS or (event.implicit[0] and is_number(value))):
        return f"a number of {len(value)} characters; at most {MAX_NUMBER} are read"
    if level.is_mapping and level.children % 2 == 1 and value != "<<":  # a key; `<<` merges another mapping
        key = (event.implicit[0], value)  # {0: a, "0": b} has two keys
        if key in level.keys:
            return f"the key {value[:60]!r} is there twice"
        level.keys.add(key)
    return None


def is_number(text: str) -> bool:
    """Returns whether a text without quotes is a number in YAML."""
    patterns = _Loader.yaml_implicit_resolvers.get(text[0], [])
    return any(tag in NUMBERS and pattern.match(text) for tag, pattern in patterns)
