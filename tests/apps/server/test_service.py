"""The HTTP service on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.download import download

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx

from associative_embedding.apps.server.limits import Limits
from support.serving import Running, fragile_pose, photo, png, post, slow_pose, tiny_pose, until

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The model of the service, in this process."""
    return tiny_pose()


LIMITS = Limits(queue=64, max_bytes=200_000, max_pixels=40_000, timeout=20)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Running(tiny_pose, LIMITS) as running:
        yield running.url


def test_an_image_in_every_way_gives_what_the_predictor_finds(url: str, predictor: Predictor) -> None:
    image = photo()
    expected = predictor(image, min_score=0)
    plain = post(f"{url}/predict?min_score=0", content=png(image), headers={"Content-Type": "image/png"})
    form = post(f"{url}/predict?min_score=0", files={"file": ("a.png", png(image))})
    assert plain.status_code == form.status_code == 200
    assert plain.json()["annotations"] == form.json()["annotations"]
    rows = plain.json()["annotations"]
    assert len(rows) == len(expected) > 0
    np.testing.assert_allclose([r["keypoints"] for r in rows], expected.keypoints.reshape(len(rows), -1), atol=1e-3)
    np.testing.assert_allclose([r["tag"] for r in rows], expected.tag, atol=1e-3)
    few = post(f"{url}/predict?min_score=0&threshold=0.9", content=png(image)).json()
    assert len(few["annotations"]) < len(rows)


def test_a_digest_stands_for_the_image_that_was_sent(url: str) -> None:
    first = post(f"{url}/predict?min_score=0", content=png(photo(7)))
    digest = first.headers["x-image"]
    again = post(f"{url}/predict?min_score=0&image={digest}")
    assert again.json()["annotations"] == first.json()["annotations"]
    assert again.headers["x-image"] == digest
    other = post(f"{url}/predict?min_score=0&threshold=0.9&image={digest}")
    assert len(other.json()["annotations"]) < len(first.json()["annotations"])
    picture = post(f"{url}/predict?format=picture&image={digest}")
    assert cv2.imdecode(np.frombuffer(picture.content, np.uint8), 1).shape == (64, 96, 3)
    assert post(f"{url}/predict?image={'0' * 64}").status_code == 404
    assert "send the image" in post(f"{url}/predict?image={'0' * 64}").json()["detail"]
    assert post(f"{url}/predict?image=x").status_code == 422
    both = post(f"{url}/predict?image={digest}", content=png(photo()))
    assert both.status_code == 422
    assert "not both" in both.json()["detail"]


def test_a_picture_comes_back(url: str) -> None:
    answer = post(f"{url}/predict?format=picture&min_score=0", content=png(photo()))
    assert answer.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1).shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("query", "body", "status", "message"),
    [
        ("", b"no image", 422, "the image"),
        ("", b"", 422, "contains no image"),
        ("", bytes(300_000), 413, "more than 200000 bytes"),
        ("", png(np.zeros((300, 300, 3), np.uint8)), 422, "pixels"),
        ("?treshold=1", png(photo()), 422, "unknown setting treshold"),
        ("?threshold=nan", png(photo()), 422, "threshold must be a number"),
        ("?threshold=-1", png(photo()), 422, "threshold"),
        ("?format=exe", png(photo()), 422, "unknown setting format"),
        ("?min_score=2", png(photo()), 422, "min_score must be in [0, 1]"),
    ],
)
def test_what_cannot_be_used_is_said(url: str, query: str, body: bytes, status: int, message: str) -> None:
    answer = post(f"{url}/predict{query}", content=body)
    assert answer.status_code == status
    assert message in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_broken_forms_and_forbidden_urls(url: str) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert post(f"{url}/predict", content=b"--x\r\nnonsense", headers=kind).status_code == 422
    assert post(f"{url}/predict", files={"other": b"x"}).status_code == 422
    refused = post(f"{url}/predict", json={"url": "http://example.com/a.png"})
    assert refused.status_code == 422
    assert "does not accept URLs" in refused.json()["detail"]


