"""Images for the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from support.tiny import photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A colour image, a grey one, one that EXIF turns, one with alpha, and a file that is no image but says so."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    image = Image.fromarray(photo())
    image.save(tmp_path / "in" / "a.jpg", quality=95)
    image.convert("L").save(tmp_path / "in" / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "in" / "turned.jpg", exif=exif)
    image.convert("RGBA").save(tmp_path / "in" / "sub" / "alpha.png")
    return tmp_path / "in"
