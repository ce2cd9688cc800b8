"""Sliders send what was moved, and not the photo again."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from support.browser import ScriptedAnswers, opened, served
from support.tiny import FIGURE

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from support.page import choose, dataset, figure, found, move, page_alone, png

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_a_slider_sends_the_digest_of_the_photo(tab: Any, service: ScriptedAnswers) -> None:
    digest = "0123456789abcdef" * 4
    service.reply(200, dataset(figure()), {"X-Image": digest})
    choose(tab)
    found(tab, 1)
    move(tab, "min_score")
    service.wait_for(2)
    found(tab, 1)
    service.reply(404, {"detail": "the server does not have this image"}, only="image")
    move(tab, "threshold", "ArrowUp")
    service.wait_for(4)
    found(tab, 1)
    assert [(sorted(query), len(body)) for query, body in service.asked] == [
        ([], len(png())),
        (["image", "min_score"], 0),
        (["image", "min_score", "threshold"], 0),
        (["min_score", "threshold"], len(png())),
    ]
    assert service.asked[1][0]["image"] == digest
    expect(tab.locator("#problem")).to_be_empty()


def test_without_a_digest_the_photo_is_sent_again(tab: Any, service: ScriptedAnswers) -> None:
    choose(tab)  # the answer has no X-Image: a proxy may drop it
    found(tab, 1)
    move(tab, "min_score")
    service.wait_for(2)
    found(tab, 1)
    assert [(sorted(query), body) for query, body in service.asked] == [([], png()), (["min_score"], png())]


def test_settings_outside_of_a_slider_stay_as_they_are(browser: Any) -> None:
    decode = DecodeConfig(threshold=0.0034, tag_threshold=7.31, fill_threshold=0.123)
    with served(page_alone(PoseTask(FIGURE, decode))) as url, opened(browser, url) as tab:
        service = ScriptedAnswers(tab, dataset(figure()))
        choose(tab)
        found(tab, 1)
        assert service.asked[0][0] == {}  # the model's own values, exactly
        for name, value in (("threshold", 0.0034), ("tag_threshold", 7.31), ("fill_threshold", 0.123)):
            shown = tab.evaluate(
                """id => { const input = document.getElementById(id), box = input.closest(".slider");
                return [+input.min, +input.max, +input.value, box.querySelector("span").textContent]; }""",
                f"set-{name}",
            )
            assert shown[0] <= value <= shown[1]
            assert shown[3] == str(value)
            assert shown[2] == pytest.approx(value, abs=0.05 * (shown[1] - shown[0]))
        move(tab, "tag_threshold")
        service.wait_for(2)
        assert list(service.asked[1][0]) == ["tag_threshold"]
        assert 7 < float(service.asked[1][0]["tag_threshold"]) < 8
        found(tab, 1)
        tab.click("#reset")
        service.wait_for(3)
        assert service.asked[2][0] == {}
        expect(tab.locator("#set-tag_threshold")).to_have_attribute("aria-valuetext", "7.31")
