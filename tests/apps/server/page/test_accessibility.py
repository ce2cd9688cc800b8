"""Everything is reached by keys, seen, and still for those who want it still."""

from __future__ import annotations

from typing import Any

import pytest

from support.browser import PHONE, ScriptedAnswers, opened, violations

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from support.page import BAD_GATEWAY, choose, dataset, figure, found, move, start_camera

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_everything_is_reached_by_keys_and_the_focus_is_seen(tab: Any, service: ScriptedAnswers) -> None:
    choose(tab)
    found(tab, 1)
    tab.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(20):
        tab.keyboard.press("Tab")
        name, outline = tab.evaluate(
            """() => { const at = document.activeElement, ring = at.id === "file" ? at.parentElement : at;
            return [at.id || at.className || at.tagName.toLowerCase(), getComputedStyle(ring).outlineStyle]; }"""
        )
        if name == "body":
            break
        reached.append(name)
        assert outline == "solid", name
    assert reached == ["a", "file", "camera", "scroll", "button", "save", "set-min_score", "summary", "tags"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE], ids=["wide", "phone"])
def test_no_violation_of_accessibility(browser: Any, address: str, theme: str, viewport: Any) -> None:
    options = {"color_scheme": theme} | ({"viewport": viewport} if viewport else {})
    with opened(browser, address, **options) as tab:
        service = ScriptedAnswers(tab, dataset(figure(40), figure(120)))
        expect(tab.locator("#set-min_score")).to_be_visible()
        assert violations(tab) == []
        choose(tab)
        found(tab, 2)
        tab.click("#more summary")
        tab.focus("#list button")
        move(tab, "min_score")
        found(tab, 2)
        assert violations(tab) == []
        assert too_small(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        service.reply(502, BAD_GATEWAY)
        choose(tab)
        expect(tab.locator("#problem")).not_to_be_empty()
        assert violations(tab) == []
        start_camera(tab)
        assert violations(tab) == []
        assert too_small(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def too_small(tab: Any) -> list[str]:
    """The targets of a pointer with a side of less than 24 px (WCAG 2.2, 2.5.8)."""
    return list(
        tab.evaluate(
            """() => [...document.querySelectorAll("a, button, .button, input:not([type=file]), summary")].filter(
        e => e.checkVisibility()).map(e => [e.id || e.textContent, e.getBoundingClientRect()]).filter(
        ([, box]) => Math.min(box.width, box.height) < 24).map(([name, box]) => `${name} ${box.height}`)"""
        )
    )


@pytest.mark.parametrize(("motion", "moving"), [("reduce", 0), ("no-preference", 1)])
def test_reduced_motion(browser: Any, address: str, motion: str, moving: int) -> None:
    with opened(browser, address, reduced_motion=motion) as tab:
        service = ScriptedAnswers(tab, dataset(figure()))
        service.hold()
        choose(tab)
        expect(tab.locator("#stage")).to_have_attribute("aria-busy", "true")
        script = "() => document.getAnimations().filter(a => a.animationName === 'slide').length"
        assert tab.evaluate(script) == moving
        service.release(dataset(figure()))
        found(tab, 1)
