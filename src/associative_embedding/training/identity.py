"""What must not change between a run and its continuation: all that gives the weights their meaning, and the seed."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from associative_embedding.model_files.checkpoint import read_description
from associative_embedding.model_files.model_info import ModelInfo

Identity = dict[str, Any]  # name of a setting -> its value, plain enough for a torch file

WORDS = {"keypoints": "another skeleton", "classes": "other classes", "options": "other network options"}
MAX_TEXT = 10_000  # characters of an identity that is a text
ADVICE = "choose another output folder, or set it back"


def identity_of(info: ModelInfo) -> Identity:
    """Returns what gives the weights of a model their meaning."""
    categories = info.task.categories
    if info.task.finds_masks:
        names = {"classes": [str(category["name"]) for category in categories]}
    else:
        names = {"keypoints": list(categories[0]["keypoints"])}
    values = {"task": info.task.name, "backbone": info.backbone, "tag_size": info.tag_size, **names}
    return {**values, "options": json.loads(json.dumps(info.options))}  # tuples become lists, as in files


def check_state(path: Path, saved: Any, own: Identity) -> None:
    """Checks the identity in a training state; only the settings that it states count.

    Args:
        path: the state, for messages.
        saved: as it was written; before version 0.2 the text of a tuple, without task and keypoints.
        own: of the run that is to continue.

    Raises:
        ValueError: for the state of another run.
    """
    if isinstance(saved, str):
        try:
            backbone, tag_size, options, seed = ast.literal_eval(saved[:MAX_TEXT])
            options = json.loads(json.dumps(dict(options)))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(f"{path}: its identity cannot be read; remove it") from None
        saved = {"backbone": backbone, "tag_size": tag_size, "options": options, "seed": seed}
    check_same(path, saved, own)


def check_model(path: Path, own: Identity) -> None:
    """Checks that the model file in the folder of a run, if there is one, is an earlier one of this run.

    Raises:
        ValueError: for the model of another run.
    """
    info = read_description(path) if path.is_file() else None
    if info is not None:
        check_same(path, identity_of(info), own)


def check_same(path: Path, saved: Mapping[str, Any], own: Identity) -> None:
    """Checks that all settings that both have are equal.

    Raises:
        ValueError: for the first one that differs.
    """
    for name, value in own.items():
        if name in saved and saved[name] != value:
            what = WORDS.get(name, f"another {name}")
            raise ValueError(f"{path}: is of {what} ({difference(name, saved[name], value)}); {ADVICE}")


def difference(name: str, saved: Any, own: Any) -> str:
    """Returns how two values differ; of two lists of names the first name that does."""
    if not isinstance(saved, list) or not isinstance(own, list) or len(saved) != len(own):
        old, new = (len(value) if isinstance(value, list) else repr(value) for value in (saved, own))
        return f"it has {old}, the recipe {new}"
    number = next(i for i, pair in enumerate(zip(saved, own, strict=True)) if pair[0] != pair[1])
    kind = {"keypoints": "keypoint", "classes": "class"}[name]
    return f"{kind} {number + 1} is {saved[number]} in it and {own[number]} in the recipe"
