"""OME-Zarr images in local folders; a folder of zarr runs no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import open_image
from associative_embedding.io.reading import Reading
from associative_embedding.io.zarr_images import zstd_bytes
from support.tiny import tiny_model

zarr = pytest.importorskip("zarr", reason="needs the extra [microscopy]")
pytestmark = pytest.mark.extra

VALUES = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 48), dtype=np.uint8)  # c, z, y, x


def image(folder: Path, version: int = 2, names: tuple[str, ...] = ("GFP", "DAPI")) -> Path:
    """An image of two channels, three planes and two resolutions; a pixel is 0.5 micrometres wide."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=version)
    for level, step in enumerate((1, 2)):
        values = VALUES[:, :, ::step, ::step]
        group.create_array(str(level), data=values, chunks=(1, 1, 16, 16))
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in ("z", "y", "x")
    ]
    sets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [1, 2, step / 2, step / 2]}]}
        for level, step in enumerate((1, 2))
    ]
    attributes: dict[str, Any] = {
        "multiscales": [{"axes": axes, "datasets": sets}],
        "omero": {"channels": [{"label": name} for name in names]},
    }
    group.attrs.update(attributes if version == 2 else {"ome": attributes})
    return folder


@pytest.mark.parametrize("version", [2, 3])
def test_channels_planes_and_resolutions(version: int, tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr", version)
    opened = open_image(str(path), Reading(channel="DAPI"))
    np.testing.assert_array_equal(opened.array(0)[:, :, 0], VALUES[1].max(0))
    assert opened.pixel_size == 0.5
    plane = open_image(str(path), Reading(channel=1, page=2))
    np.testing.assert_array_equal(plane.array(0)[:, :, 0], VALUES[0, 1])
    coarse = open_image(str(path), Reading(channel=1, page=2, level=1))
    np.testing.assert_array_equal(coarse.array(0)[:, :, 0], VALUES[0, 1, ::2, ::2])
    assert coarse.pixel_size == 1.0


def test_a_channel_must_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"has 2 channels that are no colours \(GFP, DAPI\); choose one"):
        open_image(str(image(tmp_path / "a.zarr")))


def test_a_codec_that_is_code_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr")
    file = path / "0" / ".zarray"
    description = json.loads(file.read_text())
    file.write_text(json.dumps(description | {"filters": [{"id": "pickle"}]}))
    with pytest.raises(ImageError, match="codec pickle"):
        open_image(str(path), Reading(channel=1))
    file.write_text(json.dumps(description | {"dtype": "|O"}))
    with pytest.raises(ImageError, match="objects in place of numbers"):
        open_image(str(path), Reading(channel=1))


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "2"])
def test_arrays_outside_of_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["path"] = name
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(ImageError, match="no array inside"):
        open_image(str(path), Reading(channel=1))


def test_other_folders_are_no_images(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    with pytest.raises(ImageError, match="no image of OME-Zarr"):
        open_image(str(tmp_path / "a.zarr"))
    group = zarr.open_group(str(tmp_path / "b.zarr"), mode="w", zarr_format=2)
    group.attrs.update({"plate": {}})
    with pytest.raises(ImageError, match="is a plate; give the folder of one of its images"):
        open_image(str(tmp_path / "b.zarr"))


def test_the_command_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = image(tmp_path / "a.zarr")
    model = tiny_model(tmp_path / "m.safetensors")
    command = ["predict", str(path), "--model", model, "--output", str(tmp_path / "out"), "--channel", "DAPI"]
    assert main(command) == 0
    assert "2 channels" in capsys.readouterr().err


def chunk(path: Path, version: int) -> Path:
    """The file of the first chunk of the first channel and plane."""
    return path / "0" / ("0.0.0.0" if version == 2 else "c/0/0/0/0")


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_that_is_missing_is_zero_and_one_that_is_cut_off_an_error(version: int, tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr", version)
    file = chunk(path, version)
    data = file.read_bytes()
    for part in (data[: len(data) // 2], b""):
        file.write_bytes(part)
        with pytest.raises(ImageError, match="damaged or truncated"):
            open_image(str(path), Reading(channel=1, page=1)).array(0)
    file.unlink()
    expected = VALUES[0, 0].copy()
    expected[:16, :16] = 0
    found = open_image(str(path), Reading(channel=1, page=1)).array(0)
    np.testing.assert_array_equal(found[:, :, 0], expected)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ([2, 10**9, 32, 48], "has 1000000000 z planes, 2 channels, 2 resolutions, too many to read all"),
        ([10**9, 3, 32, 48], "it states 1000000000 channels"),
        ([2, 0, 32, 48], "no pixels"),
        ([2, 3, 10**9, 10**9], "has too many pixels to join its planes"),
    ],
)
def test_endless_and_empty_shapes(version: int, shape: list[int], says: str, tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr", version)
    file = path / "0" / (".zarray" if version == 2 else "zarr.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"shape": shape}))
    with pytest.raises(ImageError, match=says):
        open_image(str(path), Reading(channel=1))


@pytest.mark.parametrize("count", [0, 10_000])
def test_a_number_of_resolutions_that_cannot_be(count: int, tmp_path: Path) -> None:
    path = image(tmp_path / "a.zarr")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"] = attributes["multiscales"][0]["datasets"][:1] * count
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(ImageError, match=f"states {count} resolutions"):
        open_image(str(path), Reading(channel=1))


@pytest.mark.parametrize("codec", ["Blosc", "LZ4", "Zstd"])
def test_a_chunk_that_states_too_many_bytes_is_not_decoded(codec: str, tmp_path: Path) -> None:
    compressor = getattr(pytest.importorskip("numcodecs"), codec)()
    path = image(tmp_path / "a.zarr")
    values = np.ones((32, 48), np.uint8)
    group = zarr.open_group(str(path), mode="r+", zarr_format=2)
    group.create_array("0", data=values, chunks=(32, 48), compressors=compressor, overwrite=True)
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0] |= {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}
    (path / ".zattrs").write_text(json.dumps(attributes))
    np.testing.assert_array_equal(open_image(str(path)).array(0)[:, :, 0], values)
    (path / "0" / "0.0").write_bytes(compressor.encode(np.zeros(2**28 + 1, np.uint8)))
    with pytest.raises(ImageError, match=r"chunk 0\.0 states 268435457 bytes"):
        open_image(str(path)).array(0)


@pytest.mark.parametrize("length", [1, 200, 300, 70_000])
def test_the_length_of_zstandard(length: int) -> None:
    zstd = pytest.importorskip("numcodecs").Zstd()
    assert zstd_bytes(zstd.encode(np.zeros(length, np.uint8))) == length
