"""Image files of every kind, and what comes of each."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, features

from associative_embedding.io.decode_images import decode
from associative_embedding.io.reading import PLAIN, Reading
from support.png_files import chunk, png
from support.tiff_files import COMPRESSION, DEFLATE, JPEG_XL, PHOTOMETRIC, tiff
from support.trials import Trial, attempt

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 16  # pixels: compression keeps the colour in the middle of a block
RGBA = np.random.default_rng(1).integers(0, 256, (4, 6, 4), dtype=np.uint8).repeat(BLOCK, 0).repeat(BLOCK, 1)
RGB, GREY, ALPHA = RGBA[:, :, :3], RGBA[:, :, 0], RGBA[:, :, 3]
PHOTO = Image.fromarray(RGB)
OTHERS = [Image.fromarray(np.roll(RGB, BLOCK * number, 0)) for number in (1, 2)]
EXACT, LOSSY = 1, 14  # differences that are allowed
ORIENTATION = 0x0112


def over_white(colour: Array, alpha: Array) -> Array:
    share = alpha[:, :, None] / 255
    return np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)


GREY_RGB = GREY[:, :, None].repeat(3, 2)
CLEAR = over_white(RGB, ALPHA)
CLEAR_GREY = over_white(GREY_RGB, ALPHA)


def stretched_values(values: Array) -> Array:
    """Percentiles 1 and 99.8 become black and white."""
    low, high = np.percentile(values, [1, 99.8])
    return (((values - low) / (high - low)).clip(0, 1) * 255 + 0.5).astype(np.uint8)


STRETCHED = stretched_values(GREY_RGB)


@dataclass(frozen=True)
class ImageFile:
    """A file to try.

    Attributes:
        kind, what: see `Trial`.
        data: its bytes.
        expected: ``(H, W, 3)`` uint8, what it shows; None if it is no image.
        tolerance: largest difference of a value in the middle of a block.
        needs: a feature of Pillow without which it cannot be read.
        reading: what is read of it.
    """

    kind: str
    what: str
    data: bytes
    expected: Array | None = None
    tolerance: int = EXACT
    needs: str = ""
    reading: Reading = PLAIN


def image_trials() -> list[Trial]:
    """Returns what comes of each file."""
    return [attempt(file.kind, file.what, partial(shows, file)) for file in image_files()]


def shows(file: ImageFile, name: str) -> bool:
    """Decodes a file and returns whether the pixels are right."""
    image = decode(file.data, name, reading=file.reading)
    if file.expected is None or image.shape != file.expected.shape:
        return False
    middle = slice(BLOCK // 2, None, BLOCK)
    difference = np.abs(image.astype(int) - file.expected)[middle, middle]
    return int(difference.max()) <= file.tolerance


def image_files() -> Iterator[ImageFile]:
    """Yields all files that the Pillow of this machine can write and read."""
    for files in (jpegs, pngs, tiffs, float_tiffs, deep_tiffs, stacks, odd_tiffs, other_kinds, other_files):
        for file in files():
            if not file.needs or features.check(file.needs):
                yield file


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """Returns a file of stored pixels that the EXIF orientation 6 (a quarter turn) or 3 (half) turns to `RGB`."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.rot90(RGB, {6: 1, 3: 2}[orientation])
    return saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)


