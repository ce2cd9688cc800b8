"""What the network is shown, and truth beside prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.pictures import (
    SIDE,
    batch_picture,
    colours_of_fits,
    in_rows,
    shown_sample,
    true_colours,
    write_picture,
)
from associative_embedding.training.recipe import MaskConfig
from associative_embedding.training.validation import build_validation
from support.coco_files import box_mask, compressed, document, thing, write
from support.tiny import FIGURE, tiny_info, tiny_network, tiny_recipe
from support.voc_tree import tree


def test_what_the_loss_leaves_out_is_dark_and_striped() -> None:
    ignore = np.zeros((64, 64), bool)
    ignore[:, 32:] = True
    sample = Sample(
        np.full((64, 64, 3), 200, np.uint8), np.zeros((0, 5, 3), np.float32), np.zeros(0, np.float32), np.ones(5, bool)
    )
    picture = shown_sample(replace(sample, ignore=ignore, file_name="a/b.jpg"), PoseTask(FIGURE), 4)
    assert picture.shape == (SIDE, SIDE, 3)
    left, right = picture[: SIDE // 2, : SIDE // 2 - 9], picture[: SIDE // 2, SIDE // 2 + 9 :]
    assert left.min() == 200
    assert right.max() < 150
    assert right.std() > 10


def test_a_batch_has_a_picture_of_each_sample(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source)
    task = build_task(recipe)
    picture = batch_picture(build_stream(recipe.data, task, seed=0), task, range(5), 4)
    assert picture.shape == (2 * SIDE + 6, 4 * SIDE + 18, 3)


def test_a_batch_of_several_shapes_has_a_picture(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source)
    network, data = replace(recipe.network, tag_size=0), replace(recipe.data, more_sizes=(96,))
    refine = RefineConfig(min_size=20, beside=0.1)
    recipe = replace(recipe, task="single-person", network=network, data=data, refine=refine)
    task = build_task(recipe)
    stream = build_stream(recipe.data, task, seed=0, batch=2, multiple=16)
    assert len({stream.sample_at(i).image.shape for i in range(8)}) > 1
    assert batch_picture(stream, task, range(8), 4).shape[0] == 2 * SIDE + 6


def test_a_picture_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "batch.jpg"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="was not written by ae"):
        write_picture(path, np.zeros((9, 9, 3), np.uint8))
    assert path.read_bytes() == b"mine"


def test_poses_are_drawn_beside_the_truth_with_their_tags(tmp_path: Path, source: SourceConfig) -> None:
    validation = build_validation(tiny_recipe(tmp_path, source, validate=True))
    assert validation is not None
    info = tiny_info()
    pictures = dict(validation.pictures(tiny_network(info), info))
    assert pictures.keys() == {"found", "tags"}
    assert pictures["found"].shape == (3 * SIDE + 12, 4 * SIDE + 18, 3)  # six images, each twice


def test_masks_are_drawn_and_scored_by_class(tmp_path: Path) -> None:
    images = str(tree(tmp_path / "voc") / "JPEGImages")
    (tmp_path / "coco").mkdir()
    annotations, folder = write(tmp_path / "coco", document(thing(1, compressed(box_mask(5, 6, 7, 8)))))
    for place, classes in (
        (SourceConfig(images=images, annotations=str(tmp_path / "voc"), split="train"), []),
        (SourceConfig(images=folder, annotations=annotations), ["cat", "dog"]),
        (SourceConfig(images=folder, annotations=annotations), ["cat"]),
    ):
        recipe = tiny_recipe(tmp_path, place, validate=True)
        data = replace(recipe.data, skeleton="coco-17", sigma=2.0)
        recipe = replace(recipe, task="segmentation", data=data, masks=MaskConfig(classes=classes))
        info = tiny_info(task=build_task(recipe))
        validation, network = build_validation(recipe), tiny_network(info)
        assert validation is not None
        numbers = validation(network, info)
        names = classes or ["person", "aeroplane"]
        assert {"dsb_ap50", "pq"} <= numbers.keys()
        assert all((f"AP50 {name}" in numbers) == (len(names) > 1) for name in names)
        assert ("mAP50" in numbers) == (len(names) > 1)
        assert {name for name, _ in validation.pictures(network, info)} == {"found", "tags"}


def test_rows_are_as_high_as_their_own_pictures() -> None:
    wide, high = np.zeros((20, 40, 3), np.uint8), np.zeros((40, 20, 3), np.uint8)
    sheet = in_rows([wide, wide, high], columns=2)
    assert sheet.shape == (20 + 6 + 40, 40 + 6 + 40, 3)
    assert not sheet[26:, :20].any()
    assert (sheet[20:26] == 255).all()


def test_found_people_have_the_colours_of_the_true_ones() -> None:
    person = np.array([[[20, 10, 2], [15, 20, 2], [25, 20, 2], [16, 40, 2], [24, 40, 2]]], np.float32)
    true = np.concatenate([person, person + np.float32([30, 0, 0])])
    sample = Sample(np.zeros((64, 64, 3), np.uint8), true, np.full(2, 900, np.float32), np.ones(5, bool))
    found = np.concatenate([true[1:], person + np.float32([0, 40, 0]), true[:1]])
    first, second = true_colours(sample).tolist()
    assert colours_of_fits(sample, found, FIGURE).tolist() == [second, [255] * 3, first]
    assert colours_of_fits(sample, found[:0], FIGURE).shape == (0, 3)


def test_found_masks_have_the_colours_of_the_true_ones() -> None:
    labels = np.repeat([0, 1, 2, 3], 10)[None].repeat(10, axis=0)
    truth, found = Masks.from_labels(labels)[:2], Masks.from_labels(np.roll(labels, 2, axis=1))[[1, 2, 0]]
    empty = np.zeros((2, 0, 3), np.float32)
    image, classes = np.zeros((10, 40, 3), np.uint8), np.zeros(2, np.int64)
    sample = Sample(image, empty, truth.area, np.ones(1, bool), masks=truth, class_id=classes)
    first, second = true_colours(sample).tolist()
    assert colours_of_fits(sample, found, None).tolist() == [second, [255] * 3, first]
