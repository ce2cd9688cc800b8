"""The process of the model is ended when its time is over, and started again whatever ended it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx

from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_process import ModelProcess, OutOfTime, ProcessEnded
from associative_embedding.inference.load import load
from support.serving import Running, fragile_pose, job, photo, post, slow_pose, tiny_pose, until

pytestmark = [pytest.mark.extra, pytest.mark.slow]

DARK = np.zeros((64, 96, 3), np.uint8)  # a slow model needs an hour for it
WHITE = np.full((64, 96, 3), 255, np.uint8)  # a fragile model ends its process


def test_work_beyond_its_time_is_ended_and_others_are_answered() -> None:
    limits = Limits(max_seconds=1, timeout=60, batch=4)
    with Running(slow_pose, limits) as running, ThreadPoolExecutor(6) as pool:
        process = running.app.state.queue.process
        first = process.process.pid
        answers = list(pool.map(running.predict, [photo(0), DARK, photo(1), photo(2)]))
        assert [answer.status_code for answer in answers] == [200, 413, 200, 200]
        assert "more than 1 seconds" in answers[1].json()["detail"]
        assert process.process.pid != first
        assert "ae_restarts 0.0" not in httpx.get(f"{running.url}/metrics").text


def test_health_sees_a_process_that_dies_and_it_is_started_again() -> None:
    with Running() as running:
        process = running.app.state.queue.process
        digest = running.predict(photo()).headers["x-image"]
        process.process.kill()
        until(lambda: httpx.get(f"{running.url}/health").status_code == 503)
        assert httpx.get(f"{running.url}/health").json()["status"] == "the model is being started"
        until(lambda: httpx.get(f"{running.url}/health").status_code == 200)
        assert running.predict(photo()).status_code == 200
        assert post(f"{running.url}/predict?image={digest}").status_code == 200


def test_an_image_that_crashes_the_process_fails_alone() -> None:
    with Running(fragile_pose, Limits(timeout=60)) as running, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(running.predict, [photo(0), WHITE, photo(1)]))
        assert [answer.status_code for answer in answers] == [200, 500, 200]
        assert "process ended" in answers[1].json()["detail"]


def test_work_that_nobody_waits_for_stops() -> None:
    process = ModelProcess(slow_pose, Limits(timeout=100))
    process.start()
    start = time.monotonic()
    with pytest.raises(OutOfTime):  # in an hour's sleep, which asks nobody
        process.run([job(DARK)], abandoned=lambda: True)
    assert time.monotonic() < start + 40
    assert not process.alive
    process.start()
    assert process.run([job(photo())], abandoned=lambda: False)[0] is not None
    process.kill()


def test_it_can_be_ended_at_any_time() -> None:
    process = ModelProcess(slow_pose, Limits(timeout=1000))
    process.start()
    threading.Timer(0.3, process.kill).start()
    with pytest.raises(ProcessEnded):
        process.run([job(DARK)], abandoned=lambda: False)
    assert not process.alive


def test_a_model_that_cannot_be_loaded() -> None:
    with pytest.raises(ValueError, match="neither"):
        ModelProcess(partial(load, "x"), Limits()).start()


def test_the_description_of_the_model() -> None:
    process, expected = ModelProcess(tiny_pose, Limits()), tiny_pose()
    model = process.start()
    process.kill()
    assert model.task.categories == expected.task.categories
    assert model.task.decode_config == expected.task.decode_config
    assert (model.task.name, model.input_size, model.device) == ("pose", 64, "cpu")
