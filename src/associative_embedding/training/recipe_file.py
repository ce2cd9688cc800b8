"""A recipe file, checked for what a person gets wrong before its values are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from associative_embedding.training.recipe import Recipe


def check_recipe(path: str) -> None:
    """
    Raises:
        ValueError: for a file that is missing, empty, no YAML or no mapping, and for a setting that does not exist,
            with the nearest one that does.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot read the recipe ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a YAML file ({error})") from None
    if document is None:
        raise ValueError(f"{path}: the recipe is empty")
    check_section(document, Recipe, "", path)


def check_section(values: Any, kind: type[Any], prefix: str, path: str) -> None:
    """One mapping of settings and the ones inside of it. `prefix`: of its names, ``""`` or ``"train."``."""
    if not isinstance(values, dict):
        where = f"{prefix.rstrip('.')!r}" if prefix else "the recipe"
        raise ValueError(f"{path}: {where} must be a mapping of settings, not {values!r:.60}")
    hints = get_type_hints(kind)
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
    """All settings of a recipe with dots: ``train.lr``, ``data.sources.images`` ..."""
    return list(_names(Recipe, ""))


def _names(kind: type[Any], prefix: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    for field in fields(kind):
        yield prefix + field.name
        for inner in (hints[field.name], *get_args(hints[field.name])):
            if is_dataclass(inner):
                yield from _names(inner, f"{prefix}{field.name}.")  # type: ignore[arg-type]


def suggestion(name: str, known: Sequence[str]) -> str:
    """``; did you mean ...?`` with the nearest known name; else the names of the same section, if there is one."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {near[0]!r}?"
    section = name.rpartition(".")[0]
    inside = [other.rpartition(".")[2] for other in known if section and other.rpartition(".")[0] == section]
    return f"; known are {', '.join(inside)}" if inside else ""
