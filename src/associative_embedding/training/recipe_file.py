"""Checks of a recipe file that jsonargparse would report in words that a user cannot act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from associative_embedding.training.recipe import Recipe


def check_recipe(path: str) -> None:
    """Checks that a recipe file is a YAML mapping and that every setting in it exists; values are checked later.

    Raises:
        ValueError: for a file that is missing, empty, not YAML or not a mapping, and for an unknown setting, with the
            nearest known one.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot read the recipe ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:  # RecursionError: nested thousands of levels
        raise ValueError(f"{path}: not a YAML file ({error})") from None
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
        if is_dataclass(hint) and isinstance(hint, type):
            check_section(value, hint, f"{name}.", path)
        elif parts and is_dataclass(parts[0]) and isinstance(value, list):
            for entry in value:
                check_section(entry, parts[0], f"{name}.", path)  # type: ignore[arg-type]  # a class, not an instance


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
