"""Which files of folders and patterns are images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.io.find_images import find_images
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.outputs import DRAWN_MARK, MARK
from associative_embedding.io.write_images import write_image


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_find_images(here: Path) -> None:
    put("d/b.JPG", "d/a.png", "d/.hidden.png", "d/notes.txt", "d/sub/c.webp", "odd.name", "x[1].png")
    assert find_images(["d"]) == ["d/a.png", "d/b.JPG"]
    assert find_images(["d"], recursive=True) == ["d/a.png", "d/b.JPG", "d/sub/c.webp"]
    assert find_images(["d/*"]) == ["d/a.png", "d/b.JPG"]
    assert find_images(["**/*.webp"]) == ["d/sub/c.webp"]
    assert find_images(["odd.name", "x[1].png"]) == ["odd.name", "x[1].png"]
    url = "http://host/x?y=1"
    assert find_images([url, "d/b.JPG", "d", str(here / "d" / "a.png"), url]) == [url, "d/b.JPG", "d/a.png"]
    assert find_images([]) == []


def test_what_exists_is_no_pattern(here: Path) -> None:
    put("set[1]/a.png", "set[1]/in/b.png", "set1/no.png", "film[1]_2.png", "film1_x.jpg", "*.jpg", "2024/1.png")
    assert find_images(["set[1]"]) == ["set[1]/a.png"]
    assert find_images(["set[1]/*.png"]) == ["set[1]/a.png"]
    assert find_images(["set[1]/**/*.png"]) == ["set[1]/a.png", "set[1]/in/b.png"]
    assert find_images(["film[1]_*.png"]) == ["film[1]_2.png"]
    assert find_images(["film[1]*"]) == ["film1_x.jpg"]  # a pattern with matches stays one
    assert find_images(["*.jpg"]) == ["*.jpg"]
    assert find_images(["2024"]) == ["2024/1.png"]


def test_patterns(here: Path) -> None:
    put("a/1.png", "a/b/2.png", "a/b/c/3.jpg", "x/b/4.png", "a**b.png")
    assert find_images(["a/**"]) == ["a/1.png", "a/b/2.png", "a/b/c/3.jpg"]
    assert find_images(["**/b/*.png"]) == ["a/b/2.png", "x/b/4.png"]
    assert find_images(["**/b/**/*.jpg"]) == ["a/b/c/3.jpg"]
    assert find_images([f"{here}/?/**/[12].png"]) == [f"{here}/a/1.png", f"{here}/a/b/2.png"]
    assert find_images(["a**b.png", "a**.png"]) == ["a**b.png"]


def test_pictures_of_an_earlier_run_are_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("d/1.jpg", "d/2-0123abcd.jpg")  # the second has such a name by chance
    for name in ("d/1-89abcdef.jpg", "d/1-89abcdef-labels.tif", "d/found/1-89abcdef.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"x" * 100 + MARK)
    assert find_images(["d"]) == find_images(["d/*"]) == ["d/1.jpg", "d/2-0123abcd.jpg"]
    assert "d: 2 files that ae predict wrote are left out (1-89abcdef-labels.tif, 1-89abcdef.jpg)" in (
        capsys.readouterr().err
    )
    assert find_images(["d"], recursive=True) == ["d/1.jpg", "d/2-0123abcd.jpg"]
    assert find_images(["d/1-89abcdef.jpg"]) == ["d/1-89abcdef.jpg"]  # who names one wants it
    with pytest.raises(ImageError, match="holds no image"):
        find_images(["d/found"])


def test_pictures_are_known_by_their_mark_whatever_their_name(here: Path) -> None:
    picture = np.full((8, 8, 3), 7, np.uint8)
    put("d/a.jpg")
    for ending in (".jpg", ".png"):
        write_image(f"d/drawn{ending}", picture, DRAWN_MARK)
        write_image(f"d/own{ending}", picture)  # as `people.save`, or figures to train on
    assert find_images(["d"]) == ["d/a.jpg", "d/own.jpg", "d/own.png"]


def test_links_to_folders_are_followed_once(here: Path) -> None:
    put("real/1.png", "real/sub/2.png", "elsewhere/3.png")
    for link, target in {"real/sub/up": "..", "real/alias": "sub", "real/other": "../elsewhere"}.items():
        os.symlink(target, link)
    os.symlink("missing", "real/broken.png")  # an error when it is read, not silence
    expected = ["real/1.png", "real/broken.png", "real/other/3.png", "real/sub/2.png"]
    assert find_images(["real"], recursive=True) == expected
    assert find_images(["real/**"]) == expected
    os.symlink("real", "link")
    assert find_images(["link"]) == ["link/1.png", "link/broken.png"]


def test_other_files_are_counted_in_a_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put("d/a.png", "d/._a.png", "d/.DS_Store", "d/__MACOSX/._a.png")
    assert find_images(["d"], recursive=True) == ["d/a.png"]
    assert capfd.readouterr().err == ""  # hidden files are left out without a word
    put("d/Thumbs.db")
    assert find_images(["d"]) == ["d/a.png"]
    assert capfd.readouterr().err == "ae: d: 1 file has no ending of an image and is left out (Thumbs.db)\n"
    put("d/a.txt", "d/b.txt")
    find_images(["d/*"])
    expected = "ae: d/*: 3 files have no ending of an image and are left out (Thumbs.db, a.txt, b.txt)\n"
    assert capfd.readouterr().err == expected


def test_find_images_names_what_it_cannot_find(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for source, reason in (
        ("", r"holds no image .*its files have other endings: notes\.txt"),
        ("/*", "matches no image"),
        ("/x.png", "no such file"),
    ):
        with pytest.raises(ImageError, match=reason):
            find_images([f"{tmp_path}{source}"])


def test_a_folder_whose_images_are_in_subfolders_gets_a_hint(here: Path) -> None:
    put("deep/a/b/1.png", "deep/notes.txt", "empty/a/notes.txt")
    with pytest.raises(ImageError, match=r"deep: holds no image, but its subfolders do \(deep/a/b/1.png\); add --rec"):
        find_images(["deep"])
    assert find_images(["deep"], recursive=True) == ["deep/a/b/1.png"]
    with pytest.raises(ImageError, match=r"empty: holds no image \("):
        find_images(["empty"])
