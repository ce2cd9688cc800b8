"""A zip of ImageJ's regions, read again by roifile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from associative_embedding.io.outputs import own_mark
from associative_embedding.structures.masks import Masks
from support.found_instances import found

roifile = pytest.importorskip("roifile", reason="needs roifile, of the extra [roi]")
pytestmark = pytest.mark.extra


def area(points: np.ndarray) -> float:
    x, y = points.T
    return float(abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2)


def test_regions_are_the_outlines(tmp_path: Path) -> None:
    cells = found(2, masks=True)
    cells.save(str(tmp_path / "a.zip"))
    assert own_mark()(tmp_path / "a.zip")
    ring, square = roifile.roiread(tmp_path / "a.zip")
    assert (ring.name, square.name) == ("0001", "0002")
    assert square.roitype == roifile.ROI_TYPE.TRACED
    assert (square.left, square.top, square.right, square.bottom) == (0, 40, 5, 45)
    assert sorted(square.coordinates().tolist()) == [[0, 40], [0, 45], [5, 40], [5, 45]]
    # with a hole: a composite region of two paths
    assert ring.composite
    assert (ring.left, ring.top, ring.right, ring.bottom) == (30, 10, 50, 20)
    assert [area(path[:-1]) for path in ring.coordinates(multi=True)] == [200, 1]


def test_equal_results_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        found(2, masks=True).save(str(tmp_path / name))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_region_filled_is_the_mask(tmp_path: Path) -> None:
    disc = np.zeros((60, 80), int)
    y, x = np.mgrid[:60, :80]
    disc[(x - 40.2) ** 2 + (y - 30.7) ** 2 < 190] = 1
    cells = replace(found(1, masks=True), masks=Masks.from_labels(disc, 1))
    cells.save(str(tmp_path / "a.zip"))
    read = roifile.roiread(tmp_path / "a.zip")
    region = read[0] if isinstance(read, list) else read  # of a zip of one, roifile returns the one
    image = Image.new("1", (800, 600))
    ImageDraw.Draw(image).polygon([(10 * px, 10 * py) for px, py in region.coordinates().tolist()], fill=1)
    assert np.array_equal(np.array(image)[5::10, 5::10], disc > 0)
