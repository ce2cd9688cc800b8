"""docs/architecture.md names files and rooms that exist."""

from __future__ import annotations

import re

import pytest

from support.paths import ROOT

SOURCE = ROOT / "src" / "associative_embedding"
PAGES = ("architecture.md", "decisions.md")


def paths_named(page: str) -> set[str]:
    """File names and folders in code spans: ``networks/zoo.py``, ``data/readers/``; ``*`` stands for some folder."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return set(re.findall(r"`((?:[a-z_]+/|\*/)+(?:[a-z_]+\.py)?|[a-z_]+\.py)`", text))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_the_page_names_exists(page: str) -> None:
    named = paths_named(page)
    assert named
    missing = []
    for path in sorted(named):
        places = (ROOT, SOURCE, SOURCE / "apps" / "cli", SOURCE / "data" / "label_formats")
        converters = SOURCE / "model_files" / "converters"
        if not any(list(place.glob(path)) for place in (*places, converters)):
            missing.append(path)
    assert missing == []


def test_every_room_has_a_line() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path for path in SOURCE.iterdir() if not path.name.startswith("__") and path.name != "py.typed"]
    assert [room.name for room in rooms if f"\n{room.name}" not in text] == []
