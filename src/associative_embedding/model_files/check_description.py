"""Checks that what a model file states is possible, before anything of it is built.

Model files come from anybody. A description of a few hundred bytes can ask for a network of terabytes, or for an input
that takes hours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from associative_embedding.io.reading import AUTO, Reading

MAX_DESCRIPTION = 2**20  # characters of the json
MAX_OPTIONS = 10_000  # characters of the json of the backbone's options
MAX_SCALES = 16
MAX_SIDE = 4096  # pixels of the input, at the largest scale
MAX_CROP = 1024  # pixels of a crop of the second look, which every person gets
MAX_ENLARGE = 32
SMALLEST_ZOOM = 0.01
SHOWN = 60  # characters of a name or value in a message


def check_values(values: dict[str, Any], task: str) -> None:
    """Checks types and ranges of a description.

    Args:
        values: the decoded json, without ``format`` and ``task``.
        task: name of the task; a model for one person needs no tags.

    Raises:
        ValueError: for a value of another type than in `ModelInfo`, or out of range.
        KeyError: without ``decode``.
    """
    limits = (
        ("input_size", 1, MAX_SIDE),
        ("refine_size", 0, MAX_CROP),
        ("fine_below", 0, MAX_SIDE),
        ("enlarge", 1, MAX_ENLARGE),
        ("tag_size", int(task != "single-person"), 1e6),
    )
    for key, least, most in limits:
        value = values.get(key, 1)
        if type(value) is not int or value < least:  # isinstance would accept True
            raise ValueError(f"{key} must be a positive integer{' or 0' * (not least)}, not {value!r:.{SHOWN}}")
        if value > most:
            raise ValueError(f"{key} must be at most {most:g}, not {value}")
    check_scales(values)
    normalize = values.get("normalize", AUTO)
    if not isinstance(normalize, str) or len(normalize) > SHOWN:
        raise ValueError(f"normalize must be a short text, not {normalize!r:.{SHOWN}}")
    Reading(normalize=normalize)
    zoom = values.get("zoom", 0.0)
    if type(zoom) not in (int, float) or not (zoom == 0 or SMALLEST_ZOOM <= zoom < 100):
        raise ValueError(f"zoom must be 0, or a number in [{SMALLEST_ZOOM}, 100), not {zoom!r:.{SHOWN}}")
    if values.get("resize", "long") not in ("long", "short"):
        raise ValueError(f"resize must be 'long' or 'short', not {values['resize']!r:.{SHOWN}}")
    kinds = {"backbone": str, "refine": str, "options": dict, "notes": dict, "calibration": dict}
    for key, kind in {**kinds, "decode": dict}.items():
        given = values[key] if key == "decode" else values.get(key, kind())
        if not isinstance(given, kind):
            raise ValueError(f"{key} must be a {'text' if kind is str else 'mapping'}, not {given!r:.{SHOWN}}")
    if len(json.dumps(values.get("options", {}))) > MAX_OPTIONS:
        raise ValueError(f"options are more than {MAX_OPTIONS} characters")


def check_scales(values: Mapping[str, Any]) -> None:
    """Checks the scales of a description, and the largest input of the network.

    Raises:
        ValueError: for a value of another type, or out of range.
    """
    scales, side = values.get("scales", [1.0]), values.get("input_size", 1)
    if not isinstance(scales, list) or not scales or not all(type(s) in (int, float) and 0 < s < 100 for s in scales):
        raise ValueError(f"scales must be a list of positive numbers, not {scales!r:.{SHOWN}}")
    if len(scales) > MAX_SCALES:
        raise ValueError(f"scales must be at most {MAX_SCALES} numbers, not {len(scales)}")
    if side * max(scales) > MAX_SIDE:
        raise ValueError(f"the input size {side} times {max(scales):g} is more than {MAX_SIDE} pixels")
    used = values.get("tag_scales")
    if used is not None and (not isinstance(used, list) or not used or not all(scale in scales for scale in used)):
        raise ValueError(f"tag_scales must be some of the scales {scales}, not {used!r:.{SHOWN}}")
