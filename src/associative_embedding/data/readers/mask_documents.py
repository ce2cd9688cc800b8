"""Reads annotated masks of any kind that becomes one COCO document: a COCO json, or label images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from associative_embedding.data.readers.label_images import OBJECT, label_document
from associative_embedding.data.readers.label_pairs import image_folder, is_label_folder
from associative_embedding.data.readers.sound_masks import with_sound_masks
from associative_embedding.io.coco_json import read_coco


def read_mask_document(
    annotations: str, images: str | None, classes: Sequence[str] = (), rename: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns the COCO document of annotated masks. Lines say what of it cannot be read.

    Args:
        annotations: a COCO json, or a folder or pattern of label images, see `label_pairs`.
        images: folder of the images; default, for label images: where tools put images.
        classes: of a model. The objects of label images are of the only one; of several, and of none, they are
            `OBJECT`, which `rename` gives another name.
        rename: name in the document -> name in the model.

    Raises:
        ValueError: for annotations that cannot be read.
    """
    if not is_label_folder(annotations):
        return with_sound_masks(annotations, read_coco(annotations), images)
    name = classes[0] if len(classes) == 1 and not rename else OBJECT
    return label_document(annotations, image_folder(annotations, images), name)
