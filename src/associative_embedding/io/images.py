"""Pixels in, safely: files, bytes, URLs, arrays and Pillow images become ``(H, W, 3)`` uint8 RGB or one clear error."""

from __future__ import annotations

import glob
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from associative_embedding.io.download import download
from associative_embedding.structures.arrays import Array

MAX_PIXELS = 178_956_970  # half a gigabyte of RGB; where Pillow, too, refuses to go on
MAX_BYTES = 500 * 2**20  # of a file
MAX_URL_BYTES = 50 * 2**20  # of a download

EXTENSIONS = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Formats with a signature and a decoder inside of Pillow. Not EPS, which would start Ghostscript, and not TGA or PCX,
# which take nearly any bytes for an image.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image that cannot be read: one line with the source and the reason."""

    def __init__(self, source: str, reason: object) -> None:
        line = " ".join(str(reason).split()) or type(reason).__name__
        super().__init__(f"{source if len(source) <= 300 else source[:300] + '...'}: {line}")


def read_image(
    source: str | Path | bytes | Array | Image.Image, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Array:
    """Any image as ``(H, W, 3)`` uint8 RGB, upright.

    The EXIF orientation is applied; of an animation the first frame is taken; alpha is composited over white; 16-bit
    values are scaled by 1/257, float values in [0, 1] by 255; CMYK is converted without a colour profile.

    Args:
        source: a path, an http(s) URL, the bytes of an image file, a Pillow image, or an RGB array ``(H, W)``,
            ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)`` of uint8, uint16 or float in [0, 1]. A contiguous uint8
            ``(H, W, 3)`` array is returned as it is, not copied.
        max_pixels: a larger image is refused before it is decoded.
        max_bytes: a larger file is refused before it is read. A URL is also held to `MAX_URL_BYTES`.

    Raises:
        ImageError: one line that names the source and what is wrong with it.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, max_pixels=max_pixels)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "Pillow image")
        with _decoding(name):
            return _from_pillow(source, name, max_pixels)
    if isinstance(source, bytes):
        return decode(source, max_pixels=max_pixels)
    if not isinstance(source, (str, Path)):
        raise ImageError(f"image of type {type(source).__name__}", "give a path, URL, bytes, array or Pillow image")
    name = str(source)
    if isinstance(source, str) and "://" in source:
        return read_url(source, max_bytes=min(max_bytes, MAX_URL_BYTES), max_pixels=max_pixels)
    return decode(_read_file(name, max_bytes), name, max_pixels=max_pixels)


def decode(data: bytes, name: str = "bytes", *, max_pixels: int = MAX_PIXELS) -> Array:
    """The bytes of an image file -> ``(H, W, 3)`` uint8 RGB; see `read_image`. `name` is for the error."""
    if not data:
        raise ImageError(name, "is empty")
    with _decoding(name):
        Image.init()  # loads the plug-ins, the first time
        try:
            image = Image.open(io.BytesIO(data), formats=[f for f in FORMATS if f in Image.OPEN])
        except UnidentifiedImageError:
            if data[:4] in TIFF_SIGNATURES:
                return _decode_tiff(data, name, max_pixels)
            raise ImageError(name, "is not an image of a known format") from None
        with image:
            return _from_pillow(image, name, max_pixels)


def from_array(array: Array, name: str = "array", *, max_pixels: int = MAX_PIXELS) -> Array:
    """An array in RGB order, ``(H, W)`` or ``(H, W, 1 | 3 | 4)``, as `read_image` takes it -> ``(H, W, 3)`` uint8."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(name, f"shape must be (H, W) or (H, W, 1, 3 or 4), not {array.shape}")
    _check_size(name, array.shape[1], array.shape[0], max_pixels)
    array = _to_uint8(array, name)
    if array.shape[2] == 4:
        array = _over_white(array)
    return np.ascontiguousarray(array if array.shape[2] == 3 else array.repeat(3, axis=2))


def read_url(url: str, timeout: float = 10, max_bytes: int = MAX_URL_BYTES, *, max_pixels: int = MAX_PIXELS) -> Array:
    """Download and decode an image, ``(H, W, 3)`` uint8 RGB.

    Args:
        url: http or https; a redirect may lead to nothing else.
        timeout: seconds for everything: name look-up, connection, redirects and the last byte.
        max_bytes: the download stops there.

    Raises:
        ImageError: see `read_image`.
    """
    try:
        data = download(url, timeout=timeout, max_bytes=max_bytes)
    except OSError as error:
        raise ImageError(url, error) from None
    return decode(data, url, max_pixels=max_pixels)


def find_images(sources: Sequence[str], *, recursive: bool = False) -> list[str]:
    """The images that files, folders, glob patterns and URLs stand for, each once, in the order given.

    A file or URL is taken whatever its name. A folder or pattern gives its files with one of `EXTENSIONS` (in any
    case, hidden files left out), sorted by name; with `recursive`, a folder gives those of its subfolders too.

    Raises:
        ImageError: for a source that stands for no image.
    """
    found: dict[str, str] = {}  # absolute path -> as it was given
    for source in sources:
        for path in _expand(source, recursive):
            found.setdefault(path if "://" in path else os.path.abspath(path), path)
    return list(found.values())


def _expand(source: str, recursive: bool) -> list[str]:
    if "://" in source or os.path.isfile(source):
        return [source]
    if os.path.isdir(source):
        paths = _files_of_folder(source, recursive)
        what = "holds no image"
    elif glob.has_magic(source):
        paths = (path for path in glob.iglob(source, recursive=True) if os.path.isfile(path))
        what = "matches no image"
    else:
        raise ImageError(source, "no such file, folder or pattern")
    images = sorted(path for path in paths if path.lower().endswith(EXTENSIONS))
    if not images:
        raise ImageError(source, f"{what} ({', '.join(EXTENSIONS)})")
    return images


def _files_of_folder(folder: str, recursive: bool) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise ImageError(folder, error.strerror) from None

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in names if not name.startswith("."))


