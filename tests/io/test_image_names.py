"""Names of files that another system or machine wrote."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from associative_embedding.io.image_names import find_named

NFC, NFD = (unicodedata.normalize(form, "über.png") for form in ("NFC", "NFD"))


def folder(tmp_path: Path, *names: str) -> Path:
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("sub\\1.png", "sub/1.png"),
        (".\\sub\\1.png", "sub/1.png"),
        (NFC, NFD),
        (NFD, NFD),
        ("images/1.png", "1.png"),
        ("images\\sub\\1.png", "sub/1.png"),
        ("../images/1.png", "1.png"),
        ("/home/me/frames/1.png", "1.png"),
        ("/home/me/frames/sub/1.png", "sub/1.png"),
        ("C:\\Users\\me\\1.png", "1.png"),
        ("\\\\server\\share\\1.png", "1.png"),
        ("https://example.org/set/1.png", "1.png"),
        ("SUB/1.PNG", "sub/1.png"),
        ("x.png", ""),  # X.png and x.PNG
        ("other/1.png", ""),  # rather the wrong folder was given
        ("../1.png", ""),
        ("sub/../1.png", ""),
        ("images/../1.png", ""),
        ("/1.png", ""),
        ("C:\\1.png", ""),
        ("2.png", ""),
        ("sub", ""),
        ("1.png/1.png", ""),
        ("1.png\0", ""),
        ("", ""),
    ],
)
def test_names(name: str, real: str, tmp_path: Path) -> None:
    images = folder(tmp_path, "1.png", "sub/1.png", NFD, "X.png", "x.PNG")
    assert find_named(images, [name], "a.json") == ({name: real} if real else {})


def test_a_folder_is_taken_off_all_names_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise day1/1.png and day2/1.png would be one image."""
    images = folder(tmp_path, "1.png", "2.png")
    assert find_named(images, ["/a/day1/1.png", "/a/day2/1.png"], "two.json") == {}
    assert not capsys.readouterr().err
    assert len(find_named(images, ["/a/day1/1.png", "/a/day1/2.png"], "one.json")) == 2
    line = capsys.readouterr().err
    assert line == f"ae: one.json: /a/day1/ is taken off the names of 2 images, which are in {images}\n"
    inside = folder(tmp_path, "day1/1.png", "day2/1.png")
    found = find_named(inside, ["/a/day1/1.png", "/a/day2/1.png"], "both.json")
    assert list(found.values()) == ["day1/1.png", "day2/1.png"]


def test_another_case_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_named(folder(tmp_path, "a.JPG"), ["A.jpg"], "case.json")
    assert "case.json: 1 image (A.jpg is a.JPG): the file has another case" in capsys.readouterr().err
