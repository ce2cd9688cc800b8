"""Label images of several tools become masks, and what cannot be paired or read is named at the start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from associative_embedding.apps.cli.main import main
from associative_embedding.data.readers.label_images import read_labels
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_masks, source_classes
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array

H, W = 30, 40
LABELS = np.zeros((H, W), np.uint16)
LABELS[2:8, 3:9], LABELS[2:8, 9:20], LABELS[20:25, 5:9] = 7, 900, 3  # two that touch, in no order
MASKS = [number == LABELS for number in (3, 7, 900)]


def save(path: Path, pixels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path)
    else:
        tifffile.imwrite(path, pixels)


def photo(path: Path, value: int = 50) -> None:
    save(path, np.full((H, W), value, np.uint8))


def masks_of(annotations: str | Path, images: str | Path = "", classes: tuple[str, ...] = ("cell",)) -> list[Array]:
    data = open_masks(SourceConfig(annotations=str(annotations), images=str(images)), classes, part="train")
    return [data[i].masks.dense() for i in range(len(data))]  # type: ignore[union-attr]


def stardist(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / "images" / f"{name}.tif")
        save(root / "masks" / f"{name}.tif", LABELS)
    return root, ""


def two_folders(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / "pictures" / "day 1" / f"{name}.png")
        save(root / "truth" / "day 1" / f"{name}_labels.tif", LABELS)
    return root / "truth", str(root / "pictures")


def cellpose(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / f"{name}_img.tif")
        save(root / f"{name}_masks.png", LABELS)
        save(root / f"{name}_img_cp_masks.png", LABELS * 0)
        photo(root / f"{name}_img_flows.tif")
    return root, ""


def bowl(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / name / "images" / f"{name}.png")
        for i, mask in enumerate(MASKS):
            save(root / name / "masks" / f"{i}f3.png", mask.astype(np.uint8) * 255)
    return root, ""


def pattern(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / f"{name}.png")
        save(root / "ids" / f"gt{name}x.tif", LABELS)
    return root / "ids" / "gt{name}x.tif", str(root)


def each_by_pattern(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / f"{name}.png")
        for i, mask in enumerate(MASKS):
            save(root / "ids" / name / f"{i}.png", mask.astype(np.uint8))
    return root / "ids" / "{name}" / "*.png", str(root)


def inside(root: Path) -> tuple[Path, str]:
    for name in ("a", "b"):
        photo(root / f"{name}.png")
        save(root / "masks" / f"{name}.png", LABELS)
    return root, str(root)


@pytest.mark.parametrize("layout", [stardist, two_folders, cellpose, bowl, pattern, each_by_pattern, inside])
def test_layouts_of_tools(tmp_path: Path, layout) -> None:  # type: ignore[no-untyped-def]
    annotations, images = layout(tmp_path)
    found = masks_of(annotations, images)
    assert len(found) == 2
    for masks in found:
        assert sorted(mask.sum() for mask in masks) == [20, 36, 66]
        assert all(any(np.array_equal(mask, other) for other in MASKS) for mask in masks)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32"])
@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_numbers_of_any_type(tmp_path: Path, kind: str, ending: str) -> None:
    if ending == ".png" and kind not in ("uint8", "uint16"):
        pytest.skip("a PNG holds 8 or 16 bits")
    labels = np.where(LABELS == 900, 200, LABELS).astype(kind)
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / f"a{ending}", labels)
    (masks,) = masks_of(tmp_path)
    assert np.array_equal(masks, MASKS)


def test_large_numbers_and_ignored_regions(tmp_path: Path) -> None:
    labels = LABELS.astype(np.int32)
    labels[labels == 900] = 2**30
    labels[28:, :] = -1
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.tif", labels)
    data = open_masks(SourceConfig(annotations=str(tmp_path)), ("cell",), part="train")
    assert np.array_equal(data[0].masks.dense(), MASKS)  # type: ignore[union-attr]
    assert np.array_equal(data[0].ignore, labels == -1)


def test_a_palette_is_read_as_numbers(tmp_path: Path) -> None:
    image = Image.fromarray(np.where(LABELS == 900, 200, LABELS).astype(np.uint8))
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png")
    assert np.unique(read_labels(tmp_path / "a.png")).tolist() == [0, 3, 7, 200]


def test_a_mask_without_numbers_is_split_into_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", (LABELS > 0).astype(np.uint8) * 255)
    (masks,) = masks_of(tmp_path)
    assert sorted(mask.sum() for mask in masks) == [20, 36 + 66]
    assert "has one value for 2 separate regions; each is taken as an object" in capsys.readouterr().err


def test_what_has_no_partner_or_another_size_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        photo(tmp_path / "images" / f"{name}.png")
    save(tmp_path / "masks" / "a.png", LABELS)
    save(tmp_path / "masks" / "b.png", LABELS[:-1])
    save(tmp_path / "masks" / "x.png", LABELS)
    assert len(masks_of(tmp_path)) == 1
    lines = capsys.readouterr().err
    assert "1 image (c.png): no label image; left out" in lines
    assert "1 label image (x.png): no image of this name; left out" in lines
    assert "1 image (b.png): the label image has another size than the image, 40x29" in lines


def test_empty_labels_are_images_without_objects(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", LABELS * 0)
    assert [len(masks) for masks in masks_of(tmp_path)] == [0]


BAD = {
    "colours": (np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8), "is a picture in colours"),
    "halves": (LABELS / np.float32(2), "has values that are no whole numbers"),
    "a stack": (np.stack([LABELS, LABELS]), "has 2 planes or channels; a label image has one"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_label_image_is_named(tmp_path: Path, case: str) -> None:
    pixels, message = BAD[case]
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.tif", pixels)
    with pytest.raises(ValueError, match=message) as caught:
        masks_of(tmp_path)
    assert "a.tif" in str(caught.value)


def test_nothing_to_pair_says_what_would_be(tmp_path: Path) -> None:
    photo(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"no label image .* belongs to one of the 1 images"):
        masks_of(tmp_path)
    (tmp_path / "a_seg.npy").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"_seg\.npy of cellpose is not read"):
        masks_of(tmp_path)
    for ending in (".tif", ".png"):
        save(tmp_path / f"a_masks{ending}", LABELS)
    with pytest.raises(ValueError, match="image a has several label images"):
        masks_of(tmp_path)


def test_classes_and_ids(tmp_path: Path) -> None:
    stardist(tmp_path)
    source = SourceConfig(annotations=str(tmp_path))
    assert source_classes(source) == ["object"]
    renamed = SourceConfig(annotations=str(tmp_path), rename={"object": "cell"})
    assert source_classes(renamed) == ["cell"]
    data = open_masks(renamed, ("cell", "dust"), part="train")
    assert data.labelled.tolist() == [True, False]
    ids = data.image_ids
    photo(tmp_path / "images" / "0.tif")
    save(tmp_path / "masks" / "0.tif", LABELS)
    (tmp_path / "moved").mkdir()
    for name in ("images", "masks"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    again = open_masks(SourceConfig(annotations=str(tmp_path / "moved")), ("cell",), part="train").image_ids
    assert set(ids) < set(again)  # of the name alone: splits stay where images are added or moved


def test_convert_writes_a_coco_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stardist(tmp_path)
    output = tmp_path / "a.json"
    assert main(["data", "convert", str(tmp_path), "--from", "labels", "--output", str(output)]) == 0
    document = read_coco(output)
    assert [image["file_name"] for image in document["images"]] == ["a.tif", "b.tif"]
    assert [row["area"] for row in document["annotations"]] == [20, 36, 66] * 2
    found = masks_of(output, tmp_path / "images", ("object",))
    assert np.array_equal(found[0], MASKS)
    assert main(["data", "convert", str(tmp_path), "--from", "labels", "--to", "yolo", "--output", "x"]) == 1
    assert "label images become COCO masks" in capsys.readouterr().err


def test_corrected_labels_are_read_again(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.tif", LABELS)
    assert len(masks_of(tmp_path)[0]) == 3
    save(tmp_path / "masks" / "a.tif", np.where(LABELS == 7, 0, LABELS).astype(np.int32))
    assert len(masks_of(tmp_path)[0]) == 2


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_numbers_with_a_table_of_colours(tmp_path: Path, compression: str | None) -> None:
    """ImageJ writes 8 bits with a table of colours as a palette, and with an inverted one as white is zero."""
    numbers, path = (LABELS // 4).astype(np.uint8), tmp_path / "a.tif"
    table = np.random.default_rng(0).integers(0, 2**16, (3, 256), dtype=np.uint16)
    grey = np.tile(np.arange(255, -1, -1, dtype=np.uint16) * 257, (3, 1))
    for colours in (table, grey):
        tifffile.imwrite(path, numbers, photometric="palette", colormap=colours, compression=compression)
        np.testing.assert_array_equal(read_labels(path), numbers)
    tifffile.imwrite(path, numbers, photometric="miniswhite", compression=compression)
    np.testing.assert_array_equal(read_labels(path), numbers)
