"""Masks of the COCO format: what is read, what is ignored, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.coco_masks import CocoMasks, category_ids, class_names
from associative_embedding.data.readers.segmentations import region_crop
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.run_lengths import decode_strip
from support.coco_files import H, W, box_mask, compressed, document, picture, plain, polygon, thing, write

# pycocotools' decode, as an oracle, meets NumPy 2 with a DeprecationWarning of its own
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = ["cat", "dog"]


def test_reads_image_masks_classes_and_areas(tmp_path: Path) -> None:
    masks = [box_mask(5, 6, 7, 8), box_mask(0, 0, W, H), box_mask(W - 1, H - 1, 1, 1)]
    content = document(
        thing(1, compressed(masks[0])), thing(2, plain(masks[1]), 9), thing(3, compressed(masks[2])), thing(4, [], 6)
    )
    data = CocoMasks(*write(tmp_path, content), CLASSES)
    assert data.image_ids == [7, 8]
    assert data.image_size(0) == (H, W)
    assert data.category_ids == {"cat": 4, "dog": 9}
    sample = data[0]
    assert np.array_equal(sample.image, picture(7))
    assert sample.masks is not None
    assert sample.class_id is not None
    assert np.array_equal(sample.masks.dense(), masks)
    assert (sample.class_id.tolist(), sample.class_id.dtype) == ([0, 1, 0], np.int64)
    assert (sample.area.tolist(), sample.area.dtype) == ([56, 1200, 1], np.float32)
    assert (sample.keypoints.shape, sample.keypoints.dtype) == ((3, 0, 3), np.float32)
    assert sample.labelled.tolist() == [True, True]
    assert sample.ignore is None
    assert (sample.image_id, sample.file_name) == (7, "7.png")


def test_images_without_objects_teach_silence_or_are_left_out(tmp_path: Path) -> None:
    paths = write(tmp_path, document())
    empty = CocoMasks(*paths, CLASSES)[1]
    assert empty.masks is not None
    assert len(empty.masks) == len(empty.keypoints) == 0
    assert empty.ignore is None
    assert CocoMasks(*paths, CLASSES, objects_only=True).image_ids == [7]
    assert CocoMasks(*paths, CLASSES, image_ids={8}).image_ids == [8]


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    paths = write(tmp_path, document(thing(1, plain(box_mask(1, 1, 2, 2))), thing(2, plain(box_mask(5, 5, 3, 3)), 9)))
    data = CocoMasks(*paths, ["unicorn", "dog"])
    assert data.labelled.tolist() == [False, True]
    assert data[0].area.tolist() == [9]
    assert data[0].class_id.tolist() == [1]
    assert class_names(paths[0]) == ["cat", "tree", "dog"]  # in the order of their ids
    assert category_ids(paths[0], read_coco(paths[0]), {}) == {"cat": 4, "tree": 6, "dog": 9}
    with pytest.raises(ValueError, match=r"a\.json: no category name in common with the classes \(unicorn\)"):
        CocoMasks(*paths, ["unicorn"])
    with pytest.raises(ValueError, match=r"a\.json: the classes must be unique"):
        CocoMasks(*paths, ["cat", "cat"])


def test_categories_may_have_other_names_in_the_file(tmp_path: Path) -> None:
    paths = write(tmp_path, document())
    data = CocoMasks(*paths, ("tiger", "tree"), rename={"cat": "tiger"})
    assert data.category_ids == {"tiger": 4, "tree": 6}
    class_id = data[0].class_id
    assert class_id is not None
    assert class_id.tolist() == [0]
    assert class_names(paths[0], {"cat": "tiger"}) == ["tiger", "tree", "dog"]


def test_crowds_and_boxes_without_masks_are_ignored(tmp_path: Path) -> None:
    content = document(
        thing(1, compressed(box_mask(5, 6, 7, 8))),
        thing(2, plain(box_mask(20, 1, 5, 5)), iscrowd=1),
        thing(3, [polygon(30, 3, 4, 6)], 9, iscrowd=1),
        thing(4, plain(box_mask(0, 20, 5, 5)), 6, iscrowd=1),  # a tree, which is not taught
        thing(5, [], bbox=[20, 20, 4, 6]),
        thing(6, None, iscrowd=1, bbox=[30.5, 20, 4, 6]),
    )
    sample = CocoMasks(*write(tmp_path, content), CLASSES)[0]
    boxes = [(20, 1, 5, 5), (30, 3, 4, 6), (20, 20, 4, 6), (30, 20, 5, 6)]
    assert sample.area.tolist() == [56]
    assert np.array_equal(sample.ignore, np.any([box_mask(*box) for box in boxes], axis=0))


def test_cached_and_uncached_are_equal_and_survive_pickle(tmp_path: Path) -> None:
    paths = write(tmp_path, document())
    late, lazy = (CocoMasks(*paths, CLASSES, cache=False) for _ in range(2))
    cached = CocoMasks(*paths, CLASSES)
    copies = [cached, pickle.loads(pickle.dumps(cached)), late.cached(), cached.select(lambda i: i == 7)]
    (tmp_path / "7.png").rename(tmp_path / "moved.png")
    assert all(np.array_equal(copy[0].image, picture(7)) and copy[0].area.tolist() == [56] for copy in copies)
    with pytest.raises(ValueError, match=r"7\.png: No such file"):
        lazy[0]


def test_a_sample_can_be_changed_without_changing_the_data(tmp_path: Path) -> None:
    data = CocoMasks(*write(tmp_path, document()), CLASSES)
    data[0].labelled[:] = False
    data[0].class_id[:] = 1
    data[0].masks.crops[0][:] = False
    assert data[0].labelled.all()
    assert data[0].class_id.tolist() == [0]
    assert data[0].area.tolist() == [56]


# ---- segmentations


@given(seed=st.integers(0, 10**6), share=st.sampled_from([0, 0.01, 0.5, 1]), left=st.integers(0, W))
@settings(max_examples=60, deadline=None)
def test_only_the_columns_of_a_region_are_unrolled(seed: int, share: float, left: int) -> None:
    mask = np.random.default_rng(seed).random((H, W)) < share
    mask[:, :left] = False
    x, strip = decode_strip(compressed(mask), (H, W))
    assert np.array_equal(strip, mask[:, x : x + strip.shape[1]])
    assert strip.sum() == mask.sum()
    assert not strip.size or strip[:, [0, -1]].any(axis=0).all()


@given(
    corners=st.lists(
        st.lists(st.floats(-20, 60, width=32), min_size=6, max_size=12).filter(lambda c: len(c) % 2 == 0),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=60, deadline=None)
def test_polygons_are_filled_as_pycocotools_does(corners: list[list[float]]) -> None:
    whole = np.any([coco.decode(coco.frPyObjects([c], H, W))[..., 0] for c in corners], axis=0)
    (y, x), crop = region_crop([np.array(c) for c in corners], (H, W), "")
    mask = np.zeros((H, W), bool)
    mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    assert np.array_equal(mask, whole)


def test_several_polygons_are_one_object(tmp_path: Path) -> None:
    content = document(thing(1, [polygon(2, 3, 5, 4), polygon(20, 10, 6, 7)]))
    sample = CocoMasks(*write(tmp_path, content), CLASSES)[0]
    assert np.array_equal(sample.masks.dense(), [box_mask(2, 3, 5, 4) | box_mask(20, 10, 6, 7)])


# ---- what is refused


NAN = float("nan")
BAD_ENTRIES = {
    "a text": (thing(5, "abc"), "annotation 5: 'segmentation' must be polygons or run lengths"),
    "a number": (thing(5, 3), "annotation 5: 'segmentation'"),
    "half a corner": (thing(5, [[1, 2, 3, 4, 5, 6, 7]]), "annotation 5: 'segmentation'"),
    "not a number": (thing(5, [[1, 2, 3, 4, 5, NAN]]), "annotation 5: 'segmentation'"),
    "infinite": (thing(5, [[1, 2, 3, 4, 5, -float("inf")]]), "annotation 5: 'segmentation'"),
    "huge": (thing(5, [[1, 2, 3, 4, 5, 10**400]]), "annotation 5: 'segmentation'"),
    "true": (thing(5, [[1, 2, 3, 4, 5, True]]), "annotation 5: 'segmentation'"),
    "no counts": (thing(5, {"size": [H, W]}), "annotation 5: 'segmentation'"),
    "no size": (thing(5, {"counts": "abc"}), "annotation 5: 'segmentation'"),
    "crowd": (thing(5, [], iscrowd="no"), "annotation 5: 'iscrowd' must be 0 or 1"),
    "area": (thing(5, [], area=-1), "annotation 5: 'area' must not be negative"),
    "image": (thing(5, [], image_id=99), "annotation 5: 'image_id' 99 is not in 'images'"),
    "category": (thing(5, [], category_id=99), "annotation 5: 'category_id' 99 is not in 'categories'"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_bad_entries_are_named(tmp_path: Path, case: str) -> None:
    entry, message = BAD_ENTRIES[case]
    with pytest.raises(ValueError, match=message) as caught:
        CocoMasks(*write(tmp_path, document(entry)), CLASSES)
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_RUNS = [
    {"size": [H, W], "counts": [5, -4, H * W - 1]},
    {"size": [H, W], "counts": [5, 10**9]},
    {"size": [H, W], "counts": ["a"]},
    {"size": [H, W], "counts": []},
    {"size": [W, H], "counts": [H * W]},
    {"size": [H, W], "counts": "~~~"},
    {"size": [H, W], "counts": ""},
]


@pytest.mark.parametrize("runs", BAD_RUNS)
@pytest.mark.parametrize("crowd", [0, 1])
def test_run_lengths_that_do_not_fit_are_named_at_the_start_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runs: dict[str, Any], crowd: int
) -> None:
    content = document(thing(1, plain(box_mask(5, 6, 7, 8))), thing(5, runs, iscrowd=crowd, bbox=[20, 1, 5, 5]))
    sample = CocoMasks(*write(tmp_path, content), CLASSES)[0]
    line = "1 annotation (5 of 7.png): run lengths that do not fit the image; the box takes their place"
    assert line in capsys.readouterr().err
    assert sample.area.tolist() == [56]
    assert np.array_equal(sample.ignore, box_mask(20, 1, 5, 5))


def test_polygons_of_fewer_than_three_points_are_named_at_the_start_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [thing(i, [[1, 2, 3, 4]], bbox=[20, 1, 5, 5]) for i in (2, 3)]
    content = document(thing(1, [[7, 8], polygon(2, 3, 5, 4)]), *short, thing(4, [[]], bbox=None))
    sample = CocoMasks(*write(tmp_path, content), CLASSES)[0]
    lines = capsys.readouterr().err
    assert "1 annotation (1): 'segmentation' has polygons of fewer than three corners, which are left out" in lines
    assert "3 annotations (2, 3, 4): 'segmentation' has no three corners; the box takes its place" in lines
    assert "1 annotation (4): no labelled keypoint, box or mask; left out" in lines
    assert np.array_equal(sample.masks.dense(), [box_mask(2, 3, 5, 4)])
    assert np.array_equal(sample.ignore, box_mask(20, 1, 5, 5))


def test_outlines_that_are_too_long_are_named_at_the_start_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zigzag = np.tile([0, 0, W, H], 50_000).tolist()
    content = document(thing(1, [zigzag], bbox=None), thing(2, plain(box_mask(5, 6, 7, 8))))
    content["annotations"][0].pop("bbox")
    assert CocoMasks(*write(tmp_path, content), CLASSES)[0].area.tolist() == [56]
    assert "of outline are more than" in capsys.readouterr().err


def test_run_lengths_are_compared_with_the_file_where_no_size_is_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"size": [H, W + 1], "counts": [H * (W + 1)]}
    content = document(thing(1, other), thing(2, plain(box_mask(5, 6, 7, 8))))
    for key in ("height", "width"):
        del content["images"][0][key]
    assert CocoMasks(*write(tmp_path, content), CLASSES)[0].area.tolist() == [56]
    assert "1 annotation (1 of 7.png): run lengths" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([{"id": 4}], "category 4: 'name' must be a text"),
        ([{"name": "cat"}], "category: 'id' must be an integer"),
        ([{"id": 4, "name": "cat"}, {"id": 5, "name": "cat"}], "category 5: .* 'cat' occurs twice"),
        ([{"id": 4, "name": "cat"}, {"id": 4, "name": "dog"}], "category 4: .* 'dog' occurs twice"),
        ([], "no category name in common"),
    ],
)
def test_bad_categories_are_named(tmp_path: Path, categories: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CocoMasks(*write(tmp_path, document() | {"categories": categories}), CLASSES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_name": "../7.png"}, "image 7: 'file_name' '../7.png' does not stay within"),
        ({"file_name": "none.png"}, "image 7: 'file_name' 'none.png' is missing"),
        ({"file_name": 3}, "image 7: 'file_name' must be a text"),
        ({"width": -1}, "image 7: 'height' and 'width'"),
        ({"id": 8}, "image 8: 'id' occurs twice"),
    ],
)
def test_bad_images_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    content = document()
    content["images"][0] |= changes
    content["annotations"] = []
    with pytest.raises(ValueError, match=message):
        CocoMasks(*write(tmp_path, content), CLASSES)


def test_images_that_do_not_fit_their_annotations(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["width"] = W + 1
    paths = write(tmp_path, content)
    with pytest.raises(ValueError, match=r"7\.png: image 7 is 40x30 .* 41x30"):
        CocoMasks(*paths, CLASSES)[0]
    (tmp_path / "7.png").write_bytes((tmp_path / "7.png").read_bytes()[:99])
    with pytest.raises(ValueError, match=r"7\.png: is damaged or truncated"):
        CocoMasks(*paths, CLASSES)
    with pytest.raises(ValueError, match="no such folder of images"):
        CocoMasks(paths[0], str(tmp_path / "none"), CLASSES)


@pytest.mark.parametrize(("stated", "shape"), [((H, W), (H, W)), ((W, H), (W, H)), (None, None)])
def test_exif_orientation_follows_the_annotations(
    tmp_path: Path, stated: tuple[int, int] | None, shape: tuple[int, int] | None
) -> None:
    content = document(thing(1, [polygon(2, 3, 5, 4)]))
    for key, side in zip(("height", "width"), stated or (None, None), strict=True):
        content["images"][0][key] = side
    paths = write(tmp_path, content)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(picture(7)).save(tmp_path / "7.png", exif=exif)
    data = CocoMasks(*paths, CLASSES)
    if shape is None:
        with pytest.raises(ValueError, match="image 7 has the EXIF orientation 6, so which way"):
            data[0]
    else:
        assert data[0].image.shape[:2] == shape


# ---- as a source of a recipe


# ---- real data


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images", "objects"), [("dsb2018", 554, 24238), ("coco128_inst", 100, 745)])
def test_real_sources(shared: Path, name: str, images: int, objects: int) -> None:
    """Every tenth image against pycocotools: regions, areas, classes, crowds."""
    folder = shared / "data" / "segmentation" / name
    path = str(folder / "annotations.json")
    classes = class_names(path)
    data, truth = CocoMasks(path, str(folder / "images"), classes, cache=False), COCO(path)
    assert len(data) == images
    assert sum(len(r.objects) + len(r.unlabelled) for r in data.records) == objects
    for i in range(0, images, 10):
        sample = data[i]
        entries = truth.imgToAnns[sample.image_id]
        single, crowds = ([a for a in entries if a["iscrowd"] == flag] for flag in (0, 1))
        assert sample.area.tolist() == [a["area"] for a in single]
        assert [data.category_ids[classes[c]] for c in sample.class_id] == [a["category_id"] for a in single]
        assert sample.masks.xywh.tolist() == [a["bbox"] for a in single]
        assert all((truth.annToMask(a) == m).all() for a, m in zip(single, sample.masks.dense(), strict=True))
        crowd = np.any([truth.annToMask(a) for a in crowds], axis=0) if crowds else None
        assert (sample.ignore is None) == (crowd is None)
        assert crowd is None or np.array_equal(sample.ignore, crowd)


def test_both_readers_of_one_file_see_the_same_images(tmp_path: Path) -> None:
    content = document()
    content["categories"].append({"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)})
    paths = write(tmp_path, content)
    people = CocoKeypoints(*paths, COCO_17, people_only=False)
    assert people.image_ids == CocoMasks(*paths, CLASSES).image_ids
    assert np.array_equal(people[1].image, CocoMasks(*paths, CLASSES)[1].image)


def test_masks_that_are_too_large_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty bytes of the file can state a mask of the whole image."""
    monkeypatch.setattr("associative_embedding.data.readers.coco_masks.MAX_MASKS", 3 * H * W)
    whole = {"size": [H, W], "counts": [0, H * W]}
    assert len(CocoMasks(*write(tmp_path, document(*(thing(i, whole) for i in range(3)))), CLASSES)[0].masks or ()) == 3
    with pytest.raises(ValueError, match="image 7: its 4 masks take more than 0 MB together"):
        CocoMasks(*write(tmp_path, document(*(thing(i, whole) for i in range(4)))), CLASSES)[0]


@pytest.mark.parametrize(
    ("count", "corners", "message"),
    [(1, 900, "1 polygons with .* pixels of outline"), (10_001, 3, "10001 polygons with")],
)
def test_outlines_that_are_too_long(count: int, corners: int, message: str) -> None:
    """pycocotools walks along every edge: a zigzag of some kilobytes would take gigabytes."""
    polygon = np.random.default_rng(0).uniform(0, 10_000, (corners, 2)).ravel().tolist()
    with pytest.raises(ValueError, match=message):
        region_crop([polygon] * count, (10_000, 10_000), "a")


def test_a_crowd_of_people_whose_run_lengths_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A training on keypoints ended when it drew the image of such a crowd."""
    runs = {"size": [H, W], "counts": [5, 10**9]}
    person = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    content = document(thing(5, runs, 1, iscrowd=1, bbox=[20, 1, 5, 5])) | {"categories": [person]}
    sample = CocoKeypoints(*write(tmp_path, content), COCO_17, people_only=False)[0]
    assert "1 annotation (5 of 7.png): run lengths that do not fit the image" in capsys.readouterr().err
    assert sample.ignore is not None
    assert sample.ignore[3, 22]
