"""Images and videos that are fuzzed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from associative_embedding.io.images import read_image, read_size
from associative_embedding.io.videos import open_video, read_frames
from support.fuzz_files import folder, on_disk

MOST_PIXELS = 10**6  # a valid header with huge sides is refused, and not slow


def read_picture(data: bytes) -> None:
    image = read_image(data, max_pixels=MOST_PIXELS)
    assert image.ndim == 3
    assert image.dtype == np.uint8


def read_picture_size(data: bytes) -> None:
    read_size(on_disk(data, "picture"))


def pictures() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 4), dtype=np.uint8)
    colour, alpha, grey = (Image.fromarray(noise[..., :3]), Image.fromarray(noise), Image.fromarray(noise[..., 0]))
    kinds = "PNG JPEG GIF WEBP BMP PPM JPEG2000 AVIF".split()
    results = [saved(colour, kind) for kind in kinds if kind in Image.SAVE or kind == "JPEG2000"]
    results += [saved(colour, "JPEG", progressive=True), saved(colour.convert("CMYK"), "JPEG"), saved(alpha, "PNG")]
    results += [saved(colour.convert("P"), "PNG"), saved(colour.convert("1"), "PNG"), saved(alpha, "WEBP")]
    results += [saved(Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG")]
    results += [saved(grey, "GIF", save_all=True, append_images=[grey] * 3)]
    return [data for data in results if data]


def tiffs() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    colour, grey = Image.fromarray(noise), Image.fromarray(noise[..., 0])
    options: list[dict[str, Any]] = [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}]
    results = [saved(image, "TIFF", **more) for image in (colour, grey) for more in (*options, {"big_tiff": True})]
    results += [saved(Image.fromarray(noise[..., 0].astype(kind)), "TIFF") for kind in (np.uint16, np.float32)]
    return [*results, saved(colour, "TIFF", save_all=True, append_images=[colour])]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except (OSError, KeyError):  # this Pillow cannot write it
        return b""
    return buffer.getvalue()


def read_film(data: bytes) -> None:
    for number, frame in enumerate(read_frames(open_video(str(on_disk(data, "film.mp4"))))):
        assert frame.image.dtype == np.uint8
        if number > 20:
            break


def films() -> list[bytes]:
    from support.video_files import write

    return [Path(write(folder() / "seed.mp4", frames=count)).read_bytes() for count in (1, 8)]
