"""Planes, channels and resolutions of TIFF files: as the file or the user states them, never dropped silently."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from associative_embedding.io import images
from associative_embedding.io.console import count_remarks
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import open_image, read_image
from associative_embedding.io.reading import Reading
from associative_embedding.io.tiff_stacks import has_planes
from support.memory import measured
from support.tiff_files import tiff

Array = np.ndarray[Any, np.dtype[Any]]

# Every plane of every channel at every time has its own values, which use the range of 8 bits.
SIZE = (24, 32)
VALUES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, *SIZE), dtype=np.uint8)  # t, z, c, y, x


@pytest.fixture(autouse=True)
def _no_earlier_remarks() -> None:
    """A remark about a source is printed once."""
    count_remarks()


def saved(array: Array, axes: str | None, kind: str = "ome", **options: Any) -> bytes:
    buffer = io.BytesIO()
    metadata = {**options.pop("metadata", {}), **({"axes": axes} if axes else {})}
    kinds = {"ome": {"ome": True}, "imagej": {"imagej": True}, "own": {}, "none": {}}[kind]
    metadata = None if kind == "none" else metadata
    tifffile.imwrite(buffer, array, photometric="minisblack", metadata=metadata, **kinds, **options)
    return buffer.getvalue()


def read(data: bytes, **reading: Any) -> Array:
    return read_image(data, reading=Reading(**reading))[:, :, 0]


FORMS = {
    "OME": {"kind": "ome"},
    "OME, Deflate": {"kind": "ome", "compression": "zlib"},
    "OME, tiles": {"kind": "ome", "tile": (16, 16)},
    "ImageJ": {"kind": "imagej"},
    "tifffile": {"kind": "own"},
    "big-endian": {"kind": "own", "byteorder": ">"},
    "BigTIFF": {"kind": "own", "bigtiff": True},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("deep", [False, True])
def test_five_axes(form: dict[str, Any], deep: bool) -> None:
    data = saved(VALUES.astype(np.uint16) * 257 if deep else VALUES, "TZCYX", **form)
    for t, z, c in ((0, 0, 0), (1, 2, 3), (0, 1, 2)):
        np.testing.assert_array_equal(read(data, channel=c + 1, page=f"t{t + 1}z{z + 1}"), VALUES[t, z, c])
    opened = open_image(data, Reading(channel=2))
    assert (len(opened), opened.axes) == (2, "t")
    assert (
        opened.pictures.says()
        == "2 time points, 3 z planes, 4 channels; read channel 2, maximum over z, each time point by itself"
    )
    for t, picture in enumerate(opened):
        np.testing.assert_array_equal(picture[:, :, 0], VALUES[t, :, 1].max(0))
    each = open_image(data, Reading(channel=1, page="all"))
    assert [each.pictures.title(i) for i in range(len(each))] == ["t1z1", "t1z2", "t1z3", "t2z1", "t2z2", "t2z3"]
    np.testing.assert_array_equal(each.array(4)[:, :, 0], VALUES[1, 1, 0])


def test_the_line_says_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stack.tif"
    path.write_bytes(saved(VALUES[0, :, :2], "ZCYX", "imagej"))
    read_image(path, reading=Reading(channel=2))
    assert capsys.readouterr().err == f"ae: {path}: 3 z planes, 2 channels; read channel 2, maximum over z\n"
    path.write_bytes(saved(VALUES[:, 0, 0], "TYX", "imagej"))
    read_image(path)
    assert "2 time points; read the first time point (--page chooses another)" in capsys.readouterr().err


def test_projections() -> None:
    data = saved(VALUES[0, :, 0], "ZYX", "imagej")
    np.testing.assert_array_equal(read(data), VALUES[0, :, 0].max(0))
    np.testing.assert_array_equal(read(data, project="mean"), np.rint(VALUES[0, :, 0].astype(np.float32).mean(0)))
    pages = saved(VALUES[0, :, 0], None, "own")
    np.testing.assert_array_equal(read(pages, project="max"), VALUES[0, :, 0].max(0))
    times = saved(VALUES[:, :, 0], "TZYX")
    np.testing.assert_array_equal(read(times, page="z2", project="max"), VALUES[:, 1, 0].max(0))


def test_planes_of_a_depth_share_their_range_and_times_do_not() -> None:
    blob = np.outer(np.hanning(24), np.hanning(32))
    planes = np.stack([blob * 40, blob * 4000, blob * 400]).astype(np.uint16)
    depth = open_image(saved(planes, "ZYX", "imagej"), Reading(page="all"))
    assert [round(float(picture.max()), -1) for picture in depth] == [0, 260, 30]
    times = open_image(saved(planes, "TYX", "imagej"))
    assert [int(picture.max()) for picture in times] == [255, 255, 255]


def test_channels_by_name() -> None:
    data = saved(VALUES[0, 0], "CYX", metadata={"Channel": {"Name": ["GFP", "DAPI & co", "Cy5", "DIC"]}})
    np.testing.assert_array_equal(read(data, channel="dapi & co"), VALUES[0, 0, 1])
    with pytest.raises(ImageError, match=r"has 4 channels that are no colours \(GFP, DAPI & co, Cy5, DIC\); choose"):
        read(data)
    with pytest.raises(ImageError, match="has no channel 'Hoechst', but GFP"):
        read(data, channel="Hoechst")
    with pytest.raises(ImageError, match="has 4 channels, so there is no 5"):
        read(data, channel=5)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planar", [False, True])
def test_channels_inside_of_a_page(kind: type[np.generic], planar: bool) -> None:
    for count in (2, 4, 5):
        stored = VALUES.reshape(24, *SIZE)[:count]
        factor = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[kind]
        page = (stored.astype(np.float64) * factor).astype(kind)
        page = page if planar else page.transpose(1, 2, 0)
        data = tiff(page, planar=planar, tags={262: (1,)})
        np.testing.assert_array_equal(read(data, channel=count), stored[count - 1])


def test_a_channel_of_a_colour_picture() -> None:
    colours = VALUES[0, 0, :3].transpose(1, 2, 0)
    for data in (tiff(colours), tiff(colours.astype(np.uint16) * 257), tiff(VALUES[0, 0, :3], planar=True)):
        np.testing.assert_array_equal(read(data, channel=3), colours[:, :, 2])
    np.testing.assert_array_equal(read_image(colours, reading=Reading(channel=2))[:, :, 0], colours[:, :, 1])
    with pytest.raises(ImageError, match="has 3 channels, so there is no 4"):
        read(tiff(colours), channel=4)


def test_axes_that_the_user_states() -> None:
    pages = saved(VALUES[0, :, 0], None, "none")
    np.testing.assert_array_equal(read(pages, axes="zyx"), VALUES[0, :, 0].max(0))
    np.testing.assert_array_equal(read(pages, axes="cyx", channel=2), VALUES[0, 1, 0])
    last = np.ascontiguousarray(VALUES[0, :, 0].transpose(1, 2, 0))
    np.testing.assert_array_equal(
        read(saved(np.repeat(last, 3, 2), None, "own"), axes="yxc", channel=4), VALUES[0, 1, 0]
    )
    for array in (VALUES, VALUES.astype(">u2") * 257):
        found = read_image(array, reading=Reading(axes="tzcyx", page="t2z3", channel=4))
        np.testing.assert_array_equal(found[:, :, 0], VALUES[1, 2, 3])
    with pytest.raises(ImageError, match=r"has 3 dimensions, .* which are not the axes tzyx"):
        read(pages, axes="tzyx")
    with pytest.raises(ImageError, match="state its axes"):
        read_image(VALUES)


def test_planes_that_are_not_there() -> None:
    data = saved(VALUES[:, :, 0], "TZYX")
    for page, says in (("t3", "has 2 time points, so there is no 3"), (4, "has 3 z planes, so there is no 4")):
        with pytest.raises(ImageError, match=says):
            read(data, page=page)
    with pytest.raises(ImageError, match="has one plane, so there is no 2"):
        read(tiff(VALUES[0, 0, 0]), page=2)
    with pytest.raises(ImageError, match="has 1 resolution, so no level 1"):
        read(tiff(VALUES[0, 0, 0]), level=1)
    np.testing.assert_array_equal(read(tiff(VALUES[0, 0, 0]), page=1, project="max"), VALUES[0, 0, 0])


def test_resolutions() -> None:
    whole = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, ome=True) as file:
        metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
        file.write(whole, subifds=2, tile=(32, 32), photometric="rgb", metadata=metadata)
        for step in (2, 4):
            file.write(whole[::step, ::step], subfiletype=1, tile=(32, 32), photometric="rgb")
    data = buffer.getvalue()
    for level, step in ((0, 1), (1, 2), (2, 4)):
        opened = open_image(data, Reading(level=level))
        np.testing.assert_array_equal(opened.array(0), whole[::step, ::step])
        assert opened.pixel_size == 0.25 * step
    with pytest.raises(ImageError, match="has 3 resolutions, so no level 3"):
        open_image(data, Reading(level=3))
    with pytest.raises(
        ImageError, match=r"limit of 5000 pixels; choose a smaller resolution: --level 1 = 48x32, 2 = 24x16"
    ):
        read_image(data, max_pixels=5000)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}])
def test_resolutions_inside_of_a_page(options: dict[str, Any]) -> None:
    """tifffile counts them from 0, as the pages of the file."""
    whole = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as file:
        file.write(whole, subifds=2, photometric="rgb", **options)
        for step in (2, 4):
            file.write(whole[::step, ::step], subfiletype=1, photometric="rgb", **options)
    for level, step in ((0, 1), (1, 2), (2, 4)):
        found = read_image(buffer.getvalue(), reading=Reading(level=level))
        np.testing.assert_array_equal(found, whole[::step, ::step])


def one_directory(planes: Array, text: str) -> bytes:
    """A stack as ImageJ writes it beyond 4 GB: the directory of the first plane, and the values of all."""
    flat, buffer = planes.reshape(-1, *SIZE), io.BytesIO()
    tifffile.imwrite(buffer, flat[0], byteorder=">", description=text, metadata=None, photometric="minisblack")
    return buffer.getvalue() + flat[1:].astype(flat.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_stack_of_imagej_with_one_directory(kind: type[np.generic]) -> None:
    values = VALUES.astype(kind) * kind(257 if kind is np.uint16 else 1)
    data = one_directory(values[0, :, 0], "ImageJ=1.53t\nimages=3\nslices=3\n")
    np.testing.assert_array_equal(read(data), VALUES[0, :, 0].max(0))
    np.testing.assert_array_equal(read(data, page=2), VALUES[0, 1, 0])
    data = one_directory(values[0], "ImageJ=1.53t\nimages=12\nchannels=4\nslices=3\nhyperstack=true\n")
    np.testing.assert_array_equal(read(data, page=3, channel=4), VALUES[0, 2, 3])
    assert has_planes(io.BytesIO(data))
    assert not has_planes(io.BytesIO(tiff(VALUES[0, 0, 0])))


def test_a_stack_of_tifffile_with_one_directory() -> None:
    data = saved(VALUES[:, :, 0], "TZYX", "own", truncate=True)
    np.testing.assert_array_equal(read(data, page="t2z3"), VALUES[1, 2, 0])
    np.testing.assert_array_equal(read(data, page="t1z1"), VALUES[0, 0, 0])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_white_is_zero_in_every_plane(kind: type[np.generic]) -> None:
    values = VALUES[0, :, 0].astype(kind) * kind(257 if kind is np.uint16 else 1)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="miniswhite", metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(read(buffer.getvalue()), 255 - VALUES[0, :, 0].min(0))


def test_a_preview_before_raw_pixels_is_refused() -> None:
    """As in a DNG, whose raw pixels are in a directory inside of the first one."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(VALUES[0, 0, :3], photometric="rgb", planarconfig="separate", subifds=1, subfiletype=1)
        file.write(VALUES[0, 0, 0].repeat(9, 0), photometric=32803)
    with pytest.raises(ImageError, match="begins with a small preview, as raw files of cameras do"):
        read_image(buffer.getvalue())


