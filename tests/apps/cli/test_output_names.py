"""The files of ``ae predict`` have the names of their sources; a hash keeps apart what would be one file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.apps.cli.image_outputs import Kinds
from associative_embedding.apps.cli.output_names import choose_stems, hashed_stem, stem_of
from associative_embedding.io.write_images import write_image

PICTURES = Kinds("out", pictures=True, labels="none", scores=False)


def stems(sources: Sequence[str], kinds: Kinds = PICTURES, taken: Sequence[str | Path] = ()) -> list[str]:
    chosen = choose_stems(sources, lambda source, stem: list(kinds.files(source, stem).values()), taken)
    return [chosen[source] for source in sources]


def test_a_source_gives_its_name() -> None:
    assert stems(["a/x.jpg", "b/y.png", "http://h/z%20z.jpg?s=2#x", "v1.2.jpg"]) == ["x", "y", "z_z", "v1.2"]


def test_two_of_one_name_have_a_hash_and_the_others_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, other = stems(["a/x.jpg", "b/x.jpg", "y.jpg"])
    assert (one, two, other) == (hashed_stem("a/x.jpg"), hashed_stem("b/x.jpg"), "y")
    assert one != two
    assert one.startswith("x-")
    assert hashed_stem("./a/../a/x.jpg") == one == hashed_stem(str(tmp_path / "a/x.jpg"))


@pytest.mark.parametrize(
    ("sources", "kinds"),
    [
        (["x.jpg", "x.gif"], PICTURES),  # both x.jpg
        (["x.jpg", "X.JPG"], PICTURES),  # one file on Windows and macOS
        (["http://h/x.jpg?1", "http://h/x.jpg?2"], PICTURES),
        (["x.jpg", "x.png"], Kinds("out", True, "tif", False)),  # one label image
        (["x.png", "x-labels.png"], Kinds("out", True, "png", False)),  # a label image and a picture
    ],
)
def test_files_that_would_be_one(sources: list[str], kinds: Kinds) -> None:
    chosen = stems(sources, kinds)
    assert chosen == [hashed_stem(source) for source in sources]
    files = [path for source, stem in zip(sources, chosen, strict=True) for path in kinds.files(source, stem).values()]
    assert len({str(path).lower() for path in files}) == len(files)


def test_a_picture_and_a_png_of_one_name_are_two_files() -> None:
    assert stems(["x.jpg", "x.png"]) == ["x", "x"]


def test_no_picture_is_a_source_or_another_taken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stems(["out/x.jpg", "y.jpg"], taken=["out/x.jpg", "y.jpg"]) == [hashed_stem("out/x.jpg"), "y"]
    assert stems(["z.jpg"], taken=[tmp_path / "out" / "z.jpg"]) == [hashed_stem("z.jpg")]


def test_names_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v1.2").mkdir()
    monkeypatch.chdir(tmp_path / "v1.2")
    assert stem_of(".") == stem_of("./") == stem_of(f"../{os.path.basename(os.getcwd())}") == "v1.2"
    assert stem_of("photos/*.jpg") == "photos"
    assert stem_of("rtsp://camera/") == "camera"
    for odd in ("http://[h/ü b%2Fc.png?d", "é" * 300, "a/..", "\udcff.jpg", ""):
        path = tmp_path / "out" / f"{hashed_stem(odd)}-labels.tif"
        assert path.parent == tmp_path / "out"
        write_image(path, np.zeros((2, 2, 3), np.uint8))
