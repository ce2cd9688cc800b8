"""Which files of folders and patterns are images."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.io.decode_images import ImageError
from associative_embedding.io.find_images import find_images


def test_find_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("d/b.JPG", "d/a.png", "d/.hidden.png", "d/notes.txt", "d/sub/c.webp", "odd.name", "x[1].png"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert find_images(["d"]) == ["d/a.png", "d/b.JPG"]
    assert find_images(["d"], recursive=True) == ["d/a.png", "d/b.JPG", "d/sub/c.webp"]
    assert find_images(["d/*"]) == ["d/a.png", "d/b.JPG"]
    assert find_images(["**/*.webp"]) == ["d/sub/c.webp"]
    assert find_images(["odd.name", "x[1].png"]) == ["odd.name", "x[1].png"]
    url = "http://host/x?y=1"
    assert find_images([url, "d/b.JPG", "d", str(tmp_path / "d" / "a.png"), url]) == [url, "d/b.JPG", "d/a.png"]
    assert find_images([]) == []


def test_find_images_names_what_it_cannot_find(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for source, reason in (("", "holds no image"), ("/*", "matches no image"), ("/x.png", "no such file")):
        with pytest.raises(ImageError, match=reason):
            find_images([f"{tmp_path}{source}"])