def test_health_numbers_and_the_description_of_the_interface(url: str) -> None:
    assert post(f"{url}/predict", content=png(photo())).status_code == 200  # whatever this server was asked before
    health = httpx.get(f"{url}/health").json()
    assert health["status"] == "ok"
    assert health["categories"][0]["name"] == "figure"
    assert "threshold" in health["settings"]
    numbers = httpx.get(f"{url}/metrics").text
    assert 'ae_requests_total{status="200"}' in numbers
    assert "ae_request_seconds_count" in numbers
    schema = httpx.get(f"{url}/openapi.json").json()
    assert set(schema["paths"]) == {"/predict", "/health", "/metrics"}
    assert "image/*" in schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert httpx.get(f"{url}/../../etc/passwd").status_code == 404


def test_many_at_once_get_their_own_answers(url: str, predictor: Predictor) -> None:
    images = [photo(seed, (64, 96) if seed % 2 else (96, 64)) for seed in range(12)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: httpx.post(f"{url}/predict?min_score=0", content=png(i), timeout=30), images))
    for image, answer in zip(images, answers, strict=True):
        scores = [row["score"] for row in answer.json()["annotations"]]
        np.testing.assert_allclose(scores, predictor(image, min_score=0).score, atol=1e-4)


def test_who_comes_when_the_queue_is_full_is_told_so() -> None:
    with Running(slow_pose, Limits(queue=1, batch=1, timeout=10)) as running, ThreadPoolExecutor(8) as pool:
        post = lambda seed: httpx.post(f"{running.url}/predict", content=png(photo(seed)), timeout=20)  # noqa: E731
        answers = list(pool.map(post, range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert 429 in statuses
    assert set(statuses) <= {200, 429}
    assert next(a for a in answers if a.status_code == 429).headers["retry-after"] == "1"


def test_what_takes_too_long_is_given_up() -> None:
    with Running(slow_pose, Limits(timeout=0.2)) as running:
        assert httpx.post(f"{running.url}/predict", content=png(photo()), timeout=20).status_code == 503


def test_who_was_taken_is_answered_before_the_end(tmp_path: Path) -> None:
    began = tmp_path / "began"
    running = Running(partial(slow_pose, began), Limits(timeout=20))
    with running, ThreadPoolExecutor(1) as pool:
        began.unlink()  # the model has run before the first request
        waiting = pool.submit(running.predict, photo())
        until(began.exists)
        running.server.should_exit = True
        assert waiting.result().status_code == 200


def test_a_batch_is_each_image_alone(predictor: Predictor) -> None:
    images = [photo(1), photo(2, (96, 64)), photo(3), photo(4)]
    run = Predictor(predictor.network, predictor.info, scales=(1.0, 0.5), flip=True)
    batch = run.run_network([run.prepare(image) for image in images])
    for image, outputs in zip(images, batch, strict=True):
        found, alone = run.finish(image, [outputs]), run.find(image)
        np.testing.assert_allclose(found.keypoints, alone.keypoints, atol=1e-3)
        np.testing.assert_allclose(found.tag, alone.tag, atol=1e-3)


def test_the_service_outlives_a_fault_of_the_network() -> None:
    dark, bright = np.zeros((64, 96, 3), np.uint8), photo()
    with Running(fragile_pose) as running, ThreadPoolExecutor(4) as pool:
        statuses = [answer.status_code for answer in pool.map(running.predict, [dark, bright, dark, bright])]
        assert statuses == [500, 200, 500, 200]
        assert running.predict(bright).status_code == 200


class Redirect(BaseHTTPRequestHandler):
    """Leads everybody to where only this machine can get."""

    def do_GET(self) -> None:
        if self.path == "/image":
            body = png(photo())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/image")  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Redirect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_urls_of_this_machine_are_refused_unless_allowed(site: str) -> None:
    with Running(tiny_pose, Limits(urls=True)) as running:
        for where in (f"{site}/image", f"{site}/away", site.replace("127.0.0.1", "localhost"), "file:///etc/passwd"):
            answer = post(f"{running.url}/predict", json={"url": where})
            assert answer.status_code == 422
    with Running(tiny_pose, Limits(urls=True, private_urls=True)) as running:
        assert post(f"{running.url}/predict", json={"url": f"{site}/away"}).status_code == 200
        assert post(f"{running.url}/predict", json={"url": 5}).status_code == 422
    assert len(download(f"{site}/image", timeout=5, max_bytes=10**6)) > 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--queue", "0"], "queue must be positive"),
        (["--timeout", "-1"], "timeout must be positive"),
        (["--model", "x"], "neither"),
    ],
)
def test_mistakes_at_the_start(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *options]) in (1, 2)
    assert message in capsys.readouterr().err
