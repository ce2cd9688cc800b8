"""docs/formats.md says what the trials give."""

from __future__ import annotations

import pytest

from support.format_page import PAGE, SECTIONS, Section, rows
from support.trials import WRONG


@pytest.mark.parametrize("section", [pytest.param(s, id=s.title, marks=s.marks) for s in SECTIONS])
def test_the_page_has_what_the_trials_give(section: Section) -> None:
    trials = section.trials()
    assert [f"{trial.kind}: {trial.what}" for trial in trials if trial.result == WRONG] == []
    page = PAGE.read_text(encoding="utf-8")
    missing = [row for row in rows(trials) if row not in page]  # the page may have more: not every Pillow has all kinds
    assert missing == [], "PYTHONPATH=tests python -m support.format_page"
