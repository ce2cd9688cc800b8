"""Which values become black and white: photographs keep their look, the values of cameras are stretched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from associative_embedding.io.console import count_remarks
from associative_embedding.io.decode_images import decode
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_image
from associative_embedding.io.reading import Reading
from support.tiff_files import PHOTOMETRIC, tiff

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def _no_earlier_remarks() -> None:
    """A remark about a source is printed once."""
    count_remarks()


# Nuclei as a fluorescence microscope shows them: bright blobs on a dark ground, as shares of white.
Y, X = np.mgrid[:96, :128]
NUCLEI = sum(np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 60) for y in (20, 60, 80) for x in (20, 64, 100)).clip(0, 1)
NUCLEI = np.round(NUCLEI * 200).astype(np.int64)  # 0 to 200


def stretched(values: Array, low: float = 1, high: float = 99.8) -> Array:
    ends = np.percentile(values.astype(np.float64), [low, high])
    return (((values.astype(np.float64) - ends[0]) / (ends[1] - ends[0])).clip(0, 1) * 255 + 0.5).astype(np.uint8)


DEEP = {
    "12 of 16 bits": (NUCLEI * 16).astype(np.uint16),
    "14 of 16 bits": (NUCLEI * 64).astype(np.uint16),
    "low counts on an offset": (NUCLEI * 4 + 100).astype(np.uint16),
    "signed": (NUCLEI * 16 - 500).astype(np.int16),
    "signed 8 bits": (NUCLEI // 2 - 60).astype(np.int8),
    "32 bits": (NUCLEI * 9000).astype(np.uint32),
    "64 bits": NUCLEI * 9000,
    "float in 0..1 of 12 bits": (NUCLEI * 16 / 65535).astype(np.float32),
    "float of 16 bits": (NUCLEI * 200).astype(np.float64),
    "background subtracted": (NUCLEI - 30).astype(np.float32),
    "half floats": (NUCLEI * 3).astype(np.float16),
}


@pytest.mark.parametrize("values", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("source", ["array", "big-endian array", "file", "big-endian file", "planes"])
def test_the_values_of_cameras_are_stretched_in_every_form(values: Array, source: str) -> None:
    if source.endswith("array"):
        found = read_image(values.astype(values.dtype.newbyteorder(">" if source.startswith("big") else "<")))
    elif source == "planes":
        found = decode(tiff(np.stack([values] * 3), planar=True))
        if values.dtype == np.float32 and values.max() < 1:
            pytest.skip("colours of one value, so another rule")
    else:
        found = decode(tiff(values, order=">" if source.startswith("big") else "<"))
    assert np.abs(found[:, :, 0].astype(int) - stretched(values)).max() <= 1
    assert found.max() == 255


@pytest.mark.parametrize("values", DEEP.values(), ids=DEEP)
def test_white_is_zero_in_every_depth(values: Array) -> None:
    expected = stretched(-values.astype(np.float64))
    found = decode(tiff(values, tags={PHOTOMETRIC: (0,)}))
    assert np.abs(found[:, :, 0].astype(int) - expected).max() <= 1


def test_photographs_keep_their_look() -> None:
    photo = np.random.default_rng(0).integers(20, 140, (40, 50, 3), dtype=np.uint8)  # no value near white
    dark = (photo // 2 + 10).astype(np.uint8)
    for picture in (photo, dark):
        deep = picture.astype(np.uint16) * 257
        for source in (picture, deep, deep.astype(">u2"), picture / 255, tiff(deep), tiff(deep, order=">")):
            np.testing.assert_array_equal(read_image(source), picture)
    grey = photo[:, :, 0]
    np.testing.assert_array_equal(read_image(grey.astype(np.uint16) * 257)[:, :, 0], grey)
    np.testing.assert_array_equal(read_image(NUCLEI.astype(np.uint8))[:, :, 0], NUCLEI)


def test_colours_that_use_little_of_their_range_are_stretched_together(capsys: pytest.CaptureFixture[str]) -> None:
    colours = np.dstack([NUCLEI * 16, NUCLEI * 8, NUCLEI * 0]).astype(np.uint16)
    found = read_image(colours)
    np.testing.assert_array_equal(found, stretched(colours))  # hues stay
    assert "array: its colours reach 3200 of 65535, so " in capsys.readouterr().err


def test_one_hot_pixel_does_not_hide_the_others() -> None:
    values = DEEP["12 of 16 bits"].copy()
    values[3, 3] = 65535
    assert np.median(read_image(values)[NUCLEI > 150]) > 200


@pytest.mark.parametrize(
    ("how", "low", "high"), [("100:2000", 100, 2000), ("0:65535", 0, 65535), ("-50:1e3", -50, 1000)]
)
def test_a_range_of_values(how: str, low: float, high: float) -> None:
    values = DEEP["12 of 16 bits"]
    expected = (((values.astype(float) - low) / (high - low)).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    found = read_image(values, reading=Reading(normalize=how))
    assert np.abs(found[:, :, 0].astype(int) - expected).max() <= 1


def test_percentiles_and_the_whole_range() -> None:
    eight, deep = NUCLEI.astype(np.uint8), DEEP["12 of 16 bits"]
    whole, always, other = Reading(normalize="none"), Reading(normalize="percentiles"), Reading(normalize="5%:90 %")
    np.testing.assert_array_equal(read_image(deep, reading=whole)[:, :, 0], (deep.astype(int) + 128) // 257)
    np.testing.assert_array_equal(read_image(eight, reading=always)[:, :, 0], stretched(eight))
    np.testing.assert_array_equal(read_image(deep, reading=other)[:, :, 0], stretched(deep, 5, 90))
    with pytest.raises(ImageError, match="the whole range of int16 is not known; give normalize as LOW:HIGH"):
        read_image(DEEP["signed"], reading=whole)


def test_values_that_are_not_finite_become_black(capsys: pytest.CaptureFixture[str]) -> None:
    values = DEEP["background subtracted"].copy()
    values[0, :3] = np.nan, np.inf, -np.inf
    found = read_image(values)[:, :, 0]
    assert found[0, :3].tolist() == [0, 0, 0]
    assert np.abs(found.astype(int) - stretched(DEEP["background subtracted"])).max() <= 1
    assert "array: 3 of its values are not finite; they become black" in capsys.readouterr().err


@pytest.mark.parametrize("offset", [0, 100, 2000])
def test_noise_alone_stays_dark(offset: int, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(offset)
    noise = generator.normal(offset, 4, (200, 200)) if offset else generator.poisson(3, (200, 200))
    assert read_image(noise.astype(np.uint16)).max() < 70
    assert "is nearly constant: its values, from " in capsys.readouterr().err


def test_constant_values(capsys: pytest.CaptureFixture[str]) -> None:
    for value in (np.uint16(0), np.uint16(400), np.float32(-2.5), np.int32(7)):
        count_remarks()
        assert read_image(np.full((8, 8), value)).max() == 0
        assert f"is constant: each of its values is {value}" in capsys.readouterr().err


def test_few_small_objects_on_an_even_ground_are_seen_and_its_noise_is_not() -> None:
    values = np.random.default_rng(0).normal(1000, 10, (300, 300))
    values[50:56, 50:56] += 2000
    found = read_image(values.astype(np.uint16))[:, :, 0]
    assert found[50:56, 50:56].min() == 255
    assert found[100:].max() < 80


def test_a_large_picture_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    from associative_embedding.io import image_values

    whole = read_image(DEEP["12 of 16 bits"])
    monkeypatch.setattr(image_values, "MOST_SAMPLED", 4000)
    assert np.abs(read_image(DEEP["12 of 16 bits"]).astype(int) - whole).max() < 12
