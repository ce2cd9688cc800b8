"""Images on which numbers say nothing about others: those of the validation, or of COCO's, that are trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.readers.image_folder import ImageFolder
from associative_embedding.data.readers.label_pairs import image_folder, is_label_folder
from associative_embedding.data.readers.mask_documents import read_mask_document
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import held_out_test, is_voc
from associative_embedding.data.stream import Samples
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.counts import of_them

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
                f"data.validation: training has {of_them(shared, len(images), 'image')} of "
                f"{source.annotations or source.images}, so its numbers are too good; held_out or held_out_ids in both "
                "sources, or another file, keeps them apart"
            )


def validation_set_lines(sources: Sequence[SourceConfig], datasets: Sequence[Samples]) -> Iterator[str]:
    """Yields a line for each source that trains on COCO's validation set, as far as its file states the sets."""
    for source, samples in zip(sources, datasets, strict=True):
        images = people_images(samples)
        if isinstance(images, CocoKeypoints) and (count := images.coco_splits["val2017"]):
            yield (
                f"data.sources: COCO's validation set val2017 has {of_them(count, len(images), 'image')} of "
                f"{source.annotations}: published figures for val2017 are not comparable with this model's"
            )


def people_images(samples: Samples) -> Samples:
    """Returns the images of crops or pairs of frames; all other samples as they are."""
    return samples.images if isinstance(samples, (PersonCrops, FramePairs)) else samples


def trained_images(samples: Samples) -> Iterator[Place]:
    """Yields the images of a data set."""
    samples = people_images(samples)
    if isinstance(samples, ImageFolder):
        folder = os.path.realpath(samples.folder)
        yield from ((folder, os.path.normpath(record.file_name)) for record in samples.records)


def validated_images(source: SourceConfig) -> set[Place]:
    """Returns the images of a source of the validation; none for a VOC tree, whose image sets are made to differ."""
    if source.annotations is None or is_voc(source.annotations):
        return set()
    labels = is_label_folder(source.annotations)
    folder = os.path.realpath(image_folder(source.annotations, source.images) if labels else source.images)
    in_part = held_out_test(source)
    # Label images are in memory since the validation was opened.
    images = (read_mask_document(source.annotations, source.images) if labels else read_coco(source.annotations))[
        "images"
    ]
    kept = [image for image in images if in_part is None or in_part(image.get("id", 0))]
    return {(folder, os.path.normpath(str(image.get("file_name")))) for image in kept}
