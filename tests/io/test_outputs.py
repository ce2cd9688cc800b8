"""A file shows who wrote it, and nobody else's is written over."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from associative_embedding.io.files import write_json
from associative_embedding.io.outputs import MARK, check_apart, check_output, marked, own_json, own_mark
from associative_embedding.io.write_images import write_image, write_labels

PIXELS = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)


def refused(path: Path, *inputs: str | Path | None) -> bool:
    """Whether ``ae data split`` may not write a file."""
    try:
        check_output(path, own_json("ae data split"), inputs)
    except ValueError:
        return True
    return False


def test_a_missing_an_empty_and_an_own_file_may_be_written(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    assert not refused(path)
    path.touch()
    assert not refused(path)
    write_json(path, marked({"images": []}, "ae data split"))
    assert not refused(path)


def test_a_foreign_file_and_one_of_another_command_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text('{"images": []}\n')
    with pytest.raises(ValueError, match="exists and was not written by ae; choose another output or remove"):
        check_output(path, own_json("ae data split"))
    write_json(path, marked({"images": [], "written_by": "ae data split"}, "ae data mpii"))
    assert refused(path)


def test_an_edited_copy_of_an_own_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    write_json(path, marked({"images": []}, "ae data split"))
    path.write_text(path.read_text().rstrip())  # as Python's json.dump writes it
    assert refused(path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_an_input_is_kept(tmp_path: Path, link: object) -> None:
    source, path = tmp_path / "a.json", tmp_path / "b.json"
    write_json(source, marked({}, "ae data split"))
    link(source, path)  # type: ignore[operator]
    assert refused(path, source)
    assert not refused(path, None, "https://example.org/a.json", tmp_path)


def test_two_outputs_have_two_paths(tmp_path: Path) -> None:
    check_apart(None, None, tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="two outputs"):
        check_apart(str(tmp_path / "a"), tmp_path / "x" / ".." / "a")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".tif", ".webp"])
def test_a_picture_has_a_mark_that_changes_no_pixel(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path, PIXELS)
    assert own_mark()(path)
    data = path.read_bytes()
    marked_pixels = np.asarray(Image.open(path))
    plain = np.asarray(Image.open(io.BytesIO(data.replace(MARK, b"\0" * len(MARK)) if ending == ".jpg" else data)))
    assert np.array_equal(marked_pixels, plain)
    if ending != ".jpg" and ending != ".webp":
        assert np.array_equal(marked_pixels, PIXELS)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_label_image_that_was_corrected_by_hand_is_kept(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_labels(path, np.ones((4, 6), int))
    check_output(path, own_mark())
    labels = np.array(Image.open(path))
    labels[0] = 2
    Image.fromarray(labels).save(path)
    with pytest.raises(ValueError, match="was not written by ae"):
        check_output(path, own_mark())