def jpegs() -> Iterator[ImageFile]:
    lossy = partial(ImageFile, "JPEG", expected=RGB, tolerance=LOSSY)
    plain = saved(PHOTO, "JPEG", quality=95)
    yield lossy("8 bits", plain)
    yield lossy("progressive", saved(PHOTO, "JPEG", quality=95, progressive=True))
    yield lossy("colours not reduced", saved(PHOTO, "JPEG", quality=95, subsampling=0))
    yield lossy("stored as RGB", saved(PHOTO, "JPEG", quality=95, keep_rgb=True))
    yield lossy("CMYK (Adobe)", saved(PHOTO.convert("CMYK"), "JPEG", quality=95))
    yield ImageFile("JPEG", "grey", saved(Image.fromarray(GREY), "JPEG", quality=95), GREY_RGB, LOSSY)
    yield lossy("EXIF: a quarter turn", turned(6))
    yield lossy("EXIF: half a turn", turned(3))
    yield lossy("EXIF: damaged", saved(PHOTO, "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    yield lossy("EXIF: with a preview", saved(PHOTO, "JPEG", quality=95, exif=b"Exif\0\0" + plain))
    noise = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8).tobytes()
    yield lossy("a video behind it (motion photo)", plain + b"\0\0\0\x18ftypmp42" + noise + b"\xff\xda\xff\xd9\xff\xda")
    yield lossy("several pictures (MPO)", saved(PHOTO, "MPO", quality=95, save_all=True, append_images=OTHERS))
    yield ImageFile("JPEG", "cut off", plain[: len(plain) // 2])
    yield ImageFile("JPEG", "cut off, with a preview", saved(PHOTO, "JPEG", exif=b"Exif\0\0" + plain)[:-200])
    yield ImageFile("JPEG", "cut off, filled up with zeros", plain[: len(plain) // 2] + bytes(len(plain) // 2))


def pngs() -> Iterator[ImageFile]:
    exact = partial(ImageFile, "PNG", expected=RGB)
    yield exact("RGB, 8 bits", saved(PHOTO, "PNG"))
    yield exact("RGB, 16 bits", cv2.imencode(".png", RGB[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes())
    yield exact("interlaced", png(RGB, interlaced=True))
    yield exact("with text", png(RGB, more=chunk(b"tEXt", b"Software\0a plot")))
    yield exact("EXIF: a quarter turn", turned(6, "PNG"))
    for name, image in {"8 bits": GREY, "16 bits": GREY.astype(np.uint16) * 257}.items():
        yield ImageFile("PNG", f"grey, {name}", saved(Image.fromarray(image), "PNG"), GREY_RGB)
    bilevel = (GREY > 127).astype(np.uint8) * 255
    yield ImageFile(
        "PNG", "grey, 1 bit", saved(Image.fromarray(bilevel).convert("1"), "PNG"), bilevel[:, :, None].repeat(3, 2)
    )
    palette = PHOTO.quantize(24)
    yield exact("palette", saved(palette, "PNG"), expected=np.array(palette.convert("RGB")))
    yield exact("RGB with transparency", saved(Image.fromarray(RGBA), "PNG"), expected=CLEAR)
    deep = RGBA[:, :, [2, 1, 0, 3]].astype(np.uint16) * 257
    yield exact("RGB with transparency, 16 bits", cv2.imencode(".png", deep)[1].tobytes(), expected=CLEAR)
    grey_alpha = Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(ALPHA)))
    yield exact("grey with transparency", saved(grey_alpha, "PNG"), expected=CLEAR_GREY)
    first = np.array(palette)[:, :, None] == 0
    yield exact(
        "palette with transparency",
        saved(palette, "PNG", transparency=bytes([0] + [255] * 23)),
        expected=np.where(first, 255, np.array(palette.convert("RGB"))).astype(np.uint8),
    )
    key = tuple(RGB[0, 0].tolist())
    hidden = np.where((key == RGB).all(2)[:, :, None], 255, RGB).astype(np.uint8)
    yield exact("RGB with one transparent colour", saved(PHOTO, "PNG", transparency=key), expected=hidden)
    yield exact("animation (APNG)", saved(PHOTO, "PNG", save_all=True, append_images=OTHERS))
    yield ImageFile("PNG", "cut off", png(RGB)[:-80])
    damaged = bytearray(png(RGB))
    damaged[len(damaged) // 2] ^= 255
    yield ImageFile("PNG", "damaged", bytes(damaged))


def tiffs() -> Iterator[ImageFile]:
    exact, grey = partial(ImageFile, "TIFF", expected=RGB), partial(ImageFile, "TIFF", expected=GREY_RGB)
    wide, wide_grey = RGB.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257
    yield exact("RGB, 8 bits", tiff(RGB))
    yield exact("RGB, 16 bits", tiff(wide))
    yield grey("grey, 8 bits", tiff(GREY))
    yield grey("grey, 16 bits", tiff(wide_grey))
    yield exact("big-endian, RGB, 16 bits", tiff(wide, order=">"))
    yield grey("big-endian, grey, 16 bits", tiff(wide_grey, order=">"))
    yield exact("planes, RGB, 8 bits", tiff(RGB.transpose(2, 0, 1), planar=True))
    yield exact("planes, RGB, 16 bits", tiff(wide.transpose(2, 0, 1), planar=True))
    yield exact(
        "planes, RGB, 16 bits, Deflate", tiff(wide.transpose(2, 0, 1), planar=True, tags={COMPRESSION: (DEFLATE,)})
    )
    yield grey("white is zero, 8 bits", tiff(255 - GREY, tags={PHOTOMETRIC: (0,)}))
    yield grey("white is zero, 16 bits", tiff(65535 - wide_grey, tags={PHOTOMETRIC: (0,)}))
    yield exact("RGB with transparency, 8 bits", tiff(RGBA, tags={338: (2,)}), expected=CLEAR)
    yield exact("RGB with transparency, 16 bits", tiff(RGBA.astype(np.uint16) * 257, tags={338: (2,)}), expected=CLEAR)
    pair = np.dstack([GREY, ALPHA])
    yield exact("grey with transparency, 8 bits", tiff(pair, tags={338: (2,)}), expected=CLEAR_GREY)
    yield exact(
        "grey with transparency, 16 bits", tiff(pair.astype(np.uint16) * 257, tags={338: (2,)}), expected=CLEAR_GREY
    )
    yield exact("CMYK", saved(PHOTO.convert("CMYK"), "TIFF"))
    yield exact("palette", saved(PHOTO.quantize(24), "TIFF"), expected=np.array(PHOTO.quantize(24).convert("RGB")))
    for name, option in COMPRESSIONS.items():
        if data := saved_if_possible(PHOTO, option):
            yield exact(f"compression {name}", data)
    yield exact("compression JPEG", saved(PHOTO, "TIFF", compression="jpeg", quality=95), tolerance=LOSSY)
    yield exact("EXIF: a quarter turn", turned(6, "TIFF"))
    yield exact("several pages", tiff(RGB, np.roll(RGB, 1, 0)))


COMPRESSIONS = {
    "LZW": "tiff_lzw",
    "Deflate": "tiff_adobe_deflate",
    "PackBits": "packbits",
    "Zstandard": "zstd",
    "LZMA": "lzma",
}


def saved_if_possible(image: Image.Image, compression: str) -> bytes:
    """Returns a TIFF of a compression, or nothing where Pillow's libtiff lacks it."""
    try:
        return saved(image, "TIFF", compression=compression)
    except OSError:
        return b""


def float_tiffs() -> Iterator[ImageFile]:
    for bits in (16, 32, 64):
        colour, grey = (array.astype(f"f{bits // 8}") / 255 for array in (RGB, GREY))
        yield ImageFile("TIFF", f"RGB, float of {bits} bits", tiff(colour), RGB)
        yield ImageFile("TIFF", f"grey, float of {bits} bits", tiff(grey), GREY_RGB)
    colour, grey = RGB.astype(np.float32) / 255, GREY.astype(np.float32) / 255
    yield ImageFile("TIFF", "RGB, float, Deflate", tiff(colour, tags={COMPRESSION: (DEFLATE,)}), RGB)
    yield ImageFile("TIFF", "planes, RGB, float", tiff(colour.transpose(2, 0, 1), planar=True), RGB)
    yield ImageFile("TIFF", "white is zero, float", tiff(1 - grey, tags={PHOTOMETRIC: (0,)}), GREY_RGB)
    yield ImageFile("TIFF", "float beyond [0, 1]", tiff(9000 * grey), STRETCHED)
    odd = tiff(np.where(GREY.min() < GREY, grey, np.nan).astype(np.float32))
    yield ImageFile("TIFF", "float with NaN", odd, np.where(GREY.min() < GREY_RGB, GREY_RGB, 0))


def deep_tiffs() -> Iterator[ImageFile]:
    """The values of cameras, which use a part of their range."""
    stretched = partial(ImageFile, "TIFF", expected=STRETCHED)
    yield stretched("grey, 12 of 16 bits", tiff(GREY.astype(np.uint16) * 16))
    yield stretched("grey, 12 of 16 bits, on an offset", tiff(GREY.astype(np.uint16) * 16 + 100))
    yield stretched("RGB, 12 of 16 bits", tiff(RGB.astype(np.uint16) * 16), expected=stretched_values(RGB))
    yield stretched("integers of 32 bits", tiff(GREY.astype(np.uint32) * 1000))
    yield stretched("signed integers of 8 bits", tiff((GREY.astype(int) - 128).astype(np.int8)))
    yield stretched("signed integers of 16 bits", tiff(GREY.astype(np.int16) * 100))
    yield stretched("float, background subtracted", tiff(GREY.astype(np.float32) - 50))
    yield stretched("float of 12 bits in [0, 1]", tiff(GREY.astype(np.float32) / 4095))
    yield stretched("a constant value", tiff(np.full_like(GREY, 9, np.uint16)), expected=np.zeros_like(GREY_RGB))


def stacks() -> Iterator[ImageFile]:
    """Files of several planes and channels."""
    planes = np.stack([GREY // 2, GREY, GREY // 4])
    one = partial(ImageFile, "TIFF", expected=GREY_RGB)
    depth = {"imagej": True, "metadata": {"axes": "ZYX"}}
    yield one("planes of a depth (ImageJ)", by_tifffile(planes, **depth))
    yield one("planes of a depth, `--page 2`", by_tifffile(planes, **depth), reading=Reading(page=2))
    mean = np.rint(planes.astype(float).mean(0)).astype(np.uint8)[:, :, None].repeat(3, 2)
    joined = Reading(project="mean")
    yield one("planes of a depth, `--project mean`", by_tifffile(planes, **depth), expected=mean, reading=joined)
    times = by_tifffile(planes[1:], ome=True, metadata={"axes": "TYX"})
    yield one("times (OME)", times)
    yield one("pages, `--axes zyx`", tiff(*planes), reading=Reading(axes="zyx"))
    channels = by_tifffile(planes, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["actin", "DAPI", "ER"]}})
    yield one("channels (OME)", channels, expected=None)
    yield one("channels (OME), `--channel DAPI`", channels, reading=Reading(channel="DAPI"))
    both = by_tifffile(np.stack([planes, planes[::-1]], 1), imagej=True, metadata={"axes": "ZCYX"})
    yield one("depth and channels (ImageJ), `--channel 2`", both, reading=Reading(channel=2))
    four = tiff(np.dstack([GREY // 2, GREY, GREY // 4, GREY // 3]), tags={PHOTOMETRIC: (1,)})
    yield one("several channels that are no colours", four, expected=None)
    yield one("several channels that are no colours, `--channel 2`", four, reading=Reading(channel=2))
    yield one("RGB, `--channel 1`", tiff(RGB), reading=Reading(channel=1))


def by_tifffile(array: Array, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", **options)
    return buffer.getvalue()


def odd_tiffs() -> Iterator[ImageFile]:
    refused = partial(ImageFile, "TIFF")
    yield ImageFile("TIFF", "RGB and further channels", tiff(np.dstack([RGBA, GREY]), tags={338: (0, 0)}), RGB)
    yield refused("compression JPEG XL", tiff(GREY, tags={COMPRESSION: (JPEG_XL,)}))
    yield refused("raw pixels of a camera (DNG)", tiff(GREY, tags={PHOTOMETRIC: (32803,)}))
    yield refused("a preview first (DNG, NEF, CR2)", tiff(RGB, RGB, tags={254: (1,)}))
    yield refused("cut off, RGB, 8 bits", saved(PHOTO, "TIFF")[:-5000])
    yield refused("cut off, LZW", saved(PHOTO, "TIFF", compression="tiff_lzw")[:-300])
    strip = tiff(RGB.astype(np.float32) / 255, tags={273: (2**20,)})
    yield refused("a strip beyond the end, float", strip)


def other_kinds() -> Iterator[ImageFile]:
    yield ImageFile("GIF", "one picture", saved(PHOTO, "GIF"), RGB)
    yield ImageFile("GIF", "animation", saved(PHOTO, "GIF", save_all=True, append_images=OTHERS), RGB)
    yield ImageFile("BMP", "RGB", saved(PHOTO, "BMP"), RGB)
    yield ImageFile("BMP", "grey", saved(Image.fromarray(GREY), "BMP"), GREY_RGB)
    yield ImageFile("BMP", "32 bits", saved(PHOTO.convert("RGBA"), "BMP"), RGB)
    for lossless in (False, True):
        name, tolerance = ("lossless", EXACT) if lossless else ("lossy", LOSSY)
        yield ImageFile("WebP", name, saved(PHOTO, "WEBP", lossless=lossless, quality=95), RGB, tolerance)
    yield ImageFile("WebP", "transparency", saved(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True), CLEAR)
    yield ImageFile("WebP", "animation", saved(PHOTO, "WEBP", save_all=True, append_images=OTHERS, lossless=True), RGB)
    yield ImageFile("WebP", "cut off", saved(PHOTO, "WEBP", lossless=True)[:-100])
    jp2 = partial(ImageFile, "JPEG 2000", needs="jpg_2000")
    yield jp2("RGB", saved(PHOTO, "JPEG2000"), RGB)
    yield jp2("transparency", saved(Image.fromarray(RGBA), "JPEG2000"), CLEAR)
    if features.check("avif"):
        yield ImageFile("AVIF", "RGB", saved(PHOTO, "AVIF", quality=95), RGB, LOSSY, "avif")
        yield ImageFile("AVIF", "transparency", saved(Image.fromarray(RGBA), "AVIF", quality=100), CLEAR, LOSSY, "avif")
        data = saved(PHOTO, "AVIF", quality=95, save_all=True, append_images=OTHERS)
        yield ImageFile("AVIF", "animation", data, RGB, LOSSY, "avif")
    for name, high in {"8": 255, "16": 65535, "12 of 16": 4095}.items():
        values = np.rint(RGB / 255 * high).astype("u1" if high == 255 else ">u2")
        head = f"P6 {RGB.shape[1]} {RGB.shape[0]} {high}\n".encode()
        yield ImageFile("PPM", f"RGB, {name} bits", head + values.tobytes(), RGB)
    yield ImageFile("PGM", "grey", f"P5 {GREY.shape[1]} {GREY.shape[0]} 255\n".encode() + GREY.tobytes(), GREY_RGB)


def other_files() -> Iterator[ImageFile]:
    box = struct.pack(">I", 24)
    yield ImageFile("HEIC", "iPhone", box + b"ftypheic\0\0\0\0mif1heic")
    yield ImageFile("JPEG XL", "any", b"\xff\x0a" + bytes(40))
    yield ImageFile("Photoshop", "any", b"8BPS\0\1" + bytes(40))
    yield ImageFile("PDF, EPS", "any", b"%PDF-1.4\n")
    yield ImageFile("SVG", "any", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>')
    yield ImageFile("HDR, OpenEXR", "any", b"#?RADIANCE\n")
    yield ImageFile("Raw file", "Canon CR3, Fujifilm, Olympus, Panasonic", box + b"ftypcrx ")
    yield ImageFile("Web page", "saved under the name of an image", b"<!DOCTYPE html><html></html>")
    yield ImageFile("Git LFS", "a pointer instead of the file", b"version https://git-lfs.github.com/spec/v1\n")
    yield ImageFile("TGA", "any", saved(PHOTO, "TGA"))
    yield ImageFile("any", "empty file", b"")
