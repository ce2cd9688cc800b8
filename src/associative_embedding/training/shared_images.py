"""Images that a recipe both trains and validates on: the numbers of the validation say nothing about other images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from associative_embedding.data.readers.coco_keypoints import held_out
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.readers.image_folder import ImageFolder
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.stream import Samples
from associative_embedding.io.coco_json import read_coco

Place = tuple[str, str]  # folder of images, file name


def shared_images(validation: Sequence[SourceConfig], datasets: Sequence[Samples]) -> Iterator[str]:
    """Yields a line for each source of the validation that has images of the training; see `validated_images`.

    Args:
        validation: its sources.
        datasets: what is trained on.
    """
    trained = {place for samples in datasets for place in trained_images(samples)} if validation else set()
    for source in validation:
        images = validated_images(source)
        if shared := len(images & trained):
            yield (
                f"data.validation: {shared} of {len(images)} images of {source.annotations or source.images} are also "
                "trained on, so its numbers are too good; held_out in both sources, or another file, keeps them apart"
            )


def trained_images(samples: Samples) -> Iterator[Place]:
    """Yields the images of a data set."""
    if isinstance(samples, (PersonCrops, FramePairs)):
        samples = samples.images
    if isinstance(samples, ImageFolder):
        folder = os.path.realpath(samples.folder)
        yield from ((folder, os.path.normpath(record.file_name)) for record in samples.records)


def validated_images(source: SourceConfig) -> set[Place]:
    """Returns the images of a source of the validation; none for a VOC tree, whose image sets are made to differ."""
    if source.annotations is None or Path(source.annotations).is_dir():
        return set()
    folder, share = os.path.realpath(source.images), source.held_out
    images = read_coco(source.annotations)["images"]
    kept = [image for image in images if not share or held_out(image.get("id", 0), share)]
    return {(folder, os.path.normpath(str(image.get("file_name")))) for image in kept}