def test_the_size_of_a_pixel() -> None:
    nanometres = {"PhysicalSizeX": 325.0, "PhysicalSizeXUnit": "nm"}
    assert open_image(saved(VALUES[0, 0, 0], "YX", metadata=nanometres)).pixel_size == pytest.approx(0.325)
    data = saved(VALUES[0, 0, 0], "YX", "imagej", resolution=(1 / 0.4, 1 / 0.4), metadata={"unit": "um"})
    assert open_image(data).pixel_size == pytest.approx(0.4)
    assert (
        open_image(saved(VALUES[0, 0, 0], None, "none", resolution=(300, 300), resolutionunit="INCH")).pixel_size
        is None
    )
    assert open_image(tiff(VALUES[0, 0, 0])).pixel_size is None


def test_damage_and_bombs() -> None:
    data = saved(VALUES[0, :, 0], "ZYX", "imagej")
    with pytest.raises(ImageError):
        read_image(data[: len(data) - 900])
    chain = bytearray(tiff(*[VALUES[0, 0, 0]] * 3))
    place = struct.unpack("<I", chain[4:8])[0]
    count = struct.unpack("<H", chain[place : place + 2])[0]
    chain[place + 2 + 12 * count :][:4] = chain[4:8]
    assert read_image(bytes(chain)).shape == (*SIZE, 3)
    tall = tiff(*[VALUES[0, 0, 0]] * 3, tags={256: (13_000,), 257: (13_000,)})
    with pytest.raises(ImageError):
        read_image(tall, reading=Reading(project="max"))
    with pytest.raises(ImageError, match="too many pixels to join its planes"):
        read_image(data, max_pixels=1000, reading=Reading(project="max"))


