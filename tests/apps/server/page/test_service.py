"""Only the newest answer is shown, and every failure is one line."""

from __future__ import annotations

from typing import Any

import pytest

from support.browser import ScriptedAnswers, opened

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from playwright.sync_api import expect

from support.page import BAD_GATEWAY, choose, dataset, figure, found, move, nothing_is_left, png

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_an_older_answer_never_replaces_a_newer_one(tab: Any, service: ScriptedAnswers) -> None:
    service.hold()
    choose(tab)
    service.wait_for(1)
    service.reply(200, dataset(figure(), figure(40)))
    choose(tab, png((1, 2, 3)))  # another photo: the first request is of no use any more
    found(tab, 2)
    service.hold()
    move(tab, "min_score")
    service.wait_for(3)
    expect(tab.locator("#save")).to_be_disabled()  # what is shown is of the former settings
    service.reply(200, dataset(figure(), figure(40), figure(120)))
    move(tab, "min_score")
    found(tab, 3)
    service.release(dataset(figure()))
    expect(tab.locator("#list tr")).to_have_count(3)
    expect(tab.locator("#save")).to_be_enabled()
    assert service.aborted == 2


def test_a_result_belongs_to_the_photo_of_its_request(tab: Any, service: ScriptedAnswers) -> None:
    service.hold()
    choose(tab)
    service.wait_for(1)
    choose(tab, b"no photo")
    expect(tab.locator("#problem")).to_contain_text("cannot show this file")
    service.release(dataset(figure()))
    nothing_is_left(tab)
    move(tab, "min_score")  # nothing to ask for
    tab.click("#reset")
    assert len(service.asked) == 1


PROXY = "A proxy in front of the service"
STRANGE = f"{PROXY} answered with something else than a result (status 200)."
TURNED = "The service reads this photo as 120 x 160 pixels, the browser as 160 x 120."
BUSY = "64 requests are waiting already: try again later"
FAILURES: list[tuple[int, Any, str, bool]] = [
    (413, BAD_GATEWAY, f"{PROXY} refuses the photo as too large. Choose a smaller one (status 413).", False),
    (502, BAD_GATEWAY, f"{PROXY} does not reach it: it may be starting, or stopped (status 502).", True),
    (503, BAD_GATEWAY, f"{PROXY} says that it is not available now (status 503).", True),
    (504, BAD_GATEWAY, f"{PROXY} waited too long for its answer (status 504).", True),
    (404, BAD_GATEWAY, f"{PROXY} does not know the address of the service (status 404).", False),
    (418, "", "The service failed (status 418).", False),
    (200, BAD_GATEWAY, STRANGE, False),
    (200, '{"annotations": [', STRANGE, False),
    (200, [1], "The answer is no result of this service.", False),
    (429, {"detail": BUSY}, f"{BUSY}.", True),
    (503, {"detail": "no answer within 5 seconds"}, "No answer within 5 seconds.", True),
    (422, {"detail": [{"msg": "field required"}, {"msg": "not a number"}]}, "Field required; not a number.", False),
    (422, {"detail": "two\nlines \u202ereversed\u0007"}, "Two lines reversed.", False),
    (200, dataset(figure(), size=(160, 120)), TURNED, False),
]


@pytest.mark.parametrize(("status", "body", "message", "again"), FAILURES)
def test_failures_are_one_line(
    tab: Any, service: ScriptedAnswers, status: int, body: Any, message: str, again: bool
) -> None:
    service.reply(status, body)
    choose(tab)
    expect(tab.locator("#problem")).to_have_text(message)
    expect(tab.locator("#status")).to_be_empty()
    nothing_is_left(tab)
    assert tab.locator("#again").is_visible() is again
    service.reply(200, dataset(figure()))
    if again:
        tab.click("#again")
    else:
        choose(tab)
    found(tab, 1)
    expect(tab.locator("#problem")).to_be_empty()
    expect(tab.locator("#again")).to_be_hidden()


def test_no_network_and_no_answer_are_told_apart(tab: Any, service: ScriptedAnswers) -> None:
    service.fail()
    choose(tab)
    expect(tab.locator("#problem")).to_have_text("The service does not answer. It may be stopped.")
    expect(tab.locator("#again")).to_be_visible()
    tab.context.set_offline(True)
    tab.click("#again")
    expect(tab.locator("#problem")).to_have_text("This device is offline.")
    tab.context.set_offline(False)
    service.hold()
    tab.clock.install()
    tab.click("#again")
    service.wait_for(3)
    tab.clock.fast_forward(41_000)  # twice the limit of the service, and half a minute
    expect(tab.locator("#problem")).to_have_text("The service did not answer in time.")
    nothing_is_left(tab)


def test_a_service_that_is_not_there_yet(browser: Any, address: str) -> None:
    with opened(browser, "about:blank") as tab:
        tab.route("**/page/model.json", lambda route: route.fulfill(status=502, body=BAD_GATEWAY))
        service = ScriptedAnswers(tab, dataset(figure()))
        tab.goto(address)
        expect(tab.locator("#problem")).to_contain_text("does not reach it")
        choose(tab)
        expect(tab.locator("#problem")).to_contain_text("does not reach it")
        expect(tab.locator("#canvas")).to_be_visible()
        tab.unroute("**/page/model.json")
        tab.click("#again")  # goes on with the photo
        expect(tab.locator("#set-min_score")).to_be_visible()
        found(tab, 1)
        assert len(service.asked) == 1
