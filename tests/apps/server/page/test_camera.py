"""The camera is on only while it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from support.browser import ScriptedAnswers

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from support.page import camera_is_off, choose, dataset, figure, found, nothing_is_left, start_camera

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_a_photo_ends_the_camera(tab: Any, service: ScriptedAnswers) -> None:
    start_camera(tab)
    choose(tab)
    found(tab, 1)
    camera_is_off(tab)
    expect(tab.locator("#canvas")).to_be_visible()
    start_camera(tab)  # and the camera ends the photo
    nothing_is_left(tab)
    expect(tab.locator("#canvas")).to_be_hidden()
    tab.keyboard.press("Escape")
    camera_is_off(tab)
    expect(tab.locator("#empty")).to_be_visible()
    start_camera(tab)
    tab.click("#camera")
    camera_is_off(tab)
    start_camera(tab)
    choose(tab, b"no photo")
    expect(tab.locator("#problem")).to_contain_text("cannot show this file")
    camera_is_off(tab)


def test_a_picture_is_taken(tab: Any, service: ScriptedAnswers) -> None:
    start_camera(tab)
    width, height = tab.evaluate(
        "[document.getElementById('video').videoWidth, document.getElementById('video').videoHeight]"
    )
    service.reply(200, dataset(figure(), size=(height, width)))
    tab.click("#shoot")
    found(tab, 1)
    camera_is_off(tab)
    ((_, body),) = service.asked
    assert body.startswith(b"\xff\xd8")
    expect(tab.locator("#camera")).to_be_focused()


def test_a_camera_that_comes_too_late_is_ended(tab: Any, service: ScriptedAnswers) -> None:
    tab.evaluate(
        """() => { const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async wanted => { await new Promise(go => { window.allow = go; });
            const stream = await real(wanted); window.track = stream.getVideoTracks()[0]; return stream; }; }"""
    )
    tab.click("#camera")
    tab.wait_for_function("() => Boolean(window.allow)")
    choose(tab)
    found(tab, 1)
    tab.evaluate("window.allow()")
    tab.wait_for_function("() => Boolean(window.track)")
    camera_is_off(tab)
    found(tab, 1)
    expect(tab.locator("#canvas")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "message"),
    [("NotAllowedError", "does not allow"), ("NotFoundError", "no camera"), ("Other", "cannot be used")],
)
def test_a_camera_that_cannot_be_used(tab: Any, name: str, message: str) -> None:
    tab.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }", name
    )
    tab.click("#camera")
    expect(tab.locator("#problem")).to_contain_text(message)
    expect(tab.locator("#empty")).to_be_visible()