def test_a_large_file_stays_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").write_bytes(saved(VALUES[0, :, 0], "ZYX", "imagej"))
    monkeypatch.setattr(images, "LARGE_TIFF", 10)
    monkeypatch.setattr(images, "read_file", None)
    opened = open_image(tmp_path / "a.tif", Reading(page="all"))
    np.testing.assert_array_equal(opened.array(2)[:, :, 0], VALUES[0, 2, 0])


SLIDE = """
from associative_embedding.io.images import open_image
slide = open_image(sys.argv[1], windows=True)[0]
height, width, _ = slide.shape
best = 0
for y in range(0, height, 768):
    for x in range(0, width, 768):
        best = max(best, int(slide[slice(y, min(y + 1024, height)), slice(x, min(x + 1024, width))].max()))
print(height, width, best, int(slide[slice(0, 64), slice(0, 64)].max()))
"""


@pytest.mark.slow
def test_a_slide_is_read_in_little_memory(tmp_path: Path) -> None:
    """14,000 x 14,000 pixels of 16 bits: 392 MB as an array, 588 MB as a picture."""
    side, tile = 14_000, 512
    across = -(-side // tile)
    part = np.random.default_rng(0).integers(100, 4000, (tile, tile), dtype=np.uint16)
    tiles = (part.tobytes() if (y, x) in ((1, 1), (20, 9)) else b"" for y in range(across) for x in range(across))
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path, tiles, shape=(side, side), dtype="u2", tile=(tile, tile), bigtiff=True, photometric="minisblack"
    )
    result = measured(SLIDE, path)
    assert result.output.split() == ["14000", "14000", "255", "0"]
    assert result.megabytes < 250
    with pytest.raises(ImageError, match="14000x14000, more than the limit"):
        read_image(path)
