"""Masks through the whole chain: a COCO json of discs -> training -> validation -> prediction, also in tiles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from associative_embedding.apps.cli.predict_images import ImageSettings, predict_images
from associative_embedding.data.settings import SourceConfig
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.structures.masks import Masks
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.training.recipe import DataConfig, LossConfig, MaskConfig, NetworkConfig, Recipe, TrainConfig
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation
from support.tiny import STILL

pytestmark = pytest.mark.slow

SIDE = 64


def draw_discs(rng: np.random.Generator, size: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture with bright discs, and their ``(H, W)`` labels."""
    labels = np.zeros(size, np.int32)
    y, x = np.mgrid[: size[0], : size[1]]
    for i in range(count):
        cy, cx = rng.uniform(8, size[0] - 8), rng.uniform(8, size[1] - 8)
        if not labels[max(0, int(cy) - 9) : int(cy) + 9, max(0, int(cx) - 9) : int(cx) + 9].any():
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 36] = i + 1
    image = np.where(labels > 0, 220, 20) + rng.normal(0, 5, size)
    return np.repeat(image.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2), labels


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    folder = tmp_path_factory.mktemp("discs")
    (folder / "images").mkdir()
    document: dict[str, list[object]] = {"images": [], "annotations": [], "categories": [{"id": 5, "name": "disc"}]}
    for number in range(1, 7):
        image, labels = draw_discs(np.random.default_rng(number), (SIDE, SIDE), 5)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        document["images"].append({"id": number, "file_name": f"{number}.png", "height": SIDE, "width": SIDE})
        masks = Masks.from_labels(labels)[Masks.from_labels(labels).area > 0]
        for encoded, area, box in zip(masks.to_rle(), masks.area, masks.xywh, strict=True):
            row = {"id": len(document["annotations"]) + 1, "image_id": number, "category_id": 5, "iscrowd": 0}
            document["annotations"].append(
                {**row, "segmentation": encoded, "area": float(area), "bbox": [float(v) for v in box]}
            )
    (folder / "annotations.json").write_text(json.dumps(document))
    return SourceConfig(annotations=str(folder / "annotations.json"), images=str(folder / "images"))


def recipe_of(folder: Path, source: SourceConfig) -> Recipe:
    return Recipe(
        output=str(folder / "run"),
        task="segmentation",
        network=NetworkConfig(
            backbone="mobilenet_v2",
            tag_size=2,
            options={
                "stride": 2,
                "position": 2,
                "position_unit": 8.0,
                "widths": [16, 16, 16, 32],
                "tag_widths": [16, 16, 16, 32],
            },
            start="person-fast",  # its encoder
        ),
        data=DataConfig(
            sources=[source],
            validation=[source],
            input_size=SIDE,
            zoom=1.0,
            validation_size=SIDE,
            workers=0,
            augment=STILL,
        ),
        loss=LossConfig(
            heatmap="cross_entropy", tags="pixels", pull=0.5, push=0.5, near=16, pull_reduction="mean", push_sigma=0.5
        ),
        masks=MaskConfig(samples=8),
        mask_decode=MaskDecodeConfig(bandwidth=0.6),
        train=TrainConfig(steps=80, batch=6, lr=3e-3, warmup=5, clip=5.0, log_every=20, device="cpu"),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, source: SourceConfig) -> Path:
    recipe = recipe_of(tmp_path_factory.mktemp("masks"), source)
    return train(recipe, validate=build_validation(recipe))


def test_a_few_discs_are_learned_by_heart(model: Path) -> None:
    log = [json.loads(line) for line in (model.parent / "log.jsonl").read_text().splitlines()]
    assert log[-1]["event"] == "validation"
    assert log[-1]["dsb_ap50"] > 0.9
    assert log[-1]["pq"] > 0.7
    predictor = load(model)
    assert predictor.task.classes == ("disc",)  # type: ignore[attr-defined]  # of the json, as none are stated
    assert predictor.zoom == 1.0


@pytest.fixture
def large() -> tuple[np.ndarray, Masks]:
    image, labels = draw_discs(np.random.default_rng(50), (100, 150), 30)
    masks = Masks.from_labels(labels)
    return image, masks[masks.area > 0]


def test_a_large_image_is_seen_in_tiles(model: Path, large: tuple[np.ndarray, Masks]) -> None:
    image, truth = large
    predictor = load(model)
    assert predictor.tile_side == SIDE
    assert len(predictor.tiles(image)) > 1
    assert predictor.tiles(image[:SIDE, :SIDE]) == [(slice(0, SIDE), slice(0, SIDE))]
    found = predictor(image)
    assert found.masks is not None
    assert found.image_size == (100, 150)
    assert (truth.iou(found.masks).max(axis=1, initial=0) > 0.5).mean() > 0.8
    assert len(found) < 1.3 * len(truth)  # nothing is found twice
    with pytest.raises(ValueError, match="larger than a tile of 64 pixels, so its tags cannot be shown"):
        predictor.explain(image)


def test_a_tile_is_all_that_the_network_sees_however_large_the_image(model: Path) -> None:
    predictor = load(model)
    seen: list[tuple[int, ...]] = []
    predictor.network.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    predictor(np.zeros((300, 900, 3), np.uint8))
    assert len(seen) > 50
    assert set(seen) == {(1, 3, SIDE, SIDE)}


@pytest.mark.parametrize("scales", ["proposals", "stacked"])
def test_several_sizes_and_the_mirror(model: Path, large: tuple[np.ndarray, Masks], scales: str) -> None:
    image, truth = large
    plain = load(model, zoom=1.0)
    both = Predictor(plain.network, plain.info, scales=(1.0, 1.5), flip=True).with_decode(scales=scales)
    found, maps, _ = both.explain(image[:SIDE, :SIDE])
    masks = found.instances.masks
    assert masks is not None
    overlap = np.triu(masks.iou(masks), 1)
    assert overlap.max(initial=0) <= 0.5
    inside = Masks.from_dense(truth.dense()[:, :SIDE, :SIDE], (SIDE, SIDE))
    inside = inside[inside.area > 80]
    assert (inside.iou(masks).max(axis=1, initial=0) > 0.5).all()
    assert maps.tag.shape[2] == (8 if scales == "stacked" else 4)  # D = 2, twice for the mirror, twice for two sizes
    shown = found.group[found.group >= 0]
    assert len(shown) == len(found.group) or scales == "proposals"  # of proposals, those of the largest view alone
    assert (shown < len(found.groups)).all()


@pytest.mark.parametrize("show", ["found", "tags"])
def test_predict_writes_pictures_labels_and_json(model: Path, source: SourceConfig, tmp_path: Path, show: str) -> None:
    settings = ImageSettings(str(tmp_path), show=show)
    status = predict_images([source.images], str(model), Options(scales=(1.0, 1.5)), settings)
    assert status == 0
    assert len(list(tmp_path.glob("*-labels.tif"))) == 6
    document = json.loads((tmp_path / "predictions.json").read_text())
    assert document["categories"] == [{"id": 1, "name": "disc"}]
    assert len(document["annotations"]) >= 6


def test_what_only_other_tasks_have_is_refused(tmp_path: Path, source: SourceConfig) -> None:
    recipe = recipe_of(tmp_path, replace(source, mosaic=0.5))
    with pytest.raises(ValueError, match="mosaic"):
        train(recipe)
    with pytest.raises(ValueError, match="near has no meaning"):
        LossConfig(tags="groups", near=3)
    with pytest.raises(ValueError, match="official_push has no meaning"):
        LossConfig(tags="pixels", official_push=True)
