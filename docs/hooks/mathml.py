"""Turns the formulas of the pages into MathML while the site is built: browsers show it without scripts or fonts.

``pymdownx.arithmatex`` marks the formulas, and mkdocs calls `on_page_content` for each page.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Returns the html of a page with its formulas as MathML."""
    return FORMULA.sub(to_mathml, content)


def to_mathml(formula: re.Match[str]) -> str:
    """Returns one formula as MathML, a displayed one in a line of its own."""
    tag, bracket, latex = formula.groups()
    display = "block" if bracket == "[" else "inline"
    # A wide formula scrolls by itself on a narrow screen.
    style = ' style="overflow-x: auto; font-size: 1.15em"' if display == "block" else ""
    return f"<{tag}{style}>{convert(html.unescape(latex), display=display)}</{tag}>"
