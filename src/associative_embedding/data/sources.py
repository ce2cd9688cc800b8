"""Opens the sources of a recipe: which reader reads one, and which of its images are for training or held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints, held_out
from associative_embedding.data.readers.coco_masks import CocoMasks, class_names
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.readers.id_list import check_ids, read_ids
from associative_embedding.data.readers.image_folder import ImageFolder
from associative_embedding.data.readers.label_pairs import image_folder, is_label_folder
from associative_embedding.data.readers.person_crops import Crop, PersonCrops
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.data.readers.voc_classes import is_voc_tree, voc_classes
from associative_embedding.data.settings import SourceConfig
from associative_embedding.io.console import remark
from associative_embedding.structures.skeleton import Skeleton

SourcePart = Literal["train", "validation"]  # without, or only, the share that `SourceConfig.held_out` states
Images = TypeVar("Images", bound=ImageFolder[Any])


# ---- keypoints


def open_keypoints(source: SourceConfig, skeleton: Skeleton, *, part: SourcePart) -> CocoKeypoints:
    """Opens the images with people of a source.

    Args:
        source: a COCO json, or a folder of images without people.
        skeleton: the keypoint types to teach.
        part: which images.

    Raises:
        ValueError: for a source that cannot be read, or one without an image to train on.
    """
    if source.split:
        raise ValueError(f"{source.annotations or source.images}: split is for VOC trees of masks: leave it out")
    # cache=False: `select_part` caches, when it is known which images are used
    images = CocoKeypoints(
        source.annotations, source.images, skeleton, complete=source.complete, rename=source.rename or None, cache=False
    )
    return select_part(images, source, part, if_none="no image has a labelled person")


def open_person_crops(source: SourceConfig, images: CocoKeypoints, crop: Crop) -> PersonCrops:
    """Opens the people of a source one by one.

    Args:
        source: the settings of the source.
        images: its images.
        crop: how people are cropped, see `PersonCrops`.

    Raises:
        ValueError: when there is no person, or images are to be composed: a crop must show one person.
    """
    where = source.annotations or source.images
    if source.mosaic or source.overlap:
        raise ValueError(f"{where}: mosaic and overlap are for the task pose, leave them out for single-person")
    people = PersonCrops(images, crop=crop)
    if not len(people):
        raise ValueError(f"{where}: no person has the {people.min_keypoints} labelled keypoints that a crop needs")
    return people


def open_frame_pairs(source: SourceConfig, images: CocoKeypoints, reach: int) -> FramePairs:
    """Opens the pairs of frames of a source, at most `reach` frames apart.

    Raises:
        ValueError: when the source has no track ids, or frames are to be composed: both frames must stay alike.
    """
    if source.mosaic or source.overlap:
        raise ValueError(f"{source.annotations}: mosaic and overlap are for the task pose, leave them out for tracking")
    return FramePairs(images, reach)


# ---- masks


def open_masks(source: SourceConfig, classes: Sequence[str], *, part: SourcePart) -> CocoMasks | VocMasks:
    """Opens the images with masks of a source.

    Args:
        source: a COCO json, label images or a VOC tree.
        classes: C names of the classes to teach.
        part: which images.

    Raises:
        ValueError: for a source that cannot be read, or one without an image to train on.
    """
    path = check_mask_source(source)
    images = read_masks(path, source.images, classes, source.split, source.rename)
    return select_part(images, source, part, if_none="the image set is empty" if is_voc(path) else "there is none")


def read_masks(
    path: str, images: str | None, classes: Sequence[str], split: str, rename: Mapping[str, str] | None = None
) -> CocoMasks | VocMasks:
    """Returns all images of a COCO json, of label images, or of an image set of a VOC tree; their files are not cached.

    Args:
        path: the json, the folder or pattern of label images (`label_pairs`), or the tree.
        images: folder of the images; None or "" = JPEGImages of the tree, and of label images the usual place.
        classes: C names of the classes.
        split: image set of a VOC tree.
        rename: category name in the json -> class; "object" is that of label images.
    """
    if is_voc(path):
        return VocMasks(path, split, classes, images=images or None, cache=False)
    folder = image_folder(path, images) if is_label_folder(path) else images or ""
    return CocoMasks(path, folder, classes, rename=rename, cache=False)


def source_classes(source: SourceConfig) -> list[str]:
    """Returns all classes of a source of masks, in the order of their ids.

    Raises:
        ValueError: for annotations that cannot be read.
    """
    path = check_mask_source(source)
    return list(voc_classes(path)) if is_voc(path) else class_names(path, source.rename)


def is_voc(annotations: str) -> bool:
    """Returns whether annotations are a VOC tree and not a COCO json."""
    return is_voc_tree(annotations)


def check_mask_source(source: SourceConfig) -> str:
    """Returns the path of the annotations of a source of masks.

    Raises:
        ValueError: for a setting that is missing, or that has no meaning for masks.
    """
    if source.annotations is None:
        raise ValueError(f"{source.images}: masks need annotations: a COCO json, label images or a VOC tree")
    if source.split and not is_voc(source.annotations):
        raise ValueError(f"{source.annotations}: split is for VOC trees, but this is no folder with SegmentationObject")
    if source.mosaic or source.overlap:
        raise ValueError(f"{source.annotations}: mosaic and overlap are for keypoints, not for masks: set both to 0")
    if not source.complete:
        raise ValueError(f"{source.annotations}: complete is for keypoints, not for masks: leave it out")
    if source.rename and is_voc(source.annotations):
        raise ValueError(f"{source.annotations}: rename is not for VOC trees, whose classes have their names")
    return source.annotations


# ---- which images of a source


def select_part(images: Images, source: SourceConfig, part: SourcePart, *, if_none: str) -> Images:
    """Returns the images of a part, cached if the source is.

    Args:
        images: all images of the source, not cached.
        source: its settings.
        part: which images.
        if_none: why `images` may be empty, for the message.

    Raises:
        ValueError: when no image to train on is left.
    """
    kept, images = held_out_test(source), images.read_as(source.reading)
    selected = images if kept is None else images.select(lambda image_id: kept(image_id) == (part == "validation"))
    if source.held_out_ids is not None and part == "train":
        remark_left_out(source, len(images) - len(selected), len(images))
    # An empty part for validation is the caller's to report: other sources may have images.
    if part == "train" and not len(selected):
        name = "held_out" if source.held_out_ids is None else "held_out_ids"
        why = f"{name}: {getattr(source, name)} takes all {len(images)}" if len(images) else if_none
        raise ValueError(f"{source.annotations or source.images}: no image to train on is left, {why}")
    return selected.cached() if source.cache else selected  # cached last, so that no unused file is read


def remark_left_out(source: SourceConfig, left_out: int, count: int) -> None:
    """Prints how many images of a list of ids training leaves out, if not all: the others may have no labelled person.

    Args:
        source: its settings.
        left_out: number of its images to train on that are left out.
        count: number of these images.

    Raises:
        ValueError: when there is none, as for the list of another data set.
    """
    listed, where = len(read_ids(str(source.held_out_ids))), source.annotations or source.images
    if not left_out and count:
        raise ValueError(f"{source.held_out_ids}: none of its {listed} ids is one of the {count} images of {where}")
    if left_out < listed:
        remark(f"{source.held_out_ids}: {left_out} of its {listed} ids are images of {where} to train on; left out")


def held_out_test(source: SourceConfig) -> Callable[[int], bool] | None:
    """Returns the test whether an image id is held out of training; None when the source holds out nothing.

    Raises:
        ValueError: for a list of ids that cannot be read.
    """
    if source.held_out_ids is not None:
        return set(read_ids(source.held_out_ids)).__contains__
    return partial(held_out, fraction=source.held_out) if source.held_out else None


def select_test_images(images: Images, held_out_share: float, limit: int, name: str, ids: str | None = None) -> Images:
    """Returns the images to evaluate on.

    Args:
        images: all images.
        held_out_share: only the images that a recipe with this ``held_out`` leaves to validation; 0 = all.
        limit: only the first of these, 0 = all.
        name: the annotations, for messages.
        ids: file with the ids of the images to use, one a line; None = all.

    Raises:
        ValueError: for a share or limit out of range, for ids that are no images, or when no image is left.
    """
    if not 0 <= held_out_share <= 1 or limit < 0:
        raise ValueError(f"the held-out share must be in [0, 1] and the limit 0 or more, not {held_out_share}, {limit}")
    count = len(images)
    if ids is not None:
        listed = set(read_ids(ids))
        check_ids(ids, listed, images.image_ids, name)
        images = images.select(listed.__contains__)
    if held_out_share:
        images = images.select(lambda image_id: held_out(image_id, held_out_share))
    # the first ones in the order of the file: a limit gives the same images each time
    selected = set(images.image_ids[: limit or len(images)])
    if not selected:
        why = f", held_out: {held_out_share} keeps none of the {count} images" if count else ": there is none"
        raise ValueError(f"{name}: no image to evaluate on{why}")
    return images.select(selected.__contains__)
