"""What stands in quotation marks, where the paper is described, are the paper's own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.paths import ROOT

PAGES = [
    "docs/method.md",
    "docs/refinement.md",
    "docs/reproduce.md",
    *(f"recipes/paper/{p.name}" for p in sorted((ROOT / "recipes/paper").glob("*.yaml"))),
]
CODE = re.compile(r"```.*?```|`[^`]*`|<[^>]*>", re.DOTALL)
QUOTATION = re.compile(r'(\[40\][^"\n]*)?"([^"]+)"')


def words(text: str) -> str:
    """A text in lower case, of letters and digits alone."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def quotations(page: str) -> list[str]:
    """All quotations of a page but those that are said to be of reference [40]."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = re.sub(r"\n# ?", "\n", text) if page.endswith(".yaml") else CODE.sub("", text)
    return [found for other, found in QUOTATION.findall(text) if not other]


@pytest.mark.parametrize("page", PAGES)
def test_a_quotation_is_in_the_paper(page: str, shared: Path) -> None:
    paper = words((shared / "reference" / "paper.md").read_text(encoding="utf-8"))
    assert [found for found in quotations(page) if words(found) not in paper] == []


def test_the_method_quotes_the_paper() -> None:
    assert any(len(words(found).split()) > 10 for found in quotations("docs/method.md"))
