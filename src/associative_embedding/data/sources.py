"""A source of a recipe -> the reader of its images, and the part of them that is trained on or held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints, held_out
from associative_embedding.data.readers.coco_masks import CocoMasks, class_names
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.readers.image_folder import ImageFolder
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.readers.voc import VOC_CLASSES, VocMasks
from associative_embedding.data.settings import SourceConfig
from associative_embedding.structures.skeleton import Skeleton

D = TypeVar("D", bound=ImageFolder[Any])


def open_source(source: SourceConfig, skeleton: Skeleton, *, part: str) -> CocoKeypoints:
    """One source's images, without (`part` = "train") or only (`part` = "validation") its held-out share.

    Raises:
        ValueError: for a source that cannot be read, or when no image of it is left to train on.
    """
    if source.split:
        raise ValueError(f"{source.annotations or source.images}: split is of VOC trees of masks: leave it out")
    data = CocoKeypoints(
        source.annotations, source.images, skeleton, complete=source.complete, rename=source.rename or None, cache=False
    )
    return take_part(data, source, part, "no image has a labelled person")


def mask_images(
    path: str, images: str | None, classes: Sequence[str], split: str, rename: Mapping[str, str] | None = None
) -> CocoMasks | VocMasks:
    """All images of a COCO json, or of an image set of a VOC tree, without holding their files in memory."""
    if is_voc(path):
        return VocMasks(path, split, classes, images=images, cache=False)
    return CocoMasks(path, images or "", classes, rename=rename, cache=False)


def open_masks(source: SourceConfig, classes: Sequence[str], *, part: str) -> CocoMasks | VocMasks:
    """The same of a source of masks.

    Args:
        classes: C names of what is taught.
    """
    path = check_mask_source(source)
    none = "the image set is empty" if is_voc(path) else "there is none"
    return take_part(mask_images(path, source.images, classes, source.split, source.rename), source, part, none)


def source_classes(source: SourceConfig) -> list[str]:
    """All classes of a source of masks, in the order of their ids.

    Raises:
        ValueError: for annotations that cannot be read.
    """
    path = check_mask_source(source)
    return list(VOC_CLASSES) if is_voc(path) else class_names(path, source.rename)


def is_voc(annotations: str) -> bool:
    return (Path(annotations) / "SegmentationObject").is_dir()


def check_mask_source(source: SourceConfig) -> str:
    """The path of the annotations.

    Raises:
        ValueError: for a setting that has no meaning for masks, or lacks.
    """
    if source.annotations is None:
        raise ValueError(f"{source.images}: masks need annotations, a COCO json or a VOC tree")
    if is_voc(source.annotations) and not source.split:
        raise ValueError(f"{source.annotations}: a VOC tree needs a split, the name of an image set such as train")
    if source.split and not is_voc(source.annotations):
        raise ValueError(f"{source.annotations}: split is of VOC trees, but this is no folder with SegmentationObject")
    if source.mosaic or source.overlap:
        raise ValueError(f"{source.annotations}: mosaic and overlap are for keypoints, not for masks: set both to 0")
    if not source.complete:
        raise ValueError(f"{source.annotations}: complete is for keypoints, not for masks: leave it out")
    if source.rename and is_voc(source.annotations):
        raise ValueError(f"{source.annotations}: rename is for COCO jsons; a VOC tree's classes have their names")
    return source.annotations


def take_part(data: D, source: SourceConfig, part: str, none: str) -> D:
    """The images of `part`; `none` says why there may not be any at all."""
    chosen = data
    if source.held_out:
        chosen = data.select(lambda image_id: held_out(image_id, source.held_out) == (part == "validation"))
    if part == "train" and not len(chosen):
        why = f"held_out: {source.held_out} takes all {len(data)}" if len(data) else none
        raise ValueError(f"{source.annotations or source.images}: no image to train on is left, {why}")
    return chosen.cached() if source.cache else chosen  # only now: what is not used is not read


def open_people(source: SourceConfig, images: CocoKeypoints, *, margin: float, min_size: float) -> PersonCrops:
    """The people of a source one by one.

    Raises:
        ValueError: when there is none, or several images are to be composed into one: a crop shows one person.
    """
    where = source.annotations or source.images
    if source.mosaic or source.overlap:
        raise ValueError(f"{where}: mosaic and overlap are for the task pose, leave them out for single-person")
    people = PersonCrops(images, margin=margin, min_size=min_size)
    if not len(people):
        raise ValueError(f"{where}: no person has the {people.min_keypoints} labelled keypoints that a crop needs")
    return people


def open_pairs(source: SourceConfig, images: CocoKeypoints, reach: int) -> FramePairs:
    """The pairs of frames of a source.

    Raises:
        ValueError: when it has no track ids, or frames are to be composed.
    """
    if source.mosaic or source.overlap:
        raise ValueError(f"{source.annotations}: mosaic and overlap are for the task pose, leave them out for tracking")
    return FramePairs(images, reach)


def choose(data: D, held_out_share: float, limit: int, name: str) -> D:
    """The held-out images, and the first of them; see `open_trial`. Messages call them `name`.

    Raises:
        ValueError: for a share or limit out of range, or no image.
    """
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    if held_out_share:
        data = data.select(lambda image_id: held_out(image_id, held_out_share))
    chosen = set(data.image_ids[: limit or len(data)])
    if not chosen:
        raise ValueError(f"{name}: no image to evaluate on")
    return data.select(chosen.__contains__)
