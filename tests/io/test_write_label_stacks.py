"""Label images of stacks and slides, read again: every pixel has the number of its object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from associative_embedding.io import write_label_stacks
from associative_embedding.io.images import open_image
from associative_embedding.io.outputs import MARK
from associative_embedding.io.write_label_stacks import Numbered, number_masks, write_label_stack, write_slide_labels
from associative_embedding.structures.masks import Masks

SIZE = (50, 70)


def discs(*places: tuple[int, int]) -> Masks:
    rows, columns = np.indices(SIZE)
    return Masks.from_dense([(rows - y) ** 2 + (columns - x) ** 2 < 64 for y, x in places], SIZE)


def painted(plane: Numbered) -> np.ndarray:  # type: ignore[type-arg]
    """The labels by the definition: of masks that overlap, the first one counts."""
    canvas = np.zeros(SIZE, np.int64)
    for mask, number in reversed(list(zip(plane.masks.dense(), plane.numbers, strict=True))):
        canvas[mask] = number
    return canvas


TWO = discs((20, 20), (24, 26), (45, 65))
PLANES = [number_masks(TWO), Numbered(TWO, np.array([9, 4, 60_000])), number_masks(Masks.empty(SIZE))]


@pytest.mark.parametrize(("axes", "letters"), [("z", "ZYX"), ("t", "TYX"), ("p", "QYX")])
def test_planes(tmp_path: Path, axes: str, letters: str) -> None:
    path = tmp_path / "new" / "labels.tif"
    write_label_stack(path, PLANES, axes, pixel_size=0.25)
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        assert (series.axes.replace("I", "Q"), series.dtype) == (letters, np.uint16)
        np.testing.assert_array_equal(series.asarray(), [painted(plane) for plane in PLANES])
    assert open_image(path).pixel_size == 0.25
    assert path.read_bytes().endswith(MARK)


def test_large_numbers_have_32_bits(tmp_path: Path) -> None:
    write_label_stack(tmp_path / "a.tif", [Numbered(TWO, np.array([1, 2, 65_536]))], "z")
    found = tifffile.imread(tmp_path / "a.tif")
    assert (found.dtype, found.max()) == (np.uint32, 65_536)


@pytest.mark.parametrize("tile", [16, 32, 128])
def test_a_slide_has_the_same_labels_tile_by_tile(tmp_path: Path, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_label_stacks, "TILE", tile)
    write_slide_labels(tmp_path / "a.tif", PLANES[1], pixel_size=0.5)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), painted(PLANES[1]))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].tile == (tile, tile)  # type: ignore[union-attr]


def test_a_failure_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"before")
    broken = Numbered(TWO, np.array([1]))  # fewer numbers than masks
    with pytest.raises(IndexError):
        write_label_stack(path, [broken], "z")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
