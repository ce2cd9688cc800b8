"""Results out: one COCO dataset, annotated pictures, label images, and files that are whole or not there at all."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

# what cv2 encodes, with its options; 95 is visually lossless
IMAGE_OPTIONS: dict[str, tuple[int, ...]] = {
    ".bmp": (),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".png": (),
    ".tif": (),
    ".tiff": (),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95),
}
# Deflate without a predictor (TIFF tags 259 and 317): what cv2 does by default, LZW, not every reader reads
LABEL_OPTIONS: dict[str, tuple[int, ...]] = {".png": (), ".tif": (259, 8, 317, 1), ".tiff": (259, 8, 317, 1)}


def atomic_write(path: str | Path, data: bytes) -> None:
    """Write a file so that nobody, whatever happens, ever sees a part of it.

    The data go to a temporary file in the same folder, to the disk, and only then to the name; on a failure the old
    file stays and the temporary one is removed. Missing parent folders are made. A symbolic link is followed.

    Raises:
        OSError: one line with the path and the reason.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        _prepare(target)
        try:
            with open(partial, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def _prepare(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):  # never replace /dev/null or a folder
        raise OSError("is not a regular file")


def check_writable(path: str | Path) -> None:
    """Notice before the work, not after it, that `atomic_write` could not write a file. What is there stays as it is.

    Raises:
        OSError: one line with the path and the reason.
    """
    target = Path(os.path.realpath(path))
    try:
        _prepare(target)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def write_json(path: str | Path, document: Any) -> None:
    """Write a json file atomically.

    Raises:
        ValueError: when the document holds what json cannot (NaN, an array).
        OSError: see `atomic_write`.
    """
    atomic_write(path, json_text(path, document))


def json_text(path: str | Path, document: Any) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot write {path}: not a json document ({error})") from None


def write_image(path: str | Path, rgb: Array) -> None:
    """Write an ``(H, W, 3)`` uint8 RGB picture atomically, in the format of the extension.

    Raises:
        ValueError: for an extension that is not in `IMAGE_OPTIONS`, or a picture that the format cannot hold.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension not in IMAGE_OPTIONS:
        raise ValueError(f"cannot write {path}: the extension must be one of {', '.join(IMAGE_OPTIONS)}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or str(rgb.dtype) != "uint8" or rgb.size == 0:
        raise ValueError(f"cannot write {path}: the picture must be (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}")
    atomic_write(path, _encode(path, rgb[:, :, ::-1], IMAGE_OPTIONS[extension]))


def write_labels(path: str | Path, labels: Array) -> None:
    """Write a label image atomically, without loss: each pixel's value is the number of its object.

    Args:
        path: ``.tif``, ``.tiff`` or ``.png``: 16 bits without sign; a TIFF of more than 65,535 objects has 32 bits.
        labels: ``(H, W)`` integers, 0 = background; see `Masks.labels`.

    Raises:
        ValueError: for another extension, or labels that the format cannot hold.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension not in LABEL_OPTIONS:
        raise ValueError(f"cannot write {path}: the extension must be one of {', '.join(LABEL_OPTIONS)}")
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise ValueError(f"cannot write {path}: labels must be (H, W) integers, not {labels.shape} {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"cannot write {path}: labels must be from 0 to 2147483647, not {low} to {high}")
    wide = high > np.iinfo(np.uint16).max
    if wide and extension == ".png":
        raise ValueError(f"cannot write {path}: a .png holds 65535 labels, not {high}; write a .tif")
    pixels = labels.astype(np.int32 if wide else np.uint16)
    atomic_write(path, _encode(path, pixels, LABEL_OPTIONS[extension]))


def _encode(path: str | Path, pixels: Array, options: tuple[int, ...]) -> bytes:
    """The bytes of an image file, of pixels as cv2 has them (BGR)."""
    extension = Path(path).suffix.lower()
    try:
        done, data = cv2.imencode(extension, pixels, options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"cannot write {path}: {extension} cannot hold {pixels.shape[1]}x{pixels.shape[0]} pixels")
    return data.tobytes()


class Periodic:
    """Writes what grows at the first call, then every `interval` seconds, or less often when a write takes long.

    Args:
        write: writes all there is.
        interval: seconds between two writes, at least 20 times what the last one took.
    """

    def __init__(self, write: Callable[[], None], interval: float = 30) -> None:
        self._write = write
        self._interval = interval
        self._next = 0.0

    def __call__(self) -> None:
        """Write when it is time to."""
        if time.monotonic() >= self._next:
            self.now()

    def now(self) -> None:
        start = time.monotonic()
        self._write()
        end = time.monotonic()
        self._next = end + max(self._interval, 20 * (end - start))
