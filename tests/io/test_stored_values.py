"""The values that are measured are those of the file, whatever its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from associative_embedding.io import stored_values as module
from associative_embedding.io.images import open_image
from associative_embedding.io.reading import Reading
from associative_embedding.io.stored_values import stored_values

GREY = np.random.default_rng(0).integers(0, 4000, (40, 50), dtype=np.uint16)
COLOUR = np.random.default_rng(1).integers(0, 255, (40, 50, 3), dtype=np.uint8)
TWO = {"imagej": True, "metadata": {"axes": "CYX"}}
DEPTH = {"imagej": True, "metadata": {"axes": "ZYX"}}


@pytest.mark.parametrize(
    ("name", "pixels", "options", "reading", "values", "channels"),
    [
        ("a.png", GREY, {}, {}, GREY[..., None], ("intensity",)),
        ("a.tif", GREY, {}, {}, GREY[..., None], ("intensity",)),
        ("f.tif", GREY.astype(np.float32), {}, {}, GREY[..., None], ("intensity",)),
        (
            "c.tif",
            np.stack([GREY, GREY + 1]),
            TWO,
            {"channel": 2},
            np.stack([GREY, GREY + 1], 2),
            ("channel1", "channel2"),
        ),
        ("z.tif", np.stack([GREY, GREY + 1]), DEPTH, {}, GREY[..., None] + 1, ("intensity",)),
        (
            "rgb.tif",
            COLOUR.astype(np.uint16) * 200,
            {"photometric": "rgb"},
            {},
            COLOUR.astype(int) * 200,
            module.COLOURS,
        ),
        ("n.png", COLOUR, {}, {"normalize": "10:90"}, COLOUR[:, :, ::-1], module.COLOURS),
        ("g.png", COLOUR[:, :, 0], {}, {"normalize": "10:90"}, COLOUR[:, :, :1], ("intensity",)),
    ],
)
def test_values_and_names(
    tmp_path: Path, name: str, pixels: Any, options: Any, reading: Any, values: Any, channels: tuple[str, ...]
) -> None:
    path = tmp_path / name
    cv2.imwrite(str(path), pixels) if name.endswith("png") else tifffile.imwrite(path, pixels, **options)
    opened = open_image(path, Reading(**reading))
    found, names = stored_values(opened.pictures, 0)
    np.testing.assert_array_equal(found, values)
    assert names == channels


def test_pictures_that_are_shown_as_they_are_need_none(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), COLOUR)
    opened = open_image(tmp_path / "a.png")
    assert stored_values(opened.pictures, 0) == (None, ())


def test_what_is_too_large_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    opened = open_image(tmp_path / "a.tif")
    _, names = stored_values(opened.pictures, 0)
    assert names == ()
    assert "is too large to measure intensities" in capsys.readouterr().err
