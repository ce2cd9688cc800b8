"""Image files become answers: one bad image, or one that needs too long, does not fail the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.apps.server import model_worker
from associative_embedding.apps.server.jobs import Answer
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_worker import ModelWorker, output_bytes
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.single_person.task import SinglePersonTask
from support.image_bombs import jpeg_of_scans
from support.tiny import FIGURE, tiny_info, tiny_network

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

from support.serving import job, photo, png, tiny_pose

pytestmark = pytest.mark.extra


def tiny_masks(zoom: float = 1.0) -> Predictor:
    """A model that finds an object at every fourth pixel of its map, in tiles of 64 pixels."""
    task = SegmentationTask(("thing",), MaskDecodeConfig(min_weight=0, min_size=0))
    info = tiny_info(task=task, zoom=zoom)

    def spots(heatmap: Array) -> Array:
        y, x = np.mgrid[: heatmap.shape[2], : heatmap.shape[3]]
        return np.broadcast_to(((y % 4 == 0) & (x % 4 == 0)).astype(np.float32), heatmap.shape)

    class Spots(Predictor):
        def run_network(self, batch: Any) -> Any:
            outputs = super().run_network(batch)
            return [[(Maps(spots(maps.heatmap), maps.tag), at) for maps, at in one] for one in outputs]

    return Spots(tiny_network(info), info)


def worker(predictor: Predictor | None = None, **limits: Any) -> ModelWorker:
    return ModelWorker(predictor or tiny_pose(), Limits(**limits))


def text(answer: Answer | None) -> str:
    assert answer is not None
    return answer.body.decode()


def status(answer: Answer | None) -> int | None:
    return None if answer is None else answer.status


def test_a_fault_is_one_images_own() -> None:
    jobs = [job(photo(), threshold=-1.0), job(b"no image"), job(photo(1))]
    answers = worker().answer(jobs)
    assert list(map(status, answers)) == [422, 422, 200]
    assert json.loads(text(answers[2]))["annotations"]


def test_a_batch_answers_as_each_image_alone() -> None:
    images = [photo(1), photo(2, (96, 64)), photo(3), photo(1)]
    together = worker().answer([job(image) for image in images])
    for image, answer in zip(images, together, strict=True):
        (alone,) = worker().answer([job(image)])
        for a, b in zip(*(json.loads(text(one))["annotations"] for one in (answer, alone)), strict=True):
            np.testing.assert_allclose(a["keypoints"], b["keypoints"], atol=1e-3)


def test_who_cannot_be_shown_is_not_looked_at_again() -> None:
    """The least score of a request counts, not that of the model."""
    model, second = tiny_pose(), tiny_info(task=SinglePersonTask(FIGURE), tag_size=0)
    refiner = Refiner(tiny_network(second), second, FIGURE)
    looked, crops = refiner.keypoints_in, list[int]()

    def counted(image: Array, boxes: Array) -> Array:
        crops.append(len(boxes))
        return looked(image, boxes)

    refiner.keypoints_in = counted  # type: ignore[method-assign]
    refined = worker(Predictor(model.network, model.info, refiner=refiner))
    for least in (0.0, 1.0):
        (answer,) = refined.answer([replace(job(photo()), min_score=least)])
        assert status(answer) == 200
    assert crops[0] == len(model.find(photo())) > sum(crops[1:])


class Other(Exception):
    """ONNX Runtime's errors have no base class but Exception."""


def failing(error: Callable[[], Exception]) -> Predictor:
    class Failing(Predictor):
        def run_network(self, batch: Any) -> Any:
            raise error()

    model = tiny_pose()
    return Failing(model.network, model.info)


