"""Checks of a recipe file that jsonargparse would report in words that a user cannot act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

from associative_embedding.io.yaml_files import read_yaml
from associative_embedding.training.recipe import Recipe

NUMBERS = {int, float, bool}
MOST_ENTRIES = 200  # jsonargparse needs a tenth of a second for each, and aliases repeat them
LONGEST_NUMBER = 100  # characters; 1e-3 is a text for YAML 1.1


def check_recipe(path: str) -> None:
    """Checks that a recipe file is a YAML mapping and that every setting in it exists; values are checked later.

    Raises:
        ValueError: for a file that is missing, empty, not YAML or not a mapping, and for an unknown setting, with the
            nearest known one.
    """
    document = read_yaml(path, "the recipe")
    if document is None:
        raise ValueError(f"{path}: the recipe is empty")
    check_section(document, Recipe, "", path)


def check_section(values: Any, kind: type[Any], prefix: str, path: str) -> None:
    """Checks the names in one mapping of settings, and in the mappings and lists of mappings inside it.

    Args:
        values: the mapping as YAML has it.
        kind: dataclass of its settings.
        prefix: beginning of its settings' names, ``""`` or ``"train."``.
        path: name of the file, for messages.

    Raises:
        ValueError: for a value that is no mapping, or an unknown setting.
    """
    if not isinstance(values, dict):
        where = f"{prefix.rstrip('.')!r}" if prefix else "the recipe"
        raise ValueError(f"{path}: {where} must be a mapping of settings, not {values!r:.60}")
    hints = get_type_hints(kind)  # as the annotations themselves are texts: `from __future__ import annotations`
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in hints:
            raise ValueError(f"{path}: unknown setting {name!r}{suggestion(name, setting_names())}")
        hint, parts = hints[key], get_args(hints[key])
        section = parts[0] if NoneType in parts else hint  # a section that may be null
        if is_dataclass(section) and isinstance(section, type):
            if value is not None or section is hint:
                check_section(value, section, f"{name}.", path)
        elif parts and is_dataclass(parts[0]) and isinstance(value, list):
            if len(value) > MOST_ENTRIES:
                raise ValueError(f"{path}: {name} has {len(value)} entries; at most {MOST_ENTRIES} are read; join them")
            for entry in value:
                check_section(entry, parts[0], f"{name}.", path)  # type: ignore[arg-type]  # a class, not an instance
        elif NUMBERS & {hint, *parts, *(inner for part in parts for inner in get_args(part))} or (
            parts and is_dataclass(parts[0])
        ):
            check_texts(value, name, path)


def check_texts(value: Any, name: str, path: str) -> None:
    """Checks that no long text stands in place of numbers: jsonargparse would read it as YAML, without limits.

    Raises:
        ValueError: for a text of more than `LONGEST_NUMBER` characters.
    """
    if isinstance(value, str) and len(value) > LONGEST_NUMBER:
        raise ValueError(f"{path}: {name} must not be a text of {len(value)} characters")
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            check_texts(item, name, path)


def setting_names() -> list[str]:
    """Returns the names of all settings of a recipe, with dots: ``train.lr``, ``data.sources.images`` ..."""
    return list(_names(Recipe, ""))


def _names(kind: type[Any], prefix: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    for field in fields(kind):
        yield prefix + field.name
        for inner in (hints[field.name], *get_args(hints[field.name])):
            if is_dataclass(inner):
                yield from _names(inner, f"{prefix}{field.name}.")  # type: ignore[arg-type]


def suggestion(name: str, known: Sequence[str]) -> str:
    """Returns the end of a message: ``; did you mean 'x'?``, or the names of the section, or nothing.

    Args:
        name: unknown name, with dots.
        known: all names.
    """
    # Compared with the section's name, so that a misspelled section, as in `trian.batch`, is found as well.
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {near[0]!r}?"
    section = name.rpartition(".")[0]
    inside = [other.rpartition(".")[2] for other in known if section and other.rpartition(".")[0] == section]
    return f"; known are {', '.join(inside)}" if inside else ""
