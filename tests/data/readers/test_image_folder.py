"""Training, evaluation and shards read the pixels that prediction reads."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from associative_embedding.apps.cli.main import main
from associative_embedding.data.readers.image_folder import ImageFolder, ImageRecord
from associative_embedding.data.readers.tar_shards import Shards
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.images import read_image, read_size
from support.image_trials import RGB, ImageFile, image_files, saved

FILES = [pytest.param(file, id=f"{file.kind}-{file.what}") for file in image_files()]


def folder(path: Path, *records: ImageRecord, cache: bool = False) -> ImageFolder[ImageRecord]:
    return ImageFolder(str(path), records, "truth.json", cache=cache)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_pixels_are_those_of_prediction(tmp_path: Path, file: ImageFile) -> None:
    path, truth = tmp_path / "x.dat", tmp_path / "truth.json"
    path.write_bytes(file.data)
    size = None if file.expected is None else file.expected.shape[:2]
    record = ImageRecord(1, path.name, size)
    images = [{"id": 1, "file_name": path.name}]
    truth.write_text(json.dumps({"images": images, "annotations": [], "categories": [{"id": 1, "name": "a"}]}))
    shard = ["data", "shard", str(truth), "--images", str(tmp_path), "--output", str(tmp_path / "shards")]
    if file.expected is None:
        with pytest.raises(ImageError) as of_prediction:
            read_image(path)
        with pytest.raises(ImageError) as of_training:
            folder(tmp_path, record).pixels(record)
        assert str(of_training.value) == str(of_prediction.value)
        with pytest.raises(ImageError):  # at the start, not after hours
            folder(tmp_path, record, cache=True)
        assert main(shard) == 1
        return
    expected = read_image(path, reading=file.reading)
    assert read_size(path) == expected.shape[:2]
    if "half a turn" not in file.what:  # annotations of these leave open which way they are meant
        images_read = folder(tmp_path, record).read_as(file.reading)
        for data in (images_read, images_read.cached()):
            np.testing.assert_array_equal(data.pixels(record), expected)
    if "no colours" in file.what or "channels (" in file.what:
        assert main(shard) == 1  # which channel is read is stated in a recipe, which this command does not know
        return
    assert main(shard) == 0
    assert Shards(tmp_path / "shards").read(path.name) == file.data


def test_the_stated_size_decides_whether_pixels_are_turned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(saved(Image.fromarray(RGB), "JPEG", exif=exif))
    height, width = RGB.shape[:2]
    stored = [ImageRecord(number, f"{number}.jpg", (height, width)) for number in (1, 2)]
    images = ImageFolder(str(tmp_path), stored, str(tmp_path / "truth.json"), cache=False)
    for record in stored:
        assert images.pixels(record).shape == (height, width, 3)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1  # said once, not for each image
    assert "truth.json: states the sizes of images before their EXIF orientation" in lines[0]
    upright = ImageRecord(1, "1.jpg", (width, height))
    np.testing.assert_array_equal(images.pixels(upright), read_image(tmp_path / "1.jpg"))
    assert capfd.readouterr().err == ""


def test_a_damaged_file_is_no_matter_of_orientation(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG")
    (tmp_path / "1.jpg").write_bytes(buffer.getvalue()[:-2])
    record = ImageRecord(1, "1.jpg", RGB.shape[:2])
    with pytest.raises(ImageError, match=r"1\.jpg: is damaged or truncated: its end is missing"):
        folder(tmp_path, record).pixels(record)
