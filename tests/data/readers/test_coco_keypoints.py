"""COCO json: what is read, what is ignored, and what is refused."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints, enlarged, held_out
from associative_embedding.structures.known_skeletons import COCO_17, CROWDPOSE_14, LSP_14, MPII_16
from associative_embedding.structures.skeleton import Skeleton
from support.coco_files import Document, H, W, picture, write

HELD_OUT = [23, 27, 33, 37, 62, 66, 72, 81, 85, 89, 99]  # of 0..99


def person(image_id: int, k: int = 17, number: int = 1, **changes: Any) -> dict[str, Any]:
    keypoints = [v for i in range(k) for v in (10 + i, 5 + i, 1 + i % 2)]
    base = {"id": number, "image_id": image_id, "category_id": 1, "keypoints": keypoints, "num_keypoints": k}
    return {**base, "bbox": [10, 5, 16, 16], "area": 100.5, "iscrowd": 0, **changes}


def document(skeleton: Skeleton = COCO_17) -> Document:
    images = [{"id": i, "file_name": f"{i}.png", "height": H, "width": W} for i in (7, 8)]
    category = {"id": 1, "name": skeleton.name, "keypoints": list(skeleton.keypoints)}
    return {"images": images, "annotations": [person(7, len(skeleton.keypoints))], "categories": [category]}


def with_annotation(**changes: Any) -> Document:
    content = document()
    content["annotations"].append(person(7, number=2, **changes))
    return content


def test_reads_image_keypoints_area_and_names(tmp_path: Path) -> None:
    data = CocoKeypoints(*write(tmp_path, document()), COCO_17)
    assert len(data) == 1
    assert data.image_ids == [7]
    assert data.image_size(0) == (H, W)
    sample = data[0]
    assert np.array_equal(sample.image, picture(7))  # RGB, not BGR
    expected = np.stack([10.0 + np.arange(17), 5.0 + np.arange(17), 1.0 + np.arange(17) % 2], axis=1)
    assert np.array_equal(sample.keypoints[0], expected)
    assert sample.keypoints.dtype == np.float32
    assert sample.area.tolist() == [100.5]
    assert sample.labelled.all()
    assert sample.ignore is None
    assert (sample.image_id, sample.file_name) == (7, "7.png")


def test_cached_and_uncached_are_equal_and_survive_pickle(tmp_path: Path) -> None:
    paths = write(tmp_path, document())
    cached, plain = (CocoKeypoints(*paths, COCO_17, people_only=False, cache=c) for c in (True, False))
    again = pickle.loads(pickle.dumps(cached))
    for name in ("7.png", "8.png"):
        (tmp_path / name).rename(tmp_path / f"moved-{name}")
    with pytest.raises(ValueError, match=r"7\.png"):
        plain[0]
    for i in range(2):
        assert np.array_equal(cached[i].image, again[i].image)
        assert np.array_equal(cached[i].keypoints, again[i].keypoints)


def test_a_sample_can_be_changed_without_changing_the_data(tmp_path: Path) -> None:
    data = CocoKeypoints(*write(tmp_path, document()), COCO_17)
    data[0].keypoints[:] = 0
    data[0].area[:] = 0
    data[0].labelled[:] = False
    assert data[0].keypoints.any()
    assert data[0].area.any()
    assert data[0].labelled.all()


@pytest.mark.parametrize("source", [MPII_16, LSP_14, CROWDPOSE_14, COCO_17])
@pytest.mark.parametrize("target", [MPII_16, LSP_14, CROWDPOSE_14, COCO_17])
def test_keypoints_are_matched_by_name(tmp_path: Path, source: Skeleton, target: Skeleton) -> None:
    sample = CocoKeypoints(*write(tmp_path, document(source)), target)[0]
    for k, name in enumerate(target.keypoints):
        assert sample.labelled[k] == (name in source.keypoints)
        i = source.keypoints.index(name) if name in source.keypoints else None
        assert sample.keypoints[0, k].tolist() == ([0, 0, 0] if i is None else [10 + i, 5 + i, 1 + i % 2])


def test_rename_maps_other_names(tmp_path: Path) -> None:
    paths = write(tmp_path, document(MPII_16))
    sample = CocoKeypoints(*paths, CROWDPOSE_14, rename={"upper_neck": "neck", "head_top": "head"})[0]
    assert sample.labelled.all()
    i = MPII_16.keypoints.index("upper_neck")
    assert sample.keypoints[0, CROWDPOSE_14.keypoints.index("neck"), 0] == 10 + i
    with pytest.raises(ValueError, match="rename of no_such"):
        CocoKeypoints(*paths, CROWDPOSE_14, rename={"no_such": "neck"})
    with pytest.raises(ValueError, match="same name"):
        CocoKeypoints(*paths, CROWDPOSE_14, rename={"upper_neck": "head", "head_top": "head"})


def test_other_categories_are_skipped(tmp_path: Path) -> None:
    content = document()
    content["categories"].append({"id": 2, "name": "dog", "keypoints": ["nose", "tail"]})
    content["categories"].append({"id": 3, "name": "car"})
    content["annotations"] += [{"id": 5, "image_id": 8, "category_id": 3, "bbox": [0, 0, 1, 1]}]
    content["annotations"] += [person(8, k=2, number=6, category_id=2)]
    assert CocoKeypoints(*write(tmp_path, content), COCO_17).image_ids == [7]


def test_people_known_only_by_foreign_keypoints_are_absent_not_ignored(tmp_path: Path) -> None:
    content = document()
    content["annotations"] = [person(7, keypoints=[9, 9, 2] + [0] * 48)]  # a nose alone, which LSP does not know
    sample = CocoKeypoints(*write(tmp_path, content), LSP_14, people_only=False)[0]
    assert sample.keypoints.shape == (0, 14, 3)
    assert sample.ignore is None


def test_keypoints_outside_of_the_image_are_hidden(tmp_path: Path) -> None:
    keypoints = [0.0] * 51
    for k, xy in enumerate([(0, 0), (W - 0.01, H - 0.01), (-0.01, 3), (W, 3), (3, H), (3, -1)]):
        keypoints[3 * k : 3 * k + 3] = [*xy, 2]
    content = document()
    content["annotations"] = [person(7, keypoints=keypoints)]
    sample = CocoKeypoints(*write(tmp_path, content), COCO_17)[0]
    assert sample.keypoints[0, :6, 2].tolist() == [2, 2, 0, 0, 0, 0]
    assert sample.keypoints[0, 3, :2].tolist() == [W, 3]


# ---- ignored regions


def crowd_mask() -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[3:9, 20:31] = 1
    return mask


def plain_rle() -> dict[str, Any]:
    flat = crowd_mask().ravel(order="F")
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]]))
    return {"size": [H, W], "counts": runs.tolist()}


def compressed_rle() -> dict[str, Any]:
    code = rle.encode(np.asfortranarray(crowd_mask()))
    return {"size": [H, W], "counts": code["counts"].decode()}


@pytest.mark.parametrize(
    "segmentation",
    [
        plain_rle(),
        compressed_rle(),
        [[20, 3, 31, 3, 31, 9, 20, 9]],
        [[20, 3, 25, 3, 25, 9, 20, 9], [25, 3, 31, 3, 31, 9, 25, 9]],
    ],
    ids=["plain", "compressed", "polygon", "polygons"],
)
def test_crowds_are_ignored(tmp_path: Path, segmentation: Any) -> None:
    content = with_annotation(iscrowd=1, segmentation=segmentation)
    sample = CocoKeypoints(*write(tmp_path, content), COCO_17)[0]
    assert len(sample.keypoints) == 1
    assert sample.ignore is not None
    assert np.array_equal(sample.ignore, crowd_mask().astype(bool))


def test_people_without_keypoints_are_ignored_boxes(tmp_path: Path) -> None:
    content = with_annotation(keypoints=[0] * 51, num_keypoints=0, bbox=[30.5, 20.2, 50, 4])
    sample = CocoKeypoints(*write(tmp_path, content), COCO_17)[0]
    expected = np.zeros((H, W), bool)
    expected[20:25, 30:] = True
    assert np.array_equal(sample.ignore, expected)


def test_incomplete_sources_teach_only_around_labelled_people(tmp_path: Path) -> None:
    sample = CocoKeypoints(*write(tmp_path, document()), COCO_17, complete=False)[0]
    assert enlarged(np.array([10, 5, 16, 16]), 0.25).tolist() == [8, 3, 20, 20]
    expected = np.ones((H, W), bool)
    expected[3:23, 8:28] = False
    assert np.array_equal(sample.ignore, expected)


def test_images_without_people_teach_silence(tmp_path: Path) -> None:
    paths = write(tmp_path, document())
    data = CocoKeypoints(*paths, COCO_17, people_only=False)
    assert data.image_ids == [7, 8]
    assert data[1].keypoints.shape == (0, 17, 3)
    assert data[1].ignore is None
    folder = CocoKeypoints(None, paths[1], COCO_17)
    assert [s.file_name for s in (folder[0], folder[1])] == ["7.png", "8.png"]
    assert folder[0].keypoints.shape == (0, 17, 3)
    assert folder[0].labelled.all()
    with pytest.raises(ValueError, match="unless it is complete"):
        CocoKeypoints(None, paths[1], COCO_17, complete=False)


def test_missing_area_and_box_come_from_what_is_there(tmp_path: Path) -> None:
    content = document()
    del content["annotations"][0]["area"], content["annotations"][0]["bbox"]
    assert CocoKeypoints(*write(tmp_path, content), COCO_17)[0].area.tolist() == [16 * 16]


# ---- splits


def test_image_ids_and_select(tmp_path: Path) -> None:
    paths = write(tmp_path, document())
    assert CocoKeypoints(*paths, COCO_17, image_ids={8}, people_only=False).image_ids == [8]
    data = CocoKeypoints(*paths, COCO_17, people_only=False)
    part = data.select(lambda i: i == 8)
    assert (part.image_ids, data.image_ids) == ([8], [7, 8])
    assert np.array_equal(part[0].image, picture(8))


def test_held_out_is_fixed_balanced_and_nested() -> None:
    assert [i for i in range(100) if held_out(i)] == HELD_OUT  # never change: models rely on it
    many = range(20_000)
    for fraction in (0.05, 0.1, 0.3):
        assert abs(np.mean([held_out(i, fraction) for i in many]) - fraction) < 0.03
    assert all(held_out(i, 0.3) for i in many if held_out(i, 0.1))
    assert not any(held_out(i, 0) for i in many)
    assert all(held_out(i, 1) for i in many)


# ---- images


def test_images_without_annotations_are_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(picture(1)).save(tmp_path / "1.jpg", exif=exif, quality=95)
    assert CocoKeypoints(None, str(tmp_path), COCO_17)[0].image.shape == (W, H, 3)


@pytest.mark.parametrize(
    ("orientation", "stated", "result"),
    [
        (1, (W, H), (H, W)),
        (6, (W, H), (H, W)),  # annotated as stored
        (6, (H, W), (W, H)),  # annotated as shown
        (3, (W, H), "7 has the EXIF orientation 3, so which way"),
        (0, (W, H), (H, W)),
        (99, (W, H), (H, W)),
    ],
)
def test_exif_orientation_follows_the_annotations(
    tmp_path: Path, orientation: int, stated: tuple[int, int], result: tuple[int, int] | str
) -> None:
    content = document()
    content["images"][0] |= {"width": stated[0], "height": stated[1]}
    paths = write(tmp_path, content)
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = Path(paths[1]) / content["images"][0]["file_name"]
    Image.fromarray(picture(7)).save(name, exif=exif)
    data = CocoKeypoints(*paths, COCO_17)
    if isinstance(result, str):
        with pytest.raises(ValueError, match=result):
            data[0]
    else:
        assert data[0].image.shape[:2] == result


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("keep", [0, 5, 200, -30])
def test_truncated_images_are_refused(tmp_path: Path, kind: str, keep: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(1)).save(buffer, kind)
    (tmp_path / "1.jpg").write_bytes(buffer.getvalue()[:keep])
    with pytest.raises(ValueError, match=r"1\.jpg: "):
        CocoKeypoints(None, str(tmp_path), COCO_17)[0]


def test_progressive_jpeg_with_a_preview_is_found_truncated(tmp_path: Path) -> None:
    preview, buffer = io.BytesIO(), io.BytesIO()
    Image.fromarray(picture(2)).resize((8, 8)).save(preview, "JPEG")
    Image.fromarray(picture(1)).save(buffer, "JPEG", progressive=True, exif=b"Exif\0\0" + preview.getvalue())
    (tmp_path / "1.jpg").write_bytes(buffer.getvalue())
    assert len(CocoKeypoints(None, str(tmp_path), COCO_17)) == 1
    (tmp_path / "1.jpg").write_bytes(buffer.getvalue()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        CocoKeypoints(None, str(tmp_path), COCO_17)


def test_no_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no image"):
        CocoKeypoints(None, str(tmp_path), COCO_17)
    with pytest.raises(ValueError, match="no such folder"):
        CocoKeypoints(None, str(tmp_path / "none"), COCO_17)
    (tmp_path / "1.jpg").write_text("not an image")
    with pytest.raises(ValueError, match="not an image"):
        CocoKeypoints(None, str(tmp_path), COCO_17)[0]


def test_a_size_that_the_json_misstates(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["width"] = W + 1
    data = CocoKeypoints(*write(tmp_path, content), COCO_17)
    with pytest.raises(ValueError, match=r"image 7 is 40x30 .* 41x30"):
        data[0]


# ---- bad annotations


def edit(path: str, value: Any) -> Callable[[Document], None]:
    """Set (or, with ..., delete) an entry such as ``annotations.0.bbox``."""

    def change(content: Any) -> None:
        *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for parent in parents:
            content = content[parent]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return change


NAN = float("nan")
BAD = {
    "no images": ("images", ..., "needs a list of objects 'images'"),
    "no annotations": ("annotations", ..., "'annotations'"),
    "no categories": ("categories", ..., "'categories'"),
    "images not a list": ("images", {}, "'images'"),
    "images of numbers": ("images", [1], "'images'"),
    "image without id": ("images.0.id", ..., "'id' must be an integer"),
    "duplicate image": ("images.1.id", 7, "image 7: 'id' occurs twice"),
    "no file name": ("images.0.file_name", ..., "image 7: 'file_name'"),
    "traversal": ("images.0.file_name", "../7.png", "image 7: 'file_name' '../7.png' does not stay"),
    "hidden traversal": ("images.0.file_name", "a/../../7.png", "does not stay"),
    "windows traversal": ("images.0.file_name", "..\\7.png", "does not stay"),
    "absolute": ("images.0.file_name", "/etc/passwd", "does not stay"),
    "drive": ("images.0.file_name", "C:\\7.png", "does not stay"),
    "null byte": ("images.0.file_name", "7.png\0", "does not stay"),
    "empty name": ("images.0.file_name", "", "does not stay"),
    "missing file": ("images.0.file_name", "9.png", "image 7: 'file_name' '9.png' is missing"),
    "negative size": ("images.0.width", -1, "image 7: 'height' and 'width'"),
    "unknown image": ("annotations.0.image_id", 99, "annotation 1: 'image_id' 99"),
    "no image id": ("annotations.0.image_id", ..., "annotation 1: 'image_id'"),
    "unknown category": ("annotations.0.category_id", 5, "annotation 1: 'category_id' 5"),
    "too short": ("annotations.0.keypoints", [1, 2, 2], "annotation 1: 'keypoints'"),
    "too long": ("annotations.0.keypoints", [1] * 54, "annotation 1: 'keypoints'"),
    "nested": ("annotations.0.keypoints.4", [1, 2], "annotation 1: 'keypoints'"),
    "large": ("annotations.0.keypoints.4", 1e300, "annotation 1: 'keypoints' .* finite"),
    "huge": ("annotations.0.keypoints.4", 10**400, "annotation 1: 'keypoints'"),
    "visibility": ("annotations.0.keypoints.2", 3, r"annotation 1: 'keypoints' visibility must be 0, 1 or 2, not 3$"),
    "half visible": ("annotations.0.keypoints.2", 0.5, r"annotation 1: 'keypoints' visibility .*, not 0\.5$"),
    "negative area": ("annotations.0.area", -4, "annotation 1: 'area' must not be negative, it is -4"),
    "crowd": ("annotations.0.iscrowd", "yes", "annotation 1: 'iscrowd' must be 0 or 1, not 'yes'"),
    "half a count": ("annotations.0.num_keypoints", 1.5, "annotation 1: 'num_keypoints' must be an integer"),
    "short box": ("annotations.0.bbox", [1, 2, 3], "annotation 1: 'bbox'"),
    "area": ("annotations.0.area", "big", "annotation 1: 'area'"),
    "names not unique": ("categories.0.keypoints.1", "nose", "unique"),
    "no category with keypoints": ("categories.0.keypoints", ..., "no category with 'keypoints'"),
    "nothing in common": ("categories.0.keypoints", ["tail"], "no keypoint name in common"),
    "category without id": ("categories.0.id", ..., "category: 'id'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_entries_are_named(tmp_path: Path, case: str) -> None:
    path, value, message = BAD[case]
    content = document()
    edit(path, value)(content)
    with pytest.raises(ValueError, match=message) as caught:
        CocoKeypoints(*write(tmp_path, content), COCO_17)
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\ud800", "[" * 100_000])
def test_files_that_are_not_coco(tmp_path: Path, text: str) -> None:
    paths = write(tmp_path, document())
    Path(paths[0]).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"a\.json: "):
        CocoKeypoints(*paths, COCO_17)
    with pytest.raises(ValueError, match=r"none\.json: cannot read"):
        CocoKeypoints(str(tmp_path / "none.json"), str(tmp_path), COCO_17)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [H, W], "counts": [5, -4, H * W - 1]},
        {"size": [H, W], "counts": [5, 10**9]},
        {"size": [W, H], "counts": [H * W]},
        {"size": [H, W]},
        {"size": [H, W], "counts": "~~~"},
        {"size": [H, W], "counts": ""},
        {"size": [H, W], "counts": "1"},
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, NAN]],
        ["abc"],
        "abc",
        3,
    ],
)
def test_bad_crowds_are_named_at_the_start_and_left_out(
    tmp_path: Path, segmentation: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training ended when it drew the image of such a crowd."""
    content = with_annotation(iscrowd=1, segmentation=segmentation, bbox=[5, 6, 7, 8])
    ignore = CocoKeypoints(*write(tmp_path, content), COCO_17)[0].ignore
    assert "1 annotation (2 of 7.png): " in capsys.readouterr().err
    assert ignore is not None
    assert ignore[6:14, 5:12].all()


