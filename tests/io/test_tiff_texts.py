"""What the texts of a TIFF state, also where they are made to harm."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from associative_embedding.io.console import count_remarks
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_image
from associative_embedding.io.tiff_texts import channel_names_in, check_ome, images_in, states_planes
from support.memory import measured

PIXELS = '<OME><Image><Pixels SizeX="32" SizeY="24" SizeZ="{z}" SizeC="2" SizeT="1">{inside}</Pixels></Image></OME>'


def test_images_of_imagej() -> None:
    assert images_in("ImageJ=1.53t\nimages=12\nslices=12\n") == 12
    assert [images_in(text) for text in ("", "images=12", "ImageJ=1.53t\n", "ImageJ=1\nimages=x")] == [0, 0, 0, 0]


def test_one_directory_may_stand_for_several_planes() -> None:
    assert states_planes("ImageJ=1.53t\nimages=12\n")
    assert states_planes('{"shape": [3, 24, 32], "truncated": true}')
    assert not states_planes("ImageJ=1.53t\nimages=1\n")
    assert not states_planes('{"shape": [3, 24, 32]}')


def test_names_of_channels_are_those_of_the_first_image() -> None:
    channels = '<Channel ID="0" Name="DAPI &amp; co"/><Channel ID="1" Name="GFP"/>'
    text = PIXELS.format(z=1, inside=channels)
    assert channel_names_in(text + text) == ["DAPI & co", "GFP"]
    assert channel_names_in(text.replace("<", "<ome:").replace("<ome:/", "</ome:")) == ["DAPI & co", "GFP"]
    assert channel_names_in("ImageJ=1.53t\n") == []


def test_ordinary_numbers_of_ome_pass() -> None:
    check_ome(PIXELS.format(z=5000, inside='<TiffData IFD="0" PlaneCount="10000"/>'), 32 * 24)
    check_ome("", 1)
    check_ome("<OME", 1)


MODULO = '<StructuredAnnotations><ModuloAlongZ Start="0" End="1000000000" Step="1"/></StructuredAnnotations>'


@pytest.mark.parametrize(
    ("z", "inside", "stated"),
    [
        (10**9, "", 2 * 10**9),
        (1, '<TiffData PlaneCount="3000000000"/>', 3 * 10**9),
        (1, MODULO, 10**9),
    ],
)
def test_endless_numbers_of_ome(z: int, inside: str, stated: int) -> None:
    with pytest.raises(ValueError, match=f"its OME-XML states {stated} planes"):
        check_ome(PIXELS.format(z=z, inside=inside), 32 * 24)


def test_endless_sides_of_ome() -> None:
    text = PIXELS.format(z=1, inside="").replace('SizeX="32"', 'SizeX="4294967296"')
    with pytest.raises(ValueError, match="its OME-XML states 268435456 planes"):
        check_ome(text, 32 * 24)


def test_ome_with_entities_is_refused() -> None:
    """Their text grows by ten with each level."""
    levels = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a0 "0123456789">{levels}]>' + PIXELS.format(
        z=1, inside="&a9;"
    )
    values = np.zeros((2, 24, 32), np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, description=bomb, metadata=None)
    with pytest.raises(ImageError, match="its OME-XML has a DOCTYPE"):
        read_image(buffer.getvalue())


READ = """
from associative_embedding.io.images import read_image
try:
    read_image(sys.argv[1])
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_an_endless_depth_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "deep.ome.tif"
    planes = np.zeros((3, 24, 32), np.uint8)
    tifffile.imwrite(path, planes, ome=True, photometric="minisblack", metadata={"axes": "ZYX", "Name": "a" * 20})
    data = path.read_bytes().replace(b'SizeZ="3"', b'SizeZ="999999999"')
    path.write_bytes(data.replace(b"a" * 20, b"a" * 12))  # the text keeps its length
    result = measured(READ, path)
    assert "its OME-XML states 999999999 planes" in result.output
    assert result.megabytes < 250


def test_a_stack_that_is_cut_off_gets_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    count_remarks()  # a remark about a source is printed once
    buffer = io.BytesIO()
    text = "ImageJ=1.53t\nimages=9\nslices=9\n"
    tifffile.imwrite(buffer, np.zeros((24, 32), np.uint8), description=text, metadata=None)
    read_image(buffer.getvalue())
    assert "states 9 images, of which 1 can be read; is it truncated?" in capsys.readouterr().err


def test_a_missing_plane_is_an_error() -> None:
    buffer = io.BytesIO()
    planes = np.zeros((3, 24, 32), np.uint8)
    tifffile.imwrite(buffer, planes, ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    data = buffer.getvalue().replace(b'SizeZ="3"', b'SizeZ="5"')
    with pytest.raises(ImageError, match="states 5 planes, but number 4 is missing; choose others by --page"):
        read_image(data)
