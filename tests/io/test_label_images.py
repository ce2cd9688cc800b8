"""Label images and COCO files of masks: what other programs read is what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from associative_embedding.apps.cli.results_file import annotated_name, labels_name
from associative_embedding.instances import Instances
from associative_embedding.io.images import read_image
from associative_embedding.io.write_images import write_labels
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks

READERS: dict[str, Callable[[Path], Array]] = {
    "cv2": lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED),
    "pillow": lambda path: np.array(Image.open(path)),
    "skimage": skimage.io.imread,  # a .tif by tifffile, as napari
}


def instances_of(dense: Array) -> Instances:
    n, size = len(dense), dense.shape[1:]
    return Instances(
        score=np.linspace(0.9, 0.5, n, dtype=np.float32),
        class_id=np.full(n, 2),
        tag=np.zeros((n, 1), np.float32),
        keypoints=np.zeros((n, 0, 3), np.float32),
        image_size=size,
        skeleton=None,
        image=np.full((*size, 3), 90, np.uint8),
        source="a.png",
        masks=Masks.from_dense(dense, size),
        class_names={2: "cell"},
    )


def blobs(n: int = 5, size: tuple[int, int] = (40, 60), seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    centres, radii = rng.uniform(0, 1, (n, 2)) * size, rng.uniform(2, 12, n)
    return np.stack([np.hypot(y - cy, x - cx) < r for (cy, cx), r in zip(centres, radii, strict=True)])


@pytest.mark.parametrize("reader", READERS)
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


def test_names_of_label_images_are_those_of_the_pictures() -> None:
    for source in ("a/x.jpg", "b/x.png", "http://h/x.jpg?2"):
        picture, labels = annotated_name(source, "out"), labels_name(source, "out", ".png")
        assert labels.name == f"{picture.stem}-labels.png"
        assert labels.parent == picture.parent
        assert labels != picture


# --- Instances.save


def test_masks_are_saved_as_labels_best_first(tmp_path: Path) -> None:
    dense = blobs()
    instances_of(dense).save(str(tmp_path / "x.tif"))
    labels = skimage.io.imread(tmp_path / "x.tif")
    for y, x in np.ndindex(labels.shape):  # the first that holds the pixel
        holding = np.flatnonzero(dense[:, y, x])
        assert labels[y, x] == (holding[0] + 1 if len(holding) else 0)


def test_masks_are_saved_as_a_picture(tmp_path: Path) -> None:
    found = instances_of(blobs())
    found.save(str(tmp_path / "x.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), found.draw())
    assert (found.draw() != found.image).any()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize("n", [0, 1, 7])
def test_masks_are_saved_as_coco(tmp_path: Path, n: int) -> None:
    dense = blobs(max(1, n))[:n]
    instances_of(dense).save(str(tmp_path / "x.json"))
    coco = COCO(tmp_path / "x.json")
    assert coco.cats == {2: {"id": 2, "name": "cell"}}
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=1))
    assert len(annotations) == n
    for annotation, mask in zip(annotations, dense, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        x, y, w, h = (int(v) for v in annotation["bbox"])
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        assert annotation["category_id"] == 2
    results = json.loads((tmp_path / "x.json").read_text())["annotations"]
    for result in results:
        del result["bbox"]  # or loadRes takes the area of the box for that of the mask
    again = coco.loadRes(results).anns if n else {}
    assert [annotation["area"] for annotation in again.values()] == dense.sum(axis=(1, 2)).tolist()
