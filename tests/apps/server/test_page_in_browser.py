"""The page in headless Chromium: with scripted answers of the service, and with the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.inference.load import load
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.task import Task
from support.browser import PHONE, ScriptedAnswers, chromium, opened, served, violations
from support.pictures import blobs
from support.tiny import FIGURE

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from fastapi import FastAPI
from playwright.sync_api import expect

from associative_embedding.apps.server.jobs import ServedModel
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.page import page_router
from associative_embedding.apps.server.service import create_app

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

expect.set_options(timeout=60_000)  # other tests share the cores
LIMITS = Limits(max_bytes=500_000, max_pixels=400_000, timeout=5)
SIZE = (120, 160)  # of the photos, pixels


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def page_alone(task: Task) -> FastAPI:
    """The page without a service behind it; each test scripts the answers."""
    app = FastAPI()
    app.include_router(page_router(ServedModel(task, 64, "cpu"), LIMITS))
    return app


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(page_alone(PoseTask(FIGURE))) as url:
        yield url


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address) as page:
        yield page


@pytest.fixture
def service(tab: Any) -> ScriptedAnswers:
    return ScriptedAnswers(tab, dataset(figure()))


# ---- photos and answers


def png(colour: tuple[int, ...] = (90, 120, 150), size: tuple[int, int] = SIZE) -> bytes:
    image = np.full((*size, len(colour)), colour, np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


def choose(tab: Any, data: bytes | None = None, name: str = "photo.png", kind: str = "image/png") -> None:
    tab.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": png() if data is None else data})


def figure(x: float = 80, score: float = 0.9, tag: float = 0.0) -> dict[str, Any]:
    """A figure around a column of the photo; its right hip was not found."""
    points = [(x, 20, 0.9), (x + 15, 40, 0.8), (x - 15, 40, 0.8), (x + 10, 100, 0.7), (0, 0, 0)]
    box = [x - 15, 20, 30, 80]
    return {
        "category_id": 1,
        "keypoints": [float(value) for point in points for value in point],
        "score": score,
        "bbox": box,
        "area": 2400.0,
        "tag": [tag, -tag],
    }


def dataset(*annotations: dict[str, Any], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "", "width": size[1], "height": size[0]}]
    return {"images": images, "annotations": list(annotations), "categories": []}


def pixel(tab: Any, x: float, y: float) -> list[int]:
    """The colour on the canvas at a point of the photo, red, green, blue, alpha."""
    script = """([x, y, width]) => { const canvas = document.getElementById("canvas"), scale = canvas.width / width;
        return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data]; }"""
    return list(tab.evaluate(script, [x, y, SIZE[1]]))


def found(tab: Any, count: int) -> None:
    expect(tab.locator("#status")).to_have_text(f"{count} figure found." if count == 1 else f"{count} found.")
    expect(tab.locator("#list tr")).to_have_count(count)


def nothing_is_left(tab: Any) -> None:
    expect(tab.locator("#list tr")).to_have_count(0)
    expect(tab.locator("#results")).to_be_hidden()
    expect(tab.locator("#save")).to_be_disabled()
    tab.evaluate("document.getElementById('save').click()")  # does nothing, or `opened` sees an error


# ---- nothing of a former photo stays


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


# ---- the camera


def start_camera(tab: Any) -> None:
    tab.click("#camera")
    expect(tab.locator("#shoot")).to_be_enabled()
    expect(tab.locator("#video")).to_be_visible()
    tab.evaluate("window.track = document.getElementById('video').srcObject.getVideoTracks()[0]")


def camera_is_off(tab: Any) -> None:
    tab.wait_for_function("window.track.readyState === 'ended'")
    assert tab.evaluate("document.getElementById('video').srcObject") is None
    expect(tab.locator("#video")).to_be_hidden()
    expect(tab.locator("#shoot")).to_be_hidden()
    expect(tab.locator("#camera")).to_have_text("Use the camera")


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


# ---- requests


def move(tab: Any, name: str, key: str = "ArrowRight") -> None:
    """Moves a slider by a key, as a person would."""
    tab.evaluate("document.getElementById('more').open = true")
    tab.focus(f"#set-{name}")
    tab.keyboard.press(key)


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


HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
PROXY = "A proxy in front of the service"
STRANGE = f"{PROXY} answered with something else than a result (status 200)."
TURNED = "The service reads this photo as 120 x 160 pixels, the browser as 160 x 120."
BUSY = "64 requests are waiting already: try again later"
FAILURES: list[tuple[int, Any, str, bool]] = [
    (413, HTML, f"{PROXY} refuses the photo as too large. Choose a smaller one (status 413).", False),
    (502, HTML, f"{PROXY} does not reach it: it may be starting, or stopped (status 502).", True),
    (503, HTML, f"{PROXY} says that it is not available now (status 503).", True),
    (504, HTML, f"{PROXY} waited too long for its answer (status 504).", True),
    (404, HTML, f"{PROXY} does not know the address of the service (status 404).", False),
    (418, "", "The service failed (status 418).", False),
    (200, HTML, STRANGE, False),
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
        tab.route("**/page/model.json", lambda route: route.fulfill(status=502, body=HTML))
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


# ---- what is shown


def tiff(value: int) -> bytes:
    return cv2.imencode(".tif", np.full((*SIZE, 3), value, np.uint8))[1].tobytes()


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


def test_the_example_the_table_and_the_picture(tab: Any, service: ScriptedAnswers) -> None:
    expect(tab.locator("h1")).to_have_text("Find every figure in a photo")
    expect(tab.locator("#example")).to_be_hidden()  # there is none of figures
    service.reply(200, dataset(figure(40, 0.875, tag=0), figure(120, 0.25, tag=5)))
    choose(tab, name="team.of.two.png")
    found(tab, 2)
    assert tab.locator("#list tr").all_inner_texts() == ["figure 1\t0.88\t4 of 5", "figure 2\t0.25\t4 of 5"]
    legend = tab.locator("#legend li").all_inner_texts()
    assert legend == ["left side of the body", "right side", "middle"]
    assert pixel(tab, 55, 40)[:3] == [0, 229, 255]  # the left shoulder, cyan as in the package's pictures
    assert pixel(tab, 25, 40)[:3] == [255, 145, 0]
    limb = pixel(tab, 47.5, 30)
    assert limb[:3] == [255, 64, 64]
    tab.focus("#list tr:nth-child(2) button")
    assert pixel(tab, 47.5, 30) != limb  # faint, as the second one is pointed at
    tab.keyboard.press("Enter")
    expect(tab.locator("#list tr:nth-child(2) button")).to_have_attribute("aria-pressed", "true")
    tab.focus("#tags")
    assert pixel(tab, 47.5, 30) != limb  # stays chosen
    tab.keyboard.press("Space")
    first, second = (
        tab.evaluate("i => getComputedStyle(document.querySelectorAll('#list .swatch')[i]).backgroundColor", i)
        for i in (0, 1)
    )
    assert first != second
    with tab.expect_download() as download:
        tab.click("#save")
    assert download.value.suggested_filename == "team.of.two.json"
    saved = json.loads(Path(download.value.path()).read_text())
    assert saved["annotations"] == dataset(figure(40, 0.875, tag=0), figure(120, 0.25, tag=5))["annotations"]
    assert saved["images"][0]["file_name"] == "team.of.two.png"


def test_pointing_at_the_photo(tab: Any, service: ScriptedAnswers) -> None:
    service.reply(200, dataset(figure(40), figure(120)))
    choose(tab)
    found(tab, 2)
    box = tab.locator("#canvas").bounding_box()
    at = {"x": box["width"] * 121 / 160, "y": box["height"] * 21 / 120}
    tab.hover("#canvas", position=at)
    expect(tab.locator("#list tr.on")).to_have_text("figure 20.904 of 5")
    tab.hover("h1")
    expect(tab.locator("#list tr.on")).to_have_count(0)
    tab.click("#canvas", position=at)
    tab.hover("h1")
    expect(tab.locator("#list tr.on")).to_have_count(1)
    tab.click("#canvas", position={"x": 3, "y": 3})
    expect(tab.locator("#list tr.on")).to_have_count(0)


def test_texts_of_others_stay_texts(browser: Any) -> None:
    attack = '<img src=x onerror="window.hit=1">'
    with (
        served(page_alone(SegmentationTask((attack, "b\u202etxt.\n" + "long" * 50)))) as url,
        opened(browser, url) as tab,
    ):
        service = ScriptedAnswers(tab, dataset({**mask_rows(blobs(1))[0], "category_id": 1}, size=(40, 60)))
        expect(tab.locator("h1")).to_contain_text(attack)
        choose(tab, png(size=(40, 60)), name=f"{attack}.png".replace("/", ""))
        expect(tab.locator("#status")).to_have_text("1 found.")
        expect(tab.locator("#list")).to_contain_text(attack)
        service.reply(422, {"detail": attack})
        choose(tab, png(size=(40, 60)))
        expect(tab.locator("#problem")).to_contain_text(attack)
        assert tab.evaluate("window.hit") is None
        assert tab.locator("img[src=x]").count() == 0
        assert "\u202e" not in tab.inner_text("body")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def mask_rows(dense: Array) -> list[dict[str, Any]]:
    masks = Masks.from_dense(dense, dense.shape[1:])
    return [
        {"category_id": 1, "segmentation": run, "bbox": box, "score": 0.9, "area": float(area), "tag": [float(i)]}
        for i, (run, box, area) in enumerate(zip(masks.to_rle(), masks.xywh.tolist(), masks.area, strict=True))
    ]


def test_masks(browser: Any) -> None:
    dense = blobs(5)
    dense[1, :, 7] = True  # a column from edge to edge: its run goes on in the next one
    dense[1, :20, 8] = True
    rows = mask_rows(dense)
    with served(page_alone(SegmentationTask(("nucleus",)))) as url, opened(browser, url) as tab:
        ScriptedAnswers(tab, dataset(*rows, size=(40, 60)))
        expect(tab.locator("h1")).to_have_text("Find every nucleus in a photo")
        script = "async ([run, box]) => [...(await import('/page/drawing.js')).maskPixels(run, box)]"
        for row, mask in zip(rows, dense, strict=True):
            x, y, w, h = (int(value) for value in row["bbox"])
            pixels = np.array(tab.evaluate(script, [row["segmentation"], [x, y, w, h]])).reshape(w, h).T
            np.testing.assert_array_equal(pixels, mask[y : y + h, x : x + w])
        choose(tab, png((0, 0, 0), (40, 60)))
        expect(tab.locator("#status")).to_have_text("5 nuclei found.")
        expect(tab.locator("#list tr").first).to_contain_text(f"{dense[0].sum()} px")
        y, x = np.argwhere(dense[0])[len(np.argwhere(dense[0])) // 2]
        script = """([x, y]) => { const c = document.getElementById("canvas"), s = c.width / 60;
            return [...c.getContext("2d").getImageData((x + .5) * s, (y + .5) * s, 1, 1).data]; }"""
        assert tab.evaluate(script, [int(x), int(y)])[0] > 60  # red of the first mask over black
        box = tab.locator("#canvas").bounding_box()
        tab.hover("#canvas", position={"x": box["width"] * (x + 0.5) / 60, "y": box["height"] * (y + 0.5) / 40})
        expect(tab.locator("#list tr.on")).to_have_count(1)
        assert violations(tab) == []


# ---- drop, paste and keys


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


# ---- people who see, hear or move otherwise


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
        service.reply(502, HTML)
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


# ---- the real service


def test_the_real_service(browser: Any) -> None:
    with served(create_app(partial(load, "person-fast"), Limits())) as url, opened(browser, url) as tab:
        asked: list[tuple[str, int]] = []
        tab.on(
            "request", lambda r: asked.append((r.url, len(r.post_data_buffer or b""))) if "predict" in r.url else None
        )
        tab.click("#example")
        expect(tab.locator("#status")).to_have_text("1 person found.")
        bare = tab.evaluate("document.getElementById('canvas').toDataURL()")
        tab.focus("#set-min_score")
        tab.keyboard.press("End")
        expect(tab.locator("#status")).to_have_text("0 people found.")
        expect(tab.locator("#none")).to_be_visible()
        tab.click("#reset")
        expect(tab.locator("#status")).to_have_text("1 person found.")
        assert tab.evaluate("document.getElementById('canvas').toDataURL()") == bare
        with tab.expect_download() as download:
            tab.click("#save")
        saved = json.loads(Path(download.value.path()).read_text())
        assert saved["annotations"][0]["score"] > 0.2
        assert saved["images"][0] == {"id": 1, "file_name": "person.jpg", "width": 512, "height": 512}
        choose(tab, tiff(200), "grey.tif", "image/tiff")
        expect(tab.locator("#status")).to_have_text("0 people found.")
        np.testing.assert_allclose(pixel(tab, 5, 5), [200, 200, 200, 255], atol=2)
        photo = [size for query, size in asked if "format=picture" in query]
        assert photo == [len(tiff(200))]
        asked = [(query, size) for query, size in asked if "format=picture" not in query]
        assert asked[0][1] > 10_000
        assert len(asked) >= 3
        assert all("image=" in query and size == 0 for query, size in asked[1:])
