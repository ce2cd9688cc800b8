"""Folders of label images, in which the value of a pixel is the number of its object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from associative_embedding.data.readers.mask_documents import read_mask_document


def read_label_images(path: str | Path, images: str | Path | None = None) -> dict[str, Any]:
    """Returns the COCO dataset of label images; `data.readers.label_pairs` says how images and labels are paired.

    Args:
        path: folder of the label images, or a pattern such as ``labels/{name}_gt.tif``.
        images: folder of the images; default: where tools put them.

    Raises:
        ValueError: when they cannot be paired or read.
    """
    return read_mask_document(str(path), None if images is None else str(images))
