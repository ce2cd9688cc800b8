"""Sources of a recipe are opened by their settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.data.readers.coco_keypoints import held_out
from associative_embedding.data.readers.voc import VOC_CLASSES
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_keypoints, open_masks, source_classes
from support.coco_files import document, write
from support.tiny import FIGURE, tiny_data
from support.voc_tree import tree

# pycocotools' decode, as an oracle, meets NumPy 2 with a DeprecationWarning of its own
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CLASSES = ["cat", "dog"]


def test_open_masks_holds_out_and_caches(shared: Path) -> None:
    folder = shared / "data" / "segmentation" / "coco128_inst"
    source = SourceConfig(
        images=str(folder / "images"), annotations=str(folder / "annotations.json"), held_out=0.2, cache=False
    )
    classes = source_classes(source)
    assert (len(classes), classes[0], classes[-1]) == (80, "person", "toothbrush")
    train, validation = (open_masks(source, classes, part=part) for part in ("train", "validation"))
    assert len(train) + len(validation) == 100
    assert not set(train.image_ids) & set(validation.image_ids)
    assert 8 <= len(validation) <= 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mosaic": 0.5}, r"a\.json: mosaic and overlap are for keypoints"),
        ({"overlap": 0.5}, r"a\.json: mosaic and overlap are for keypoints"),
        ({"rename": {"ca": "tree"}}, r"a\.json: rename of ca, but the file has no such category"),
        ({"rename": {"cat": "tree"}}, r"'name' 'tree' occurs twice"),
        ({"complete": False}, r"a\.json: complete is for keypoints"),
        ({"annotations": None}, "masks need annotations"),
        ({"held_out": 0.999999}, r"a\.json: no image to train on is left, held_out: 0\.999999 takes all 2"),
    ],
)
def test_settings_without_meaning_for_masks_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    annotations, images = write(tmp_path, document())
    source = SourceConfig(**{"images": images, "annotations": annotations, **changes})
    with pytest.raises(ValueError, match=message):
        open_masks(source, CLASSES, part="train")


def test_open_masks_takes_a_tree(tmp_path: Path) -> None:
    source = SourceConfig(
        images=str(tree(tmp_path) / "JPEGImages"), annotations=str(tmp_path), split="train", held_out=0.1
    )
    assert [i for i in (2007000032, 2008000001) if held_out(i, 0.1)] == [2007000032]
    assert open_masks(source, VOC_CLASSES, part="train").image_ids == [2008000001]
    assert open_masks(source, VOC_CLASSES, part="validation").image_ids == [2007000032]
    assert source_classes(source) == list(VOC_CLASSES)


def listed(path: Path, *ids: int) -> str:
    path.write_text("".join(f"{number}\n" for number in ids))
    return str(path)


def test_a_list_of_ids_is_left_to_validation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As the published code does with its 500 images: those of them that have a labelled person."""
    source = replace(tiny_data(tmp_path, images=6), held_out_ids=listed(tmp_path / "valid_id", 5, 2))
    opened = {part: open_keypoints(source, FIGURE, part=part).image_ids for part in ("train", "validation")}
    assert opened == {"train": [1, 3, 4, 6], "validation": [2, 5]}
    assert capfd.readouterr().err == ""

    more = replace(source, held_out_ids=listed(tmp_path / "more", 5, 2, 99))
    assert open_keypoints(more, FIGURE, part="train").image_ids == [1, 3, 4, 6]
    assert "more: 2 of its 3 ids are images of" in capfd.readouterr().err
    (tmp_path / "voc").mkdir()
    voc = SourceConfig(
        annotations=str(tree(tmp_path / "voc")), split="train", held_out_ids=listed(tmp_path / "i", 2008000001)
    )
    assert open_masks(voc, VOC_CLASSES, part="train").image_ids == [2007000032]


def test_a_list_of_ids_of_other_images_is_refused(tmp_path: Path) -> None:
    source = tiny_data(tmp_path, images=2)
    for ids, message in (
        (listed(tmp_path / "other", 98, 99), r"other: none of its 2 ids is one of the 2 images of .*annotations\.json"),
        (listed(tmp_path / "all", 1, 2), r"no image to train on is left, held_out_ids: .*all takes all 2"),
        (str(tmp_path / "missing"), "missing: cannot read the image ids"),
    ):
        with pytest.raises(ValueError, match=message):
            open_keypoints(replace(source, held_out_ids=ids), FIGURE, part="train")
    with pytest.raises(ValueError, match="held_out_ids choose the same images"):
        replace(source, held_out=0.1, held_out_ids="ids")


def test_a_split_is_needed_for_trees_and_for_nothing_else(tmp_path: Path) -> None:
    source = SourceConfig(images=str(tree(tmp_path) / "JPEGImages"), annotations=str(tmp_path))
    with pytest.raises(ValueError, match="needs a split"):
        open_masks(source, VOC_CLASSES, part="train")
    with pytest.raises(ValueError, match=r"a\.json: split is for VOC trees, but this is no folder"):
        open_masks(SourceConfig(images=".", annotations="a.json", split="train"), VOC_CLASSES, part="train")
    with pytest.raises(ValueError, match="split is for VOC trees"):
        open_keypoints(SourceConfig(images=".", annotations="a.json", split="train"), FIGURE, part="train")
