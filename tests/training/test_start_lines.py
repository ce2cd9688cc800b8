"""What a run says before its first step, and the labels that it refuses because they teach nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.data.settings import Augment, SourceConfig
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.recipe import LossConfig, MaskConfig, NetworkConfig, Recipe, TrainConfig
from associative_embedding.training.start_lines import start_lines
from support.coco_files import H, W, box_mask, compressed, document, thing, write
from support.tiny import tiny_recipe
from support.voc_tree import tree

Document = dict[str, Any]


def lines_of(recipe: Recipe) -> list[str]:
    task = build_task(recipe)
    return start_lines(recipe, task, build_stream(recipe.data, task, seed=0), stride=4)


def changed(folder: Path, source: SourceConfig, change: Callable[[Document], Any]) -> Recipe:
    """A recipe of a source whose json is changed."""
    content = json.loads(Path(str(source.annotations)).read_text())
    change(content)
    (folder / "changed.json").write_text(json.dumps(content))
    recipe = tiny_recipe(folder, replace(source, annotations=str(folder / "changed.json")))
    return replace(recipe, data=replace(recipe.data, skeleton=str(source.annotations)))


def names(content: Document, keypoints: list[str]) -> None:
    content["categories"] = [{"id": 1, "name": "figure", "keypoints": keypoints}]


def own_names(folder: Path, source: SourceConfig, keypoints: list[str]) -> Recipe:
    recipe = changed(folder, source, lambda content: names(content, keypoints))
    return replace(recipe, data=replace(recipe.data, skeleton=str(recipe.data.sources[0].annotations)))


@pytest.mark.parametrize(
    ("keypoints", "line"),
    [
        ("nose Lhip Rhip L_eye R_eye", "mirrored images exchange Lhip - Rhip, L_eye - R_eye"),
        (
            "kpt_0 kpt_1 kpt_2 kpt_3 kpt_4",
            "images are not mirrored, as the names of the keypoints have no left and right; ",
        ),
        ("nose left_eye right_eye left_horn tail", "images are not mirrored, as left_horn has no counterpart; "),
    ],
)
def test_mirror_pairs_are_named_or_the_mirror_is_off(
    tmp_path: Path, source: SourceConfig, keypoints: str, line: str
) -> None:
    recipe = own_names(tmp_path, source, keypoints.split())
    found = [text for text in lines_of(recipe) if "mirrored" in text]
    assert len(found) == 1
    assert found[0].startswith(line)
    task = build_task(recipe)
    settings = build_stream(recipe.data, task, seed=0).augment.keywords["settings"]  # type: ignore[attr-defined]
    assert settings.mirror == (0.5 if "exchange" in line else 0)
    still = replace(recipe, data=replace(recipe.data, augment=Augment(mirror=0)))
    assert not [text for text in lines_of(still) if "mirrored" in text]


def test_types_that_nobody_labels_are_named(tmp_path: Path, source: SourceConfig) -> None:
    def hide(content: Document) -> None:
        for row in content["annotations"]:
            row["keypoints"][3:9] = [0] * 6

    recipe = changed(tmp_path, source, hide)
    labels, untaught, *_ = lines_of(recipe)
    assert labels.endswith("changed.json: 6 images, 13 individuals, 3 of 5 keypoint types labelled")
    expected = "no source labels left_shoulder, right_shoulder: the model will not find what has no label"
    assert untaught == expected
    both = replace(recipe, data=replace(recipe.data, sources=[*recipe.data.sources, source]))
    assert expected not in lines_of(both)


def outside(content: Document) -> None:
    for row in content["annotations"]:
        row["keypoints"] = [value + 1000 * (i % 3 < 2) for i, value in enumerate(row["keypoints"])]


def outside_of_unknown_sizes(content: Document) -> None:
    outside(content)
    for image in content["images"]:
        del image["width"], image["height"]


def crowds(content: Document) -> None:
    for row in content["annotations"]:
        row["iscrowd"] = 1


def unlabelled(content: Document) -> None:
    for row in content["annotations"]:
        row["keypoints"] = [0] * 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "nothing to learn, no object of its 6 images has a label inside of the image"),
        (outside_of_unknown_sizes, "nothing to learn, the labels of its 6 images all lie outside of the image"),
        (crowds, "no image has a labelled person"),
        (unlabelled, "no image has a labelled person"),
        (lambda content: content.update(annotations=[]), "no image has a labelled person"),
        (lambda content: names(content, ["a", "b", "c", "d", "e"]), "no keypoint name in common with the skeleton"),
    ],
)
def test_labels_that_teach_nothing_are_refused(
    tmp_path: Path, source: SourceConfig, change: Callable[[Document], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"changed\.json: .*{message}"):
        lines_of(changed(tmp_path, source, change))


def test_images_without_people_alone_are_refused(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, replace(source, annotations=None))
    recipe = replace(recipe, data=replace(recipe.data, skeleton=str(source.annotations)))
    with pytest.raises(ValueError, match=r"images: nothing to learn, no object of its 6 images"):
        lines_of(recipe)
    both = replace(recipe, data=replace(recipe.data, sources=[*recipe.data.sources, source]))
    assert lines_of(both)[0].endswith("images: 6 images, 0 individuals, 0 of 5 keypoint types labelled")


def masks(folder: Path, content: Document) -> Recipe:
    annotations, images = write(folder, content)
    recipe = tiny_recipe(folder, SourceConfig(images=images, annotations=annotations))
    data = replace(recipe.data, skeleton="coco-17", sigma=2.0)
    return replace(recipe, task="segmentation", masks=MaskConfig(classes=["cat", "dog"]), data=data)


def test_objects_and_classes_are_counted(tmp_path: Path) -> None:
    counts, untaught, *others = lines_of(masks(tmp_path, document()))
    assert counts.endswith("a.json: 2 images, 1 object, 1 of 2 classes labelled")
    assert untaught == "no source labels dog: the model will not find what has no label"
    assert others == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (document() | {"annotations": []}, "no object of its 2 images has a label inside of the image"),
        (document(thing(1, compressed(box_mask(5, 6, 7, 8)), iscrowd=1)), "no object of its 2 images"),
        (document(thing(1, compressed(box_mask(5, 6, 7, 8)), category_id=6)), "no object of its 2 images"),
        (
            document(thing(1, compressed(box_mask(5, 6, 7, 8))), thing(2, compressed(box_mask(0, 0, W, H)), iscrowd=1)),
            "the labels of its 2 images all lie outside of the image or in an ignored region",
        ),
    ],
)
def test_masks_that_teach_nothing_are_refused(tmp_path: Path, content: Document, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lines_of(masks(tmp_path, content))


def test_settings_that_leave_nothing_of_the_labels_are_named(tmp_path: Path, source: SourceConfig) -> None:
    recipe = masks(tmp_path, document())
    tiny = replace(recipe, masks=replace(recipe.masks, object_size=(0.0, 0.5)))
    far = tiny_recipe(tmp_path, source)
    far = replace(far, data=replace(far.data, augment=Augment(shift=1000.0)))
    for poor in (tiny, far):
        assert "the first 64 samples have no label after augmentation" in lines_of(poor)[-1]


def test_the_objects_of_a_voc_tree_are_not_counted(tmp_path: Path) -> None:
    images = str(tree(tmp_path) / "JPEGImages")
    recipe = masks(tmp_path, document())
    source = SourceConfig(images=images, annotations=str(tmp_path), split="train")
    recipe = replace(recipe, data=replace(recipe.data, sources=[source]), masks=MaskConfig())
    assert lines_of(recipe) == [f"training: {tmp_path}: 2 images, 20 of 20 classes labelled"]


def test_what_has_no_effect_is_said(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, schedule="constant", drops=(3,), lr_end=0.5, optimizer="adam")
    recipe = replace(recipe, loss=LossConfig(pull=0, push=0), data=replace(recipe.data, reach=3))
    assert lines_of(recipe)[2:] == [
        "loss.pull and loss.push are 0: tags are not taught",
        "data.reach has no effect: it is for the task tracking",
        "train.drops has no effect: it is for train.schedule: step",
        "train.lr_end has no effect: it is for train.schedule: cosine",
    ]
    single = replace(recipe, task="single-person", network=NetworkConfig("hourglass", 0, recipe.network.options))
    assert "loss.pull has no effect: it is for the task pose or tracking or segmentation" in lines_of(single)
    plain = replace(recipe, train=TrainConfig(), loss=LossConfig(), data=replace(recipe.data, reach=30))
    assert len(lines_of(plain)) == 2  # the labels and the mirror pairs
