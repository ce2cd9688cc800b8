"""Writes docs/formats.md from trials: ``PYTHONPATH=tests python -m support.format_page``.

A section has a title and a function that makes its trials. `tests/project/test_formats.py` compares the page with what
the trials give. To add a section, add it to `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from support.image_trials import image_trials
from support.label_trials import label_trials
from support.paths import ROOT
from support.trials import Trial
from support.video_trials import video_trials

PAGE = ROOT / "docs" / "formats.md"
HEAD = """\
# What can be read

A file is read, read with a remark (a line says what is left out or guessed), or refused (a line says why and what to
do). The tables are written by the trials that try each kind: `PYTHONPATH=tests python -m support.format_page`.
"""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        text: what stands before the table.
        trials: makes the trials, in the order of the rows.
        marks: pytest marks of the section's test, such as ``(pytest.mark.extra,)``.
    """

    title: str
    text: str
    trials: Callable[[], Sequence[Trial]]
    marks: tuple[Any, ...] = ()


SECTIONS = (
    Section(
        "Images",
        "All commands read images by one function (`io/decode_images.py`), as 8 bits. Pictures of 8 bits keep their\n"
        "values. Of deeper ones whose contrast (colours: whose brightest value) is at least a quarter of their range,\n"
        "the whole range becomes black to white, as photographs need it: 16 bits are divided by 257, floats in [0, 1]\n"
        "multiplied by 255. Of all others percentiles 1 and 99.8 of each picture and channel do, as is usual in\n"
        "microscopy; `--normalize` chooses. Of several channels `--channel` chooses one, of planes `--page`,\n"
        "`--project` and `--axes`: by default a depth gives its maximum, and `ae predict` reads each time and page.\n\n"
        "Transparency lies over white. The EXIF orientation is applied, but for annotations whose stated size is\n"
        "the stored one. The content of a file decides, not its ending. Limits: 500 MB, 178,956,970 pixels, 2 GB of\n"
        "memory while it is decoded (11 bytes for each pixel; AVIF 16, WebP 18, JPEG 2000 in one tile 26, deep TIFFs\n"
        "twice their values), and 100 scans of a JPEG. Models that work tile by tile read larger TIFFs and OME-Zarr\n"
        "images by windows, up to 4,294,967,295 pixels.",
        image_trials,
    ),
    Section(
        "Videos",
        "`ae predict` reads films by PyAV (the extra `[video]`), cameras, streams, and folders of frames. A film is\n"
        "read if every frame has its picture, its number and its time, also from a `--start` on.",
        video_trials,
        (pytest.mark.extra, pytest.mark.slow),
    ),
    Section(
        "Labels",
        "`ae data convert` reads the formats of other tools; training and evaluation read COCO. Labels are read if\n"
        "every keypoint has its name, place and visibility.",
        label_trials,
        (pytest.mark.extra,),
    ),
)


def render(section: Section) -> str:
    """Returns the text of a section."""
    table = ["| kind | file | result | line |", "|---|---|---|---|", *rows(section.trials())]
    return "\n".join([f"## {section.title}", "", section.text, "", *table, ""])


def rows(trials: Sequence[Trial]) -> list[str]:
    """Returns the rows of a table."""
    return [f"| {trial.kind} | {trial.what} | {trial.result} | {trial.line} |" for trial in trials]


def main() -> None:
    """Writes the page."""
    PAGE.write_text("\n".join([HEAD, *map(render, SECTIONS)]), encoding="utf-8")


if __name__ == "__main__":
    main()
