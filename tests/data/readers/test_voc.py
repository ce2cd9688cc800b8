"""PASCAL VOC trees: palette indices become masks, classes and void, and what is not such a tree is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from associative_embedding.data.readers.voc import VOC_CLASSES, VocMasks, read_split, stem_id
from associative_embedding.data.readers.voc_classes import is_voc_tree, voc_colour
from associative_embedding.structures.arrays import Array
from support.image_bombs import flat_png
from support.voc_tree import CAT, PERSON, STEMS, H, W, labels, save_indices, tree


def test_classes_are_the_official_ones_in_order() -> None:
    assert len(VOC_CLASSES) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)  # the official order is the alphabet's
    assert (VOC_CLASSES[CAT - 1], VOC_CLASSES[PERSON - 1]) == ("cat", "person")


def test_reads_image_masks_classes_and_void(tmp_path: Path) -> None:
    data = VocMasks(str(tree(tmp_path)), "train")
    assert data.image_ids == [2007000032, 2008000001]
    assert data.category_ids["cat"] == CAT
    objects, _ = labels()
    sample = data[1]
    assert (sample.image_id, sample.file_name) == (2008000001, "2008_000001.jpg")
    assert (sample.image == 120).all()
    assert sample.masks is not None
    assert np.array_equal(sample.masks.dense(), [objects == n for n in (1, 2, 4)])
    assert sample.class_id is not None
    assert sample.class_id.tolist() == [CAT - 1, PERSON - 1, PERSON - 1]
    assert sample.area.tolist() == [80, 150, 104]
    assert sample.keypoints.shape == (3, 0, 3)
    assert sample.labelled.all()
    assert np.array_equal(sample.ignore, objects == 255)


def test_without_void_nothing_is_ignored(tmp_path: Path) -> None:
    root = tree(tmp_path)
    objects, values = labels()
    save_indices(root / "SegmentationObject" / f"{STEMS[1]}.png", np.where(objects == 255, 0, objects))
    save_indices(root / "SegmentationClass" / f"{STEMS[1]}.png", np.where(values == 255, 0, values))
    assert VocMasks(str(root), "val")[0].ignore is None


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    data = VocMasks(str(tree(tmp_path)), "val", ["unicorn", "person"])
    assert data.labelled.tolist() == [False, True]
    assert data.category_ids == {"person": PERSON}
    sample = data[0]
    assert sample.class_id is not None
    assert sample.class_id.tolist() == [1, 1]
    assert sample.area.tolist() == [150, 104]
    with pytest.raises(ValueError, match="no category name in common"):
        VocMasks(str(tmp_path), "val", ["unicorn"])


def test_a_mixed_object_is_what_most_of_it_is(tmp_path: Path) -> None:
    root = tree(tmp_path)
    _, values = labels()
    values[15:18, 5:20] = CAT  # 45 of 150
    values[18:23, 5:20] = 0  # 75: background has no vote
    values[20:24, 25:38] = 255  # half of object 4 is void, so not of its mask
    save_indices(root / "SegmentationClass" / f"{STEMS[1]}.png", values)
    sample = VocMasks(str(root), "val")[0]
    assert sample.class_id is not None
    assert sample.class_id.tolist() == [CAT - 1, CAT - 1, PERSON - 1]
    assert sample.area.tolist() == [80, 150, 52]
    assert sample.ignore is not None
    assert sample.ignore[20:24, 25:38].all()


def test_cached_files_are_all_that_is_needed(tmp_path: Path) -> None:
    cached, plain = (VocMasks(str(tree(tmp_path / str(c))), "train", cache=c) for c in (True, False))
    again = pickle.loads(pickle.dumps(cached))
    for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass"):
        for root in (tmp_path / "True", tmp_path / "False"):
            (root / folder).rename(root / f"no{folder}")
    assert np.array_equal(cached[0].image, again[0].image)
    assert again.select(lambda i: i == 2008000001)[0].area.tolist() == [80, 150, 104]
    with pytest.raises(ValueError, match="No such file"):
        plain[0]


@pytest.mark.parametrize(("stem", "number"), [("2007_000032", 2007000032), ("0012", 12), ("a_1", 3668523428)])
def test_ids_come_from_the_stem_alone(stem: str, number: int) -> None:
    assert stem_id(stem) == number  # never change: held-out shares rely on it


OBJECT, CLASS = (f"Segmentation{kind}/{STEMS[0]}.png" for kind in ("Object", "Class"))


def colours(root: Path) -> None:
    Image.fromarray(np.full((H, W, 3), 7, np.uint8)).save(root / CLASS)


def small(root: Path) -> None:
    save_indices(root / OBJECT, labels()[0][:-1])


def both_small(root: Path) -> None:
    for path, indices in zip((OBJECT, CLASS), labels(), strict=True):
        save_indices(root / path, indices[:, :-1])


def set_class(value: int) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        objects, values = labels()
        save_indices(root / CLASS, np.where(objects == 2, value, values))

    return change


BAD_IMAGES = {
    "colours": (colours, rf"{STEMS[0]}\.png: the colour 7,7,7 is that of no class"),
    "two sizes": (small, r"SegmentationObject.*\.png is \(29, 40\).*SegmentationClass.*\.png is \(30, 40\)"),
    "another size": (both_small, rf"{STEMS[0]}\.jpg: image 2007000032 is 40x30 .* say 39x30"),
    "no such class": (set_class(21), rf"SegmentationClass.{STEMS[0]}\.png: 21 is none of the 20 classes"),
    "no class": (set_class(0), rf"SegmentationClass.{STEMS[0]}\.png: object 2 has no class"),
    "no png": (
        lambda root: (root / OBJECT).write_bytes(b"nothing"),
        rf"{STEMS[0]}\.png: not a PNG that can be decoded",
    ),
    "a large png": (
        lambda root: (root / OBJECT).write_bytes(flat_png(4, 3, stated=9000)),
        "would take 2.4 GB of memory",
    ),
    "cut png": (lambda root: (root / CLASS).write_bytes((root / CLASS).read_bytes()[:99]), "not a PNG that"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images_are_named(tmp_path: Path, case: str) -> None:
    change, message = BAD_IMAGES[case]
    change(tree(tmp_path))
    data = VocMasks(str(tmp_path), "train", cache=False)
    with pytest.raises(ValueError, match=message) as caught:
        data[0]
    assert "\n" not in str(caught.value)


BAD_SETS = {
    "a path": ("../JPEGImages/2007_000032", "'../JPEGImages/2007_000032' is not the stem of a file"),
    "a windows path": ("..\\x", "is not the stem of a file"),
    "two words": ("2007_000032  1", r"SegmentationObject.2007_000032  1\.png is missing"),
    "a control character": ("a\x1bb", "is not the stem of a file"),
    "a hidden file": ("a/.b", "is not the stem of a file"),
    "twice": ("2007_000032\n2007_000032", r"2007_000032\.jpg occurs twice"),
    "the same digits": ("20070_00032\n2007_000032", "has the same digits"),
    "no files": ("2009_000001", r"SegmentationObject.2009_000001\.png is missing"),
    "bytes": ("\udcff", "cannot read the image set"),
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_bad_image_sets_are_named(tmp_path: Path, case: str) -> None:
    text, message = BAD_SETS[case]
    path = tree(tmp_path) / "ImageSets" / "Segmentation" / "bad.txt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message) as caught:
        VocMasks(str(tmp_path), "bad")
    assert "bad.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_tree_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder of images"):
        VocMasks(str(tmp_path), "train")
    root = tree(tmp_path)
    with pytest.raises(ValueError, match=r"none\.txt: cannot read the image set"):
        VocMasks(str(root), "none")
    with pytest.raises(ValueError, match="is not the stem of a file"):
        VocMasks(str(root), "../Main/train")
    (root / "JPEGImages" / "2007_000039.jpg").unlink()
    with pytest.raises(ValueError, match=r"val\.txt: image 2007000039: 'file_name' '2007_000039\.jpg' is missing"):
        VocMasks(str(root), "val")
    (root / CLASS).unlink()
    with pytest.raises(ValueError, match=rf"SegmentationClass.{STEMS[0]}\.png is missing, but .*train\.txt names it"):
        VocMasks(str(root), "train")


# ---- as labelling tools write them


CLASS_COLOURS = {"cell": (184, 61, 245), "debris": (61, 245, 61)}


def tool_labels() -> tuple[Array, Array]:
    objects, values = np.zeros((2, H, W), np.uint8)
    objects[3:11, 3:13], values[3:11, 3:13] = 1, 1
    objects[15:25, 5:20], values[15:25, 5:20] = 2, 2
    return objects, values


def check_tool(root: Path, name: str, **options: str) -> None:
    data = VocMasks(str(root), **options)
    sample = data[0]
    assert (len(data), sample.file_name) == (1, name)
    assert list(data.category_ids) == ["cell", "debris"]
    assert sample.class_id is not None
    assert sample.masks is not None
    assert sample.class_id.tolist() == [0, 1]
    assert np.array_equal(sample.masks.dense(), [tool_labels()[0] == n for n in (1, 2)])


def photo(root: Path, name: str) -> None:
    path = root / "JPEGImages" / name
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)


def test_a_tree_of_cvat(tmp_path: Path) -> None:
    """Colours in place of indices, classes and their colours in a list, blanks in names, one image set."""
    photo(tmp_path, "day 1/field (2).png")
    objects, values = tool_labels()
    palette = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
    for kind, indices, colours in (
        ("Object", objects, palette),
        ("Class", values, np.array([(0, 0, 0), *CLASS_COLOURS.values()], np.uint8)),
    ):
        path = tmp_path / f"Segmentation{kind}" / "day 1" / "field (2).png"
        path.parent.mkdir(parents=True)
        Image.fromarray(colours[indices]).save(path)
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in CLASS_COLOURS.items()]
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", *lines]
    (tmp_path / "labelmap.txt").write_text("\n".join(lines))
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").write_text("day 1/field (2)\n")
    check_tool(tmp_path, "day 1/field (2).png")
    (tmp_path / "labelmap.txt").write_text("cell 1,2,3")
    with pytest.raises(ValueError, match=r"labelmap\.txt: line 1 must be name:red,green,blue"):
        VocMasks(str(tmp_path))


@pytest.mark.parametrize("ending", ["", "PNG"])
@pytest.mark.parametrize("mode", ["P", "L"])
def test_a_tree_of_labelme(tmp_path: Path, ending: str, mode: str) -> None:
    """Grey or palette indices, a list of names, no image set."""
    photo(tmp_path, "my image.PNG")
    for kind, indices in zip(("Object", "Class"), tool_labels(), strict=True):
        path = tmp_path / f"Segmentation{kind}{ending}" / "my image.png"
        save_indices(path, indices)
        if mode == "L":
            Image.fromarray(indices).save(path)
    (tmp_path / "class_names.txt").write_text("_background_\ncell\ndebris\n")
    assert is_voc_tree(tmp_path)
    check_tool(tmp_path, "my image.PNG")


def test_the_palette_is_that_of_voc() -> None:
    assert [voc_colour(i) for i in (0, 1, 2, 3, 15, 20, 255)] == [
        0, 0x800000, 0x008000, 0x808000, 0xC08080, 0x004080, 0xE0E0C0,
    ]  # fmt: skip


# ---- as a source of a recipe


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_image_set_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tree(tmp_path) / "ImageSets" / "Segmentation" / "train.txt"
    plain = read_split(path)
    path.write_text(path.read_text(), encoding=encoding)
    assert read_split(path) == plain