def _read_file(name: str, max_bytes: int) -> bytes:
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(name, "is a folder, not an image")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise ImageError(name, "is not a regular file")
        if status.st_size > max_bytes:
            raise ImageError(name, f"has {status.st_size} bytes, more than the limit of {max_bytes}")
        with open(name, "rb") as file:
            return file.read(max_bytes)
    except OSError as error:
        raise ImageError(name, error.strerror or error) from None
    except ImageError:
        raise
    except ValueError as error:  # a zero byte in the name
        raise ImageError(repr(name), error) from None


# --- decoding

_lock = threading.Lock()


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Whatever a decoder raises or warns of becomes an `ImageError` or nothing.

    Warning filters and Pillow's pixel limit belong to the process, so one thread decodes at a time.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the limit here is `max_pixels`
        try:
            yield
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(name, "does not fit in memory") from None
        except Exception as error:  # decoders raise struct.error, SyntaxError, EOFError ... for broken files
            raise ImageError(name, f"is damaged or truncated ({error})") from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # a data loader's worker may be forked while another thread decodes
    os.register_at_fork(after_in_child=_renew_lock)


def _from_pillow(image: Image.Image, name: str, max_pixels: int) -> Array:
    _check_size(name, image.width, image.height, max_pixels)
    image.load()
    turn = UPRIGHT.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I") or image.mode == "F":
        return from_array(_wide(np.asarray(image), name), name, max_pixels=max_pixels)
    if image.has_transparency_data:
        return _over_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # broken metadata; the pixels are fine, and viewers show them as stored
        return 1


def _wide(array: Array, name: str) -> Array:
    """Pillow's one-channel modes I (int32, in which it also keeps 16-bit files), I;16 and F."""
    if array.dtype.kind == "f":
        return array
    if array.min() < 0 or array.max() > 65535:
        raise ImageError(name, "has 32-bit integers, whose white is not known; convert it to 8 or 16 bits")
    return array.astype(np.uint16)


def _decode_tiff(data: bytes, name: str, max_pixels: int) -> Array:
    """What Pillow cannot: TIFF with several channels of float."""
    header = io.BytesIO(data)
    directory = TiffImagePlugin.ImageFileDirectory_v2(header.read(8))
    header.seek(directory.next)
    directory.load(header)
    _check_size(name, int(directory[256]), int(directory[257]), max_pixels)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageError(name, "is a TIFF of an unknown kind or damaged")
    if image.ndim == 3 and image.shape[2] >= 3:
        image = image[:, :, [2, 1, 0, *range(3, image.shape[2])]]
    return from_array(image, name, max_pixels=max_pixels)


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height == 0:
        raise ImageError(name, f"is {width}x{height}: no pixels")
    if width * height > max_pixels:
        raise ImageError(name, f"is {width}x{height}, more than the limit of {max_pixels} pixels")


def _to_uint8(array: Array, name: str) -> Array:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ImageError(name, f"dtype must be uint8, uint16 or float in [0, 1], not {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # also true of NaN; resampling may overshoot a little
        raise ImageError(name, f"float values must lie in [0, 1], these lie in [{low:g}, {high:g}]")
    rounded: Array = (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def _over_white(rgba: Array) -> Array:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    mixed: Array = ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return mixed