def test_far_polygons_stay_cheap(tmp_path: Path) -> None:
    content = with_annotation(iscrowd=1, segmentation=[[-1e12, -1e12, 1e12, -1e12, 1e12, 1e12, -1e12, 1e12]])
    ignore = CocoKeypoints(*write(tmp_path, content), COCO_17)[0].ignore
    assert ignore is not None
    assert ignore.all()


# ---- real data


@pytest.mark.parametrize(("name", "images", "labelled"), [("coco", 1982, 17), ("mpii", 1167, 12), ("lspet", 8500, 12)])
def test_real_sources(shared: Path, name: str, images: int, labelled: int) -> None:
    folder = shared / "data" / "pose" / name
    data = CocoKeypoints(
        str(folder / "annotations.json"), str(folder / "images"), COCO_17, complete=name == "coco", cache=False
    )
    assert len(data) == images
    assert 0.08 < len(data.select(held_out)) / images < 0.13
    for i in range(0, images, images // 5):
        sample = data[i]
        assert sample.labelled.sum() == labelled
        assert not sample.keypoints[:, ~sample.labelled].any()
        assert sample.image.shape[:2] == data.image_size(i)
        seen = sample.keypoints[sample.keypoints[..., 2] > 0]
        if sample.ignore is not None:  # what is labelled may be taught
            assert not sample.ignore[seen[:, 1].astype(int), seen[:, 0].astype(int)].any()
