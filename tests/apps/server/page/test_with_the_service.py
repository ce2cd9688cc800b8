"""The page with the real service behind it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.inference.load import load
from support.browser import opened, served

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.service import create_app
from support.page import choose, pixel, tiff

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_the_real_service(browser: Any) -> None:
    with served(create_app(partial(load, "person-fast"), Limits())) as url, opened(browser, url) as tab:
        asked: list[tuple[str, int]] = []
        tab.on(
            "request", lambda r: asked.append((r.url, len(r.post_data_buffer or b""))) if "predict" in r.url else None
        )
        tab.click("#example")
        expect(tab.locator("#status")).to_have_text("3 people found.")
        bare = tab.evaluate("document.getElementById('canvas').toDataURL()")
        tab.focus("#set-min_score")
        tab.keyboard.press("End")
        expect(tab.locator("#status")).to_have_text("0 people found.")
        expect(tab.locator("#none")).to_be_visible()
        tab.click("#reset")
        expect(tab.locator("#status")).to_have_text("3 people found.")
        assert tab.evaluate("document.getElementById('canvas').toDataURL()") == bare
        with tab.expect_download() as download:
            tab.click("#save")
        saved = json.loads(Path(download.value.path()).read_text())
        assert saved["annotations"][0]["score"] > 0.2
        assert saved["images"][0] == {"id": 1, "file_name": "people.jpg", "width": 636, "height": 280}
        choose(tab, tiff(200), "grey.tif", "image/tiff")
        expect(tab.locator("#status")).to_have_text("0 people found.")
        np.testing.assert_allclose(pixel(tab, 5, 5), [200, 200, 200, 255], atol=2)
        photo = [size for query, size in asked if "format=picture" in query]
        assert photo == [len(tiff(200))]
        asked = [(query, size) for query, size in asked if "format=picture" not in query]
        assert asked[0][1] > 10_000
        assert len(asked) >= 3
        assert all("image=" in query and size == 0 for query, size in asked[1:])
