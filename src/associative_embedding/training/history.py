"""Reads the log of a run: its losses and validations by step, also those of earlier sessions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]  # a line of the log, see `Log.write`

# The number that tells which of two validations is better; the first one that a validation has.
SCORES = ("AP", "mAP50", "dsb_map", "OKS")


@dataclass(frozen=True)
class Best:
    """The best validation.

    Attributes:
        name: of the score, one of `SCORES`.
        score: the highest one.
        step: where it was reached first.
        since: number of validations after it.
    """

    name: str
    score: float
    step: int
    since: int


def read_log(path: Path) -> list[Line]:
    """Returns the lines of a log in the order of their steps; none if there is no file.

    Steps that were lost, as a session was killed, are in the file twice: the later line counts. Lines that are no json
    objects with an event and a step are left out.
    """
    if not path.is_file():
        return []
    lines: dict[tuple[str, int], Line] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # the half of a line, after a loss of power
            continue
        if isinstance(line, dict) and isinstance(line.get("event"), str) and isinstance(line.get("step"), int):
            lines[line["event"], line["step"]] = line
    return sorted(lines.values(), key=lambda line: int(line["step"]))


def validations(lines: Sequence[Line]) -> list[Line]:
    """Returns the validations of a log."""
    return [line for line in lines if line["event"] == "validation"]


def best_validation(lines: Sequence[Line]) -> Best | None:
    """Returns the best validation of a log; None if none has a score."""
    scored = [(line["step"], *named) for line in validations(lines) if (named := score_of(line))]
    if not scored:
        return None
    at = max(range(len(scored)), key=lambda i: scored[i][2])  # the first of equal ones
    step, name, score = scored[at]
    return Best(name, score, step, len(scored) - 1 - at)


def score_of(numbers: Line) -> tuple[str, float] | None:
    """Returns the name and value of the score of a validation; None if it has none."""
    return next(((name, float(numbers[name])) for name in SCORES if isinstance(numbers.get(name), (int, float))), None)
