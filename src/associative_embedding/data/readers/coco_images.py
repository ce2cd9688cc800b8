"""Reads the images that a COCO json lists, without annotations: also test sets, whose labels are not published."""

from __future__ import annotations

from typing import Any

from associative_embedding.data.readers.coco_entries import annotations_of_images, name_and_size
from associative_embedding.data.readers.image_folder import ImageFolder, ImageRecord, check_folder
from associative_embedding.io.coco_json import read_image_info


class ListedImage(ImageRecord):
    """An image of which no annotation is used, so it is turned upright as its EXIF data state."""

    @property
    def annotated(self) -> bool:
        return False


class CocoImages(ImageFolder[ListedImage]):
    """The images of a COCO json with or without annotations, in its order, with its ids.

    Args:
        annotations: the json.
        images: the folder that each ``file_name`` is relative to.

    Attributes:
        categories: the entries of the json.

    Raises:
        ValueError: for a broken json, an id that occurs twice, or an image without a file.
    """

    def __init__(self, annotations: str, images: str) -> None:
        check_folder(images)
        document = read_image_info(annotations)
        annotations_of_images(annotations, {**document, "annotations": []}, ())  # it checks the ids
        self.categories: list[dict[str, Any]] = document["categories"]
        records = [ListedImage(image["id"], *name_and_size(annotations, image)) for image in document["images"]]
        super().__init__(images, records, annotations, cache=False)
