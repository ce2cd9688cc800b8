"""The way of an image on a GPU, by the same operations on a CPU: maps stay tensors until a table or masks are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import associative_embedding as ae
from associative_embedding.detection import peaks
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.io.images import read_image
from associative_embedding.networks.network import Network
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose import missing_keypoints
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.single_person.task import SinglePersonTask
from support.tiny import FIGURE, photo, tiny_info, tiny_network


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Networks return tensors, and decoding takes them for tensors of a GPU. Returns what was called."""
    called = []

    @torch.inference_mode()
    def predict(network: Network, image: Array) -> list[Maps]:
        called.append("network")
        return network(torch.from_numpy(image).to(network.device))  # type: ignore[no-any-return]

    def on_cpu(values: Any) -> bool:
        called.append(type(values).__name__)
        return isinstance(values, np.ndarray)

    monkeypatch.setattr(Network, "predict", predict)
    for module in (peaks, missing_keypoints):
        monkeypatch.setattr(module, "on_cpu", on_cpu)
    return called


@pytest.mark.parametrize(
    "options", [{}, {"flip": True, "scales": (1.0, 0.5)}, {"refine_rule": "published"}, {"refine": "none"}]
)
def test_the_same_people(request: pytest.FixtureRequest, shared: Path, options: dict[str, Any]) -> None:
    image = read_image(shared / "data" / "pose" / "coco" / "images" / "000000000785.jpg")
    expected = ae.load("person", runtime="torch", device="cpu", **options)(image, min_score=0)
    called = request.getfixturevalue("on_a_gpu")
    found = ae.load("person", runtime="torch", device="cpu", **options)(image, min_score=0)
    assert set(called) == {"network", "Tensor"}
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.score, expected.score, atol=1e-4)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.01)


def test_the_same_masks(request: pytest.FixtureRequest) -> None:
    image = np.full((96, 128, 3), 30, np.uint8)
    for x, y in ((20, 20), (60, 40), (100, 70), (70, 42)):  # the last touches the second
        cv2.circle(image, (x, y), 8, (200, 200, 200), -1)
    expected = ae.load("nuclei", runtime="torch", device="cpu")(image, min_score=0)
    assert request.getfixturevalue("on_a_gpu") == []
    found = ae.load("nuclei", runtime="torch", device="cpu")(image, min_score=0)
    assert len(expected) >= 3
    np.testing.assert_array_equal(found.xywh, expected.xywh)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-5)


@pytest.mark.parametrize("conventions", [Conventions(), Conventions(map_size="network", clip=True)])
def test_the_same_maps_by_published_rules(request: pytest.FixtureRequest, conventions: Conventions) -> None:
    info = tiny_info("mobilenet_v2", conventions=conventions)
    run = Predictor(tiny_network(info), info, input_size=128, scales=(1.0, 0.5))
    expected, _ = run.maps(photo())
    assert request.getfixturevalue("on_a_gpu") == []
    maps, _ = run.maps(photo())
    assert isinstance(maps.heatmap, torch.Tensor)
    np.testing.assert_allclose(maps.heatmap, expected.heatmap, atol=1e-6)
    np.testing.assert_allclose(maps.tag, expected.tag, atol=1e-6)


@pytest.mark.parametrize(
    "values", [{}, {"enlarge": 2}, {"conventions": Conventions()}, {"conventions": Conventions(align_corners=True)}]
)
def test_maps_are_merged_on_the_device(values: dict[str, Any]) -> None:
    """The device "meta" has no values, but torch refuses to mix it with a CPU."""
    info = tiny_info("mobilenet_v2", **values)
    run = Predictor(tiny_network(info).to("meta"), info, input_size=128, scales=(1.0, 0.5), flip=True)
    assert run.device == "meta"
    maps, geometry = run.maps(photo())
    assert maps.heatmap.is_meta
    assert maps.tag.is_meta
    assert maps.heatmap.shape[-2:] == maps.tag.shape[-2:] == geometry.map_size


def test_crops_are_averaged_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    info = tiny_info(task=SinglePersonTask(FIGURE), tag_size=0, scales=(1.0, 0.5), input_size=128)
    refiner = Refiner(tiny_network(info).to("meta"), info, FIGURE)
    seen = []

    def peaks_of(heatmap: torch.Tensor) -> Array:
        seen.append(heatmap)
        return np.zeros((*heatmap.shape[:2], 3))

    monkeypatch.setattr(refiner, "_peaks", peaks_of)
    refiner.keypoints_in(photo(), np.array([[0.0, 0, 64, 64]] * 3))
    assert [(maps.device.type, tuple(maps.shape)) for maps in seen] == [("meta", (3, 5, 32, 32))]
