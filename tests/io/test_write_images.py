"""Label images and COCO files of masks: what other programs read is what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from associative_embedding.io.images import read_image
from associative_embedding.io.write_images import write_image, write_labels
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from support.pictures import blobs

READERS: dict[str, Callable[[Path], Array]] = {
    "cv2": lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED),
    "pillow": lambda path: np.array(Image.open(path)),
    "skimage": lambda path: imread(path),  # a .tif by tifffile, as napari
}


def imread(path: Path) -> Array:
    skimage_io = pytest.importorskip("skimage.io", reason="needs scikit-image")
    return skimage_io.imread(path)  # type: ignore[no-any-return]


@pytest.mark.parametrize("reader", ["cv2", "pillow", pytest.param("skimage", marks=pytest.mark.extra)])
@pytest.mark.parametrize(
    ("name", "highest", "kind"),
    [
        ("x.tif", 3, "uint16"),
        ("x.TIFF", 65_535, "uint16"),
        ("x.png", 65_535, "uint16"),
        ("x.tif", 65_536, "int32"),
        ("x.tif", 2**31 - 1, "int32"),
    ],
)
def test_every_reader_reads_the_numbers(tmp_path: Path, reader: str, name: str, highest: int, kind: str) -> None:
    labels = np.random.default_rng(0).integers(0, highest, (37, 53), dtype=np.int32)
    labels[3, 5], labels[0, 0] = highest, 0
    write_labels(tmp_path / name, labels)
    read = READERS[reader](tmp_path / name)
    np.testing.assert_array_equal(read, labels)
    if reader != "pillow":  # which has but one kind of integers beside 8 bits
        assert read.dtype == kind
    assert [path.name for path in tmp_path.iterdir()] == [name]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([0, 1, 300, 65_535, 70_000]), st.sampled_from("tp"))
def test_any_size_comes_back(tmp_path: Path, height: int, width: int, highest: int, kind: str) -> None:
    labels = np.random.default_rng(height).integers(0, highest + 1, (height, width))
    path = tmp_path / ("x.png" if kind == "p" and highest < 65_536 else "x.tif")
    write_labels(path, labels)
    for read in READERS.values():
        np.testing.assert_array_equal(read(path), labels)


def test_labels_are_small_files(tmp_path: Path) -> None:
    labels = Masks.from_dense(blobs(20, (512, 512)), (512, 512)).labels()
    write_labels(tmp_path / "x.tif", labels)
    assert (tmp_path / "x.tif").stat().st_size < labels.size / 20


def test_wrong_labels_are_refused_in_one_line(tmp_path: Path) -> None:
    good = np.zeros((4, 4), np.int32)
    for name, labels, reason in (
        ("x.jpg", good, r"the extension must be one of \.png, \.tif, \.tiff"),
        ("x.tif", good[None], r"labels must be \(H, W\) integers, not \(1, 4, 4\) int32"),
        ("x.tif", good.astype(float), r"labels must be \(H, W\) integers, not \(4, 4\) float64"),
        ("x.tif", good[:0], r"labels must be \(H, W\) integers"),
        ("x.tif", good - 1, "labels must be from 0 to 2147483647, not -1 to -1"),
        ("x.tif", good + np.int64(2**31), "labels must be from 0 to 2147483647"),
        ("x.png", good + 65_536, r"a \.png holds 65535 labels, not 65536; write a \.tif"),
    ):
        with pytest.raises(ValueError, match=f"^cannot write .*{name}: {reason}") as caught:
            write_labels(tmp_path / name, labels)
        assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot write"):
        write_labels(tmp_path / "file" / "x.tif", good)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".tiff", ".PNG", ".jpg", ".jpeg", ".webp"])
def test_pictures_come_back(tmp_path: Path, extension: str) -> None:
    y, x = np.mgrid[:40, :60]
    picture = np.stack([x * 4, y * 6, 255 - x * 4], axis=2).astype(np.uint8)
    path = tmp_path / f"x{extension}"
    write_image(path, picture)
    tolerance = 0 if extension.lower() in (".png", ".bmp", ".tif", ".tiff") else 6
    assert np.abs(read_image(path).astype(int) - picture).mean() <= tolerance


def test_wrong_pictures(tmp_path: Path) -> None:
    for name in ("x.gif", "x", "x.pdf"):
        with pytest.raises(ValueError, match="the extension must be one of"):
            write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    for array in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8"):
            write_image(tmp_path / "x.png", array)
    with pytest.raises(ValueError, match="cannot hold 70000x1 pixels"):
        write_image(tmp_path / "x.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