@pytest.mark.parametrize("kind", [Other, RuntimeError, MemoryError, ValueError])
def test_any_error_of_the_model_is_500(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    (answer,) = worker(failing(lambda: kind("a\nsecret"))).answer([job(photo())])
    assert status(answer) == 500
    assert kind.__name__ in text(answer)
    assert "a secret" in capsys.readouterr().err  # for the administrator, on one line


def test_weights_with_nan_are_500() -> None:
    model = tiny_pose()

    class Nan(Predictor):
        def run_network(self, batch: Any) -> Any:
            outputs = super().run_network(batch)
            return [[(Maps(maps.heatmap * float("nan"), maps.tag), at) for maps, at in one] for one in outputs]

    (answer,) = worker(Nan(model.network, model.info)).answer([job(photo())])
    assert status(answer) == 500
    assert "NaN" in text(answer)


# ---- what is refused before the work


def test_a_jpeg_of_many_scans_is_not_decoded() -> None:
    (answer,) = worker().answer([job(jpeg_of_scans(20_000, 1024))])
    assert status(answer) == 422
    assert "more than 100 scans" in text(answer)


def test_a_picture_that_jpeg_cannot_hold() -> None:
    wide = png(np.zeros((1, 65_501, 3), np.uint8))
    (answer,) = worker().answer([job(wide, picture=True)])
    assert status(answer) == 413
    assert "at most 65500" in text(answer)
    assert status(worker().answer([job(wide)])[0]) == 200


def test_an_image_of_too_many_tiles_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    works = worker(tiny_masks(), timeout=20)
    assert 0 < works.network.seconds_per_pixel < 1  # measured before the first request
    works.network.seconds_per_pixel = 1 / 64**2  # a second for each tile
    monkeypatch.setattr(model_worker, "open_image", None)
    (answer,) = works.answer([job(png(np.zeros((400, 400, 3), np.uint8)))])
    assert status(answer) == 413
    assert "10 are allowed" in text(answer)
    assert "160x160 pixels" in text(answer)  # 3 x 3 tiles of 64 that share a quarter


def test_the_stated_size_is_allowed() -> None:
    works = worker(tiny_masks(), timeout=20)
    works.network.seconds_per_pixel = 1 / 64**2
    assert status(works.answer([job(photo(0, (160, 160)))])[0]) == 200


def test_objects_beyond_the_limit_are_refused_before_they_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    works = worker(tiny_masks())
    (answer,) = works.answer([job(photo(0, (100, 100)), threshold=1e-9, bandwidth=0.02)])
    assert len(json.loads(text(answer))["annotations"]) > 2
    monkeypatch.setattr(model_worker, "MOST_OBJECTS", 1)
    (answer,) = works.answer([job(photo(0, (100, 100)), threshold=1e-9, bandwidth=0.02)])
    assert status(answer) == 413
    assert "1 are allowed" in text(answer)


def test_an_answer_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_worker, "MOST_ANSWER_BYTES", 500)
    (answer,) = worker().answer([job(photo())])
    assert status(answer) == 413
    assert "raise min_score" in text(answer)


# ---- what is stopped


def test_work_stops_between_tiles_when_its_time_is_over() -> None:
    works = worker(tiny_masks(), max_seconds=1e-6, timeout=20)
    works.network.seconds_per_pixel = 0.0  # refused before the work otherwise
    runs = count_runs(works)
    works.network.seconds_per_pixel = 1e-12
    assert works.answer([job(photo(0, (300, 300)))]) == [None]
    assert runs == []


def test_work_stops_when_the_service_asks_for_it() -> None:
    wanted = iter([False, False, False, True, False])
    works = ModelWorker(tiny_masks(), Limits())
    works.stop = lambda: next(wanted, False)
    runs = count_runs(works)
    jobs = [job(photo(0, (300, 300))), job(photo(1))]
    assert works.answer(jobs) == [None, None]  # asked once, for the whole batch
    assert 1 <= len(runs) < 30
    assert list(map(status, works.answer(jobs))) == [200, 200]


def count_runs(works: ModelWorker) -> list[int]:
    """A list that grows with every run of the network."""
    runs: list[int] = []
    network = works.network.network

    class Counted:
        def predict(self, image: Any) -> Any:
            runs.append(len(image))
            return network.predict(image)

        def __getattr__(self, name: str) -> Any:
            return getattr(network, name)

    works.network.network = Counted()
    return runs


# ---- what is kept


def test_outputs_are_kept_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    works = worker()
    runs = count_runs(works)
    works.answer([job(photo(0))])
    (again,) = works.answer([job(photo(0), threshold=0.9)])
    assert len(runs) == 1
    assert len(json.loads(text(again))["annotations"]) < len(json.loads(text(worker().answer([job(photo(0))])[0])))
    size = output_bytes(next(iter(works.outputs.values())))
    monkeypatch.setattr(model_worker, "KEPT_BYTES", 2 * size)
    for seed in (1, 2, 0, 3):
        works.answer([job(photo(seed))])
    assert len(works.outputs) == 2
    works.answer([job(photo(0))])  # used last but one
    assert len(runs) == 5


def test_the_picture_and_the_lowest_score() -> None:
    works = worker()
    picture, some, none = works.answer([job(photo(), picture=True), job(photo()), replace(job(photo()), min_score=1.0)])
    assert picture is not None
    assert picture.media_type == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(picture.body, np.uint8), 1).shape == (64, 96, 3)
    assert len(json.loads(text(some))["annotations"]) > len(json.loads(text(none))["annotations"]) == 0
