"""Photos come by file, drop and paste, and leave nothing of the former one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.browser import ScriptedAnswers

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from support.page import LIMITS, choose, dataset, figure, found, nothing_is_left, pixel, png, tiff

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_a_refused_photo_leaves_no_former_people(tab: Any, service: ScriptedAnswers) -> None:
    choose(tab)
    found(tab, 1)
    service.reply(422, {"detail": "the image is broken"})
    choose(tab, png((10, 20, 30)))
    expect(tab.locator("#problem")).to_have_text("The image is broken.")
    nothing_is_left(tab)
    assert pixel(tab, 80, 20)[:3] == [30, 20, 10]
    service.reply(200, dataset(figure(), figure(40)))
    choose(tab)
    found(tab, 2)
    choose(tab, b"no photo")
    expect(tab.locator("#problem")).to_contain_text("cannot show this file")
    nothing_is_left(tab)
    expect(tab.locator("#canvas")).to_be_hidden()
    choose(tab)
    found(tab, 2)
    choose(tab, bytes(LIMITS.max_bytes + 1))
    expect(tab.locator("#problem")).to_have_text("The photo has 489 kB; the service takes up to 489 kB.")
    nothing_is_left(tab)
    choose(tab, png(size=(801, 500)))
    large = "The photo has 500 x 801 pixels; the service takes up to 0.4 million."
    expect(tab.locator("#problem")).to_have_text(large)
    nothing_is_left(tab)
    assert len(service.asked) == 4


def test_a_transparent_photo_shows_no_former_skeleton(tab: Any, service: ScriptedAnswers) -> None:
    choose(tab)
    found(tab, 1)
    assert pixel(tab, 80, 20) == [255, 255, 255, 255]  # the nose is in the middle: white
    assert pixel(tab, 87.5, 30)[0] > 200  # a limb of the first colour, red
    service.reply(200, dataset())
    choose(tab, png((0, 0, 0, 0)))
    found(tab, 0)
    assert pixel(tab, 87.5, 30) == [255, 255, 255, 255]
    choose(tab, png((0, 0, 200, 128)))
    found(tab, 0)
    # Half transparent red on white, as the service decodes it; 0.5 by the rounding of premultiplied colours.
    np.testing.assert_allclose(pixel(tab, 87.5, 30), [227, 127, 127, 255], atol=2)


def test_the_same_file_can_be_chosen_again(tab: Any, service: ScriptedAnswers, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    tab.set_input_files("#file", str(file))
    found(tab, 1)
    service.reply(200, dataset(figure(), figure(40)))
    tab.set_input_files("#file", str(file))
    found(tab, 2)
    assert tab.evaluate("document.getElementById('file').value") == ""


def test_a_tiff_is_shown_as_the_service_reads_it(tab: Any, service: ScriptedAnswers) -> None:
    read = png((50, 60, 70))
    tab.route("**/predict?format=picture*", lambda route: route.fulfill(body=read, headers={"X-Image": "a" * 64}))
    choose(tab, tiff(60), "a.tif", "image/tiff")
    found(tab, 1)
    assert [(sorted(query), len(body)) for query, body in service.asked] == [(["image"], 0)]  # sent once
    assert pixel(tab, 5, 5) == [70, 60, 50, 255]
    tab.unroute("**/predict?format=picture*")
    service.reply(422, {"detail": "the image is damaged"})
    choose(tab, tiff(60), "a.tif", "image/tiff")
    expect(tab.locator("#problem")).to_have_text("The image is damaged.")
    nothing_is_left(tab)


def transfer(tab: Any, event: str, *files: tuple[bytes, str, str]) -> None:
    """Drops or pastes files: bytes, name and type."""
    tab.evaluate(
        """([event, files]) => { const data = new DataTransfer();
        for (const [bytes, name, type] of files) data.items.add(new File([new Uint8Array(bytes)], name, { type }));
        const [Event, key] = event === "paste" ? [ClipboardEvent, "clipboardData"] : [DragEvent, "dataTransfer"];
        window.dispatchEvent(new Event(event, { [key]: data, cancelable: true, bubbles: true })); }""",
        [event, [[list(data), name, kind] for data, name, kind in files]],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_drop_and_paste(tab: Any, service: ScriptedAnswers, event: str) -> None:
    transfer(tab, event, (b"text", "a.txt", "text/plain"), (png(), "b.png", "image/png"))
    found(tab, 1)
    transfer(tab, event, (b"text", "a.txt", "text/plain"))
    expect(tab.locator("#problem")).to_contain_text("cannot show this file")
    nothing_is_left(tab)


def test_a_drop_without_a_file(tab: Any, service: ScriptedAnswers) -> None:
    transfer(tab, "drop")
    expect(tab.locator("#problem")).to_have_text("This is no file with a photo.")
    transfer(tab, "dragenter")
    expect(tab.locator("#stage")).to_have_class("over")
