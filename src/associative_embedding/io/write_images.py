"""Writes pictures and label images as files that are whole or not there at all."""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from associative_embedding.io.files import atomic_write
from associative_embedding.io.outputs import MARK, mark_image
from associative_embedding.structures.arrays import Array

# The formats of pictures, with the options of their encoder. Quality 95 shows no difference to the original.
IMAGE_OPTIONS: dict[str, tuple[int, ...]] = {
    ".bmp": (),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".png": (),
    ".tif": (),
    ".tiff": (),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95),
}
LABEL_ENDINGS = (".png", ".tif", ".tiff")


def write_image(path: str | Path, rgb: Array, mark: bytes = MARK) -> None:
    """Writes an ``(H, W, 3)`` uint8 RGB picture atomically, in the format of the extension, with a mark of its writer.

    Raises:
        ValueError: for an extension that is not in `IMAGE_OPTIONS`, or a picture that the format cannot hold.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension not in IMAGE_OPTIONS:
        raise ValueError(f"cannot write {path}: the extension must be one of {', '.join(IMAGE_OPTIONS)}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or str(rgb.dtype) != "uint8" or rgb.size == 0:
        raise ValueError(f"cannot write {path}: the picture must be (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}")
    atomic_write(path, _encode(path, rgb[:, :, ::-1], IMAGE_OPTIONS[extension], mark))


def write_labels(path: str | Path, labels: Array, mark: bytes = MARK, *, pixel_size: float | None = None) -> None:
    """Writes a label image atomically and without loss: the value of a pixel is the number of its object.

    Args:
        path: ``.png``, or ``.tif`` or ``.tiff`` with OME-XML. Values have 16 bits without sign; a TIFF of more than
            65,535 objects has 32 bits.
        labels: ``(H, W)`` integers, 0 = background; see `Masks.labels`.
        mark: of its writer.
        pixel_size: side of a pixel in micrometres, which a TIFF states; None = not known.

    Raises:
        ValueError: for another extension, or labels that the format cannot hold.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension not in LABEL_ENDINGS:
        raise ValueError(f"cannot write {path}: the extension must be one of {', '.join(LABEL_ENDINGS)}")
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise ValueError(f"cannot write {path}: labels must be (H, W) integers, not {labels.shape} {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"cannot write {path}: labels must be from 0 to 2147483647, not {low} to {high}")
    wide = high > np.iinfo(np.uint16).max
    if wide and extension == ".png":
        raise ValueError(f"cannot write {path}: a .png holds 65535 labels, not {high}; write a .tif")
    pixels = labels.astype(np.int32 if wide else np.uint16)
    if extension == ".png":
        atomic_write(path, _encode(path, pixels, (), mark))
    else:
        atomic_write(path, ome_tiff(pixels, pixel_size) + mark)


def ome_tiff(labels: Array, pixel_size: float | None) -> bytes:
    """Returns labels as a TIFF that OMERO, Bio-Formats and ImageJ read with the size of its pixels.

    Args:
        labels: ``(H, W)`` of 16 or 32 bits.
        pixel_size: in micrometres; None = not known.
    """
    import tifffile  # its import takes a tenth of a second

    # By its content: equal labels are equal files, which the usual random number would prevent.
    number = uuid.UUID(bytes=hashlib.sha256(labels.tobytes()).digest()[:16])
    metadata: dict[str, Any] = {"axes": "YX", "Name": "labels", "UUID": f"urn:uuid:{number}"}
    scale: dict[str, Any] = {}
    if pixel_size is not None:
        units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
        metadata |= {"PhysicalSizeX": pixel_size, "PhysicalSizeY": pixel_size, **units}
        scale = {"resolution": (1e4 / pixel_size, 1e4 / pixel_size), "resolutionunit": "CENTIMETER"}
    file = io.BytesIO()
    tifffile.imwrite(file, labels, ome=True, compression="zlib", metadata=metadata, **scale)
    return file.getvalue()


def _encode(path: str | Path, pixels: Array, options: tuple[int, ...], mark: bytes) -> bytes:
    """Returns the bytes of an image file, marked as ours. `pixels` are in cv2's order of channels, BGR."""
    extension = Path(path).suffix.lower()
    try:
        done, data = cv2.imencode(extension, pixels, options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"cannot write {path}: {extension} cannot hold {pixels.shape[1]}x{pixels.shape[0]} pixels")
    return mark_image(data.tobytes(), mark)
